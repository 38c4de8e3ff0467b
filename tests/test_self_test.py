"""What a policy that demands a self-test makes of one: in decide, before a fetch, and in the signer."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate import version
from registry_gate.decision import Approval, Verdict, decide
from registry_gate.errors import Refused, ToolError, UsageError
from registry_gate.ledger import open_ledger
from registry_gate.log.entries import LogEntry, SelfTestBody
from registry_gate.log.self_tests import newest_self_test, this_host
from registry_gate.opening import open_publisher
from registry_gate.operate.doctor.run import PROBES, record
from registry_gate.policy import SHIPPED, Policy, load_policy
from registry_gate.renewal import RenewalRequest, renew
from registry_gate.self_test import (
    SELF_TEST,
    ProbeResult,
    ProbeState,
    RecordedSelfTest,
    SelfTest,
    unfit,
)
from registry_gate.signing.draft import make_draft
from registry_gate.signing.self_test import sign_self_test
from registry_gate.signing.trust import trust_policy
from registry_gate.testing.sample_release import (
    FILES,
    SampleGate,
    an_hour_ago,
    sample_gate,
    sample_policy,
)
from tests.signer.orders import order

DAYS = 7
DEMANDING = sample_policy("demanding").model_copy(update={"self_test_days": DAYS})


def said(policy: Policy = DEMANDING, **changes: object) -> SelfTest:
    """A run of every probe that passed, an hour before the samples' evidence is observed."""
    results = tuple(ProbeResult(code=probe.code, state=ProbeState.OK, measured="x") for probe in PROBES)
    made = SelfTest(
        tested_at=an_hour_ago() - timedelta(hours=1),
        host=this_host(),
        gate_version=version.VERSION,
        policy=policy.name,
        policy_digest=policy.digest(),
        registry_uri="",
        versions={},
        results=results,
    )
    return made.model_copy(update=changes)


def with_state(state: ProbeState) -> SelfTest:
    made = said()
    return made.model_copy(
        update={"results": (*made.results[:-1], made.results[-1].model_copy(update={"state": state}))}
    )


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> SampleGate:
    return sample_gate(tmp_path_factory.mktemp("gate") / "home", DEMANDING)


def recorded(gate: SampleGate, what: SelfTest) -> RecordedSelfTest:
    return sign_self_test(what, gate.signer)


def verdict_of(gate: SampleGate, folder: Path, what: SelfTest | None, **changes: object) -> tuple[str, ...]:
    evidence = gate.evidence(folder / "staged", "acme/tiny", FILES, "a" * 40)
    update = {"self_test": recorded(gate, what) if what else None} | changes
    found = decide(evidence.model_copy(update=update), gate.policy, an_hour_ago())
    return (found.verdict.value, *(reason.code for reason in found.reasons))


def test_only_strict_demands_one_of_the_shipped_policies() -> None:
    demanded = {name: load_policy(name).self_test_days for name in SHIPPED}
    assert demanded == {"default": None, "strict": 7, "research": None}


def test_decide_admits_with_a_recent_pass_and_rejects_without(gate: SampleGate, tmp_path: Path) -> None:
    assert verdict_of(gate, tmp_path / "a", said()) == ("admit",)
    assert verdict_of(gate, tmp_path / "b", None) == ("reject", "self-test-missing")
    old = said(tested_at=an_hour_ago() - timedelta(days=DAYS, seconds=1))
    assert verdict_of(gate, tmp_path / "c", old) == ("reject", "self-test-stale")
    for state in (ProbeState.FAILED, ProbeState.COULD_NOT_TELL):
        bad = with_state(state)
        assert verdict_of(gate, tmp_path / state.value, bad) == ("reject", "self-test-failed")
    unset = with_state(ProbeState.NOT_CONFIGURED)
    assert verdict_of(gate, tmp_path / "d", unset) == ("admit",)


def test_a_scan_is_not_asked_for_one(gate: SampleGate, tmp_path: Path) -> None:
    assert verdict_of(gate, tmp_path, None, out_of_scope=(SELF_TEST,)) == ("admit",)


def test_no_approval_stands_in_for_one(gate: SampleGate, tmp_path: Path) -> None:
    evidence = gate.evidence(tmp_path / "staged", "acme/tiny", FILES, "a" * 40)
    now = an_hour_ago()
    word = Approval(
        evidence_digest=evidence.digest(), policy_digest=gate.policy.digest(), approver="ana",
        requester="bob", reason="in a hurry", issued_at=now, expires_at=now + timedelta(days=1),
    )  # fmt: skip
    assert decide(evidence, gate.policy, now, (word,)).verdict is Verdict.REJECT


states = st.lists(st.sampled_from(list(ProbeState)), min_size=1, max_size=40)


@settings(deadline=None)
@given(states, st.timedeltas(timedelta(days=-30), timedelta(days=30)), st.integers(1, 60))
def test_nothing_but_an_all_clear_in_time_is_fit(found: list[ProbeState], age: timedelta, days: int) -> None:
    observed = datetime.fromisoformat("2026-06-01T00:00:00+00:00")
    results = tuple(ProbeResult(code="a-probe", state=state, measured="") for state in found)
    what = RecordedSelfTest(said=said(results=results, tested_at=observed - age), bundle="")
    good = set(found) <= {ProbeState.OK, ProbeState.NOT_CONFIGURED} and age <= timedelta(days=days)
    assert (unfit(what, observed, days) is None) == good


# The signer reads the line by itself: what the gate claims does not count.


