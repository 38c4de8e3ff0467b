"""An append-only file of signed lines: each names its number and the digest of the line before it.

A line removed from the middle, changed, moved or forged is found on reading. Lines cut from the end are not:
that needs a witness elsewhere.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.decision import Decision, Verdict
from registry_gate.errors import FetchError, ToolError, UsageError, VerificationError
from registry_gate.evidence import Evidence
from registry_gate.log.entries import (
    FIRST_PREVIOUS,
    PAYLOAD_TYPE,
    Body,
    DecisionBody,
    LogEntry,
    ReceiptBody,
)
from registry_gate.log.first_seen import seen_in
from registry_gate.release import Receipt
from registry_gate.signing.dsse import parse_canonical, seal, unseal
from registry_gate.signing.keys import Signer
from registry_gate.signing.trust import Trust

_LOGGER = logging.getLogger(__name__)


class AdmissionLog:
    """The log at ``path``; without a signer it can only be read.

    Every read verifies every line, so what the methods return was signed by a key of ``trust``.
    """

    def __init__(self, path: Path, trust: Trust, signer: Signer | None = None) -> None:
        self._path = path
        self._trust = trust.for_log()
        self._signer = signer

    def entries(self) -> tuple[LogEntry, ...]:
        """All entries, first to last.

        Raises:
            VerificationError: ``log-damaged``, or the code of a signature that does not verify.
        """
        if not self._path.exists():
            return ()
        with self._locked(os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
            lines, torn = _split(_read_all(descriptor))
        if torn:
            _LOGGER.warning("%s ends in %d bytes of an unfinished entry", self._path, len(torn))
        return self._verified(lines)

    def append_decision(
        self, evidence: Evidence, decision: Decision, manifest_digest: str | None = None
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
            )
        )

    def append_receipt(self, receipt: Receipt) -> LogEntry:
        """Record where the registry holds a Release; raises what ``append_decision`` raises."""
        return self.append(ReceiptBody(receipt=receipt))

    def next_sequence(self) -> int:
        """The number the next entry will have if nobody else appends first."""
        return len(self.entries()) + 1

    def admissions(self, candidate: Candidate, commit: str, policy_digest: str) -> tuple[LogEntry, ...]:
        """Decisions that admitted this commit of this source under this policy, oldest first."""
        return tuple(
            entry
            for entry in self.entries()
            if isinstance(entry.body, DecisionBody)
            and entry.body.verdict is Verdict.ADMIT
            and _source(entry.body.candidate) == _source(candidate)
            and (entry.body.commit, entry.body.policy_digest) == (commit, policy_digest)
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
        """Record anything; raises what ``append_decision`` raises."""
        if self._signer is None:
            raise UsageError("log-read-only", "this log was opened without a signing key")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked(os.O_RDWR | os.O_CREAT | os.O_APPEND, fcntl.LOCK_EX) as descriptor:
                return self._append_locked(descriptor, body, self._signer)
        except OSError as error:
            raise ToolError(
                "log-not-written",
                f"{self._path}: {error.strerror}",
                why="nothing is admitted that is not recorded",
                todo="make room or fix the permissions, then run again",
            ) from error

    def _append_locked(self, descriptor: int, body: Body, signer: Signer) -> LogEntry:
        lines, torn = _split(_read_all(descriptor))
        known = self._verified(lines)
        if torn:
            self._set_aside(descriptor, torn)
        entry = LogEntry(
            sequence=len(known) + 1,
            previous=_digest(lines[-1]) if lines else FIRST_PREVIOUS,
            recorded_at=datetime.now(UTC),
            body=body,
        )
        _write_all(descriptor, seal(entry.canonical(), signer, PAYLOAD_TYPE) + b"\n")
        os.fsync(descriptor)
        return entry

    def _set_aside(self, descriptor: int, torn: bytes) -> None:
        """Keep what a killed writer left behind, where a person can look at it, and cut it off the log."""
        aside = self._path.with_name(f"{self._path.name}.torn-{_digest(torn)[:16]}")
        aside.write_bytes(torn)
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - len(torn))
        os.fsync(descriptor)
        _LOGGER.warning("%s: %d bytes of an unfinished entry were moved to %s", self._path, len(torn), aside)

    def _verified(self, lines: list[bytes]) -> tuple[LogEntry, ...]:
        entries: list[LogEntry] = []
        previous = FIRST_PREVIOUS
        for number, line in enumerate(lines, start=1):
            entry = self._read_line(number, line)
            if (entry.sequence, entry.previous) != (number, previous):
                raise self._damaged(number, "it does not follow the line before it")
            entries.append(entry)
            previous = _digest(line)
        return tuple(entries)

    def _read_line(self, number: int, line: bytes) -> LogEntry:
        try:
            payload = unseal(line, self._trust, PAYLOAD_TYPE).payload
            parse_canonical(payload)
            return LogEntry.from_json(payload)
        except VerificationError as error:
            raise self._damaged(number, error.message) from error
        except (ValidationError, ValueError) as error:
            raise self._damaged(number, "it is signed but is not a log entry") from error

    def _damaged(self, number: int, detail: str) -> VerificationError:
        return VerificationError(
            "log-damaged",
            f"line {number} of {self._path} cannot be believed: {detail}",
            why="a log with a hole says nothing about what was admitted",
            todo="keep the file, restore it from a backup, and find out who changed it",
        )

    @contextmanager
    def _locked(self, flags: int, lock: int) -> Iterator[int]:
        try:
            # Without O_NONBLOCK a named pipe in its place would hold the gate for ever.
            descriptor = os.open(self._path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise FetchError("log-unreadable", f"{self._path}: {error.strerror}") from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FetchError("log-unreadable", f"{self._path} is not a plain file")
            fcntl.flock(descriptor, lock)
            yield descriptor
        finally:
            os.close(descriptor)


def _source(candidate: Candidate) -> tuple[SourceKind, str, str]:
    return candidate.kind, candidate.endpoint, candidate.id


def _digest(line: bytes) -> str:
    return sha256(line).hexdigest()


def _read_all(descriptor: int) -> bytes:
    pieces = []
    offset = 0
    while piece := os.pread(descriptor, 1024 * 1024, offset):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    """The complete lines, and whatever follows the last newline."""
    *lines, torn = data.split(b"\n")
    return lines, torn
