"""Writes what a model was asked and answered: one JSON line each, by any number of processes at once.

A line is in the file, whole, before :meth:`PredictionLog.write` returns, or an error was raised and nothing
of it is left. A writer that is killed half-way leaves an unfinished line, which the next writer ends, so
that it spoils no other.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import hmac
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import ParamSpec, TypeVar

from pydantic import JsonValue, ValidationError

from registry_gate.errors import ToolError, UsageError
from registry_gate.runtime.predictions import MAX_LINE, Prediction

_P = ParamSpec("_P")
_T = TypeVar("_T")
_MIN_KEY = 16


class Keep(StrEnum):
    """What of an input is kept: its keyed hash alone, or its text as well."""

    HASH = "hash"
    TEXT = "text"


class Sync(StrEnum):
    """When lines are forced to the disk: each one, or when a file is full."""

    EVERY_LINE = "every-line"
    ROTATION = "rotation"


@dataclass(frozen=True)
class LogPolicy:
    """How a log is kept. Sizes in bytes; ``files`` rotated files are kept, older ones deleted.

    ``max_output`` and ``max_input`` bound what is copied into a line; hashes always cover everything.
    """

    keep: Keep = Keep.HASH
    sync: Sync = Sync.ROTATION
    max_bytes: int = 64 << 20
    max_age: timedelta = timedelta(days=1)
    files: int = 30
    max_input: int = 64 << 10
    max_output: int = 64 << 10


class PredictionLog:
    """A log of one model at ``path``, which ends in ``.jsonl``.

    Args:
        path: the file written to; rotated ones lie beside it, and a lock file.
        model: the manifest digest of the Release that serves (``model.verified.manifest_digest``).
        key: secret of at least 16 bytes for the hashes of inputs; keep it apart from the log.
        policy: what is kept, and for how long.

    Raises:
        UsageError: ``weak-log-key``, ``bad-log-path``.
    """

    def __init__(self, path: Path, *, model: str, key: bytes, policy: LogPolicy | None = None) -> None:
        if len(key) < _MIN_KEY:
            raise UsageError(
                "weak-log-key",
                f"the key has {len(key)} bytes, and {_MIN_KEY} are needed",
                why="without a secret anyone who reads the log can test guesses of what was asked",
                todo="make one with `head -c 32 /dev/urandom > key`, mode 0600",
            )
        if path.suffix != ".jsonl":
            raise UsageError("bad-log-path", f"{str(path)[:200]!r} does not end in .jsonl")
        self.path = path
        self.policy = policy or LogPolicy()
        self._model = model
        self._key = key

    def input_hmac(self, data: bytes) -> str:
        """What the log says for this input: search for it with ``registry-gate predictions --input-hash``."""
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()

    def write(
        self, asked: bytes, answered: bytes, *, label: str | None = None, status: int | None = None
    ) -> None:
        """Write one line.

        Args:
            asked: the input's bytes.
            answered: the output's bytes; kept as JSON where it is JSON and not too large.
            label: the class answered, for the statistics of drift; read from the output where None.
            status: of the response, where there is one.

        Raises:
            ToolError: ``prediction-not-logged``.
        """
        output = _json(answered) if len(answered) <= self.policy.max_output else None
        self._append(
            Prediction(
                at=datetime.now(UTC),
                model=self._model,
                input_hmac=self.input_hmac(asked),
                input_size=len(asked),
                input=self._kept(asked),
                output=output,
                output_sha256=hashlib.sha256(answered).hexdigest(),
                label=label if label is not None else label_of(output),
                status=status,
            )
        )

    def logged(self, function: Callable[_P, _T]) -> Callable[_P, _T]:
        """Decorate a function of JSON-like values: each call is a line, written before it returns."""

        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            result = function(*args, **kwargs)
            self.write(_bytes_of([args, kwargs] if kwargs else args), _bytes_of(result))
            return result

        return call

    def _kept(self, asked: bytes) -> str | None:
        if self.policy.keep is Keep.HASH or len(asked) > self.policy.max_input:
            return None
        return asked.decode("utf-8", errors="backslashreplace")

    def _append(self, prediction: Prediction) -> None:
        line = prediction.canonical() + b"\n"
        if len(line) > MAX_LINE:
            line = prediction.model_copy(update={"input": None, "output": None}).canonical() + b"\n"
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                self._rotate_if_due(len(line), prediction.at)
                self._write(line)
        except OSError as error:
            raise ToolError(
                "prediction-not-logged",
                f"{self.path}: {error.strerror}",
                why="an answer that was not recorded cannot be looked for afterwards",
                todo="make room or fix the permissions",
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, process or thread: each call opens, so each holds a lock of its own."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path.with_suffix(".lock"), flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, line: bytes) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, 0o600)
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise OSError(errno.EINVAL, "not a plain file")
            size = state.st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # ends what a killed writer began
            _write_whole(descriptor, line, size)
            if self.policy.sync is Sync.EVERY_LINE:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _rotate_if_due(self, coming: int, now: datetime) -> None:
        try:
            state = self.path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "not a plain file")
        size = state.st_size
        if size + coming <= self.policy.max_bytes and now - self._begun(now) < self.policy.max_age:
            return
        with self.path.open("rb") as full:
            os.fsync(full.fileno())
        stem, number = f"{self.path.stem}-{now:%Y%m%dT%H%M%S.%fZ}", 0
        while (aside := self.path.with_name(f"{stem}-{number:03d}{self.path.suffix}")).exists():
            number += 1
        self.path.rename(aside)
        kept = sorted(self.path.parent.glob(f"{self.path.stem}-*{self.path.suffix}"))
        for old in kept[: -self.policy.files]:
            old.unlink(missing_ok=True)

    def _begun(self, now: datetime) -> datetime:
        """When the first line was written; a file whose first line cannot be read is as old as can be."""
        with self.path.open("rb") as file:
            first = file.readline(MAX_LINE)
        if not first:
            return now
        try:
            return Prediction.from_json(first).at
        except (ValidationError, ValueError):
            return datetime.min.replace(tzinfo=UTC)


def _write_whole(descriptor: int, line: bytes, size: int) -> None:
    """All of the line or nothing of it: a full disk must not leave half of one."""
    try:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def label_of(output: JsonValue) -> str | None:
    """The class an answer names: ``{"label": x}``, or the highest scored of a list of such; else None."""
    if isinstance(output, dict):
        label = output.get("label")
        return str(label)[:200] if isinstance(label, str | int) and not isinstance(label, bool) else None
    if isinstance(output, list) and output:
        best = max(output, key=_score)
        return label_of(best) if isinstance(best, dict) else None
    return None


def _score(item: JsonValue) -> float:
    score = item.get("score") if isinstance(item, dict) else None
    return float(score) if isinstance(score, int | float) and score == score else float("-inf")  # noqa: PLR0124


def _json(data: bytes) -> JsonValue:
    try:
        parsed: JsonValue = json.loads(data, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return parsed


def _bytes_of(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return json.dumps(value, sort_keys=True, default=repr).encode()
