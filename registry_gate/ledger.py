"""The gate's own books, opened together: the log, and the index that witnesses it."""

from __future__ import annotations

from dataclasses import dataclass

from registry_gate.errors import UsageError
from registry_gate.index.content import IndexContent
from registry_gate.index.edits import with_log
from registry_gate.index.metadata import Edit
from registry_gate.index.repository import IndexRepository
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.entries import Body, LogEntry
from registry_gate.settings import Settings
from registry_gate.signing.keys import load_log_signer
from registry_gate.signing.trust import Trust, effective_trust


@dataclass(frozen=True)
class Ledger:
    """Log and index of one gate. What is recorded in the log is witnessed by the index at once."""

    settings: Settings
    trust: Trust
    log: AdmissionLog
    index: IndexRepository

    def record(self, body: Body) -> LogEntry:
        """Append to the log; the index signs its new head. Raises what both raise."""
        entry = self.log.append(body)
        self.witness()
        return entry

    def witness(self, edit: Edit = lambda content: content) -> IndexContent:
        """Change the index and have it sign the log's head in the same step."""
        return self.index.change(lambda content: with_log(edit(content), self.log.head()))


def not_trusted(settings: Settings, kind: str, key_id: str) -> UsageError:
    """The error for a key of this gate that its own trust file does not name."""
    return UsageError(
        "key-not-trusted",
        f"the {kind} key in {settings.keys} ({key_id[:16]}…) is not in the trust file",
        why="whatever it signed would be refused when it is read",
        todo="restore the key that the trust file pins, or have this one added to it",
    )


def open_ledger(settings: Settings) -> Ledger:
    """Open log and index to write to, after holding the log against what the index has seen of it.

    Raises:
        UsageError: ``no-log-key``, ``key-not-trusted``, ``no-private-key``, ``passphrase-needed`` and what
            else keeps a key of the index from being opened.
        VerificationError: ``log-cut``, ``log-damaged``, ``no-index``, ``index-untrusted``,
            ``index-rolled-back``.
    """
    trust = effective_trust(settings)
    signer = load_log_signer(settings)
    if signer.key not in trust.for_log().keys:
        # One line by it in the log would make the whole log unreadable.
        raise not_trusted(settings, "log", signer.key.key_id)
    log = AdmissionLog(settings.log, trust, signer)
    index = IndexRepository(settings, trust)
    index.check_keys()
    # changes nothing, and renews what grows old
    if (seen := index.change(lambda content: content).log) is not None:
        log.check(seen, "the index")
    return Ledger(settings, trust, log, index)
