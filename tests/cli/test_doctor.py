"""The command: exit status, codes, the JSON document and its schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from registry_gate.cli.app import run
from registry_gate.operate.doctor.render import Diagnosis, as_text, committed_schema, schema
from registry_gate.operate.doctor.run import PROBES
from registry_gate.self_test import ProbeState
from registry_gate.testing.sample_release import sample_gate
from tests.client.mlflow_server import free_port
from tests.test_self_test import said, with_state


def test_the_committed_schema_is_that_of_the_document() -> None:
    assert schema() == committed_schema()


def test_codes_are_unique_slugs_that_fit_their_column() -> None:
    codes = [probe.code for probe in PROBES]
    assert len(set(codes)) == len(codes) >= 30
    assert all(len(code) <= 20 and probe.title for code, probe in zip(codes, PROBES, strict=True))


def doctor(home: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    code = run(["doctor", "--home", str(home), "--format", "json", *arguments])
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(committed_schema()))
    return code, document


def test_exit_status_and_state_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = sample_gate(tmp_path / "home").settings.home
    code, document = doctor(home, capsys, "--only", "log-key", "--only", "approver-keys")
    assert (code, document["state"], document["recorded"]) == (0, "ok", None)
    uri = f"http://127.0.0.1:{free_port()}"
    code, document = doctor(home, capsys, "--only", "clock-registry", "--registry-uri", uri)
    assert (code, document["state"]) == (1, "could-not-tell")
    both = ("--only", "clock-registry", "--only", "registry-reachable", "--registry-uri", uri)
    code, document = doctor(home, capsys, *both)
    assert (code, document["state"]) == (2, "failed")


def test_an_unknown_code_is_a_usage_error_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--only", "sandbox-netwrok"]) == 1
    assert "did you mean: sandbox-network" in capsys.readouterr().err


def test_what_is_measured_is_escaped_for_the_terminal() -> None:
    result = said().results[0].model_copy(update={"measured": "\x1b[2J", "todo": "a\u202eb"})
    text = as_text(
        Diagnosis(state=ProbeState.OK, self_test=said(results=(result,)), not_recorded="\x1b]0;x\x07")
    )
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_the_text_says_what_must_hold_and_the_entry() -> None:
    failing = with_state(ProbeState.FAILED)
    text = as_text(Diagnosis(state=failing.state, self_test=failing, recorded=7))
    assert "must hold: the clock was not set while this ran" in text
    assert text.endswith("recorded as entry 7 of the log\n")
