"""Renewal: fresh statements for what stands in the registry, if today's checks and policy still admit it.

Nothing is fetched from the source. What the store holds is verified first, byte for byte; the stored evidence
is judged again; only an admission is signed, over the same manifest, and goes the road of every Release:
verified, uploaded, read back, registered, listed in the index, the alias last. Killed before that, the alias
points at what it pointed at; the next run finishes what it finds whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import AwareDatetime

from registry_gate import archive, review
from registry_gate.client.find import stored_release
from registry_gate.client.reference import Reference, parse
from registry_gate.decision import Decision, Verdict, decide
from registry_gate.errors import Error, FetchError, Refused, UsageError, VerificationError
from registry_gate.evidence import Evidence
from registry_gate.index.check import judge
from registry_gate.index.edits import with_floor
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.entries import DecisionBody, LogEntry, ReceiptBody, RenewalBody
from registry_gate.opening import open_publisher
from registry_gate.policy import Policy, load_policy
from registry_gate.progress import Progress, silent
from registry_gate.publication import (
    Found,
    Published,
    Publisher,
    Step,
    no_step,
    terms_of,
)
from registry_gate.record import Record
from registry_gate.rejudgement import judge_again
from registry_gate.release import Verified
from registry_gate.settings import DEFAULT_ALIAS, Settings
from registry_gate.settings import load as load_settings
from registry_gate.signing.sign import Judgement, sign_renewal
from registry_gate.signing.trust import effective_trust
from registry_gate.signing.verify import copy_verified, read_statements
from registry_gate.signing.verify_statements import VerifiedStatements
from registry_gate.workspace import open_workspace

RENEWED, NOT_DUE = "renewed", "not-due"
_FOLDER = "renewed"


class Outcome(Record):
    """What became of one name: ``code`` is ``renewed``, ``not-due``, or that of the refusal or failure.

    ``exit_code`` is 0 for the first two, 2 where the gate looked and said no, 1 where nothing was decided.
    """

    name: str
    alias: str
    code: str
    exit_code: int = 0
    message: str = ""
    expired_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    sequence: int | None = None
    version: int | None = None


@dataclass(frozen=True)
class RenewalRequest:
    """Under which policy, where, and how soon a statement must expire to be renewed (None: whenever).

    ``requester`` is who asks: the account that runs this if None. Where a renewal needs review and the policy
    wants it so, somebody else has to approve it.
    """

    policy: Policy = field(default_factory=load_policy)
    settings: Settings = field(default_factory=load_settings)
    within: timedelta | None = None
    requester: str | None = None


def renew(
    reference: str, request: RenewalRequest, *, progress: Progress = silent, step: Step = no_step
) -> Outcome:
    """Renew what one alias points at.

    Args:
        reference: ``org/model`` for ``approved``, or ``models:/name@alias``.
        request: policy, settings, when a statement is due.
        progress: see :data:`registry_gate.progress.Progress`.
        step: as for ``admit``.

    Raises:
        Refused: ``evidence-missing``, ``evidence-expired``, ``renewal-refused``, ``renewal-needs-approval``,
            ``signer-refuses``; what stands is left alone.
        VerificationError: what the store holds is not what was signed, or the index does not let it load:
            ``revoked``, ``key-revoked``, ``not-in-index``, ``superseded``. Nothing is signed then.
        UsageError, FetchError, ToolError: nothing was decided.
    """
    asked = parse(reference, DEFAULT_ALIAS)
    if asked.name is None or not isinstance(asked.alias, str):
        raise UsageError(
            "not-renewable",
            f"{reference[:200]!r} names no alias",
            why="a renewed version moves its alias, and an old version must not come back under one",
            todo="write org/model or models:/name@alias",
        )
    with open_workspace(request.settings, asked.name, progress) as workspace:
        publisher = open_publisher(request.settings, request.policy, asked.alias, workspace, step, progress)
        found = _found(publisher, asked)
        judge(publisher.ledger.index.content(), found.verified, asked.alias)
        _raise_floor(publisher, found, asked.alias)
        if request.within is not None and found.verified.expires_at - _now() > request.within:
            return _outcome(asked, NOT_DUE, expires_at=found.verified.expires_at)
        publisher = replace(publisher, alias_was=found.version.version)
        published = _renewed(publisher, found, _evidence(found.verified, request), request)
    return _told(asked, found, published)


def renew_all(
    request: RenewalRequest, *, progress: Progress = silent, step: Step = no_step
) -> Iterator[Outcome]:
    """Renew whatever is due among all names ever admitted under the default alias, one after the other.

    What fails for one name is its outcome and keeps no other from being renewed.

    Raises:
        UsageError, VerificationError: the log, the key or the trust cannot be used.
    """
    log = AdmissionLog(request.settings.log, effective_trust(request.settings))
    for name in names_admitted(log.entries()):
        reference = f"models:/{name}@{DEFAULT_ALIAS}"
        try:
            yield renew(reference, request, progress=progress, step=step)
        except Error as error:
            yield _outcome(
                parse(reference, DEFAULT_ALIAS), error.code, exit_code=error.exit_code, message=error.message
            )


def names_admitted(entries: tuple[LogEntry, ...]) -> tuple[str, ...]:
    """Registered names in the order they were first admitted."""
    admitted = (entry.body for entry in entries if isinstance(entry.body, DecisionBody))
    return tuple(dict.fromkeys(body.registered_name for body in admitted if body.verdict is Verdict.ADMIT))


def _now() -> datetime:
    return datetime.now(UTC)


def _found(publisher: Publisher, asked: Reference) -> Found:
    """What the alias points at, its statements verified; its bytes are verified when they are copied."""
    name, alias = asked.name or "", asked.alias or ""
    version = publisher.registry.version_for(name, alias)
    if version is None:
        raise FetchError(
            "not-in-registry",
            f"{publisher.registry.uri} has no {name[:200]!r} under {str(alias)[:200]!r}",
            todo="admit the model first with `registry-gate admit`",
        )
    with stored_release(version.source_uri, publisher.registry.uri, publisher.workspace) as source:
        said = read_statements(source, publisher.trust, expect_name=name, expect_id=asked.id)
    return Found(said.verified, version)


def _evidence(verified: Verified, request: RenewalRequest) -> Evidence:
    """The stored record of what was signed, if it is on this machine and young enough."""
    filed = archive.find(request.settings, verified.sequence, verified.name, verified.evidence_digest)
    if filed is None:
        raise Refused(
            "evidence-missing",
            f"the evidence of {verified.name!r}, sequence {verified.sequence}, is not on this machine",
            why="what was seen cannot be judged again without its record",
            todo="renew where the model was admitted, restore its reports folder, or admit the model again",
        )
    if _now() - filed.evidence.observed_at > timedelta(days=request.policy.evidence_days):
        raise Refused(
            "evidence-expired",
            f"{verified.name!r} was examined on {filed.evidence.observed_at:%Y-%m-%d}, more than "
            f"{request.policy.evidence_days} days ago",
            why="scanners and lists have learnt since; judging old facts again is not looking again",
            todo="admit the model again",
        )
    return filed.evidence


def _raise_floor(publisher: Publisher, found: Found, alias: str) -> None:
    """Finish a run that was killed right after it moved this alias, so that moving it back is noticed.

    Only where the log's receipt says that the gate itself meant the alias to lead here.
    """
    said = found.verified
    if publisher.ledger.index.content().floor(said.name, alias) >= said.sequence:
        return
    receipts = (
        entry.body.receipt for entry in publisher.log.entries() if isinstance(entry.body, ReceiptBody)
    )
    if any(
        (receipt.alias, receipt.sequence, receipt.manifest_digest)
        == (alias, said.sequence, said.manifest_digest)
        for receipt in receipts
    ):
        publisher.ledger.witness(lambda content: with_floor(content, said.name, alias, said.sequence))


def _renewed(publisher: Publisher, found: Found, stored: Evidence, request: RenewalRequest) -> Published:
    """Judge, then finish what a killed run signed on the same judgement, or copy, sign, register."""
    now = _now()
    evidence = judge_again(stored, request.policy)
    signed = review.approvals_of(publisher.log, publisher.trust, evidence.digest())
    decision = decide(evidence, request.policy, now, tuple(signed.values()))
    if decision.verdict is not Verdict.ADMIT:
        raise _refused(publisher, found.verified, evidence, decision, request)
    due = now + (request.within or timedelta(0))
    if unfinished := _unfinished(publisher, found.verified, decision, now, due):
        return publisher.finish(unfinished.verified, unfinished.version, now, reused=True)
    standing = _copied(publisher, found)
    sequence = _recorded(publisher, found.verified, decision, terms_of(request.policy, 1, now).expires_at)
    archive.file_away(
        archive.folder_of(request.settings, sequence, found.verified.name), evidence, decision, request.policy
    )
    publisher.step("decided")
    with publisher.timed("sign"):
        release = sign_renewal(
            Judgement(evidence, decision, request.policy, tuple(signed) if decision.approved_by else ()),
            standing=standing,
            terms=terms_of(request.policy, sequence, now),
            signer=publisher.signer,
            trust=publisher.trust,
            destination=publisher.workspace / _FOLDER,
        )
    return publisher.register(release, now)


def _recorded(publisher: Publisher, verified: Verified, decision: Decision, expires_at: datetime) -> int:
    """Log the renewal, have the index witness it, and return its number."""
    body = RenewalBody(
        registered_name=verified.name,
        manifest_digest=verified.manifest_digest,
        renewed_sequence=verified.sequence,
        evidence_digest=decision.evidence_digest,
        policy_digest=decision.policy_digest,
        expires_at=expires_at,
        approved_by=decision.approved_by,
    )
    return publisher.ledger.record(body).sequence


def _unfinished(
    publisher: Publisher, verified: Verified, decision: Decision, now: datetime, due: datetime
) -> Found | None:
    """A renewal of this Release, on this evidence and policy, that was registered before the run was killed.

    The registry only leads to it; it is verified to the last byte, the log must say that this gate signed it,
    and it must outlive what it renews and not be ``due`` itself.
    """
    renewals = {
        entry.sequence
        for entry in publisher.log.entries()
        if isinstance(entry.body, RenewalBody) and entry.body.renewed_sequence == verified.sequence
    }
    for version in publisher.registry.versions(verified.name) if renewals else ():
        if version.sequence not in renewals:
            continue
        try:
            there = publisher.verified(version.source_uri, now, expect_id=verified.id)
        except (VerificationError, FetchError):
            continue  # signed anew then
        said = (there.manifest_digest, there.evidence_digest, there.policy_digest)
        same = said == (verified.manifest_digest, decision.evidence_digest, decision.policy_digest)
        longer = there.expires_at > max(verified.expires_at, due)
        if same and longer and there.sequence in renewals and publisher.is_own(there):
            return Found(there, version)
    return None


def _copied(publisher: Publisher, found: Found) -> VerifiedStatements:
    """A private copy of the stored files, every byte verified, without the statements that run out."""
    root, uri = publisher.workspace / _FOLDER, publisher.registry.uri
    with stored_release(found.version.source_uri, uri, publisher.workspace) as source:
        said = read_statements(source, publisher.trust, expect_name=found.verified.name)
        if said.verified != found.verified:
            raise VerificationError(
                "bad-statement", "the stored statements changed while they were read", todo="run again"
            )
        copy_verified(source, said, root, publisher.progress)
    shutil.rmtree(root / "attestations")
    publisher.step("staged")
    return said


def _refused(
    publisher: Publisher, verified: Verified, evidence: Evidence, decision: Decision, request: RenewalRequest
) -> Refused:
    """The refusal; a renewal that a person may approve is put into the log for that."""
    reasons = "; ".join(
        f"{reason.code}: {reason.message}" for reason in decision.reasons if not reason.waived_by
    )
    said = (
        f"{verified.name!r} would not be admitted today under policy {decision.policy_name!r} "
        f"({decision.verdict.value}): {reasons[:600]}"
    )
    why = f"the statement that stands holds until {verified.expires_at:%Y-%m-%d}, and is left alone"
    if decision.verdict is Verdict.REJECT:
        todo = "revoke it if the reason is grave; otherwise admit the model again or waive the finding"
        return Refused("renewal-refused", said, why=why, todo=todo)
    asker = request.requester or review.this_account()
    number = review.ask_for_review(
        publisher.ledger, request.settings, request.policy, evidence, decision, asker
    )
    todo = (
        f"look with `registry-gate explain {number}`, have `registry-gate approve {number}` run, renew again"
    )
    return Refused("renewal-needs-approval", said, why=why, todo=todo)


def _told(asked: Reference, found: Found, published: Published) -> Outcome:
    verified = published.verified
    return _outcome(
        asked,
        RENEWED if published.alias_current else "alias-moved",
        exit_code=0 if published.alias_current else 2,
        message="" if published.alias_current else "the alias was moved meanwhile and is left where it is",
        expired_at=found.verified.expires_at,
        expires_at=verified.expires_at,
        sequence=verified.sequence,
        version=published.receipt.version,
    )


def _outcome(asked: Reference, code: str, **said: Any) -> Outcome:
    return Outcome(name=asked.name or "", alias=str(asked.alias), code=code, **said)
