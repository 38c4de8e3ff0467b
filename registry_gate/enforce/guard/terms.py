"""What a guard goes by, given by a call or by the environment. Standard library only."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from registry_gate.errors import UsageError

VARIABLE = "REGISTRY_GATE_GUARD"
_OFF = ("", "0", "off")


@dataclass(frozen=True)
class Terms:
    """What a guard goes by.

    ``allow`` are further classes that pickles may name, as exact (module, qualified name) pairs. ``folders``
    hold pulled Releases and may be read from. ``hubs`` are further hosts to refuse, ``addresses`` addresses.
    ``events`` is a file that refusals are appended to. ``since`` is when the program began: files of this
    user made later are its own. ``observe`` reports and refuses nothing.
    """

    allow: frozenset[tuple[str, str]] = frozenset()
    folders: tuple[str, ...] = ()
    hubs: tuple[str, ...] = ()
    addresses: frozenset[str] = frozenset()
    events: str | None = None
    own_files: bool = True
    observe: bool = False
    since: float = field(default_factory=time.time, compare=False)


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for a guard.

    Raises:
        UsageError: ``bad-guard``: the variable has a value nobody defined; starting unguarded would be wrong.
    """
    value = environment.get(VARIABLE, "").strip().lower()
    if value in _OFF:
        return False
    if value not in ("1", "on", "observe"):
        raise UsageError(
            "bad-guard",
            f"{VARIABLE}={value[:60]!r} is neither 1, observe nor 0",
            todo="set it to 1 to refuse, to observe to report only",
        )
    return True


def from_environment(environment: Mapping[str, str]) -> Terms:
    """The terms that ``REGISTRY_GATE_GUARD_*`` give.

    Raises:
        UsageError: ``bad-guard``.
    """
    since = environment.get(f"{VARIABLE}_SINCE", "")
    return Terms(
        allow=frozenset(_pair(text) for text in _list(environment, "ALLOW", ",")),
        folders=tuple(os.path.realpath(text) for text in _list(environment, "FOLDERS", os.pathsep)),
        hubs=tuple(_list(environment, "HUBS", ",")),
        addresses=frozenset(_list(environment, "ADDRESSES", ",")),
        events=environment.get(f"{VARIABLE}_EVENTS") or None,
        own_files=environment.get(f"{VARIABLE}_OWN_FILES", "1") != "0",
        observe=environment.get(VARIABLE, "").strip().lower() == "observe",
        since=_number(since) if since else time.time(),
    )


def _list(environment: Mapping[str, str], name: str, separator: str) -> list[str]:
    text = environment.get(f"{VARIABLE}_{name}", "")
    return [item.strip() for item in text.split(separator) if item.strip()]


def _pair(text: str) -> tuple[str, str]:
    module, colon, name = text.partition(":")
    if not colon or not module or not name:
        raise UsageError(
            "bad-guard",
            f"{text[:100]!r} names no class",
            todo="write module:Name, exactly; nothing by prefix",
        )
    return module, name


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError("bad-guard", f"{VARIABLE}_SINCE={text[:60]!r} is no time") from error
