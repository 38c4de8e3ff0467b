"""Where the passphrase of an encrypted key comes from; never from an argument, which every user can list."""

from __future__ import annotations

import getpass
import os
import sys

from registry_gate.errors import UsageError
from registry_gate.settings import SigningSettings

_VARIABLE = "REGISTRY_GATE_PASSPHRASE"
_MAX_BYTES = 4096


def read_passphrase(signing: SigningSettings, *, ask: str | None = None) -> str | None:
    """The passphrase from a file, a descriptor, the environment or a terminal, in this order.

    A descriptor can be read once; the environment of a process can be read by its user. One line end at the
    end is taken off.

    Args:
        signing: which file or descriptor.
        ask: the prompt to show at a terminal where nothing else is set; None never asks.

    Raises:
        UsageError: ``no-passphrase``.
    """
    try:
        if signing.passphrase_file is not None:
            with signing.passphrase_file.open("rb") as file:
                return _text(file.read(_MAX_BYTES + 1))
        if signing.passphrase_fd is not None:
            with os.fdopen(signing.passphrase_fd, "rb") as file:
                return _text(file.read(_MAX_BYTES + 1))
        if _VARIABLE in os.environ:
            return _text(os.environ[_VARIABLE].encode())
        if ask is not None and sys.stdin.isatty():
            return _text(getpass.getpass(ask).encode())
    except (OSError, EOFError, ValueError) as error:
        raise UsageError(
            "no-passphrase",
            f"the passphrase cannot be read: {str(error)[:200]}",
            todo="check REGISTRY_GATE_PASSPHRASE_FILE and REGISTRY_GATE_PASSPHRASE_FD",
        ) from error
    return None


def choose_passphrase(signing: SigningSettings, *, ask: bool) -> str | None:
    """The passphrase for a new key; None where none was asked for. At a terminal it is typed twice.

    Raises:
        UsageError: ``no-passphrase``.
    """
    if signing.passphrase_file is not None or signing.passphrase_fd is not None or not ask:
        return read_passphrase(signing)
    if not sys.stdin.isatty():
        raise UsageError("no-passphrase", "there is no terminal to ask at", todo="use --passphrase-file")
    chosen = getpass.getpass("passphrase for the new signing key: ")
    if getpass.getpass("once more: ") != chosen:
        raise UsageError("no-passphrase", "the two are not the same")
    return chosen


def _text(data: bytes) -> str:
    if len(data) > _MAX_BYTES:
        raise ValueError(f"it is longer than {_MAX_BYTES} bytes")
    return data.decode().removesuffix("\n").removesuffix("\r")
