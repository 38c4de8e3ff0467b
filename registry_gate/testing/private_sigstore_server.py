"""The HTTP side of the private Sigstore: four paths, each answered by its service."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import jwt
from cryptography.exceptions import InvalidSignature

if TYPE_CHECKING:
    from registry_gate.testing.private_sigstore import PrivateSigstore

_MAX_BODY = 1024 * 1024
_JSON = "application/json"


class SigstoreServer(ThreadingHTTPServer):
    """Serves one :class:`PrivateSigstore` on loopback; ``failing`` names paths that answer 503 meanwhile."""

    daemon_threads = True

    def __init__(self, services: PrivateSigstore, port: int) -> None:
        self.services = services
        self.failing: set[str] = set()
        self.seen: list[str] = []
        super().__init__(("127.0.0.1", port), _Conversation)
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    def start(self) -> None:
        """Serve in a thread of its own; the socket listens already."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and wait for the thread."""
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Conversation(BaseHTTPRequestHandler):
    server: SigstoreServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: ``SigstoreServer.seen`` is the log."""

    def do_GET(self) -> None:
        if self.path != "/.well-known/openid-configuration":
            self._send(404, b"{}")
            return
        url = self.server.services.url
        found = {"issuer": url, "authorization_endpoint": f"{url}/auth", "token_endpoint": f"{url}/token"}
        self._send(200, json.dumps(found).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), _MAX_BODY))
        self.server.seen.append(self.path)
        if self.path in self.server.failing:
            self._send(503, b'{"message": "told to fail"}')
            return
        try:
            self._answer(body)
        except (ValueError, KeyError, TypeError, InvalidSignature, jwt.InvalidTokenError) as error:
            self._send(400, json.dumps({"message": str(error)[:200]}).encode())

    def _answer(self, body: bytes) -> None:
        services = self.server.services
        if self.path == "/api/v2/signingCert":
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            issued = services.ca.issue(body, services.oidc.identity(token), services.oidc.issuer)
            self._send(201, json.dumps(issued).encode())
        elif self.path == "/api/v2/log/entries":
            self._send(201, json.dumps(services.log.add(body)).encode())
        elif self.path == "/api/v1/timestamp":
            self._send(201, services.tsa.answer(body), "application/timestamp-reply")
        else:
            self._send(404, b"{}")

    def _send(self, status: int, body: bytes, kind: str = _JSON) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
