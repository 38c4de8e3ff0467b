"""The gate's end: start the signer, hand it the order, believe only an answer of the agreed form."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from registry_gate.errors import ToolError
from registry_gate.examine import sandbox
from registry_gate.settings import ADMINISTRATOR_TRUST, Settings
from registry_gate.signer.protocol import MAX_ANSWER, MAX_REQUEST, Answer, Request
from registry_gate.signing.keys import private_key_path
from registry_gate.signing.order import Order, Signed

_LOCAL = "registry_gate.signer.local_child"
_ONLINE = "registry_gate.signer.online_child"
_CERTIFICATE_FILES = ("certificate", "certificate_chain", "certificate_key")
_SECONDS = 120
_MEMORY_MB = 2048
# What reaching a service takes, and the names by which CI systems hand out identity tokens.
_PASSED_ON = (
    *("HOME", "LANG", "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"),
    *("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"),
    *("GITLAB_CI", "SIGSTORE_ID_TOKEN", "BUILDKITE", "CIRCLECI", "CIRCLE_OIDC_TOKEN_V2"),
    "REGISTRY_GATE_SIGSTORE_TOKEN",
)


@dataclass(frozen=True)
class SignerProcess:
    """Signs each order in a new process that ends with it; this process never reads the private key."""

    settings: Settings
    passphrase: str | None = field(default=None, repr=False)

    def carry_out(self, order: Order) -> Signed:
        """Have one Release signed.

        Raises:
            Refused: ``signer-refuses``.
            UsageError: what opening key, certificate, token or trust file raises.
            ToolError: ``signer-failed``, ``signer-answer``, ``no-sandbox``.
        """
        answer = self._ask(order)
        if answer.signed is None:
            raise _failed("its answer is empty")
        return answer.signed

    def check(self) -> None:
        """Ask the signer whether it could sign: its key opens, and the trust file accepts it.

        Raises:
            Refused: ``signer-refuses``.
            UsageError, ToolError: as for :meth:`carry_out`.
        """
        self._ask(None)

    def _ask(self, order: Order | None) -> Answer:
        settings = _resolved(self.settings)
        request = Request(settings=settings, order=order, passphrase=self.passphrase).canonical()
        if len(request) > MAX_REQUEST:
            raise _failed(f"the order is larger than {MAX_REQUEST} bytes")
        said = _online(request) if self.settings.signing.online else _confined(request, settings)
        try:
            answer = Answer.from_json(said)
        except ValidationError as error:
            raise _failed("its answer is not one") from error
        if answer.refusal is not None:
            raise answer.refusal.error()
        return answer


def _resolved(settings: Settings) -> Settings:
    """The same places by the paths under which they are shown to a confined child."""
    names = ("home", "trust", "administrator_trust")
    places: dict[str, object] = {name: Path(getattr(settings, name)).resolve() for name in names}
    named = {name: getattr(settings.signing, name) for name in _CERTIFICATE_FILES}
    files = {name: path.resolve() for name, path in named.items() if path is not None}
    return settings.model_copy(update=places | {"signing": settings.signing.model_copy(update=files)})


def _confined(request: bytes, settings: Settings) -> bytes:
    needed = (private_key_path(settings), settings.trust, settings.administrator_trust, ADMINISTRATOR_TRUST)
    inputs = [path for path in (*needed, *settings.signing.files) if path.exists()]
    try:
        said, _ = sandbox.run_confined(
            _LOCAL, request, inputs=inputs, seconds=_SECONDS, memory_mb=_MEMORY_MB, accepted=sandbox.MODES
        )
    except ToolError as error:
        if error.code == "no-sandbox":
            raise
        raise _failed(error.message) from error
    return said


def _online(request: bytes) -> bytes:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    command = [sys.executable, "-I", "-B", "-m", _ONLINE]
    try:
        done = subprocess.run(
            command,
            input=request,
            env=environment,
            cwd="/",
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(f"it took longer than {_SECONDS} s") from error
    if done.returncode != 0 or len(done.stdout) > MAX_ANSWER:
        raise _failed(f"it ended with status {done.returncode}; it said {done.stderr[-300:]!a}")
    return done.stdout


def _failed(detail: str) -> ToolError:
    return ToolError(
        "signer-failed",
        f"the signer did not answer in order: {detail}",
        why="nothing is signed by half: either a whole answer came back, or none",
        todo="run again; the staged model is examined anew",
    )
