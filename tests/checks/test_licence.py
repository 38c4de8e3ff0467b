from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_gate.candidate import Candidate, HubMetadata, Listing, SourceKind
from registry_gate.checks import licence as check
from registry_gate.evidence import Evidence
from registry_gate.finding import Severity, Status
from registry_gate.policy import load_policy

BASE = load_policy("default")
POLICY = BASE.model_copy(
    update={
        "provenance": BASE.provenance.model_copy(
            update={
                "licences_allowed": ("Apache-2.0", "MIT", "gemma"),
                "licences_refused": ("CC-BY-NC-4.0", "llama3"),
                "require_licence": True,
            }
        )
    }
)


def _run(licence, policy=POLICY, kind=SourceKind.HUB, metadata=True):
    candidate = Candidate(kind=kind, endpoint="https://huggingface.co", id="org/model")
    listing = Listing(
        candidate=candidate,
        resolved_id="org/model",
        commit="a" * 40,
        files=(),
        metadata=HubMetadata(licence=licence) if metadata else None,
    )
    evidence = Evidence(
        gate_version="0",
        observed_at=datetime.now(UTC),
        candidate=candidate,
        registered_name="x",
        listing=listing,
    )
    return check.run(evidence, policy)


@pytest.mark.parametrize(
    "licence",
    [
        "apache-2.0",
        "Apache-2.0",
        "mit",
        "MIT OR CC-BY-NC-4.0",
        "apache-2.0 AND mit",
        "gemma",
        "(MIT)",
        " mit ",
    ],
)
def test_allowed(licence):
    assert _run(licence).status is Status.NO_FINDINGS


@pytest.mark.parametrize(
    "licence", ["cc-by-nc-4.0", "MIT AND CC-BY-NC-4.0", "llama3", "LLAMA3", "other AND cc-by-nc-4.0"]
)
def test_refused(licence):
    (finding,) = _run(licence).findings
    assert (finding.rule, finding.severity) == ("licence-refused", Severity.HIGH)


@pytest.mark.parametrize(
    "licence",
    ["other", "llama3.1", "openrail", "GPL-3.0", "MIT AND other", "Apache-2.0 WITH LLVM-exception",
     "my own licence", "MIT OR", "(" * 5000, "unknown", "OR", "()", "MIT ()", ") MIT (", "\x1b[31mMIT"],
)  # fmt: skip
def test_unknown(licence):
    (finding,) = _run(licence).findings
    assert (finding.rule, finding.severity) == ("licence-unknown", Severity.MEDIUM)
    assert "\x1b" not in finding.message and len(finding.message) < 300


@pytest.mark.parametrize("licence", [None, "", "  "])
def test_missing(licence):
    (finding,) = _run(licence).findings
    assert (finding.rule, finding.severity) == ("licence-missing", Severity.MEDIUM)


def test_only_recorded_where_no_licence_is_asked_for():
    lax = POLICY.model_copy(
        update={"provenance": POLICY.provenance.model_copy(update={"require_licence": False})}
    )
    assert [finding.severity for finding in _run(None, lax).findings] == [Severity.INFO]
    assert [finding.severity for finding in _run("other", lax).findings] == [Severity.INFO]
    assert [finding.severity for finding in _run("llama3", lax).findings] == [Severity.HIGH]


def test_what_was_read_is_measured():
    assert _run("apache-2.0").measurements == {
        "stated": "apache-2.0",
        "spdx": "Apache-2.0",
        "standing": "allowed",
    }
    assert _run("llama3").measurements["spdx"] is None


def test_folder_and_absent_metadata():
    folder = _run(None, kind=SourceKind.FOLDER)
    assert folder.status is Status.NOT_APPLICABLE and folder.reason
    assert _run(None, metadata=False).status is Status.UNAVAILABLE


@given(st.text(alphabet="MITapche-2.0 ANDOR()WH\n\x00é", max_size=40))
def test_no_text_is_allowed_unless_it_says_an_allowed_licence(text):
    result = _run(text)
    if result.status is Status.NO_FINDINGS:
        assert "mit" in text.casefold() or "apache" in text.casefold()