def refused(gate: SampleGate, folder: Path, self_test: RecordedSelfTest | None) -> str:
    made = order(gate, folder)
    evidence = made.evidence.model_copy(update={"self_test": self_test, "gate_version": version.VERSION})
    decision = decide(evidence, gate.policy, made.terms.issued_at)
    digest = make_draft(evidence, decision, made.terms, gate.trust.verifier).manifest.digest()
    asked = made.model_copy(update={"evidence": evidence, "decision": decision, "manifest_digest": digest})
    try:
        gate.authority.carry_out(asked)
    except Refused as error:
        return error.message
    return ""


def test_the_signer_signs_with_a_pass_that_it_can_verify(gate: SampleGate, tmp_path: Path) -> None:
    assert refused(gate, tmp_path, recorded(gate, said())) == ""


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (None, "reject"),
        (said(tested_at=an_hour_ago() - timedelta(days=DAYS, seconds=1)), "reject"),
        (with_state(ProbeState.FAILED), "reject"),
        (said(policy_digest=sample_policy().digest()), "another policy"),
        (said(gate_version="0.0.1"), "another version"),
    ],
)
def test_the_signer_refuses_without_one(
    what: SelfTest | None, told: str, gate: SampleGate, tmp_path: Path
) -> None:
    assert told in refused(gate, tmp_path, recorded(gate, what) if what else None)


def test_the_signer_refuses_a_forged_one(gate: SampleGate, tmp_path: Path) -> None:
    failed = recorded(gate, with_state(ProbeState.FAILED))
    beautified = failed.model_copy(update={"said": said()})
    assert "not the one that was signed" in refused(gate, tmp_path / "a", beautified)
    stranger = sample_gate(tmp_path / "other", DEMANDING)
    assert "does not count" in refused(gate, tmp_path / "b", recorded(stranger, said()))
    unsigned = RecordedSelfTest(said=said(), bundle="{}")
    assert "does not count" in refused(gate, tmp_path / "c", unsigned)


# Before anything is fetched: the newest one of this host, this version and this policy.


@pytest.fixture
def own(tmp_path: Path) -> SampleGate:
    return sample_gate(tmp_path / "home", DEMANDING)


def put(gate: SampleGate, what: SelfTest) -> LogEntry:
    """Record it, for the gate's own registry unless it names another."""
    uri = what.registry_uri or gate.settings.registry_uri
    return record(gate.settings, what.model_copy(update={"registry_uri": uri}))


def opened(gate: SampleGate, folder: Path) -> str:
    try:
        publisher = open_publisher(gate.settings, gate.policy, None, folder)
    except ToolError as error:
        assert error.exit_code == 1
        assert "registry-gate doctor" in error.todo
        return error.code
    assert publisher.self_test is not None
    return ""


def test_the_newest_one_of_this_host_version_and_policy_counts(own: SampleGate, tmp_path: Path) -> None:
    assert opened(own, tmp_path) == "self-test-missing"
    for other in (
        said(host="elsewhere"),
        said(gate_version="0.0.1"),
        said(registry_uri="https://mlflow.example"),
        said(policy_digest=sample_policy().digest()),
    ):
        put(own, other)
        assert opened(own, tmp_path) == "self-test-missing"
    put(own, said(tested_at=an_hour_ago() - timedelta(days=DAYS)))
    assert opened(own, tmp_path) == "self-test-stale"
    put(own, said())
    assert opened(own, tmp_path) == ""
    put(own, with_state(ProbeState.COULD_NOT_TELL))
    assert opened(own, tmp_path) == "self-test-failed"
    put(own, said(host="elsewhere"))
    assert opened(own, tmp_path) == "self-test-failed"
    put(own, said())
    assert opened(own, tmp_path) == ""


def test_a_renewal_is_asked_for_one_too(own: SampleGate) -> None:
    with pytest.raises(ToolError) as caught:
        renew("acme/tiny", RenewalRequest(policy=own.policy, settings=own.settings))
    assert caught.value.code == "self-test-missing"


def test_a_policy_that_demands_none_is_asked_for_none(own: SampleGate, tmp_path: Path) -> None:
    policy = sample_policy("easy")
    trust_policy(own.settings, policy.digest())
    assert open_publisher(own.settings, policy, None, tmp_path).self_test is None


def test_a_line_whose_inside_somebody_else_signed_does_not_count(own: SampleGate, tmp_path: Path) -> None:
    stranger = sample_gate(tmp_path / "other", DEMANDING)
    forged = recorded(stranger, said())
    ledger = open_ledger(own.settings)
    ledger.record(
        SelfTestBody(
            state=ProbeState.OK,
            host=this_host(),
            policy="demanding",
            policy_digest=own.policy.digest(),
            bundle=forged.bundle,
        )
    )
    assert (
        newest_self_test(ledger.log.entries(), own.policy.digest(), own.settings.registry_uri, ledger.trust)
        is None
    )
    assert opened(own, tmp_path) == "self-test-missing"


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (said(results=said().results[1:]), "self-test-partial"),
        (said(policy_digest=None), "self-test-without-policy"),
    ],
)
def test_a_run_that_left_something_out_is_not_recorded(what: SelfTest, code: str, own: SampleGate) -> None:
    with pytest.raises(UsageError) as caught:
        put(own, what)
    assert caught.value.code == code
    assert open_ledger(own.settings).log.entries() == ()


def test_the_log_says_how_it_went(own: SampleGate) -> None:
    entry = put(own, with_state(ProbeState.FAILED))
    assert isinstance(entry.body, SelfTestBody)
    assert entry.body.summary == f"failed on {this_host()} for policy demanding: clock-steady"
