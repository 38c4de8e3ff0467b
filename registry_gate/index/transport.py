"""The bytes of an index file, from a folder, a web server or an MLflow server; none of it is believed."""

from __future__ import annotations

import os
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote

from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient.fetcher import FetcherInterface

from registry_gate.errors import FetchError, VerificationError

_BLOCK = 64 * 1024
_TIMEOUT = 30  # seconds without a byte
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
_SERVERS = ("http://", "https://")


class Fetcher(FetcherInterface):
    """Reads below one address only; the registry's credentials go to the registry's own server only."""

    def __init__(self, address: str, registry_uri: str) -> None:
        self.base = f"{address if address.startswith(_SERVERS) else Path(address).as_uri()}/"
        self._artifacts = f"{registry_uri.rstrip('/')}{_ARTIFACTS}"
        self._registry_uri = registry_uri

    def _fetch(self, url: str) -> Iterator[bytes]:
        if not url.startswith(self.base):
            raise DownloadError(f"{url} is not below {self.base}")
        if not url.startswith(_SERVERS):
            return _from_file(Path(unquote(url.removeprefix("file://"))))
        if self._registry_uri.startswith(_SERVERS) and url.startswith(self._artifacts):
            return self._from_registry(unquote(url.removeprefix(self._artifacts)))
        return _from_server(url)

    def _from_registry(self, path: str) -> Iterator[bytes]:
        from registry_gate.client.rest import RestRegistry

        try:
            with RestRegistry(self._registry_uri).stream(path) as stream:
                while block := stream.read(_BLOCK):
                    yield block
        except VerificationError as error:
            raise DownloadHTTPError(f"{path} is not there", 404) from error
        except (FetchError, OSError, HTTPException) as error:
            raise DownloadError(str(error)) from error


def _from_file(path: Path) -> Iterator[bytes]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise DownloadHTTPError(f"{path.name} is not there", 404) from error
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DownloadError(f"{path} is not a plain file")
        while block := file.read(_BLOCK):
            yield block


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What an index says is signed; where it is fetched from stays what the administrator wrote."""

    def redirect_request(self, *_: object) -> None:
        return None


def _from_server(url: str) -> Iterator[bytes]:
    request = urllib.request.Request(url)  # noqa: S310 - http(s) only, by the caller
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_TIMEOUT) as response:
            while block := response.read(_BLOCK):
                yield block
    except urllib.error.HTTPError as error:
        error.close()
        raise DownloadHTTPError(f"it answered {error.code}", error.code) from error
    except (OSError, HTTPException) as error:
        raise DownloadError(str(error)) from error
