"""What the log knows of this installation's self-tests."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable

from registry_gate import version
from registry_gate.errors import VerificationError
from registry_gate.log.entries import LogEntry, SelfTestBody
from registry_gate.self_test import RecordedSelfTest
from registry_gate.signing.self_test import open_self_test
from registry_gate.signing.trust import Trust

_LOGGER = logging.getLogger(__name__)


def this_host() -> str:
    """The name of this machine; a container has its pod's."""
    return socket.gethostname()


def newest_self_test(
    entries: Iterable[LogEntry], policy_digest: str, registry_uri: str, trust: Trust
) -> RecordedSelfTest | None:
    """The newest self-test of this host and version of the gate, for this policy and registry, passed or not.

    Args:
        entries: of the log, first to last.
        policy_digest: what was tested under another policy says nothing about this one.
        registry_uri: where Releases go; another registry's bytes and clock are not this one's.
        trust: names the keys of the log.
    """
    wanted = (this_host(), version.VERSION, policy_digest, registry_uri)
    for entry in reversed(tuple(entries)):
        body = entry.body
        if not isinstance(body, SelfTestBody):
            continue
        try:
            found = open_self_test(body.bundle, trust)
        except VerificationError as error:
            _LOGGER.warning("the self-test of entry %d does not count: %s", entry.sequence, error)
            continue
        said = found.said
        if (said.host, said.gate_version, said.policy_digest, said.registry_uri) == wanted:
            return found
    return None
