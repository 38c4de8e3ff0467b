"""The gate's own index: read, changed and signed by one process at a time, then published.

Killed anywhere, the folder holds the old state or the new one: every file but the timestamp has a name of its
own state, and the timestamp is replaced last, in one step.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from securesystemslib.signer import Signer

from registry_gate.errors import ToolError
from registry_gate.index.content import IndexContent
from registry_gate.index.keys import INDEX, TIMESTAMP, key_named, key_path, passphrase_for
from registry_gate.index.metadata import (
    INDEX_LIFE,
    Edit,
    State,
    files_of,
    key_ids,
    read_state,
    timestamp_bytes,
)
from registry_gate.index.publish import publish
from registry_gate.settings import Settings
from registry_gate.signing.refusal import refusal
from registry_gate.signing.trust import IndexTrust, Trust

_MEMORY = "highest.json"
_STATE_FILE = re.compile(r"([0-9]+)\.(snapshot|targets)\.json")


@dataclass(frozen=True)
class IndexRepository:
    """The index of one gate, whose root ``trust`` pins."""

    settings: Settings
    trust: Trust

    def content(self) -> IndexContent:
        """What the index says now; raises as ``read_state`` does, and ``index-rolled-back``."""
        with self._alone():
            return self._state().content

    def state(self) -> State:
        """The metadata too; raises as ``content`` does."""
        with self._alone():
            return self._state()

    @property
    def pinned(self) -> IndexTrust:
        """The root that the trust file names; raises ``no-index`` where it names none."""
        if self.trust.index is None:
            raise refusal("no-index", "the trust file names no index root")
        return self.trust.index

    def change(self, edit: Edit, now: datetime | None = None) -> IndexContent:
        """Apply one edit, sign, write and publish; what changes nothing only renews what grows old.

        Raises:
            UsageError: ``no-private-key``.
            VerificationError: what is in the folder is not this index, or is older than what was written.
            ToolError: ``index-not-written``, or the publication failed.
        """
        time = now or datetime.now(UTC)
        with self._alone():
            state = self._state()
            edited = edit(state.content)
            if edited != state.content or self._grows_old(state, time):
                edited = edited.model_copy(update={"number": state.content.number + 1})
                signers: dict[str, Signer] = {role: self._signer(role, state) for role in (INDEX, TIMESTAMP)}
                self._write(files_of(edited, signers, state.timestamp.signed.version + 1, time))
            elif state.timestamp.signed.expires - time < timedelta(hours=edited.hours) / 2:
                self._renew(state, time)
            self._forget_old(edited)
            publish(self.settings, self.pinned)
            return edited

    def refresh(self, hours: int | None = None, now: datetime | None = None) -> IndexContent:
        """Sign a new timestamp; the timestamp's key alone is enough unless ``hours`` change.

        Raises as ``change`` does.
        """
        time = now or datetime.now(UTC)
        if hours is not None:
            self.change(lambda content: content.model_copy(update={"hours": hours}), time)
        with self._alone():
            state = self._state()
            self._renew(state, time)
            publish(self.settings, self.pinned)
            return state.content

    def _renew(self, state: State, now: datetime) -> None:
        timestamp = state.timestamp.signed
        renewed = timestamp_bytes(
            timestamp.snapshot_meta,
            state.content.hours,
            self._signer(TIMESTAMP, state),
            timestamp.version + 1,
            now,
        )
        self._write({"timestamp.json": renewed})

    def _grows_old(self, state: State, now: datetime) -> bool:
        """Whether targets and snapshot have less than half their life left."""
        ends = min(state.targets.signed.expires, state.snapshot.signed.expires)
        return ends - now < INDEX_LIFE / 2 and key_path(self.settings.index_keys, INDEX).exists()

    def check_keys(self) -> None:
        """Open the keys that a change needs, so that nobody waits hours for one that does not open.

        Raises:
            UsageError: ``no-private-key``, ``passphrase-needed``, ``wrong-passphrase``, ``no-passphrase``,
                ``index-key-replaced``.
        """
        with self._alone():
            state = self._state()
            for role in (INDEX, TIMESTAMP):
                self._signer(role, state)

    def _signer(self, role: str, state: State) -> Signer:
        named = key_ids(state.root.signed)[role]
        return key_named(key_path(self.settings.index_keys, role), named, self._passphrase)

    @cached_property
    def _passphrase(self) -> bytes | None:
        """Read once: nobody types it for every signature."""
        paths = (key_path(self.settings.index_keys, role) for role in (INDEX, TIMESTAMP))
        return passphrase_for(self.settings, paths)

    def _state(self) -> State:
        state = read_state(self.settings.own_index, self.pinned)
        written = self._remembered()
        if state.timestamp.signed.version < written:
            raise refusal(
                "index-rolled-back",
                f"{self.settings.own_index} holds timestamp {state.timestamp.signed.version}, and this gate "
                f"wrote {written}",
            )
        return state

    def _remembered(self) -> int:
        try:
            return int(json.loads((self.settings.index_keys / _MEMORY).read_bytes())["timestamp"])
        except FileNotFoundError:
            return 0
        except (ValueError, KeyError, TypeError) as error:
            raise ToolError("index-not-written", f"{_MEMORY} of the index is damaged: {error}") from error

    def _write(self, files: dict[str, bytes]) -> None:
        try:
            write_files(self.settings.own_index, files)
            version = json.loads(files["timestamp.json"])["signed"]["version"]
            write_files(self.settings.index_keys, {_MEMORY: json.dumps({"timestamp": version}).encode()})
        except OSError as error:
            raise ToolError(
                "index-not-written",
                f"{error.filename}: {error.strerror}",
                why="nothing is admitted that is not listed",
                todo="make room or fix the permissions, then run again",
            ) from error

    def _forget_old(self, content: IndexContent) -> None:
        """Delete states older than the last few, which nobody can be reading any more."""
        folder = self.settings.own_index
        for path in folder.iterdir():
            named = _STATE_FILE.fullmatch(path.name)
            if named and int(named[1]) < content.number - 3:
                path.unlink(missing_ok=True)
        contents = sorted(folder.glob("*.index.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in contents[:-4]:
            path.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with alone(self.settings):
            yield


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """One process or thread at a time works on the index of these settings."""
    settings.index_keys.mkdir(parents=True, mode=0o700, exist_ok=True)
    lock = os.open(
        settings.index_keys / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write files in their order, each whole or not at all, and on the disk before the next."""
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    for name, data in files.items():
        partial = folder / f".{name}.partial"
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / name)
