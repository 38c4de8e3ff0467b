"""Landlock through raw system calls: a process gives up every file but those named.

Source: ``linux/landlock.h`` and the kernel's userspace-api/landlock documentation; the call numbers are the
same on x86_64 and aarch64. There is no binding to depend on, and three calls need none.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_IOCTL_DEV = 1 << 15
_FILE_RIGHTS = (1 << 0) | _WRITE_FILE | _READ_FILE | (1 << 14) | _IOCTL_DEV
# How many file rights each version knows; later versions add no file right.
_RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15}
_NET_ALL = 0b11
_SCOPE_ALL = 0b11


class _RulesetAttr(ctypes.Structure):
    _fields_ = [
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    ]


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def version() -> int:
    """The kernel's Landlock version, 0 where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(
        0,
        int(
            libc.syscall(
                ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG)
            )
        ),
    )


def restrict(readable: Iterable[Path], devices: Iterable[Path] = ()) -> None:
    """Give up, for this thread and all it starts, every file access but those named.

    Nothing may be executed, made, removed or renamed anywhere. Where the kernel knows how, TCP, abstract
    sockets and signals to processes outside go as well. Needs ``no_new_privs``.

    Args:
        readable: files and folders that may be read, with all beneath; absent ones are skipped.
        devices: device files that may be read, written and controlled.

    Raises:
        OSError: the kernel refused a step; the caller must not go on.
    """
    known = version()
    handled = (1 << _RIGHTS_BY_VERSION.get(known, 16)) - 1
    ruleset = _create(known, handled)
    try:
        for path in readable:
            _allow(ruleset, path, (_READ_FILE | _READ_DIR) & handled)
        for path in devices:
            _allow(ruleset, path, (_READ_FILE | _WRITE_FILE | _IOCTL_DEV) & handled)
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _create(known: int, handled: int) -> int:
    attr = _RulesetAttr(handled, _NET_ALL if known >= 4 else 0, _SCOPE_ALL if known >= 6 else 0)
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    return _call(_CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size), ctypes.c_uint32(0))


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # absent, or not ours to see: nothing is allowed, which is the safe side
        return
    try:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            rights &= _FILE_RIGHTS
        attr = _PathBeneathAttr(rights, handle)
        _call(
            _ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(_RULE_PATH_BENEATH),
            ctypes.byref(attr),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(handle)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"landlock system call {number}")
    return int(result)
