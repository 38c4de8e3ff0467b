"""A candidate that needs a person: it is held, a person approves, the gate finishes from what it held.

An approval speaks for one evidence record by digest. Measurements are not repeatable to the last bit, so a
new examination would be another record: the staged files are kept instead, and compared with the evidence,
byte for byte, when the admission is finished. Where they are gone, all is examined, and reviewed, anew.
"""

from __future__ import annotations

import getpass
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from registry_gate import archive
from registry_gate.decision import Approval, Decision, Verdict, decide
from registry_gate.errors import Error, UsageError, VerificationError
from registry_gate.evidence import Evidence, Staged
from registry_gate.ledger import Ledger
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.entries import ApprovalBody, DecisionBody, LogEntry
from registry_gate.policy import Policy
from registry_gate.settings import Settings
from registry_gate.signing.approval import open_approval, sign_approval
from registry_gate.signing.bytes import check_bytes
from registry_gate.signing.folder import Folder
from registry_gate.signing.keys import KeySigner
from registry_gate.signing.manifest import manifest_of
from registry_gate.signing.refusal import refusal
from registry_gate.signing.trust import Trust

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Approved:
    """A held candidate whose approval counts; ``evidence.staged.root`` is a copy to sign from.

    ``approvals`` are the signed lines: whoever signs the Release verifies them again.
    """

    evidence: Evidence
    decision: Decision
    approvals: tuple[str, ...]


