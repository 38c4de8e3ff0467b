from __future__ import annotations

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_gate.decision import Decision, Verdict, decide
from registry_gate.errors import FetchError, ToolError, UsageError, VerificationError
from registry_gate.evidence import Evidence
from registry_gate.log import AdmissionLog, DecisionBody, ReceiptBody
from registry_gate.release import Receipt
from registry_gate.testing.sample_release import SampleGate, sample_gate

COMMIT = "a" * 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "admissions.jsonl"


@pytest.fixture
def log(path: Path, gate: SampleGate) -> AdmissionLog:
    return AdmissionLog(path, gate.trust, gate.signer)


@pytest.fixture
def case(gate: SampleGate, tmp_path: Path) -> tuple[Evidence, Decision]:
    evidence = gate.evidence(tmp_path / "staged", "acme/tiny", {"a": b"1"}, COMMIT)
    return evidence, decide(evidence, gate.policy, datetime.now(UTC))


def receipt(sequence: int) -> Receipt:
    return Receipt(
        registry_uri="sqlite:////x/mlflow.db",
        registered_name="acme--tiny",
        alias="approved",
        version=1,
        run_id="r",
        source_uri="/x/release",
        manifest_digest="sha256:" + "1" * 64,
        sequence=sequence,
        registered_at=datetime.now(UTC),
    )


def test_entries_come_back_as_they_were_appended(log: AdmissionLog, case: tuple[Evidence, Decision]) -> None:
    assert log.entries() == ()
    assert log.next_sequence() == 1
    first = log.append_decision(*case, "sha256:" + "2" * 64)
    second = log.append_receipt(receipt(first.sequence))
    assert log.entries() == (first, second)
    assert (first.sequence, second.sequence, log.next_sequence()) == (1, 2, 3)
    assert isinstance(first.body, DecisionBody)
    assert (first.body.verdict, first.body.commit) == (Verdict.ADMIT, COMMIT)
    assert first.body.evidence_digest == case[0].digest()
    assert isinstance(second.body, ReceiptBody)


def test_admissions_are_found_by_source_commit_and_policy(
    log: AdmissionLog, case: tuple[Evidence, Decision], gate: SampleGate
) -> None:
    evidence, decision = case
    rejected = decision.model_copy(update={"verdict": Verdict.REJECT})
    log.append_decision(evidence, rejected)
    assert log.admissions(evidence.candidate, COMMIT, gate.policy.digest()) == ()
    entry = log.append_decision(evidence, decision)
    assert log.admissions(evidence.candidate, COMMIT, gate.policy.digest()) == (entry,)
    assert log.admissions(evidence.candidate, "b" * 40, gate.policy.digest()) == ()
    assert log.admissions(evidence.candidate, COMMIT, "sha256:" + "0" * 64) == ()
    elsewhere = evidence.candidate.model_copy(update={"endpoint": "https://other.example"})
    assert log.admissions(elsewhere, COMMIT, gate.policy.digest()) == ()
    asked_by_branch = evidence.candidate.model_copy(update={"revision": "main"})
    assert log.admissions(asked_by_branch, COMMIT, gate.policy.digest()) == (entry,)


def test_first_seen_is_the_first_decision_of_any_verdict(
    log: AdmissionLog, case: tuple[Evidence, Decision]
) -> None:
    evidence, decision = case
    assert log.first_seen(evidence.candidate) is None
    first = log.append_decision(evidence, decision.model_copy(update={"verdict": Verdict.REJECT}))
    log.append_decision(evidence, decision)
    assert log.first_seen(evidence.candidate) == first.recorded_at


def test_a_log_without_a_key_is_read_only(
    path: Path, gate: SampleGate, case: tuple[Evidence, Decision]
) -> None:
    with pytest.raises(UsageError) as caught:
        AdmissionLog(path, gate.trust).append_decision(*case)
    assert caught.value.code == "log-read-only"
    assert not path.exists()


def test_a_log_that_cannot_be_written_stops_the_gate(
    tmp_path: Path, gate: SampleGate, case: tuple[Evidence, Decision]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolError) as caught:
        AdmissionLog(tmp_path / "file" / "log.jsonl", gate.trust, gate.signer).append_decision(*case)
    assert caught.value.code == "log-not-written"


@pytest.fixture(scope="module")
def written(gate: SampleGate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    log = AdmissionLog(folder / "log.jsonl", gate.trust, gate.signer)
    evidence = gate.evidence(folder / "staged", "acme/tiny", {"a": b"1"}, COMMIT)
    decision = decide(evidence, gate.policy, datetime.now(UTC))
    for number in range(3):
        log.append_decision(evidence, decision)
        log.append_receipt(receipt(number + 1))
    return folder / "log.jsonl"


def damaged(path: Path, content: bytes, gate: SampleGate) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    log = AdmissionLog(path, gate.trust, gate.signer)
    with pytest.raises(VerificationError) as caught:
        log.entries()
    with pytest.raises(VerificationError):
        log.append_receipt(receipt(1))
    assert path.read_bytes() == content, "a damaged log is left as it is"
    return caught.value.code


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: [*lines[:2], *lines[3:]],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines, b"{}\n"],
        lambda lines: [*lines, b"\n"],
        lambda lines: [lines[0], b"\n", *lines[1:]],
    ],
)
def test_lines_removed_moved_repeated_or_forged_are_found(
    change: object, written: Path, path: Path, gate: SampleGate
) -> None:
    lines = written.read_bytes().splitlines(keepends=True)
    assert damaged(path, b"".join(change(lines)), gate) == "log-damaged"  # type: ignore[operator]


