"""The audit's frame: hostile inputs, suppressions, baselines, fingerprints, formats, exit codes, the log."""

from __future__ import annotations

import io
import json
import os
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sarif_pydantic import Sarif

from registry_gate.cli import app
from registry_gate.enforce.audit import baseline as known_debt
from registry_gate.enforce.audit.audit import Rulebook, audit
from registry_gate.enforce.audit.document import AuditReport, Disposition, Standing
from registry_gate.enforce.audit.render import as_sarif, as_text
from registry_gate.enforce.audit.standing import Known, Ledger
from registry_gate.errors import UsageError
from registry_gate.finding import Severity
from registry_gate.policy import load_policy

PROTECTED = load_policy("default").protected
LOAD = 'from transformers import AutoModel\nAutoModel.from_pretrained("acme-labs/tiny")\n'
_SCHEMA = json.loads(
    (Path(__file__).parents[1] / "assets/sarif/sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8")
)
_VALIDATOR = jsonschema.Draft4Validator(_SCHEMA, format_checker=jsonschema.FormatChecker())


def rulebook(**changes: object) -> Rulebook:
    given: dict[str, object] = {"ledger": Ledger(), "protected": PROTECTED, "today": date(2026, 11, 1)}
    return Rulebook(**(given | changes))  # type: ignore[arg-type]


def report_of(folder: Path, **changes: object) -> AuditReport:
    return audit([folder], rulebook(**changes))


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str


def run(*arguments: str, cwd: Path) -> Done:
    """The command line in this process: its start costs more than what is tested here."""
    out = io.StringIO()
    with chdir(cwd), redirect_stdout(out), pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGISTRY_GATE_HOME", str(cwd / ".home"))
        return Done(app.run(list(arguments)), out.getvalue())


# --- hostile inputs ---


def hostile_files(folder: Path) -> None:
    (folder / "binary.py").write_bytes(b"\x7fELF\0\0\0from_pretrained")
    (folder / "latin.py").write_bytes("# naïve\n".encode("latin-1") + LOAD.encode())
    (folder / "huge.py").write_bytes(b"x = 1\n" * 900_000)
    (folder / "deep.py").write_text("x = " + "(" * 5000 + ")" * 5000)
    (folder / "chain.py").write_text("x = " + "+".join(["load()"] * 4000))
    (folder / "nested.json").write_text("[" * 100_000)
    (folder / "nested.yaml").write_text("a: " + "[" * 5000)
    (folder / "laughs.yaml").write_text(
        "a: &a [x, x]\n"
        + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True))
    )
    (folder / "not.ipynb").write_text("hello")
    (folder / "odd.ipynb").write_text('{"cells": {"a": 1}}')
    (folder / "empty.ipynb").write_text('{"cells": [1, null, {"cell_type": "code"}]}')
    (folder / "Dockerfile").write_bytes(b"FROM x\\\n\\\n\\")
    (folder / "open.sh").write_text("cat <<EOF\nnever ends 'quoted \"too\n")
    (folder / "loop").symlink_to(folder)
    (folder / "dangling.py").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.py")


def test_hostile_files_are_named_and_the_others_still_read(tmp_path: Path) -> None:
    hostile_files(tmp_path)
    (tmp_path / "zz.py").write_text(LOAD)
    report = report_of(tmp_path)
    told = {Path(item.path).name for item in report.findings if item.rule == "could-not-tell"}
    assert {
        "binary.py",
        "latin.py",
        "huge.py",
        "deep.py",
        "not.ipynb",
        "odd.ipynb",
        "dangling.py",
        "pipe.py",
    } <= told
    assert "zz.py" in {Path(item.path).name for item in report.open if item.rule == "hub-load"}
    noted = {Path(item.path).name for item in report.notes}
    assert {"nested.json", "nested.yaml"} <= noted


NAMES = (
    "a.py", "a.sh", "a.yaml", "Dockerfile", "a.ipynb", "a.toml", "a.json", "Makefile", ".env", "Jenkinsfile",
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    data=st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "replace")),
)
def test_no_bytes_make_it_fail(name: str, data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / name).write_bytes(data)
    as_text(report_of(folder), show_all=True)


