"""The system call filter of a confined child, as classic BPF installed through ``seccomp(2)``.

The child loses: the network, other programs, other processes, namespaces, mounts, keys, and every call that
changes a file's name or attributes. Threads keep working, because torch and BLAS need them. Numbers are in
:mod:`registry_gate.examine.syscalls`; the layout of ``struct seccomp_data`` is that of ``linux/seccomp.h``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
from dataclasses import dataclass

from registry_gate.examine.syscalls import DENIED, JUDGED, NEWEST

ARCHITECTURES = ("x86_64", "aarch64")
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SYSCALL_SECCOMP = {"x86_64": 317, "aarch64": 277}

_LOAD, _JEQ, _JGT, _JSET, _RET, _AND = 0x20, 0x15, 0x25, 0x45, 0x06, 0x54
_NR, _ARCH, _ARGS = 0, 4, 16

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_EPERM = 0x00050000 | errno.EPERM
_ENOSYS = 0x00050000 | errno.ENOSYS

_CLONE_THREAD = 0x00010000
_CLONE_NEW_ANY = 0x7E020080
_O_ACCMODE = 0o3
_O_TRUNC = 0o1000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_GET_SECCOMP, _PR_GET_NO_NEW_PRIVS = 1, 38, 21, 39
_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1


@dataclass(frozen=True)
class Instruction:
    """One ``struct sock_filter``: operation, jumps when true and false, constant."""

    code: int
    jt: int
    jf: int
    k: int


class _SockFilter(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint16),
        ("jt", ctypes.c_uint8),
        ("jf", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    ]


class _SockFprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(_SockFilter))]


def program(machine: str, pid: int) -> tuple[Instruction, ...]:
    """The filter for one architecture and one process.

    A foreign architecture (32-bit calls, x32) kills the process: its numbers mean other things.

    Args:
        machine: ``x86_64`` or ``aarch64``.
        pid: the child's own process id; it may send signals to itself alone.
    """
    column = ARCHITECTURES.index(machine)
    filter_ = [
        Instruction(_LOAD, 0, 0, _ARCH),
        Instruction(_JEQ, 1, 0, _AUDIT_ARCH[machine]),
        _give(_KILL),
        Instruction(_LOAD, 0, 0, _NR),
        Instruction(_JGT, 0, 1, NEWEST),
        _give(_ENOSYS),
    ]
    for numbers in DENIED.values():
        filter_ += _when(numbers[column], [_give(_EPERM)])
    for name, judgement in _judgements(pid).items():
        filter_ += _when(JUDGED[name][column], judgement)
    return (*filter_, _give(_ALLOW))


def _give(verdict: int) -> Instruction:
    return Instruction(_RET, 0, 0, verdict)


def _when(number: int | None, block: list[Instruction]) -> list[Instruction]:
    """``block`` for one call number, skipped for all others; the block returns on every way through it."""
    if number is None:
        return []
    return [Instruction(_JEQ, 0, len(block), number), *block]


def _argument(index: int) -> Instruction:
    """Load the low half of an argument: both architectures are little-endian, and all flags are 32 bits."""
    return Instruction(_LOAD, 0, 0, _ARGS + 8 * index)


def _judgements(pid: int) -> dict[str, list[Instruction]]:
    own = [_argument(0), Instruction(_JEQ, 0, 1, pid), _give(_ALLOW), _give(_EPERM)]
    return {
        "clone": [
            _argument(0),
            Instruction(_JSET, 0, 2, _CLONE_THREAD),
            Instruction(_JSET, 1, 0, _CLONE_NEW_ANY),
            _give(_ALLOW),
            _give(_EPERM),
        ],
        "clone3": [_give(_ENOSYS)],  # its flags lie in memory, out of the filter's sight; libc falls back
        "openat2": [_give(_ENOSYS)],
        "kill": own,
        "tgkill": own,
        "prlimit64": [_argument(0), Instruction(_JEQ, 0, 1, 0), _give(_ALLOW), _give(_EPERM)],
        "open": _no_truncation(1),
        "openat": _no_truncation(2),
        "ioctl": [
            _argument(1),
            Instruction(_JEQ, 2, 0, _TIOCSTI),
            Instruction(_JEQ, 1, 0, _TIOCLINUX),
            _give(_ALLOW),
            _give(_EPERM),
        ],
    }


def _no_truncation(flags: int) -> list[Instruction]:
    """Refuse O_RDONLY with O_TRUNC, which Landlock before its third version does not see as a write."""
    return [
        _argument(flags),
        Instruction(_JSET, 1, 0, _O_TRUNC),
        _give(_ALLOW),
        Instruction(_AND, 0, 0, _O_ACCMODE),
        Instruction(_JEQ, 1, 0, 0),
        _give(_ALLOW),
        _give(_EPERM),
    ]


def supported() -> bool:
    """True where this kernel and architecture can be filtered."""
    libc = ctypes.CDLL(None, use_errno=True)
    return platform.machine() in ARCHITECTURES and libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def forbid_new_privileges() -> None:
    """Give up, for ever, whatever a set-uid program would add. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it is gone. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL.value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def install() -> None:
    """Filter this process and all its threads. Needs :func:`forbid_new_privileges` first. Raises OSError."""
    machine = platform.machine()
    instructions = program(machine, os.getpid())
    table = (_SockFilter * len(instructions))(*(_SockFilter(i.code, i.jt, i.jf, i.k) for i in instructions))
    fprog = _SockFprog(len(instructions), table)
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(
        ctypes.c_long(_SYSCALL_SECCOMP[machine]),
        ctypes.c_ulong(_SET_MODE_FILTER),
        ctypes.c_ulong(_FLAG_TSYNC),
        ctypes.byref(fprog),
    )
    if result != 0:
        raise OSError(ctypes.get_errno(), "seccomp(SECCOMP_SET_MODE_FILTER)")


def installed() -> bool:
    """True when a filter and no_new_privs are both in force."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(
        libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) == 2 and libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
    )
