import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from registry_gate.cli.name import name
from registry_gate.errors import UsageError

app = typer.Typer()
app.command()(name)


def run(*arguments, stdin=None):
    return CliRunner().invoke(app, list(arguments), input=stdin)


def records(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_is_one_object_a_line_with_four_fields():
    result = run("--format", "json", "google/gemma-7b", "goog1e/gemma-7b", "someone/gemma-7b")
    assert result.exit_code == 2
    assert records(result) == [
        {"name": "google/gemma-7b", "verdict": "admit", "imitates": None, "rules": []},
        {
            "name": "goog1e/gemma-7b",
            "verdict": "reject",
            "imitates": "google/gemma-7b",
            "rules": ["name-typosquat"],
        },
        {
            "name": "someone/gemma-7b",
            "verdict": "review",
            "imitates": "google/gemma-7b",
            "rules": ["name-namespace-confusion"],
        },
    ]


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["google/gemma-7b", "bert-base-uncased"], 0),
        (["google/gemma-7b", "someone/gemma-7b"], 2),
        (["goog1e/gemma-7b"], 2),
        (["not an id", "google/gemma-7b"], 2),
    ],
)
def test_exit_status(names, code):
    assert run(*names).exit_code == code


@pytest.mark.parametrize("arguments", [["--format", "json"], ["--format", "json", "-"]])
def test_standard_input_one_a_line_with_comments_and_blank_lines(arguments):
    stdin = "\ufeffgoogle/gemma-7b\r\n\n# a comment\n  Qwen/Qwen3-8B  \na b\n"
    result = run(*arguments, stdin=stdin)
    assert [one["name"] for one in records(result)] == ["google/gemma-7b", "Qwen/Qwen3-8B", "a b"]
    assert records(result)[-1]["rules"] == ["name-invalid"]
    assert result.exit_code == 2


def test_arguments_and_standard_input_mix():
    result = run("--format", "json", "a/first", "-", "a/last", stdin="a/middle\n")
    assert [one["name"] for one in records(result)] == ["a/first", "a/middle", "a/last"]


def test_nothing_to_check_is_an_error_not_a_pass():
    result = run(stdin="# only a comment\n")
    assert isinstance(result.exception, UsageError)
    assert (result.exception.code, result.exception.exit_code) == ("no-names", 1)


def test_a_bad_policy_is_a_usage_error(tmp_path):
    result = run("--policy", str(tmp_path / "none.yaml"), "google/gemma-7b")
    assert isinstance(result.exception, UsageError)
    assert result.stdout == ""


def test_overlong_lines_and_bytes_that_are_no_text_are_rejected_and_the_run_goes_on():
    stdin = b"x" * 100_000 + b"\n\xff\xfe/\x80\ngoogle/gemma-7b\n"
    result = run("--format", "json", stdin=stdin)
    found = records(result)
    assert [one["verdict"] for one in found] == ["reject", "reject", "admit"]
    assert len(found[0]["name"]) < 5000


def test_text_says_which_and_why_and_hides_nothing_in_control_characters():
    result = run("google/gemma-7b", "goog1e/gemma-7b", "a\x1b[2Jb/[red]c\udcff")
    first, second, third = result.stdout.splitlines()
    assert first.split() == ["admit", "google/gemma-7b"]
    assert second.startswith("reject")
    assert "name-typosquat" in second
    assert "'google/gemma-7b'" in second
    assert "\x1b" not in third
    assert "[red]c" in third


def test_a_policy_that_overrides_a_rule_is_heard(tmp_path):
    from registry_gate.policy import policies_folder

    text = (policies_folder() / "default.yaml").read_text()
    changed = text.replace("\nrules:\n", "\nrules:\n  name-namespace-confusion: {disposition: allow}\n")
    assert changed != text
    (tmp_path / "policy.yaml").write_text(changed)
    result = run("--policy", str(tmp_path / "policy.yaml"), "--format", "json", "someone/gemma-7b")
    assert result.exit_code == 0
    assert records(result)[0]["rules"] == ["name-namespace-confusion"]


def test_thousands_of_names_through_a_real_pipe():
    program = (
        "import typer; from registry_gate.cli.name import name; "
        "app = typer.Typer(); app.command()(name); app()"
    )
    names = [f"team-{number}/classifier-{number}" for number in range(3000)]
    done = subprocess.run(
        [sys.executable, "-c", program, "--format", "json"],
        input="\n".join([*names, "goog1e/gemma-7b"]),
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["name"] for one in found[:-1]] == names
    assert {one["verdict"] for one in found[:-1]} == {"admit"}
    assert found[-1]["verdict"] == "reject"
    assert done.returncode == 2
