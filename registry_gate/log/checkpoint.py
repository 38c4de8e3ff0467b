"""The log's head, signed, to be kept elsewhere; and the log held against every witness there is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from registry_gate.errors import FetchError
from registry_gate.index.content import LogHead
from registry_gate.index.read import read_index
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.chain import Disowned
from registry_gate.settings import Settings
from registry_gate.signing.dsse import parse_canonical, seal, unseal
from registry_gate.signing.keys import Signer
from registry_gate.signing.refusal import refusal
from registry_gate.signing.trust import Trust

PAYLOAD_TYPE = "application/vnd.registry-gate.log-head.v1+json"


@dataclass(frozen=True)
class LogSummary:
    """A verified log: its head, who has seen which head of it, and what in it is not believed."""

    head: LogHead
    witnesses: tuple[tuple[str, LogHead], ...]
    disowned: tuple[Disowned, ...]


def write_checkpoint(head: LogHead, signer: Signer) -> bytes:
    """One signed line that says how long the log is."""
    return seal(head.canonical(), signer, PAYLOAD_TYPE)


def read_checkpoint(path: Path, trust: Trust) -> LogHead:
    """Verify a checkpoint; those of retired keys count, for a head names nothing that a thief gains by.

    Raises:
        FetchError: ``checkpoint-unreadable``.
        VerificationError: ``bad-bundle``, ``bad-signature``, ``untrusted-key``, ``bad-statement``.
    """
    try:
        data = path.read_bytes().rstrip(b"\n")
    except OSError as error:
        raise FetchError("checkpoint-unreadable", f"{path}: {error.strerror}") from error
    payload = unseal(data, trust.for_log().with_retired(), PAYLOAD_TYPE).payload
    try:
        parse_canonical(payload)
        return LogHead.from_json(payload)
    except (ValidationError, ValueError) as error:
        raise refusal("bad-statement", "it is signed but is no head of a log") from error


def verify_log(settings: Settings, trust: Trust, checkpoint: Path | None = None) -> LogSummary:
    """Verify the whole log and hold it against the index, and against a checkpoint if there is one.

    Raises:
        VerificationError: ``log-damaged``, ``log-cut``, and what reading the index raises.
        FetchError: ``log-unreadable``, ``checkpoint-unreadable``.
    """
    log = AdmissionLog(settings.log, trust)
    witnesses = []
    if (seen := read_index(settings, trust).log) is not None:
        witnesses.append(("the index", seen))
    if checkpoint is not None:
        witnesses.append((f"checkpoint {checkpoint}", read_checkpoint(checkpoint, trust)))
    for witness, head in witnesses:
        log.check(head, witness)
    return LogSummary(log.head(), tuple(witnesses), log.disowned())
