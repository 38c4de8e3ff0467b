"""LoopbackHub: a real HTTP/1.1 server that speaks enough of the Hugging Face Hub's protocol.

It serves repositories made on the spot to the real client, offline, and can be told to lie or to fail::

    with LoopbackHub() as hub:
        commit = hub.add_repo("org/model", {"config.json": b"{}"})
        huggingface_hub.snapshot_download("org/model", revision=commit, endpoint=hub.url, ...)

``python -m registry_gate.testing.serve_hub FOLDER`` serves the repositories ``FOLDER/org/name``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from registry_gate.testing.hub_messages import Failure, Seen, Tamper
from registry_gate.testing.hub_server import HubServer
from registry_gate.testing.hub_state import HubState, Owner
from registry_gate.testing.repository import (
    JsonValue,
    RepoMetadata,
    Repository,
    folder_files,
    make_blob,
)

__all__ = ["Failure", "LoopbackHub", "RepoMetadata", "Seen", "Tamper"]


class LoopbackHub:
    """A hub on a free loopback port; a context manager that serves from entry to exit.

    Args:
        port: 0 for any free port.
        page_size: entries of a tree or commit list in one answer; the rest follows by ``Link: rel="next"``.
    """

    def __init__(self, *, port: int = 0, page_size: int = 1000) -> None:
        self._state = HubState(page_size=page_size)
        self._port = port
        self._server: HubServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._server = HubServer(self._state, self._port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()

    @property
    def url(self) -> str:
        """The endpoint: ``http://127.0.0.1:<port>``."""
        if self._server is None:
            raise RuntimeError("the hub serves only inside its with block")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> tuple[Seen, ...]:
        """Every request so far, in order of arrival."""
        return tuple(self._state.seen)

    def add_repo(
        self,
        model_id: str,
        files: Path | Mapping[str, bytes | Path],
        *,
        revision: str = "main",
        metadata: RepoMetadata | None = None,
        lfs: Mapping[str, bool] | None = None,
    ) -> str:
        """Commit a whole tree and return the commit's id, 40 hexadecimal digits.

        Args:
            model_id: ``org/name`` or a bare name; not checked, so that tests can be rude.
            files: a folder, or contents (bytes, or a file on disk that is served in chunks) by path.
            revision: the branch; the first commit of a repository is also its ``main``.
            metadata: what the hub says of the repository; None keeps what it said before.
            lfs: by path, whether git stores an LFS pointer instead of the bytes; the rest by suffix and size.
        """
        contents = folder_files(files) if isinstance(files, Path) else files
        forced = lfs or {}
        blobs = {path: make_blob(path, item, lfs=forced.get(path)) for path, item in contents.items()}
        with self._state.lock:
            repository = self._state.repositories.get(model_id)
            if repository is None:
                repository = Repository(model_id, RepoMetadata(), self._state.new_id())
                self._state.repositories[model_id] = repository
            repository.metadata = metadata or repository.metadata
            return repository.add(blobs, revision).sha

    def delete_repo(self, model_id: str) -> None:
        """Delete a repository; whoever adds one of that name again begins a new one."""
        del self._state.repositories[model_id]

    def add_organisation(
        self, name: str, *, verified: bool = False, created_at: datetime | None = None
    ) -> None:
        """Let an owner be an organisation; owners never added are unknown to the overview endpoint.

        Added again, it is another account of the same name.
        """
        self._state.owners[name] = Owner("organizations", self._state.new_id(), verified, created_at)

    def add_user(self, name: str, *, created_at: datetime | None = None) -> None:
        """Let an owner be a user; added again, it is another account of the same name."""
        self._state.owners[name] = Owner("users", self._state.new_id(), created_at=created_at)

    def add_token(self, token: str) -> None:
        """Let a token open private and gated repositories."""
        self._state.tokens.add(token)

    def fail(self, failure: Failure, *, times: int = 1) -> None:
        """Let the next ``times`` requests that match fail; failures queue up in order."""
        with self._state.lock:
            self._state.failures += [failure] * times

    def tamper(self, model_id: str, path: str, tamper: Tamper | None) -> None:
        """Serve other bytes of a file than the tree states; None serves the true ones again."""
        self._state.tampers[model_id, path] = tamper

    def restate(self, model_id: str, path: str, fields: Mapping[str, JsonValue]) -> None:
        """Replace fields of a file's entry in the tree: size, oid, path, lfs, type, anything."""
        self._state.restated[model_id, path] = fields

    def add_tree_entry(self, model_id: str, entry: Mapping[str, JsonValue]) -> None:
        """Let the tree list something that is no file of the commit: a link, a traversal, anything."""
        self._state.entries.setdefault(model_id, []).append(dict(entry))

    def answer_as(self, model_id: str, other_id: str) -> None:
        """Answer requests for one repository with another's id in the body, without a redirect."""
        self._state.said_ids[model_id] = other_id

    def rename_repo(self, old_id: str, new_id: str) -> None:
        """Redirect (307) every request for the old id to the new one, as the hub does after a rename."""
        self._state.renamed[old_id] = new_id

    def redirect_files(self, model_id: str, to: str) -> None:
        """Redirect (302) file requests of a repository to ``to`` + path, as the hub does to its CDN."""
        self._state.file_redirects[model_id] = to

    def redirect_api(self, model_id: str, to: str) -> None:
        """Redirect (307) API requests of a repository to ``to`` + path: another origin, as takeovers do."""
        self._state.api_redirects[model_id] = to

    def add_ref(self, model_id: str, name: str, commit: str) -> None:
        """Let a branch, tag or anything else stand for a commit."""
        self._state.repositories[model_id].refs[name] = commit

    def next_pages_at(self, url: str) -> None:
        """Let ``Link: rel="next"`` lead to another origin."""
        self._state.next_origin = url

    def ignore_ranges(self) -> None:
        """Answer range requests with the whole file and status 200, as servers may."""
        self._state.ranges = False

    def close_endpoint(self, word: str) -> None:
        """Answer 404 to every API request whose path holds a word, as hubs of less ability do."""
        self._state.closed.add(word)