def test_python_that_does_not_parse_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def f(:\n")
    (finding,) = report_of(tmp_path).open
    assert (finding.rule, finding.line) == ("could-not-tell", 1)


def test_a_path_that_is_not_there_is_no_clean_result(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-such-path"):
        report_of(tmp_path / "nowhere")


# --- following names through a tree ---


def test_names_are_followed_through_re_exports(tmp_path: Path) -> None:
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("from .loaders import fetch\n")
    (package / "loaders.py").write_text("from huggingface_hub import snapshot_download as fetch\n")
    (package / "names.py").write_text('ORG = "acme-labs"\nMODEL = f"{ORG}/tiny"\n')
    (tmp_path / "main.py").write_text("from pkg import fetch\nfrom pkg.names import MODEL\nfetch(MODEL)\n")
    found = [(Path(item.path).name, item.line, item.rule, item.model) for item in report_of(tmp_path).open]
    assert found == [("main.py", 3, "hub-download", "acme-labs/tiny")]


def test_modules_that_import_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "from b import x as x\nfrom transformers import AutoModel\nAutoModel.from_pretrained(x)\n"
    )
    (tmp_path / "b.py").write_text("from a import x as x\n")
    assert {item.rule for item in report_of(tmp_path).open} == {"model-not-told"}


# --- suppressions ---

CALL = 'AutoModel.from_pretrained("acme-labs/tiny")'
IMPORT = "from transformers import AutoModel\n"
GOOD = 'until=2027-01-31 reason="a sandbox without data"'


@pytest.mark.parametrize(
    ("comment", "open_rules"),
    [
        (f"allow hub-load {GOOD}", set()),
        (f"allow hub-load,remote-code {GOOD}", set()),
        (f"allow remote-code {GOOD}", {"hub-load"}),
        ("allow hub-load until=2027-01-31", {"hub-load", "suppression-invalid"}),
        ('allow hub-load reason="a sandbox without data"', {"hub-load", "suppression-invalid"}),
        ('allow hub-load until=2026-10-31 reason="it was a sandbox"', {"hub-load", "suppression-invalid"}),
        ('allow hub-load until=soon reason="a sandbox without data"', {"hub-load", "suppression-invalid"}),
        (f"allow no-such-rule {GOOD}", {"hub-load", "suppression-invalid"}),
        (f"allow {GOOD}", {"hub-load", "suppression-invalid"}),
        (f"allow could-not-tell {GOOD}", {"hub-load", "suppression-invalid"}),
    ],
)
@pytest.mark.parametrize("above", [True, False])
def test_a_suppression_needs_rule_reason_and_expiry(
    comment: str, open_rules: set[str], above: bool, tmp_path: Path
) -> None:
    note = f"# registry-gate: {comment}"
    text = f"{note}\n{CALL}\n" if above else f"{CALL}  {note}\n"
    (tmp_path / "a.py").write_text(IMPORT + text)
    report = report_of(tmp_path)
    assert {item.rule for item in report.open} == open_rules
    if not open_rules:
        (one,) = [item for item in report.findings if item.disposition is Disposition.SUPPRESSED]
        assert "a sandbox without data" in one.reason


def test_a_suppression_covers_one_line_only(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"{IMPORT}# registry-gate: allow hub-load {GOOD}\n{CALL}\n{CALL}\n")
    assert [item.line for item in report_of(tmp_path).open] == [4]


# --- fingerprints and baselines ---


def fingerprints(report: AuditReport) -> list[str]:
    return sorted(item.fingerprint for item in report.findings)


def test_fingerprints_survive_moves_of_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(LOAD)
    before = fingerprints(report_of(tmp_path))
    file.write_text("# one\n\n\nimport os\n" + LOAD)
    assert fingerprints(report_of(tmp_path)) == before
    file.write_text(LOAD.replace("tiny", "huge"))
    assert fingerprints(report_of(tmp_path)) != before


def test_a_baseline_hides_what_it_knows_and_nothing_new(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(LOAD)
    known = known_debt.of_findings(report_of(tmp_path).findings)
    assert report_of(tmp_path, baseline=known).open == ()
    file.write_text("\n" + LOAD + 'AutoModel.from_pretrained("acme-labs/tiny")\n')
    assert [item.line for item in report_of(tmp_path, baseline=known).open] == [4]


def test_a_baseline_never_hides_remote_code(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import torch\ntorch.hub.load('acme/repo', 'net')\n")
    known = known_debt.of_findings(report_of(tmp_path).findings)
    assert known.findings == ()
    assert [item.rule for item in report_of(tmp_path, baseline=known).open] == ["remote-code"]


@pytest.mark.parametrize("text", ["", "{", '{"findings": 1}', '{"version": 1, "findings": [], "x": 1}'])
def test_a_damaged_baseline_is_no_baseline(text: str, tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="bad-baseline"):
        known_debt.read_baseline(path)


# --- the log, look-alikes, formats ---


def ledger(standing: Standing) -> Ledger:
    from datetime import UTC, datetime

    known = Known(
        standing,
        "acme-labs--tiny",
        "a" * 40,
        datetime(2026, 10, 1, tzinfo=UTC),
        "default",
        "https://hub.example",
    )
    return Ledger("a log", {"acme-labs/tiny": known})


@pytest.mark.parametrize("standing", list(Standing))
def test_what_the_log_says_is_said(standing: Standing, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(LOAD)
    report = report_of(tmp_path, ledger=Ledger() if standing is Standing.UNKNOWN else ledger(standing))
    load = next(item for item in report.open if item.rule == "hub-load")
    assert load.standing is standing
    assert load.replacement == ('load_verified("acme-labs/tiny")' if standing is Standing.ADMITTED else None)
    assert ("revoked-model" in {item.rule for item in report.open}) == (standing is Standing.REVOKED)


def test_a_look_alike_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(LOAD.replace("acme-labs/tiny", "sentence-transfomers/all-MiniLM-L6-v2"))
    one = next(item for item in report_of(tmp_path).open if item.rule == "look-alike")
    assert one.did_you_mean == "sentence-transformers/all-MiniLM-L6-v2"
    assert "did you mean" in one.message


def sarif_run(report: AuditReport) -> dict[str, object]:
    text = as_sarif(report, 2)
    document = json.loads(text)
    _VALIDATOR.validate(document)
    Sarif.model_validate(document)
    run_: dict[str, object] = document["runs"][0]
    return run_


def test_sarif_is_valid_and_carries_what_is_suppressed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"{IMPORT}{CALL}  # registry-gate: allow hub-load {GOOD}\n{CALL}\n")
    (tmp_path / "b\x07ü.py").write_text(LOAD)
    results = sarif_run(report_of(tmp_path))["results"]
    assert isinstance(results, list)
    assert [bool(one.get("suppressions")) for one in results if one["ruleId"] == "hub-load"] == [
        True,
        False,
        False,
    ]
    assert len({one["partialFingerprints"]["registryGate/v1"] for one in results}) == len(results)


def test_text_of_a_file_cannot_drive_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m.py").write_text(LOAD)
    shown = as_text(report_of(tmp_path))
    assert "\x1b" not in shown
    assert "\\x1b" in shown


def test_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(LOAD)
    assert run("audit", "a.py", cwd=tmp_path).returncode == 2
    assert run("audit", "a.py", "--format", "sarif", cwd=tmp_path).returncode == 2
    assert run("audit", "a.py", "--format", "json", "--exit-zero", cwd=tmp_path).returncode == 0
    assert run("audit", "a.py", "--fail-on", "critical", cwd=tmp_path).returncode == 0
    (tmp_path / "b.py").write_text("x = 1\n")
    assert run("audit", "b.py", cwd=tmp_path).returncode == 0
    assert run("audit", "nowhere", cwd=tmp_path).returncode == 1
    (tmp_path / "empty").mkdir()
    assert run("audit", "empty", cwd=tmp_path).returncode == 1


def test_debt_is_written_and_known(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(LOAD)
    assert run("audit", "a.py", "--write-baseline", "known.json", cwd=tmp_path).returncode == 0
    done = run("audit", "a.py", "--baseline", "known.json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 baseline" in done.stdout


def test_low_findings_are_noted_not_failed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from transformers import AutoModel\nAutoModel.from_pretrained('./own')\n")
    report = report_of(tmp_path)
    assert [item.disposition for item in report.findings] == [Disposition.NOTED]
    assert report_of(tmp_path, fail_on=Severity.LOW).open
