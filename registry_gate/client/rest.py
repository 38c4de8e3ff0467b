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
from http.client import HTTPException, HTTPMessage
from typing import IO, BinaryIO, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

from registry_gate.errors import FetchError
from registry_gate.signing.refusal import refusal, shown

_REGISTRY = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_MANIFEST_TAG = "registry_gate.manifest"  # a hint that finds a version; its statements prove it
_TIMEOUT = 60  # seconds without a byte
_MAX_ANSWER = 16 * 1024 * 1024
_MAX_LISTED = 100_000
_MAX_DEPTH = 64
_ABSENT = (400, 404)


@dataclass(frozen=True)
class Version:
    """What the server says an alias or a number stands for."""

    name: str
    version: str
    source_uri: str


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

    def release(self, source_uri: str) -> RestRelease | None:
        """The Release at a version's source, if the server itself passes its files on, else None."""
        try:
            parts = urlsplit(source_uri)
        except ValueError:
            return None
        path = unquote(parts.path)
        if parts.scheme == "mlflow-artifacts" and not parts.netloc:
            return RestRelease(self, path.strip("/"))
        prefix = urlsplit(self.uri + _ARTIFACTS)
        if (parts.scheme, parts.netloc) == (prefix.scheme, prefix.netloc) and path.startswith(prefix.path):
            return RestRelease(self, path.removeprefix(prefix.path).strip("/"))
        return None

    def listing(self, path: str) -> list[tuple[str, bool]]:
        """(name, is a folder) of what the server has under an artifact path."""
        answer = self._json(f"{_ARTIFACTS}?{urlencode({'path': path})}") or {}
        files = answer.get("files", [])
        if not isinstance(files, list):
            raise self._failed("it listed its files in an unknown form")
        described = [_mapping(item) for item in files]
        return [(str(item.get("path", "")), item.get("is_dir") is True) for item in described]

    @contextmanager
    def stream(self, path: str) -> Iterator[BinaryIO]:
        """One artifact's bytes; raises ``missing-file`` or ``registry-unreachable``."""
        url = f"{self.uri}{_ARTIFACTS}/{quote(path)}"
        try:
            with self._opener.open(self._request(url), timeout=_TIMEOUT) as response:
                yield cast("BinaryIO", response)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _ABSENT:
                raise refusal("missing-file", f"the registry has no {shown(path)}") from error
            raise self._failed(f"it answered {error.code}") from error
        except (OSError, HTTPException) as error:
            raise self._failed(str(error)) from error

    def _json(self, path: str) -> dict[str, object] | None:
        try:
            with self._opener.open(self._request(self.uri + path), timeout=_TIMEOUT) as response:
                data = response.read(_MAX_ANSWER)
            return _mapping(json.loads(data))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _ABSENT:
                return None
            raise self._failed(f"it answered {error.code}") from error
        except (OSError, HTTPException, ValueError, RecursionError) as error:
            raise self._failed(str(error)) from error

    def _request(self, url: str) -> urllib.request.Request:
        return urllib.request.Request(url, headers=self._headers)  # noqa: S310 - settings allow http(s) only

    def _failed(self, detail: str) -> FetchError:
        return FetchError(
            "registry-unreachable",
            f"the registry at {self.uri} did not answer as expected: {shown(detail)}",
            todo="check the address, the network and MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )


class RestRelease:
    """A Release behind a server; names come from its listing, bytes from its artifact route."""

    def __init__(self, registry: RestRegistry, root: str) -> None:
        self._registry = registry
        self._root = root

    def names(self) -> frozenset[str]:
        """Every file the server lists under the Release."""
        found: set[str] = set()
        folders = [""]
        while folders:
            folder = folders.pop()
            for entry, is_folder in self._registry.listing(f"{self._root}/{folder}".rstrip("/")):
                name = f"{folder}{entry.rpartition('/')[2]}"
                if is_folder and name.count("/") < _MAX_DEPTH:
                    folders.append(f"{name}/")
                else:
                    found.add(name)
                if len(found) + len(folders) > _MAX_LISTED:
                    raise refusal("unexpected-file", f"the registry lists more than {_MAX_LISTED} entries")
        return frozenset(found)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """One file's bytes."""
        with self._registry.stream(f"{self._root}/{name}") as stream:
            yield stream


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
