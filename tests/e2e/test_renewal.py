"""Renewal: judged again, verified first, the same files; a refusal leaves the old one alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry_gate import load_verified, renewal, review
from registry_gate.cli.app import run
from registry_gate.client import verify
from registry_gate.errors import Error, Refused, UsageError, VerificationError
from registry_gate.index.content import RevokedRelease, RevokedSigner
from registry_gate.index.edits import with_floor, with_revoked
from registry_gate.index.metadata import Edit
from registry_gate.ledger import open_ledger
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.entries import DecisionBody, RenewalBody
from registry_gate.policy import Policy
from registry_gate.publication import STEPS
from registry_gate.registry import Registry
from registry_gate.renewal import NOT_DUE, RENEWED, RenewalRequest, renew, renew_all
from registry_gate.rotation import trust_approver
from registry_gate.signing.approval import load_approver
from registry_gate.signing.trust import effective_trust, trust_policy
from registry_gate.testing.hub import LoopbackHub
from tests.e2e.conftest import Gate, make_gate

NAME = "acme-ml--tiny"


@pytest.fixture(scope="module")
def admitted(tmp_path_factory: pytest.TempPathFactory, hub: LoopbackHub) -> Gate:
    gate = make_gate(tmp_path_factory.mktemp("renewing"), hub.url)
    gate.admit("acme-ml/tiny")
    return gate


@pytest.fixture(autouse=True)
def _home(admitted: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(admitted.settings.home))


@pytest.fixture
def request_(admitted: Gate) -> RenewalRequest:
    return RenewalRequest(policy=admitted.policy, settings=admitted.settings)


def pointed_at(gate: Gate) -> int:
    found = Registry(gate.settings.registry_uri).version_for(NAME, "approved")
    assert found is not None
    return found.version


def stricter(gate: Gate, **provenance: object) -> Policy:
    """A policy of today that knows better, trusted like the first."""
    wanted = gate.policy.provenance.model_copy(update=provenance)
    policy = gate.policy.model_copy(update={"provenance": wanted})
    trust_policy(gate.settings, policy.digest())
    return policy


def test_renewed_is_a_new_version_of_the_same_files(admitted: Gate, request_: RenewalRequest) -> None:
    before, version = verify("acme-ml/tiny"), pointed_at(admitted)
    outcome = renew("acme-ml/tiny", request_)
    after = verify("acme-ml/tiny")
    assert outcome.code == RENEWED
    assert (outcome.expired_at, outcome.expires_at) == (before.expires_at, after.expires_at)
    assert after.expires_at > before.expires_at
    assert after.sequence > before.sequence
    assert (after.manifest_digest, after.commit) == (before.manifest_digest, before.commit)
    assert pointed_at(admitted) == outcome.version != version
    assert load_verified("acme-ml/tiny", into="state_dict")
    entries = AdmissionLog(admitted.settings.log, effective_trust(admitted.settings)).entries()
    kinds = [entry.body.kind for entry in entries if entry.sequence >= after.sequence]
    assert kinds == ["renewal", "signed", "receipt"]
    content = open_ledger(admitted.settings).index.content()
    assert after.sequence in [item.sequence for item in content.listed]
    assert content.floor(NAME, "approved") == after.sequence, "the alias may not be moved back"


def test_a_renewed_model_can_be_renewed_again_and_found_again(
    admitted: Gate, request_: RenewalRequest
) -> None:
    renew(f"models:/{NAME}@approved", request_)
    assert renew("acme-ml/tiny", request_).code == RENEWED
    again = admitted.admit("acme-ml/tiny")
    assert again.receipt is not None
    assert again.receipt.reused
    assert again.receipt.version == pointed_at(admitted)


def test_what_is_not_due_is_left(admitted: Gate, request_: RenewalRequest) -> None:
    version = pointed_at(admitted)
    outcome = renew("acme-ml/tiny", replace(request_, within=timedelta(days=10)))
    assert (outcome.code, outcome.exit_code) == (NOT_DUE, 0)
    assert pointed_at(admitted) == version


def test_a_policy_that_refuses_today_leaves_the_old_one_alone(
    admitted: Gate, request_: RenewalRequest
) -> None:
    version = pointed_at(admitted)
    policy = stricter(admitted, licences_allowed=(), licences_refused=("Apache-2.0",))
    with pytest.raises(Refused, match="licence-refused") as caught:
        renew("acme-ml/tiny", replace(request_, policy=policy))
    assert caught.value.code == "renewal-refused"
    assert caught.value.exit_code == 2
    assert pointed_at(admitted) == version
    assert verify("acme-ml/tiny")


def test_old_evidence_is_not_signed_again(
    admitted: Gate, request_: RenewalRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime.now().astimezone() + timedelta(days=admitted.policy.evidence_days + 1)
    monkeypatch.setattr(renewal, "_now", lambda: later)
    with pytest.raises(Refused) as caught:
        renew("acme-ml/tiny", request_)
    assert caught.value.code == "evidence-expired"


def test_without_its_evidence_nothing_is_renewed(admitted: Gate, request_: RenewalRequest) -> None:
    sequence = verify("acme-ml/tiny").sequence
    folder = admitted.settings.reports / f"{sequence:06d}-{NAME}"
    aside = folder.rename(folder.with_name("aside"))
    try:
        with pytest.raises(Refused) as caught:
            renew("acme-ml/tiny", request_)
    finally:
        aside.rename(folder)
    assert caught.value.code == "evidence-missing"


def test_edited_evidence_is_no_evidence(admitted: Gate, request_: RenewalRequest) -> None:
    sequence = verify("acme-ml/tiny").sequence
    path = admitted.settings.reports / f"{sequence:06d}-{NAME}" / "evidence.json"
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b'"licence":"apache-2.0"', b'"licence":"mit"'))
    try:
        with pytest.raises(Refused) as caught:
            renew("acme-ml/tiny", request_)
    finally:
        path.write_bytes(kept)
    assert caught.value.code == "evidence-missing"


def test_a_tampered_store_is_not_signed_again(admitted: Gate, request_: RenewalRequest) -> None:
    found = Registry(admitted.settings.registry_uri).version_for(NAME, "approved")
    assert found is not None
    weights = Path(found.source_uri.removeprefix("file://")) / "model" / "model.safetensors"
    kept = weights.read_bytes()
    weights.chmod(0o600)
    weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        with pytest.raises(VerificationError) as caught:
            renew("acme-ml/tiny", request_)
    finally:
        weights.write_bytes(kept)
    assert caught.value.code == "bytes-differ"
    assert pointed_at(admitted) == found.version


@pytest.mark.parametrize("reference", [f"models:/{NAME}/1", "./folder"])
def test_only_what_an_alias_points_at_is_renewed(reference: str, request_: RenewalRequest) -> None:
    with pytest.raises(UsageError) as caught:
        renew(reference, request_)
    assert caught.value.code == "not-renewable"


def registered(gate: Gate) -> int:
    return len(Registry(gate.settings.registry_uri).versions(NAME))


class Stopped(BaseException):
    """The process ends here."""


def at(name: str, do: Callable[[], None]) -> Callable[[str], None]:
    def step(reached: str) -> None:
        if reached == name:
            do()

    return step


FINISHED = ("version-created", "receipt-written", "indexed", "alias-moved")
"""Steps after which the next run finds something to finish; after the others it begins anew."""


@pytest.mark.parametrize("name", STEPS)
def test_stopped_anywhere_the_alias_verifies(admitted: Gate, request_: RenewalRequest, name: str) -> None:
    def stop() -> None:
        raise Stopped

    before, versions = pointed_at(admitted), registered(admitted)
    with pytest.raises(Stopped):
        renew("acme-ml/tiny", request_, step=at(name, stop))
    assert verify("acme-ml/tiny")
    moved = name in ("alias-moved", "floor-raised")
    assert (pointed_at(admitted) != before) == moved
    if name not in FINISHED:
        return
    after = renew("acme-ml/tiny", replace(request_, within=timedelta(days=10)) if moved else request_)
    assert after.code == (NOT_DUE if moved else RENEWED)
    assert registered(admitted) == versions + 1, "what was registered is finished, not made again"
    floor = open_ledger(admitted.settings).index.content().floor(NAME, "approved")
    assert floor == verify("acme-ml/tiny").sequence


def test_a_killed_renewal_that_is_due_itself_is_not_finished(
    admitted: Gate, request_: RenewalRequest
) -> None:
    """Found a year later, its statements would run out at once."""

    def stop() -> None:
        raise Stopped

    versions = registered(admitted)
    with pytest.raises(Stopped):
        renew("acme-ml/tiny", request_, step=at("version-created", stop))
    everything = timedelta(days=admitted.policy.statement_days + 1)
    assert renew("acme-ml/tiny", replace(request_, within=everything)).code == RENEWED
    assert registered(admitted) == versions + 2


def test_an_alias_moved_meanwhile_is_left_where_it_is(admitted: Gate, request_: RenewalRequest) -> None:
    registry = Registry(admitted.settings.registry_uri)
    before = pointed_at(admitted)
    try:
        outcome = renew(
            "acme-ml/tiny",
            request_,
            step=at("version-created", lambda: registry.set_alias(NAME, "approved", 1)),
        )
        assert (outcome.code, outcome.exit_code) == ("alias-moved", 2)
        assert pointed_at(admitted) == 1
    finally:
        registry.set_alias(NAME, "approved", before)


def test_one_name_that_fails_keeps_no_other_from_being_renewed(
    admitted: Gate, hub: LoopbackHub, text_classifier: Path, request_: RenewalRequest
) -> None:
    hub.add_repo("acme-ml/second", text_classifier)
    admitted.admit("acme-ml/second")
    registry, before = Registry(admitted.settings.registry_uri), pointed_at(admitted)
    registry.delete_alias(NAME, "approved")
    try:
        outcomes = {outcome.name: outcome.code for outcome in renew_all(request_)}
    finally:
        registry.set_alias(NAME, "approved", before)
    assert outcomes == {NAME: "not-in-registry", "acme-ml--second": RENEWED}


def test_the_command_line(admitted: Gate, tmp_path: Path) -> None:
    policy = ["--policy", str(admitted.policy_file)]
    assert run(["renew", *policy]) == 1
    output = tmp_path / "renewed.json"
    arguments = ["renew", "acme-ml/tiny", *policy, "--format", "json", "--output", str(output)]
    assert run([*arguments, "--expiring-within", "1"]) == 0
    (outcome,) = json.loads(output.read_text())
    assert (outcome["name"], outcome["code"]) == (NAME, NOT_DUE)


def kinds(gate: Gate) -> list[str]:
    entries = AdmissionLog(gate.settings.log, effective_trust(gate.settings)).entries()
    return [entry.body.kind for entry in entries]


def refused(request: RenewalRequest) -> str:
    with pytest.raises(Error) as caught:
        renew("acme-ml/tiny", request)
    return caught.value.code


@contextmanager
def indexed(gate: Gate, edit: Edit) -> Iterator[None]:
    """The index changed for a while."""
    ledger = open_ledger(gate.settings)
    before = ledger.index.content()
    ledger.index.change(edit)
    try:
        yield
    finally:
        undone = {"revoked": before.revoked, "listed": before.listed, "floors": before.floors}
        ledger.index.change(lambda content: content.model_copy(update=undone))


def test_what_is_revoked_is_not_signed_again(admitted: Gate, request_: RenewalRequest) -> None:
    said, before = verify("acme-ml/tiny"), kinds(admitted)
    now = datetime.now(UTC)
    release = RevokedRelease(manifest_digest=said.manifest_digest, reason="poisoned", revoked_at=now)
    signer = RevokedSigner(signed_by=said.signed_by, reason="stolen", revoked_at=now)
    with indexed(admitted, lambda content: with_revoked(content, release)):
        assert refused(request_) == "revoked"
    with indexed(admitted, lambda content: with_revoked(content, signer)):
        assert refused(request_) == "key-revoked"
    assert kinds(admitted) == before, "no renewal was begun, and the key was not used"


def test_what_the_gate_did_not_list_or_left_behind_is_not_signed_again(
    admitted: Gate, request_: RenewalRequest
) -> None:
    """Else a stolen key's Release, or an alias moved back, would come out of a renewal as good as new."""
    said, before = verify("acme-ml/tiny"), kinds(admitted)
    with indexed(admitted, lambda content: content.model_copy(update={"listed": ()})):
        assert refused(request_) == "not-in-index"
    with indexed(admitted, lambda content: with_floor(content, NAME, "approved", said.sequence + 1)):
        assert refused(request_) == "superseded"
    assert kinds(admitted) == before


