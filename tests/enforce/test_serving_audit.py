"""Settings of model servers: each open file is found for its defect, the sound ones are left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate.cli.app import run
from registry_gate.enforce.serving import RULES, audit_file, audit_files
from registry_gate.errors import FetchError

HERE = Path(__file__).parent / "serving"
OPEN = sorted((HERE / "open").iterdir())
SOUND = sorted((HERE / "sound").iterdir())


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.name)
def test_sound_settings_are_left_alone(path: Path) -> None:
    assert list(audit_file(path)) == []


@pytest.mark.parametrize("path", OPEN, ids=lambda path: path.name)
def test_open_settings_are_found_for_their_defect(path: Path) -> None:
    assert path.name.partition("--")[0] in {finding.rule for finding in audit_file(path)}


def test_every_rule_has_a_file_that_breaks_it() -> None:
    assert {path.name.partition("--")[0] for path in OPEN} == set(RULES)


def test_one_change_of_a_sound_file_gives_no_unrelated_findings() -> None:
    """The Triton files differ from the sound one in one place, and are found for that place only."""
    related = {"serving-queue-without-timeout", "serving-queue-unbounded", "serving-input-unbounded"}
    for path in OPEN:
        if path.suffix == ".pbtxt":
            rule = path.name.partition("--")[0]
            assert {finding.rule for finding in audit_file(path)} <= {
                rule,
                *related,
                "serving-batch-unbounded",
            }


def test_a_key_named_auth_is_no_authentication(tmp_path: Path) -> None:
    """mlsec counts a parameter with such a name as protection."""
    path = tmp_path / "config.pbtxt"
    path.write_text(
        (HERE / "sound/triton.pbtxt").read_text() + 'parameters { key: "token" value { string_value: "x" } }'
    )
    assert [finding.rule for finding in audit_file(path)] == ["serving-authentication-pretended"]


@pytest.mark.parametrize("name", ["config.pbtxt", "config.properties", "x.yaml", "Dockerfile", "y.json"])
@settings(max_examples=40, deadline=None)
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_hostile_bytes_never_crash_and_never_pass(name: str, data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            assert list(audit_file(path))
        except FetchError as error:
            assert error.code == "cannot-read-settings"


@pytest.mark.parametrize(
    "text",
    ["[" * 10_000, "a: " * 5000, "- " * 10_000, "{a: " * 2000, "kind: Pod\nspec: [1, {containers: {a: b}}]"],
)
def test_deep_and_odd_yaml_is_a_finding(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert {finding.rule for finding in audit_file(tmp_path / "x.yaml")} == {"serving-not-understood"}


def test_deeply_nested_protobuf_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_text("optimization { cuda { " * 5000)
    assert {finding.rule for finding in audit_file(tmp_path / "config.pbtxt")} == {"serving-not-understood"}


def test_a_missing_or_huge_file_is_no_decision(tmp_path: Path) -> None:
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(9 << 20)
    for name in ("none.yaml", "huge.yaml"):
        with pytest.raises(FetchError):
            audit_files((tmp_path / name,))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = str(OPEN[0]), [str(path) for path in SOUND]
    assert run(["serving-audit", *good]) == 0
    assert f"nothing found in {len(good)} files" in capsys.readouterr().out
    assert run(["serving-audit", bad, "--format", "json"]) == 2
    assert json.loads(capsys.readouterr().out)[0]["rule"] in RULES
    assert run(["serving-audit", bad, "--least", "critical"]) == 0
    capsys.readouterr()
    assert run(["serving-audit", bad, "--format", "sarif"]) == 2
    log = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    assert log["runs"][0]["results"][0]["ruleId"] in RULES
    assert run(["serving-audit", str(tmp_path / "none.yaml")]) == 1
