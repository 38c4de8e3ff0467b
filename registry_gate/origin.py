"""Which origin a URL belongs to, and whether the policy lets the gate speak to an endpoint."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

LOOPBACK = "loopback"
"""The word in ``policy.endpoints`` that stands for any plain-http server of this very machine."""

_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, lower-case host and port: who answers."""

    scheme: str
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True for the three names of this machine."""
        return self.host in _LOOPBACK_HOSTS


def origin_of(url: str) -> Origin | None:
    """Return the origin of an http(s) URL; None for any other scheme, user names, or no host."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return Origin(parts.scheme, parts.hostname.lower(), port or _DEFAULT_PORTS[parts.scheme])


def endpoint_allowed(endpoint: str, endpoints: tuple[str, ...]) -> bool:
    """True if an endpoint is one of the policy's, origin by origin.

    Args:
        endpoint: ``https://host[:port]``, nothing after it; an endpoint with a path is nobody's origin.
        endpoints: the policy's list; ``loopback`` in it stands for every plain-http loopback origin.
    """
    origin = origin_of(endpoint)
    if origin is None:
        return False
    parts = urlsplit(endpoint)
    if parts.path.strip("/") or parts.query or parts.fragment:
        return False
    if LOOPBACK in endpoints and origin.scheme == "http" and origin.is_loopback:
        return True
    return any(origin == origin_of(listed) for listed in endpoints)