def this_account() -> str:
    """The account that runs the gate: who asks, where nobody else is named."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return f"uid-{os.getuid()}"


def hold(settings: Settings, sequence: int, evidence: Evidence) -> None:
    """Keep the staged files of a candidate in review; the newest of each name only."""
    if evidence.staged is None:
        return
    folder = settings.held / evidence.registered_name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    shutil.move(evidence.staged.root, folder / str(sequence))


def let_go(settings: Settings, name: str) -> None:
    """Delete what was held of a name."""
    shutil.rmtree(settings.held / name, ignore_errors=True)


def approved_earlier(
    log: AdmissionLog,
    trust: Trust,
    settings: Settings,
    policy: Policy,
    seen: Evidence,
    workspace: Path,
    now: datetime,
) -> Approved | None:
    """A candidate of this commit in review that was approved since, whole as it was held; None if none is.

    Args:
        log: decisions and approvals.
        trust: names the approvers.
        settings: where evidence and staged files are kept.
        policy: the policy in force; the review was under the same one.
        seen: what is asked for now: candidate and listing.
        workspace: where the copy to sign from goes.
        now: aware time.
    """
    commit = seen.listing.commit if seen.listing else ""
    for entry in log.reviews(seen.candidate, commit, policy.digest()):
        found = _decided(entry, log, trust, settings, policy, now)
        if found is None or found.evidence.gate_version != seen.gate_version:
            continue
        staged = _taken(settings, entry, found.evidence, workspace / "approved")
        if staged is not None:
            evidence = found.evidence.model_copy(update={"staged": staged})
            return Approved(evidence, found.decision, found.approvals)
    return None


def _decided(
    entry: LogEntry, log: AdmissionLog, trust: Trust, settings: Settings, policy: Policy, now: datetime
) -> Approved | None:
    body = entry.body
    if not isinstance(body, DecisionBody):
        return None
    approvals = approvals_of(log, trust, body.evidence_digest)
    filed = archive.find(settings, entry.sequence, body.registered_name, body.evidence_digest)
    if not approvals or filed is None:
        return None
    decision = decide(filed.evidence, policy, now, tuple(approvals.values()))
    if decision.verdict is not Verdict.ADMIT:
        for reason in decision.reasons:
            if reason.code.startswith("approval-"):
                _LOGGER.warning("%s: %s", reason.code, reason.message)
        return None
    return Approved(filed.evidence, decision, tuple(approvals))


def approvals_of(log: AdmissionLog, trust: Trust, evidence_digest: str) -> dict[str, Approval]:
    """Approvals of one evidence record by approvers of the trust file, by their signed lines.

    Each names the requester that the log names for the newest review of that record: otherwise whoever
    asked could approve by naming somebody else. Whether one counts is for ``decide`` to say.
    """
    review = next(
        (body for body in _decisions_on(log, evidence_digest) if body.verdict is Verdict.REVIEW), None
    )
    found = {}
    for body in log.approvals(evidence_digest):
        try:
            approval = open_approval(body.bundle.encode(), trust)
        except VerificationError as error:
            _LOGGER.warning("an approval by %s does not count: %s", body.approver, error)
            continue
        if review is not None and approval.requester == review.requester:
            found[body.bundle] = approval
    return found


def ask_for_review(
    ledger: Ledger, settings: Settings, policy: Policy, evidence: Evidence, decision: Decision, requester: str
) -> int:
    """Log and file a review of evidence that is judged again, for a person to approve; asked once.

    Returns:
        The sequence number to approve.
    """
    newest = next(iter(_decisions_on(ledger.log, decision.evidence_digest)), None)
    asked = newest and (newest.verdict, newest.policy_digest) == (Verdict.REVIEW, decision.policy_digest)
    if not asked:
        ledger.log.append_decision(evidence, decision, requester=requester)
        ledger.witness()
    entry = in_review(ledger.log, decision.evidence_digest)
    archive.file_away(
        archive.folder_of(settings, entry.sequence, evidence.registered_name), evidence, decision, policy
    )
    return entry.sequence


def _decisions_on(log: AdmissionLog, evidence_digest: str) -> Iterator[DecisionBody]:
    """The decisions on one evidence record, newest first."""
    for entry in reversed(log.entries()):
        if isinstance(entry.body, DecisionBody) and entry.body.evidence_digest == evidence_digest:
            yield entry.body


def _taken(settings: Settings, entry: LogEntry, evidence: Evidence, destination: Path) -> Staged | None:
    """The held files under a new folder, compared with the evidence byte for byte; None where they differ."""
    staged = evidence.staged
    held = settings.held / evidence.registered_name / str(entry.sequence)
    if staged is None or not held.is_dir():
        return None
    try:
        shutil.copytree(held, destination, symlinks=True, copy_function=os.link)
        _check_held(destination, staged)
    except (OSError, shutil.Error, Error) as error:
        _LOGGER.warning("what was held of %s is not used: %s", evidence.registered_name, error)
        shutil.rmtree(destination, ignore_errors=True)
        return None
    return staged.model_copy(update={"root": destination})


def _check_held(root: Path, staged: Staged) -> None:
    manifest = manifest_of(staged, {})
    with Folder(root) as folder:
        if folder.names() != {file.name for file in manifest.files}:
            raise refusal("unexpected-file", "the files held are not those of the evidence")
        for file in manifest.files:
            with folder.reading(file.name, file.size) as reading:
                check_bytes(reading, file)


def in_review(log: AdmissionLog, what: str) -> LogEntry:
    """The decision that an evidence digest or a sequence number names.

    Raises:
        UsageError: ``nothing-to-approve`` where it is none, or none that needs review.
    """
    for entry in reversed(log.entries()):
        body = entry.body
        named = what in (str(entry.sequence), getattr(body, "evidence_digest", None))
        if named and isinstance(body, DecisionBody):
            if body.verdict is Verdict.REVIEW:
                return entry
            raise UsageError(
                "nothing-to-approve",
                f"the verdict on {what[:80]} is {body.verdict.value}",
                why="an approval turns `review` into `admit` and nothing else",
            )
    raise UsageError(
        "nothing-to-approve",
        f"the log has no decision {what[:80]!r}",
        todo="give the sequence number or the evidence digest of the report",
    )


def approve(
    entry: LogEntry, approver: str, reason: str, days: int, signer: KeySigner, now: datetime | None = None
) -> bytes:
    """Sign an approval of a decision in review; it counts once the gate has recorded it."""
    body = entry.body
    if not isinstance(body, DecisionBody):
        raise UsageError("nothing-to-approve", f"entry {entry.sequence} is no decision")
    issued = now or datetime.now(UTC)
    approval = Approval(
        evidence_digest=body.evidence_digest,
        policy_digest=body.policy_digest,
        approver=approver,
        requester=body.requester,
        reason=reason,
        issued_at=issued,
        expires_at=issued + timedelta(days=days),
    )
    return sign_approval(approval, signer)


def accept(log: AdmissionLog, trust: Trust, bundle: bytes) -> LogEntry:
    """Verify an approval and record it; recorded once, however often it is brought.

    Raises:
        VerificationError: it is not by an approver of the trust file.
        UsageError: ``nothing-to-approve``.
    """
    approval = open_approval(bundle, trust)
    in_review(log, approval.evidence_digest)
    text = bundle.decode()
    for entry in log.entries():
        if isinstance(entry.body, ApprovalBody) and entry.body.bundle == text:
            return entry
    return log.append(
        ApprovalBody(
            evidence_digest=approval.evidence_digest,
            approver=approval.approver,
            reason=approval.reason,
            expires_at=approval.expires_at,
            bundle=text,
        )
    )
