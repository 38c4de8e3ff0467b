"""A tracking server read with plain GETs: where an alias points, and the files the server passes on.

Nothing here is trusted: the bytes are judged by the verifier. Credentials go to the server's own origin only.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, BinaryIO, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

from registry_gate.errors import FetchError
from registry_gate.signing.refusal import refusal, shown

_REGISTRY = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_MANIFEST_TAG = "registry_gate.manifest"  # a hint that finds a version; its statements prove it
_TIMEOUT = 60  # seconds without a byte
_MAX_ANSWER = 16 * 1024 * 1024
_MAX_VERSION = 100
_ABSENT = (400, 404)
_NOT_THAT_LONG = 416


@dataclass(frozen=True)
class Version:
    """What the server says an alias or a number stands for."""

    name: str
    version: str
    source_uri: str


@dataclass(frozen=True)
class Greeting:
    """What a server says of itself: its version, and its clock (the ``Date`` header, None where it has none).

    ``asked`` and ``answered`` are this machine's clock just before and just after.
    """

    version: str
    date: datetime | None
    asked: datetime
    answered: datetime


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would carry the Authorization header to wherever a redirect points."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


class RestRegistry:
    """One server by its URI; user name, password or token come from the variables MLflow's client reads."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        bundle = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
        context = ssl.create_default_context(cafile=bundle)
        self._opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))
        self._headers = _authorization()

    def greet(self) -> Greeting:
        """Ask the server for its version, and look at its clock.

        Raises:
            FetchError: ``registry-unreachable``.
        """
        with self.explained():
            asked = datetime.now(UTC)
            with self._opener.open(self._request(f"{self.uri}/version"), timeout=_TIMEOUT) as response:
                answered = datetime.now(UTC)
                version = response.read(_MAX_VERSION).decode("ascii", "replace").strip()
                return Greeting(version, _date(response.headers.get("Date")), asked, answered)

    def version_for(self, name: str, alias: str | int) -> Version | None:
        """Ask what an alias (text) or version (number) points at; None if there is none.

        Raises:
            FetchError: ``registry-unreachable``.
        """
        if isinstance(alias, int):
            path, query = "/model-versions/get", {"name": name, "version": str(alias)}
        else:
            path, query = "/registered-models/alias", {"name": name, "alias": alias}
        answer = self._json(f"{_REGISTRY}{path}?{urlencode(query)}")
        if answer is None:
            return None
        described = _mapping(answer.get("model_version"))
        version = str(described.get("version", ""))
        uri = self._json(
            f"{_REGISTRY}/model-versions/get-download-uri?{urlencode({'name': name, 'version': version})}"
        )
        source = str((uri or {}).get("artifact_uri") or described.get("source", ""))
        return Version(name=str(described.get("name", "")), version=version, source_uri=source)

    def version_with(self, name: str, manifest: str) -> Version | None:
        """Ask for the newest version tagged with a manifest's digest; None if there is none.

        Raises:
            FetchError: ``registry-unreachable``.
        """
        wanted = f"name='{name.replace(chr(39), '')}' and tags.`{_MANIFEST_TAG}`='{manifest}'"
        query = {"filter": wanted, "max_results": "200", "order_by": "version_number DESC"}
        answer = self._json(f"{_REGISTRY}/model-versions/search?{urlencode(query)}") or {}
        found = answer.get("model_versions", [])
        described = [_mapping(item) for item in found] if isinstance(found, list) else []
        numbers = [str(item.get("version", "")) for item in described if item.get("name") == name]
        known = [int(number) for number in numbers if number.isascii() and number.isdigit()]
        return self.version_for(name, max(known)) if known else None

    def served_path(self, source_uri: str) -> str | None:
        """The artifact path of a version's source, if the server itself passes its files on, else None."""
        try:
            parts = urlsplit(source_uri)
        except ValueError:
            return None
        path = unquote(parts.path)
        if parts.scheme == "mlflow-artifacts" and not parts.netloc:
            return path.strip("/")
        prefix = urlsplit(self.uri + _ARTIFACTS)
        if (parts.scheme, parts.netloc) == (prefix.scheme, prefix.netloc) and path.startswith(prefix.path):
            return path.removeprefix(prefix.path).strip("/")
        return None

    def listing(self, path: str) -> list[tuple[str, bool]]:
        """(name, is a folder) of what the server has under an artifact path."""
        answer = self._json(f"{_ARTIFACTS}?{urlencode({'path': path})}") or {}
        files = answer.get("files", [])
        if not isinstance(files, list):
            raise self.failed("it listed its files in an unknown form")
        described = [_mapping(item) for item in files]
        return [(str(item.get("path", "")), item.get("is_dir") is True) for item in described]

    @contextmanager
    def stream(self, path: str) -> Iterator[BinaryIO]:
        """One artifact's bytes; raises ``missing-file`` or ``registry-unreachable``."""
        with self.answer(path) as response, self.explained():
            yield cast("BinaryIO", response)

    def answer(self, path: str, span: tuple[int, int] | None = None) -> HTTPResponse:
        """The server's answer with an artifact, or with the bytes of it from begin to end, not read yet.

        Raises:
            VerificationError: ``missing-file``, or ``bytes-differ`` where it is too short for the span.
            FetchError: ``registry-unreachable``.
        """
        request = self._request(f"{self.uri}{_ARTIFACTS}/{quote(path)}")
        if span is not None:
            request.add_header("Range", f"bytes={span[0]}-{span[1] - 1}")
        try:
            return cast("HTTPResponse", self._opener.open(request, timeout=_TIMEOUT))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _ABSENT:
                raise refusal("missing-file", f"the registry has no {shown(path)}") from error
            if error.code == _NOT_THAT_LONG:
                raise refusal(
                    "bytes-differ", f"{shown(path)} ends before the bytes that were signed"
                ) from error
            raise self.failed(f"it answered {error.code}") from error
        except (OSError, HTTPException) as error:
            raise self.failed(str(error)) from error

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what goes wrong while an answer is read into ``registry-unreachable``."""
        try:
            yield
        except (OSError, HTTPException) as error:
            raise self.failed(str(error)) from error

    def _json(self, path: str) -> dict[str, object] | None:
        try:
            with self._opener.open(self._request(self.uri + path), timeout=_TIMEOUT) as response:
                data = response.read(_MAX_ANSWER)
            return _mapping(json.loads(data))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _ABSENT:
                return None
            raise self.failed(f"it answered {error.code}") from error
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            raise self.failed(str(error)) from error

    def _request(self, url: str) -> urllib.request.Request:
        return urllib.request.Request(url, headers=self._headers)  # noqa: S310 - settings allow http(s) only

    def failed(self, detail: str) -> FetchError:
        """The error for a server that does not do what it should."""
        return FetchError(
            "registry-unreachable",
            f"the registry at {self.uri} did not answer as expected: {shown(detail)}",
            todo="check the address, the network and MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )


def _date(header: str | None) -> datetime | None:
    """An HTTP date (RFC 9110, 5.6.7); None for none, or for what is none."""
    try:
        date = parsedate_to_datetime(header or "")
    except (ValueError, TypeError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _authorization() -> dict[str, str]:
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if user is not None and password is not None:
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {encoded}"}
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    return {}
