"""The lines of a log, verified one by one and as a chain; what was verified is not verified again.

A verified prefix is known by its length and the digest of all its bytes: as long as the file begins with
those very bytes, only the lines behind them cost signatures.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from registry_gate.errors import VerificationError
from registry_gate.index.content import LogHead
from registry_gate.log.entries import FIRST_PREVIOUS, PAYLOAD_TYPE, LogEntry
from registry_gate.signing.dsse import parse_canonical, unseal
from registry_gate.signing.refusal import shown
from registry_gate.signing.trust import Trust


@dataclass(frozen=True)
class Disowned:
    """A line by a retired key beyond its last number: kept in the chain, believed by nobody."""

    sequence: int
    key_id: str
    kind: str


@dataclass(frozen=True)
class Chain:
    """A verified log, or the part of it verified so far. ``lines`` are the digests of all its lines."""

    entries: tuple[LogEntry, ...] = ()
    disowned: tuple[Disowned, ...] = ()
    lines: tuple[str, ...] = ()
    size: int = 0
    digest: str = sha256().hexdigest()

    @property
    def head(self) -> LogHead:
        """How long the log is, and its last line."""
        return LogHead(length=len(self.lines), line_digest=self.last_line)

    @property
    def last_line(self) -> str:
        """The digest that the next line has to name."""
        return self.lines[-1] if self.lines else FIRST_PREVIOUS


def extend(known: Chain, data: bytes, trust: Trust, path: Path) -> Chain:
    """The chain of all complete lines in ``data``, from what is known of its beginning.

    Raises:
        VerificationError: ``log-damaged``.
    """
    if sha256(data[: known.size]).hexdigest() != known.digest or len(data) < known.size:
        known = Chain()
    if len(data) == known.size:
        return known
    reading = trust.with_retired()
    limits = {entry.key.key_id: entry.last_sequence for entry in trust.retired_keys}
    entries, disowned, lines = list(known.entries), list(known.disowned), list(known.lines)
    previous = known.last_line
    for number, line in enumerate(data[known.size : -1].split(b"\n"), start=len(lines) + 1):
        entry, key_id = _read_line(number, line, reading, path)
        if (entry.sequence, entry.previous) != (number, previous):
            raise damaged(path, number, "it does not follow the line before it")
        if number > limits.get(key_id, number):
            disowned.append(Disowned(number, key_id, entry.body.kind))
        else:
            entries.append(entry)
        previous = sha256(line).hexdigest()
        lines.append(previous)
    whole = sha256(data).hexdigest()
    return Chain(tuple(entries), tuple(disowned), tuple(lines), len(data), whole)


def check_witness(chain: Chain, head: LogHead, path: Path, witness: str) -> None:
    """Hold a log against a head that somebody signed earlier: it may be longer, and nothing else.

    Raises:
        VerificationError: ``log-cut`` where it is shorter, ``log-damaged`` where that line is another.
    """
    if len(chain.lines) < head.length:
        raise VerificationError(
            "log-cut",
            f"{path} has {len(chain.lines)} entries, and {witness} has seen {head.length}",
            why="what was refused, revoked or admitted in the missing entries is forgotten",
            todo="restore the log from a backup, and find out who cut it",
        )
    if head.length and chain.lines[head.length - 1] != head.line_digest:
        raise damaged(path, head.length, f"it is not the line that {witness} has seen")


def _read_line(number: int, line: bytes, trust: Trust, path: Path) -> tuple[LogEntry, str]:
    try:
        opened = unseal(line, trust, PAYLOAD_TYPE)
        parse_canonical(opened.payload)
        return LogEntry.from_json(opened.payload), opened.key.key_id
    except VerificationError as error:
        raise damaged(path, number, error.message) from error
    except (ValidationError, ValueError) as error:
        raise damaged(path, number, "it is signed but is not a log entry") from error


def damaged(path: Path, number: int, detail: str) -> VerificationError:
    """The error for a line that cannot be believed."""
    return VerificationError(
        "log-damaged",
        f"line {number} of {shown(str(path))} cannot be believed: {detail}",
        why="a log with a hole says nothing about what was admitted",
        todo="keep the file, restore it from a backup, and find out who changed it",
    )
