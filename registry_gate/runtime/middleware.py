"""The prediction log round a web application: WSGI and ASGI.

Requests with a body are predictions; a health check is not. The line is written before the last byte of the
answer leaves, so that nothing was answered that is not in the log. Where it cannot be written the request
fails: an application that must answer even then catches ``ToolError`` itself.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from registry_gate.runtime.prediction_log import PredictionLog

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_MAX_BODY = 64 << 20
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_AsgiApplication = Callable[[_Message, _Receive, _Send], Awaitable[None]]


class WsgiPredictionLog:
    """A WSGI application whose predictions are logged; bodies over ``max_body`` bytes get a 413."""

    def __init__(self, application: WSGIApplication, log: PredictionLog, max_body: int = _MAX_BODY) -> None:
        self._application = application
        self._log = log
        self._max_body = max_body

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        size = str(environ.get("CONTENT_LENGTH") or "0")
        length = int(size) if size.isascii() and size.isdigit() else self._max_body + 1
        if length > self._max_body or environ.get("HTTP_TRANSFER_ENCODING"):
            start_response("413 Content Too Large", [("Content-Type", "text/plain"), ("Connection", "close")])
            return [b"the body is too large, or its size is not stated\n"]
        if length == 0:
            return self._application(environ, start_response)
        asked = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(asked)
        told: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            told.append(status)
            return start_response(status, headers, *rest)

        parts = self._application(environ, start)
        try:
            answered = b"".join(parts)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()
        self._log.write(asked, answered, status=_status(told[-1] if told else ""))
        return [answered]


def _status(line: str) -> int | None:
    number = line[:3]
    return int(number) if number.isascii() and number.isdigit() else None


class AsgiPredictionLog:
    """An ASGI application whose predictions are logged; a body over ``max_body`` bytes ends the request."""

    def __init__(self, application: _AsgiApplication, log: PredictionLog, max_body: int = _MAX_BODY) -> None:
        self._application = application
        self._log = log
        self._max_body = max_body

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request; other kinds of scope pass through."""
        if scope.get("type") != "http":
            await self._application(scope, receive, send)
            return
        exchange = _Exchange(self._log, receive, send, self._max_body)
        try:
            await self._application(scope, exchange.receive, exchange.send)
        finally:
            await exchange.finish()


class _Exchange:
    """One request and its answer on their way through."""

    def __init__(self, log: PredictionLog, receive: _Receive, send: _Send, max_body: int) -> None:
        self._log, self._receive, self._send, self._max_body = log, receive, send, max_body
        self._asked = bytearray()
        self._answered = bytearray()
        self._status: int | None = None
        self._written = False

    async def receive(self) -> _Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._asked += message.get("body", b"")
            if len(self._asked) > self._max_body:
                raise ValueError(f"a request of more than {self._max_body} bytes")
        return message

    async def send(self, message: _Message) -> None:
        if message["type"] == "http.response.start":
            self._status = int(message["status"])
        elif message["type"] == "http.response.body":
            self._answered += message.get("body", b"")
            if not message.get("more_body", False):
                await self.finish()
        await self._send(message)

    async def finish(self) -> None:
        """Write the line, once; of a stream that broke off, what had been answered by then."""
        if self._written or not self._asked or self._status is None:
            return
        self._written = True
        asked, answered = bytes(self._asked), bytes(self._answered)
        await asyncio.to_thread(self._log.write, asked, answered, status=self._status)
