"""The filter is run here by a small interpreter of classic BPF, so that both architectures are tested."""

import errno
import struct

import pytest

from registry_gate.examine.seccomp import ARCHITECTURES, program
from registry_gate.examine.syscalls import DENIED, JUDGED, NEWEST

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PID = 4242
# Calls that Python, numpy and torch cannot do without.
NEEDED = {
    "x86_64": {"read": 0, "mmap": 9, "mprotect": 10, "futex": 202, "exit_group": 231, "getrandom": 318},
    "aarch64": {"read": 63, "mmap": 222, "mprotect": 226, "futex": 98, "exit_group": 94, "getrandom": 278},
}


def verdict(machine, number, *arguments, audit=None):
    data = struct.pack("<iIQ6Q", number, audit or AUDIT[machine], 0, *arguments, *[0] * (6 - len(arguments)))
    code, at, accumulator = program(machine, PID), 0, 0
    while True:
        step = code[at]
        at += 1
        if step.code == 0x20:
            accumulator = struct.unpack_from("<I", data, step.k)[0]
        elif step.code == 0x54:
            accumulator &= step.k
        elif step.code == 0x06:
            return step.k
        else:
            met = {0x15: accumulator == step.k, 0x25: accumulator > step.k, 0x45: accumulator & step.k != 0}
            at += step.jt if met[step.code] else step.jf


@pytest.fixture(params=ARCHITECTURES)
def machine(request):
    return request.param


def number(machine, name):
    return (DENIED | JUDGED)[name][ARCHITECTURES.index(machine)]


def test_every_denied_call_fails(machine):
    for name, numbers in DENIED.items():
        if numbers[ARCHITECTURES.index(machine)] is not None:
            assert verdict(machine, number(machine, name)) == EPERM, name


def test_what_is_needed_is_allowed(machine):
    for name, needed in NEEDED[machine].items():
        assert verdict(machine, needed) == ALLOW, name


def test_a_foreign_architecture_is_killed(machine):
    assert verdict(machine, 1, audit=0x40000003) == KILL


@pytest.mark.parametrize("unknown", [NEWEST + 1, 1000, 0x40000000, 0x40000000 + 41, 0x7FFFFFFF])
def test_calls_newer_than_reviewed_do_not_exist(machine, unknown):
    assert verdict(machine, unknown) == ENOSYS


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0x3D0F00, ALLOW),  # a thread, as pthread_create makes it
        (0x01200011, EPERM),  # a process, as fork makes it
        (0x4111, EPERM),  # vfork
        (0x3D0F00 | 0x10000000, EPERM),  # a thread in a new user namespace
        (0x3D0F00 | 0x40000000, EPERM),  # a thread in a new network namespace
    ],
)
def test_clone_makes_threads_only(machine, flags, expected):
    assert verdict(machine, number(machine, "clone"), flags) == expected


def test_clone3_does_not_exist_because_its_flags_cannot_be_seen(machine):
    assert verdict(machine, number(machine, "clone3")) == ENOSYS


def test_signals_reach_this_process_only(machine):
    for name in ("kill", "tgkill"):
        assert verdict(machine, number(machine, name), PID) == ALLOW
        for other in (1, 0, PID + 1, 0xFFFFFFFF):
            assert verdict(machine, number(machine, name), other) == EPERM


@pytest.mark.parametrize(("flags", "expected"), [(0, ALLOW), (0o1000, EPERM), (0o2000000, ALLOW)])
def test_reading_does_not_truncate(machine, flags, expected):
    assert verdict(machine, number(machine, "openat"), 0, 0, flags) == expected


def test_terminals_take_no_input_from_here(machine):
    ioctl = number(machine, "ioctl")
    assert verdict(machine, ioctl, 0, 0x5412) == EPERM
    assert verdict(machine, ioctl, 0, 0x541C) == EPERM
    assert verdict(machine, ioctl, 0, 0x5401) == ALLOW


def test_limits_of_other_processes_stay(machine):
    assert verdict(machine, number(machine, "prlimit64"), 0) == ALLOW
    assert verdict(machine, number(machine, "prlimit64"), 1) == EPERM


def test_jumps_fit_their_field(machine):
    assert all(step.jt < 256 and step.jf < 256 for step in program(machine, PID))
    assert len(program(machine, PID)) < 4096
