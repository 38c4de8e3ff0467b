from datetime import UTC, datetime

import pytest

from registry_gate.candidate import Candidate, Listing, SourceKind
from registry_gate.checks import repo_name as check
from registry_gate.decision import disposition
from registry_gate.evidence import Evidence
from registry_gate.finding import Status
from registry_gate.policy import Disposition, load_policy

POLICY = load_policy("default")


def _run(model_id, resolved=None, kind=SourceKind.HUB, out_of_scope=()):
    candidate = Candidate(kind=kind, endpoint="https://huggingface.co", id=model_id)
    listing = resolved and Listing(candidate=candidate, resolved_id=resolved, commit="a" * 40, files=())
    evidence = Evidence(
        gate_version="0",
        observed_at=datetime.now(UTC),
        candidate=candidate,
        registered_name="x",
        listing=listing or None,
        out_of_scope=out_of_scope,
    )
    return check.run(evidence, POLICY)


@pytest.mark.parametrize(
    ("model_id", "rule", "disposed"),
    [
        ("distilbert-base-uncased-finetuned-sqad", "name-typosquat", Disposition.REJECT),
        ("distilbret/distilbert-base-uncased", "name-typosquat", Disposition.REJECT),
        ("rneta-llama/Llama-3.1-8B", "name-typosquat", Disposition.REJECT),
        ("meta-1lama/Llama-3.1-8B", "name-typosquat", Disposition.REJECT),
        ("mistraIai/Mistral-7B-v0.1", "name-typosquat", Disposition.REJECT),
        ("g\u043eogle/gemma-7b", "name-not-ascii", Disposition.REJECT),
        ("a b/c", "name-invalid", Disposition.REJECT),
        ("someone/bert-base-uncased", "name-namespace-confusion", Disposition.REVIEW),
        ("some-unknown-name", "name-unknown-bare", Disposition.REVIEW),
        ("google/gemma-7B", "name-near-miss", Disposition.REVIEW),
    ],
)
def test_each_rule_moves_the_verdict_as_the_default_policy_says(model_id, rule, disposed):
    result = _run(model_id)
    (finding,) = result.findings
    assert (result.status, finding.rule) == (Status.FINDINGS, rule)
    assert disposition(finding, POLICY) is disposed


def test_an_ordinary_name_was_looked_at_and_found_fine_before_and_after_the_listing():
    assert _run("someone/their-model").status is Status.NO_FINDINGS
    result = _run("someone/their-model", resolved="someone/their-model")
    assert result.status is Status.NO_FINDINGS
    assert result.measurements["protected_list"] == POLICY.protected.dated.isoformat()


def test_a_folder_may_not_borrow_a_protected_owner():
    (finding,) = _run("Google/my-model", kind=SourceKind.FOLDER).findings
    assert (finding.rule, disposition(finding, POLICY)) == ("name-borrowed-owner", Disposition.REJECT)
    assert _run("acme/my-model", kind=SourceKind.FOLDER).status is Status.NO_FINDINGS


def test_a_bare_file_has_no_name_to_judge():
    result = _run("whatever", out_of_scope=("repo-name",))
    assert result.status is Status.NOT_APPLICABLE
    assert result.reason


def test_hostile_text_is_cut_and_escaped():
    (finding, *_) = _run("a/\x1b]0;owned\x07" + "x" * 5000).findings
    assert "\x1b" not in finding.message
    assert len(finding.message) < 400


def test_every_match_has_a_rule_and_every_rule_says_what_to_do():
    assert check.CHECK.rules == check.RULES
    assert all(rule.help and rule.title for rule in check.RULES)
    assert len({rule.id for rule in check.RULES}) == len(check.RULES)
