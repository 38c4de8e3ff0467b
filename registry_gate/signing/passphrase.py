"""Where a passphrase comes from; never from an argument, which every user of the machine can list."""

from __future__ import annotations

import getpass
import os
import sys

from registry_gate.errors import UsageError
from registry_gate.settings import PassphraseSource

_MAX_BYTES = 4096


def passphrase_from(source: PassphraseSource, *, ask: str | None = None) -> str | None:
    """The passphrase from a file, a descriptor, the environment or a terminal, in this order.

    A descriptor can be read once; the environment of a process can be read by its user. One line end at the
    end is taken off.

    Args:
        source: which file, descriptor and variable.
        ask: the prompt to show at a terminal where nothing else is set; None never asks.

    Raises:
        UsageError: ``no-passphrase``.
    """
    try:
        if source.file is not None:
            with source.file.open("rb") as file:
                return _text(file.read(_MAX_BYTES + 1))
        if source.descriptor is not None:
            with os.fdopen(source.descriptor, "rb") as file:
                return _text(file.read(_MAX_BYTES + 1))
        if source.variable in os.environ:
            return _text(os.environ[source.variable].encode())
        if ask is not None and sys.stdin.isatty():
            return _text(getpass.getpass(ask).encode())
    except (OSError, EOFError, ValueError) as error:
        raise UsageError(
            "no-passphrase",
            f"the passphrase cannot be read: {str(error)[:200]}",
            todo=f"check {source.variable}_FILE and {source.variable}, or the option that names the file",
        ) from error
    return None


def new_passphrase(source: PassphraseSource, *, ask: bool, purpose: str) -> str | None:
    """The passphrase for a new key; None where none was asked for. At a terminal it is typed twice.

    Raises:
        UsageError: ``no-passphrase``.
    """
    if source.file is not None or source.descriptor is not None or not ask:
        return passphrase_from(source)
    if not sys.stdin.isatty():
        raise UsageError("no-passphrase", "there is no terminal to ask at", todo="use --passphrase-file")
    chosen = getpass.getpass(f"passphrase for the new {purpose}: ")
    if getpass.getpass("once more: ") != chosen:
        raise UsageError("no-passphrase", "the two are not the same")
    return chosen


def _text(data: bytes) -> str:
    if len(data) > _MAX_BYTES:
        raise ValueError(f"it is longer than {_MAX_BYTES} bytes")
    return data.decode().removesuffix("\n").removesuffix("\r")
