"""One endpoint, spoken to through huggingface_hub's session: bounded answers, no token it was not given.

Of huggingface_hub only ``get_session`` is used, which 1.x and 2.x share; so its configured proxies,
certificates and offline switch hold here. The two major versions differ in transport, whose exceptions are
therefore never named: whatever the transport raises means that the fetch failed and nothing is admitted.
Nothing in the process's environment is changed: the token cache, the file cache, xet and telemetry are simply
not on this path. A token is sent to the endpoint's own origin and nowhere else.
"""

from __future__ import annotations

import ipaddress
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import urljoin

from registry_gate.errors import FetchError
from registry_gate.origin import Origin, origin_of
from registry_gate.sources.guard import quoted
from registry_gate.sources.status import TransientError, elsewhere, refuse_status
from registry_gate.version import VERSION

_MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
_MAX_DOCUMENT_SECONDS = 300
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')
Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """How long to insist. Seconds; the wait doubles from ``base_seconds``, never above ``cap_seconds``."""

    attempts: int = 6
    base_seconds: float = 0.5
    cap_seconds: float = 60.0
    timeout_seconds: float = 20.0


class Streamed(Protocol):
    """The part of a response that both transports share."""

    status_code: int
    headers: Mapping[str, str]

    def iter_raw(self) -> Iterator[bytes]:
        """The body as it travels, undecoded."""

    def close(self) -> None:
        """Give the connection back."""


@dataclass(frozen=True)
class Document:
    """A JSON answer: its bytes, the address of the next page, and the total that the server counts."""

    data: bytes
    next_url: str | None
    total: int | None


class HubConnection:
    """Requests to one endpoint.

    Args:
        endpoint: the hub's origin.
        token: sent to that origin only; None sends none, whatever the machine has stored.
        patience: retries and time-outs.
    """

    def __init__(self, endpoint: str, token: str | None, patience: Patience) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.patience = patience
        self.stopped = threading.Event()
        self._token = token
        self._origin = origin_of(endpoint)

    def insist(self, attempt: Callable[[], Result]) -> Result:
        """Try until it works, with exponential back-off between attempts.

        Raises:
            FetchError: the last transient failure, or any other at once.
        """
        for tried in range(1, self.patience.attempts):
            try:
                return attempt()
            except TransientError as failure:
                self.pause(tried, failure)
        return attempt()

    def pause(self, tried: int, failure: TransientError) -> None:
        """Wait before attempt number ``tried`` + 1; raise the failure at once if the work was called off."""
        wait = self.patience.base_seconds * 2 ** (tried - 1)
        wait = failure.retry_after if failure.retry_after is not None else wait
        if self.stopped.wait(min(wait, self.patience.cap_seconds)):
            raise failure

    def document(self, url: str) -> Document:
        """Read one JSON answer, of bounded size, in bounded time.

        Raises:
            FetchError: ``answer-too-large``, ``redirected-elsewhere``, ``fetch-failed``, or a code of
                :func:`~registry_gate.sources.status.refuse_status`.
        """
        return self.insist(lambda: self._document(url))

    def _document(self, url: str) -> Document:
        deadline = time.monotonic() + _MAX_DOCUMENT_SECONDS
        with self.open(url, follow_elsewhere=False) as response:
            data = bytearray()
            for chunk in chunks_of(response):
                data += chunk
                if len(data) > _MAX_DOCUMENT_BYTES or time.monotonic() > deadline:
                    raise FetchError(
                        "answer-too-large", f"{quoted(url)} answers without end", why="metadata is small"
                    )
            return Document(bytes(data), self._next_url(response.headers), _count(response.headers))

    def _next_url(self, headers: Mapping[str, str]) -> str | None:
        match = _NEXT.search(headers.get("link", ""))
        if match is None:
            return None
        url: str = urljoin(self.endpoint + "/", match[1])
        if origin_of(url) != self._origin:
            raise elsewhere(url)
        return url

    @contextmanager
    def open(self, url: str, *, offset: int = 0, follow_elsewhere: bool = True) -> Iterator[Streamed]:
        """Send one GET, follow its redirects, and yield the response.

        Its status is 200 or 206, or 416 where ``offset`` lies behind the end of what is served.

        Args:
            url: on this endpoint.
            offset: first byte wanted.
            follow_elsewhere: whether other origins may answer (a hub's CDN); they never see the token.

        Raises:
            TransientError: try again.
            FetchError: do not.
        """
        response = self._send(url, offset)
        try:
            for _ in range(_MAX_REDIRECTS):
                if response.status_code not in _REDIRECTS:
                    break
                url = self._redirect(url, response.headers, follow_elsewhere=follow_elsewhere)
                response.close()
                response = self._send(url, offset)
            # past the end of a resumed file: the caller knows what that means
            if not (offset and response.status_code == 416):
                refuse_status(response.status_code, response.headers, url)
            yield response
        finally:
            response.close()

    def _redirect(self, url: str, headers: Mapping[str, str], *, follow_elsewhere: bool) -> str:
        target = urljoin(url, headers.get("location", ""))
        origin = origin_of(target)
        if origin is None or self._origin is None:
            raise elsewhere(target)
        if origin != self._origin and not (follow_elsewhere and _may_lead(self._origin, origin)):
            raise elsewhere(target)
        return target

    def _send(self, url: str, offset: int) -> Streamed:
        from huggingface_hub.errors import OfflineModeIsEnabled
        from huggingface_hub.utils import get_session

        # identity: the bytes that are hashed and counted are the bytes that travel
        headers = {"user-agent": f"registry-gate/{VERSION}", "accept-encoding": "identity"}
        if self._token is not None and origin_of(url) == self._origin:
            headers["authorization"] = f"Bearer {self._token}"
        if offset:
            headers["range"] = f"bytes={offset}-"
        try:
            session = get_session()
            request = session.build_request(
                "GET", url, headers=headers, timeout=self.patience.timeout_seconds
            )
            response: Streamed = session.send(request, stream=True, follow_redirects=False)
        except OfflineModeIsEnabled as error:
            raise FetchError(
                "hub-offline",
                "fetch failed, not admitted: the hub client is in offline mode",
                why="nothing can be read from a hub, and no cached copy is ever used instead",
                todo="unset HF_HUB_OFFLINE, or admit a local folder",
            ) from error
        except (
            Exception
        ) as error:  # the transport's own exceptions differ by major version; all mean the same
            raise _broken(error) from error
        return response


def chunks_of(response: Streamed) -> Iterator[bytes]:
    """The undecoded body; a connection that breaks is a transient failure.

    Raises:
        TransientError: the transport failed while reading.
        FetchError: ``unexpected-encoding`` when the server encodes what was asked for plain.
    """
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise FetchError(
            "unexpected-encoding",
            "fetch failed, not admitted: the server compresses what was asked for plain",
        )
    stream = response.iter_raw()
    while True:
        try:
            chunk = next(stream, None)
        except Exception as error:  # as in _send
            raise _broken(error) from error
        if chunk is None:
            return
        yield chunk


def _count(headers: Mapping[str, str]) -> int | None:
    text = headers.get("x-total-count", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _may_lead(home: Origin, target: Origin) -> bool:
    """Whether a redirect for a file may be followed: no step down to http, none into this network."""
    if home.is_loopback:
        return target.is_loopback or target.scheme == "https"
    try:
        public = ipaddress.ip_address(target.host).is_global
    except ValueError:
        public = target.host != "localhost"
    return public and (target.scheme == "https" or home.scheme == "http")


def _broken(error: Exception) -> TransientError:
    return TransientError(f"{type(error).__name__}: {quoted(str(error))}")
