"""An append-only file of signed lines: each names its number and the digest of the line before it.

A line removed from the middle, changed, moved or forged is found on reading. Lines cut from the end are found
by a witness: the index signs the log's head, and so does a checkpoint kept elsewhere.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.decision import Decision, Verdict
from registry_gate.errors import ToolError, UsageError
from registry_gate.evidence import Evidence
from registry_gate.index.content import LogHead
from registry_gate.log.chain import Chain, Disowned, check_witness, extend
from registry_gate.log.entries import (
    PAYLOAD_TYPE,
    ApprovalBody,
    Body,
    DecisionBody,
    LogEntry,
    ReceiptBody,
    SignedBody,
)
from registry_gate.log.first_seen import seen_in
from registry_gate.log.log_file import LogFile, appending, reading
from registry_gate.release import Receipt
from registry_gate.signing.dsse import seal
from registry_gate.signing.keys import Signer
from registry_gate.signing.trust import Trust

_LOGGER = logging.getLogger(__name__)


class AdmissionLog:
    """The log at ``path``; without a signer it can only be read.

    Every line was verified before a method returns it, so it was signed by a key of ``trust``; lines that
    this object verified before are compared by digest only.
    """

    def __init__(self, path: Path, trust: Trust, signer: Signer | None = None) -> None:
        self._path = path
        self._trust = trust.for_log()
        self._signer = signer
        self._known = Chain()

    def entries(self) -> tuple[LogEntry, ...]:
        """All entries that are believed, first to last.

        Raises:
            VerificationError: ``log-damaged``.
            FetchError: ``log-unreadable``.
        """
        return self._chain().entries

    def disowned(self) -> tuple[Disowned, ...]:
        """Lines that a retired key signed beyond its last number; raises what ``entries`` raises."""
        return self._chain().disowned

    def head(self) -> LogHead:
        """How long the log is, and the digest of its last line; raises what ``entries`` raises."""
        return self._chain().head

    def check(self, seen: LogHead, witness: str) -> None:
        """Hold the log against a head seen earlier; raises ``log-cut``, and what ``entries`` raises."""
        check_witness(self._chain(), seen, self._path, witness)

    def _chain(self) -> Chain:
        if not self._path.exists():
            self._known = Chain()
            return self._known
        with reading(self._path) as file:
            data, torn = file.read()
        if torn:
            _LOGGER.warning("%s ends in %d bytes of an unfinished entry", self._path, len(torn))
        self._known = extend(self._known, data, self._trust, self._path)
        return self._known

    def append_decision(
        self,
        evidence: Evidence,
        decision: Decision,
        manifest_digest: str | None = None,
        requester: str | None = None,
    ) -> LogEntry:
        """Record a decision; the entry's sequence number is the gate's own for a Release made from it.

        Raises:
            UsageError: ``log-read-only``.
            VerificationError: ``log-damaged``; nothing is appended to a damaged log.
            ToolError: ``log-not-written``.
        """
        return self.append(
            DecisionBody(
                verdict=decision.verdict,
                candidate=evidence.candidate,
                registered_name=evidence.registered_name,
                commit=evidence.listing.commit if evidence.listing else None,
                policy_name=decision.policy_name,
                policy_digest=decision.policy_digest,
                evidence_digest=decision.evidence_digest,
                manifest_digest=manifest_digest,
                reasons=tuple(dict.fromkeys(reason.code for reason in decision.reasons)),
                seen=seen_in(evidence),
                waivers=_waivers(decision),
                approved_by=decision.approved_by,
                requester=requester,
            )
        )

    def append_receipt(self, receipt: Receipt) -> LogEntry:
        """Record where the registry holds a Release; raises what ``append_decision`` raises."""
        return self.append(ReceiptBody(receipt=receipt))

    def next_sequence(self) -> int:
        """The number the next entry will have if nobody else appends first."""
        return len(self._chain().lines) + 1

    def admissions(self, candidate: Candidate, commit: str, policy_digest: str) -> tuple[LogEntry, ...]:
        """Decisions that admitted this commit of this source under this policy, oldest first."""
        return self._decisions(Verdict.ADMIT, candidate, commit, policy_digest)

    def _decisions(
        self, verdict: Verdict, candidate: Candidate, commit: str, policy_digest: str
    ) -> tuple[LogEntry, ...]:
        return tuple(
            entry
            for entry in self.entries()
            if isinstance(entry.body, DecisionBody)
            and entry.body.verdict is verdict
            and _source(entry.body.candidate) == _source(candidate)
            and (entry.body.commit, entry.body.policy_digest) == (commit, policy_digest)
        )

    def signed(self, sequence: int, manifest_digest: str) -> bool:
        """Whether this gate itself signed a Release of this number over this manifest."""
        wanted = (sequence, manifest_digest)
        bodies = (entry.body for entry in self.entries())
        return any(
            isinstance(body, SignedBody) and (body.release_sequence, body.manifest_digest) == wanted
            for body in bodies
        )

    def reviews(self, candidate: Candidate, commit: str, policy_digest: str) -> tuple[LogEntry, ...]:
        """Decisions that sent this commit of this source to review under this policy, newest first."""
        return tuple(reversed(self._decisions(Verdict.REVIEW, candidate, commit, policy_digest)))

    def approvals(self, evidence_digest: str) -> tuple[ApprovalBody, ...]:
        """The approvals recorded for one evidence record; whose word they are is for the reader to verify."""
        bodies = (entry.body for entry in self.entries())
        return tuple(
            body
            for body in bodies
            if isinstance(body, ApprovalBody) and body.evidence_digest == evidence_digest
        )

    def first_seen(self, candidate: Candidate) -> datetime | None:
        """When this source was first decided on, whatever the verdict; None if never."""
        wanted = _source(candidate)
        for entry in self.entries():
            if isinstance(entry.body, DecisionBody) and _source(entry.body.candidate) == wanted:
                return entry.recorded_at
        return None

    def first_admitted(self, registered_name: str) -> Candidate | None:
        """The source that a registered name was first admitted from; None if it never was."""
        decisions = (entry.body for entry in self.entries() if isinstance(entry.body, DecisionBody))
        for body in decisions:
            if body.verdict is Verdict.ADMIT and body.registered_name == registered_name:
                return body.candidate
        return None

    def last_admitted(self, registered_name: str) -> LogEntry | None:
        """The newest entry that admitted something under a registered name; None if nothing ever was."""
        for entry in reversed(self.entries()):
            body = entry.body
            if not isinstance(body, DecisionBody) or body.registered_name != registered_name:
                continue
            if body.verdict is Verdict.ADMIT:
                return entry
        return None

    def append(self, body: Body) -> LogEntry:
        """Record anything else; raises what ``append_decision`` raises."""
        if self._signer is None:
            raise UsageError("log-read-only", "this log was opened without a signing key")
        try:
            with appending(self._path) as file:
                return self._append_locked(file, body, self._signer)
        except OSError as error:
            raise ToolError(
                "log-not-written",
                f"{self._path}: {error.strerror}",
                why="nothing is admitted that is not recorded",
                todo="make room or fix the permissions, then run again",
            ) from error

    def _append_locked(self, file: LogFile, body: Body, signer: Signer) -> LogEntry:
        data, torn = file.read()
        known = self._known = extend(self._known, data, self._trust, self._path)
        entry = LogEntry(
            sequence=len(known.lines) + 1,
            previous=known.last_line,
            recorded_at=datetime.now(UTC),
            body=body,
        )
        if torn:
            file.set_aside(torn)
        file.append(seal(entry.canonical(), signer, PAYLOAD_TYPE))
        return entry


def _source(candidate: Candidate) -> tuple[SourceKind, str, str]:
    return candidate.kind, candidate.endpoint, candidate.id


def _waivers(decision: Decision) -> tuple[str, ...]:
    """The waivers that this decision used, by rule."""
    used = (f"{item.code}: {item.waived_by}" for item in decision.reasons if item.waived_by)
    return tuple(dict.fromkeys(used))