def asking_more(gate: Gate, check: str) -> Policy:
    """A policy of today that requires a check which nobody has: everything needs review."""
    checks = (*gate.policy.required_checks, check)
    policy = gate.policy.model_copy(update={"required_checks": checks})
    trust_policy(gate.settings, policy.digest())
    return policy


def approve(gate: Gate, name: str, days: int = 30, now: datetime | None = None) -> None:
    trust_approver(gate.settings, name)
    ledger = open_ledger(gate.settings)
    newest = [entry for entry in ledger.log.entries() if isinstance(entry.body, DecisionBody)][-1]
    entry = review.in_review(ledger.log, str(newest.sequence))
    signer = load_approver(gate.settings.approver_keys / f"{name}.pem")
    review.accept(ledger.log, ledger.trust, review.approve(entry, name, "looked at it", days, signer, now))


def test_what_needs_review_today_waits_for_an_approval(admitted: Gate, request_: RenewalRequest) -> None:
    asked = replace(request_, policy=asking_more(admitted, "not-yet-made"), requester="bob")
    version = pointed_at(admitted)
    assert refused(asked) == "renewal-needs-approval"
    before = kinds(admitted)
    assert before[-1] == "decision"
    assert refused(asked) == "renewal-needs-approval"
    assert kinds(admitted) == before, "it is asked once"
    approve(admitted, "bob")
    assert refused(asked) == "renewal-needs-approval", "who asked does not approve"
    approve(
        admitted, "ana", 300, datetime.now(UTC) - timedelta(days=admitted.policy.approval_days, seconds=1)
    )
    with pytest.raises(Refused, match="approval-too-old"):
        renew("acme-ml/tiny", asked)
    assert pointed_at(admitted) == version
    approve(admitted, "ana")
    assert renew("acme-ml/tiny", asked).code == RENEWED
    assert pointed_at(admitted) != version
    assert verify("acme-ml/tiny").policy_digest == asked.policy.digest()
    entries = AdmissionLog(admitted.settings.log, effective_trust(admitted.settings)).entries()
    (renewal_,) = [e.body for e in entries if isinstance(e.body, RenewalBody) and e.body.approved_by]
    assert renewal_.approved_by == "ana"
    assert renew("acme-ml/tiny", asked).code == RENEWED, "and it counts as long as it counts"
