"""Gives up every capability of this thread, so that root inside the sandbox is nobody in particular."""

from __future__ import annotations

import ctypes

_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP = 24
_LAST = 63


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def drop() -> None:
    """Empty the bounding, effective, permitted and inheritable sets. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(_LAST + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails where there is nothing to drop
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    if libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def none_held() -> bool:
    """True when no capability is effective, permitted or inheritable."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    if libc.capget(ctypes.byref(header), ctypes.byref(data)) != 0:
        return False
    return not any(half.effective or half.permitted or half.inheritable for half in data)
