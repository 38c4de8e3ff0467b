"""Exit codes and streams, on the real command line: 0 admitted, 2 not admitted, 1 no decision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from registry_gate import version
from registry_gate.report import json_report
from registry_gate.report.document import Report
from registry_gate.testing import hostile


def run(*arguments: str, home: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "registry_gate", *arguments]
    environment = os.environ | {"REGISTRY_GATE_HOME": str(home)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, input=stdin, timeout=120)


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("admit",),
        ("admit", "a/b", "--no-such-option"),
        ("admit", "a/b", "--device", "abacus"),
        ("admit", "not//an-id"),
        ("admit", "a/b", "--policy", "/nonexistent.yaml"),
        ("admit", "a/b", "--endpoint", "https://elsewhere.example"),
        ("admit", "a/b", "--endpoint", "ftp://elsewhere.example"),
        ("admit", ".", "--dry-run"),
        ("scan", "./nonexistent"),
        ("verify", "./nonexistent"),
        ("keys",),
    ],
)
def test_usage_errors_are_1_never_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*arguments, home=tmp_path)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.strip() or result.stdout.strip()


@pytest.mark.parametrize(
    "arguments", [("--help",), ("admit", "--help"), ("scan", "--help"), ("keys", "init", "--help")]
)
def test_help_is_0_and_teaches_the_exit_codes(arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*arguments, home=tmp_path)
    assert result.returncode == 0
    assert "Usage" in result.stdout


def test_the_base_installation_says_which_extra_a_command_needs() -> None:
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "from registry_gate.cli.app import run\n"
        "sys.exit(run(['admit', 'a/b']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("missing-extra")
    assert "registry-gate[gate]" in done.stderr


def test_version(tmp_path: Path) -> None:
    assert run("--version", home=tmp_path).stdout.strip() == version.VERSION


def test_scan_of_a_hostile_file_is_2_in_both_formats(tmp_path: Path) -> None:
    bad = tmp_path / "weights.bin"
    bad.write_bytes(hostile.torch_zip(hostile.pickle_that_would_run("true")))
    text = run("scan", str(bad), home=tmp_path / "home")
    structured = run("scan", str(bad), "--format", "json", home=tmp_path / "home")
    assert (text.returncode, structured.returncode) == (2, 2), text.stderr
    document = json.loads(structured.stdout)
    jsonschema.validate(document, json.loads(json_report.committed_schema()))
    assert document["verdict"] == "reject"
    assert "pickle-global-not-allowed" in {finding["rule"] for finding in document["findings"]}
    assert text.stdout.startswith("REJECT")
    assert "os" in text.stdout


def test_no_format_turns_a_refusal_into_success(tmp_path: Path) -> None:
    bad = tmp_path / "weights.bin"
    bad.write_bytes(hostile.torch_zip(hostile.pickle_that_would_run("true")))
    log = run("scan", str(bad), "--format", "sarif", home=tmp_path / "home")
    page = run("scan", str(bad), "--format", "html", home=tmp_path / "home")
    assert (log.returncode, page.returncode) == (2, 2)
    found = {result["ruleId"] for result in json.loads(log.stdout)["runs"][0]["results"]}
    assert "pickle-global-not-allowed" in found
    assert page.stdout.startswith("<!doctype html>")
    assert "pickle-global-not-allowed" in page.stdout


def test_output_goes_whole_to_a_file(tmp_path: Path) -> None:
    bad = tmp_path / "weights.bin"
    bad.write_bytes(hostile.torch_zip(hostile.pickle_that_would_run("true")))
    report = tmp_path / "report.json"
    result = run("scan", str(bad), "--format", "json", "--output", str(report), home=tmp_path / "home")
    assert result.returncode == 2
    assert result.stdout == ""
    assert Report.from_json(report.read_bytes()).verdict.value == "reject"


def test_the_committed_schema_is_the_model() -> None:
    assert json_report.schema() == json_report.committed_schema()
