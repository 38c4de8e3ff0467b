"""The guard: refuses, in the process that loads, what goes round the road.

``install()`` in the program, ``REGISTRY_GATE_GUARD=1`` for every Python process, or ``--registry-gate-guard``
in pytest. Standard library only; the libraries that load models are never imported here.
See ``docs/guard.md``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from registry_gate.enforce.guard.hook import Guard
from registry_gate.enforce.guard.refusal import CODES, Event, GuardRefused, Sink, to_file, to_standard_error
from registry_gate.enforce.guard.terms import VARIABLE, Terms, from_environment, wanted

__all__ = ["CODES", "Event", "GuardRefused", "Terms", "install", "install_if_wanted", "resolve_hubs"]

_INSTALLED: list[Terms] = []


def install(terms: Terms | None = None, *, on_refusal: Sink | None = None) -> None:
    """Install the guard for the rest of this process; it cannot be taken out again.

    Installing it twice with other terms adds a second one: an operation must pass both, so terms only narrow.

    Args:
        terms: what to go by; what ``REGISTRY_GATE_GUARD_*`` say if None.
        on_refusal: called with each event, beside the file of the terms, or standard error.

    Raises:
        UsageError: ``bad-guard``: the environment's terms cannot be read.
    """
    given = terms or from_environment(os.environ)
    if given in _INSTALLED and on_refusal is None:
        return
    place = to_file(given.events) if given.events else to_standard_error
    sinks = (place,) if on_refusal is None else (place, on_refusal)
    # Processes that this one starts count its files as their own.
    os.environ.setdefault(f"{VARIABLE}_SINCE", repr(given.since))
    _INSTALLED.append(given)
    sys.addaudithook(Guard(given, sinks).hook())


def install_if_wanted(environment: Mapping[str, str] | None = None) -> bool:
    """Install the guard where ``REGISTRY_GATE_GUARD`` asks for it; says whether it did.

    Raises:
        UsageError: ``bad-guard``.
    """
    known = os.environ if environment is None else environment
    if not wanted(known):
        return False
    install(from_environment(known))
    return True


def resolve_hubs() -> frozenset[str]:
    """The addresses that the hubs' hosts have now, for ``Terms.addresses``.

    They stop a connection to an address that was resolved before the guard was there, or by a resolver of its
    own. Hubs share addresses with other sites of the same content network: those are refused with them.
    """
    import socket

    from registry_gate.enforce.guard.hosts import HUB_HOSTS

    found: set[str] = set()
    for host in HUB_HOSTS:
        try:
            found.update(str(item[4][0]) for item in socket.getaddrinfo(host, 443))
        except OSError:
            continue
    return frozenset(found)