def test_entries_of_another_signer_are_found(
    path: Path, gate: SampleGate, tmp_path: Path, case: tuple[Evidence, Decision]
) -> None:
    other = sample_gate(tmp_path / "other")
    AdmissionLog(path, other.trust, other.signer).append_decision(*case)
    assert damaged(path, path.read_bytes(), gate) == "log-damaged"


def test_a_signed_statement_is_not_a_log_entry(path: Path, gate: SampleGate, tmp_path: Path) -> None:
    root = gate.release(tmp_path / "made").root
    line = (root / "attestations/statements.jsonl").read_bytes().splitlines(keepends=True)[0]
    assert damaged(path, line, gate) == "log-damaged"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_bit_is_found(data: st.DataObject, written: Path, path: Path, gate: SampleGate) -> None:
    content = bytearray(written.read_bytes())
    position = data.draw(st.integers(0, len(content) - 2))  # the last newline makes a torn line: see below
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    damaged(path, bytes(content), gate)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_killed_in_the_middle_of_a_line_the_log_goes_on(
    data: st.DataObject, written: Path, path: Path, gate: SampleGate, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever part of the last line reached the disk is set aside, said, and never counted."""
    content = written.read_bytes()
    *whole, last = content.splitlines(keepends=True)
    torn = last[: data.draw(st.integers(1, len(last) - 1))]
    path.parent.mkdir(exist_ok=True)
    for left in path.parent.glob("*.torn-*"):
        left.unlink()
    path.write_bytes(b"".join(whole) + torn)
    log = AdmissionLog(path, gate.trust, gate.signer)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert len(log.entries()) == len(whole)
        assert "unfinished entry" in caplog.text
        entry = log.append_receipt(receipt(9))
    assert entry.sequence == len(whole) + 1
    assert log.entries()[-1] == entry
    assert [left.read_bytes() for left in path.parent.glob("*.torn-*")] == [torn]


def test_threads_get_numbers_of_their_own(path: Path, gate: SampleGate) -> None:
    def append(number: int) -> int:
        return AdmissionLog(path, gate.trust, gate.signer).append_receipt(receipt(number)).sequence

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(append, range(1, 25)))
    assert sorted(numbers) == list(range(1, 25))
    assert len(AdmissionLog(path, gate.trust).entries()) == 24


def test_processes_get_numbers_of_their_own(path: Path, gate: SampleGate) -> None:
    script = (
        "import sys; from datetime import datetime, UTC\n"
        "from registry_gate import settings\n"
        "from registry_gate.log import AdmissionLog\n"
        "from registry_gate.release import Receipt\n"
        "from registry_gate.signing.keys import load_signer\n"
        "from registry_gate.signing.trust import load_trust\n"
        "from pathlib import Path\n"
        "loaded = settings.load(sys.argv[1])\n"
        "log = AdmissionLog(Path(sys.argv[2]), load_trust(loaded.trust), load_signer(loaded))\n"
        "for n in range(10):\n"
        "    log.append_receipt(Receipt(registry_uri='u', registered_name='n', alias='a', version=1,"
        " run_id='r', source_uri='s', manifest_digest='sha256:' + '1' * 64, sequence=1,"
        " registered_at=datetime.now(UTC)))\n"
    )
    command = [sys.executable, "-c", script, str(gate.settings.home), str(path)]
    running = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    entries = AdmissionLog(path, gate.trust).entries()
    assert [entry.sequence for entry in entries] == list(range(1, 31))


def test_the_log_is_for_its_owner_only(log: AdmissionLog, path: Path) -> None:
    log.append_receipt(receipt(1))
    assert path.stat().st_mode & 0o077 == 0


def test_a_named_pipe_in_its_place_does_not_hold_the_gate(
    log: AdmissionLog, path: Path, case: tuple[Evidence, Decision]
) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    for call in (log.entries, lambda: log.append_decision(*case)):
        with pytest.raises(FetchError) as caught:
            call()
        assert caught.value.code == "log-unreadable"


def test_a_name_belongs_to_the_source_first_admitted_under_it(
    log: AdmissionLog, case: tuple[Evidence, Decision]
) -> None:
    evidence, decision = case
    assert log.first_admitted("acme--tiny") is None
    log.append_decision(evidence, decision.model_copy(update={"verdict": Verdict.REJECT}))
    assert log.first_admitted("acme--tiny") is None
    log.append_decision(evidence, decision)
    other = evidence.candidate.model_copy(update={"id": "Acme/Tiny"})
    log.append_decision(evidence.model_copy(update={"candidate": other}), decision)
    assert log.first_admitted("acme--tiny") == evidence.candidate
