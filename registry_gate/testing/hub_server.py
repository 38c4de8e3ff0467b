"""The HTTP/1.1 side of the loopback hub: connections, ranges, bodies from disk, cut and stalled answers."""

from __future__ import annotations

import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from registry_gate.testing.hub_messages import Content, Failure, Reply, Seen, error_reply
from registry_gate.testing.hub_routes import answer
from registry_gate.testing.hub_state import HubState

_RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")
_MAX_BODY = 16 * 1024 * 1024


class HubServer(ThreadingHTTPServer):
    """One thread a connection on the loopback interface; :meth:`stop` ends every one of them."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, state: HubState, port: int) -> None:
        self.state = state
        self.connections: set[socket.socket] = set()
        self.connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), HubConversation)

    def stop(self) -> None:
        """Stop accepting, end all conversations, wait for their threads."""
        self.state.stopping.set()
        self.shutdown()
        with self.connections_lock:
            for connection in self.connections:
                _shut(connection)
        self.server_close()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client closed it first


class HubConversation(BaseHTTPRequestHandler):
    """One connection: requests in, replies out."""

    protocol_version = "HTTP/1.1"
    server_version = "LoopbackHub"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server: HubServer

    def setup(self) -> None:
        """Register the connection so that the server can end it."""
        super().setup()
        with self.server.connections_lock:
            self.server.connections.add(self.connection)

    def finish(self) -> None:
        """Forget the connection; a client that left before the last bytes is no error."""
        with self.server.connections_lock:
            self.server.connections.discard(self.connection)
        try:
            super().finish()
        except OSError:
            return

    def handle(self) -> None:
        """Converse until the client leaves, however it does so."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: ``LoopbackHub.requests`` is the log."""

    def do_GET(self) -> None:
        """Answer with a body."""
        self._converse()

    def do_HEAD(self) -> None:
        """Answer without one."""
        self._converse()

    def do_POST(self) -> None:
        """Answer a question that is too long for a URL."""
        self._converse()

    def _converse(self) -> None:
        state = self.server.state
        length = min(int(self.headers.get("Content-Length", "0")), _MAX_BODY)
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers)
        state.record(seen)
        failure = state.next_failure(self.path)
        if failure is not None and failure.status is not None:
            self._send(_failed(failure), None)
            return
        with state.lock:
            reply = answer(state, seen, body)
        self._send(reply, failure)

    def _send(self, reply: Reply, failure: Failure | None) -> None:
        content = reply.content
        span = self._span(reply)
        if span is None:
            self._send(Reply(416, {"Content-Range": f"bytes */{content.size}"}), None)
            return
        start, stop, status = span
        self.send_response(status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{content.size}")
        if content.tamper.announce or self.command == "HEAD":
            self.send_header("Content-Length", str(stop - start))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(content, start, stop, failure)

    def _span(self, reply: Reply) -> tuple[int, int, int] | None:
        """First byte, byte after the last, status; None for a range that cannot be satisfied."""
        size = reply.content.size
        match = _RANGE.match(self.headers.get("Range", ""))
        if match is None or not reply.ranges:
            return 0, size, reply.status
        start = int(match[1])
        stop = min(int(match[2]) + 1, size) if match[2] else size
        return (start, stop, 206) if start < stop else None

    def _send_body(self, content: Content, start: int, stop: int, failure: Failure | None) -> None:
        breaks = failure.breaks_after if failure else None
        end = stop if breaks is None else min(stop, start + breaks)
        file = content.plain_file
        if file is not None and end > start:
            self.wfile.flush()
            with file.open("rb") as opened:
                self.connection.sendfile(opened, offset=start, count=end - start)
        else:
            for chunk in content.chunks(start, end):
                self.wfile.write(chunk)
        self.wfile.flush()
        if failure is not None and failure.stall_after is not None:
            self.server.state.stopping.wait()
        if breaks is not None or not content.tamper.announce:
            self.close_connection = True
            _shut(self.connection)


def _failed(failure: Failure) -> Reply:
    status = failure.status or 500
    reply = error_reply(status, "Injected", "injected failure")
    extra = {"Retry-After": failure.retry_after} if failure.retry_after is not None else {}
    return Reply(status, {**reply.headers, **extra}, reply.content)
