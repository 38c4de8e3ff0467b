"""The Hugging Face Hub as a source: one commit, its tree, its metadata, and bytes compared with them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from registry_gate.candidate import Candidate, FileRecord, Listing, Snapshot
from registry_gate.errors import FetchError, Refused, UsageError
from registry_gate.origin import endpoint_allowed
from registry_gate.policy import Policy
from registry_gate.progress import Progress, silent
from registry_gate.sources.connection import Document, HubConnection, Patience
from registry_gate.sources.download import download_all
from registry_gate.sources.guard import quoted, refuse_unbound, refuse_unsafe
from registry_gate.sources.hub_wire import (
    CommitEntry,
    OwnerOverview,
    TreeEntry,
    file_record,
    metadata,
    read_commits,
    read_info,
    read_owner,
    read_page,
)
from registry_gate.sources.writing import private_folder, refuse_other_paths

_MAX_ENTRIES = 50_000
_MAX_PAGES = 2_000
_MAX_HISTORY_PAGES = 50
_ABSENT = frozenset({"fetch-refused", "repository-not-found", "file-not-found"})


class HubSource:
    """A model repository on a hub.

    Args:
        candidate: kind ``hub``; its endpoint must be one the policy lists.
        token: a hub token, sent to that endpoint only. None sends none: a token stored on the machine is
            never picked up.
        patience: retries and time-outs.
    """

    def __init__(
        self, candidate: Candidate, token: str | None = None, *, patience: Patience | None = None
    ) -> None:
        self._candidate = candidate
        self._token = token
        self._patience = patience or Patience()

    @property
    def candidate(self) -> Candidate:
        """What was asked for."""
        return self._candidate

    def resolve(self, policy: Policy) -> Listing:
        """Turn the revision into a commit once; read the tree at that commit and the hub's metadata.

        Raises:
            UsageError: ``endpoint-not-allowed``.
            FetchError: the repository or revision is not there, gated or disabled, or cannot be read.
            Refused: ``wrong-commit``, ``unsafe-entry`` or ``over-limit``.
        """
        connection = self._connection(policy)
        info = read_info(connection.document(self._api(self._revision()) + "?securityStatus=true"))
        asked = (self._candidate.revision or "").lower()
        if len(asked) == 40 and all(digit in "0123456789abcdef" for digit in asked) and info.sha != asked:
            raise Refused("wrong-commit", f"commit {asked} was asked for, the hub answers with {info.sha}")
        files = self._tree(connection, info.sha)
        owner = self._owner(connection)
        commits, first = self._history(connection, info.sha)
        return Listing(
            candidate=self._candidate,
            resolved_id=info.id,
            commit=info.sha,
            files=files,
            metadata=metadata(info, owner, commits, first),
        )

    def fetch(
        self,
        listing: Listing,
        destination: Path,
        policy: Policy,
        progress: Progress = silent,
        kept: Path | None = None,
    ) -> Snapshot:
        """Download every listed file into an empty private folder, comparing bytes as they arrive.

        No cache is read or written. What a killed run of this name had fetched is used where all of the file,
        hashed again, is what this listing states.

        Args:
            listing: from :meth:`resolve` of this source.
            destination: empty, or not there yet.
            policy: limits are checked against the stated sizes before the first byte.
            progress: told ``download``, bytes done, bytes in all.
            kept: files that a killed run had fetched, in whole or in part.

        Raises:
            UsageError: ``endpoint-not-allowed``, ``other-listing``, ``destination-not-empty``.
            FetchError: the endpoint could not be read to the end.
            Refused: the listing is unsafe (see :func:`~registry_gate.sources.guard.refuse_unsafe`), or
                ``bytes-differ-from-listing``, ``stream-longer-than-stated``.
            ToolError: ``cannot-write``.
        """
        connection = self._connection(policy)
        if listing.candidate != self._candidate:
            raise UsageError("other-listing", "the listing is of another candidate than this source's")
        refuse_unsafe(listing, policy)
        for file in listing.files:
            refuse_unbound(file)
        with private_folder(destination, listing.total_size) as root:
            fetched = download_all(
                connection,
                listing.files,
                lambda path: self._file_url(listing.commit, path),
                root,
                progress,
                kept,
            )
            refuse_other_paths(root, listing.files)
        return Snapshot(listing_digest=listing.digest(), root=root, files=fetched)

    def _connection(self, policy: Policy) -> HubConnection:
        endpoint = self._candidate.endpoint
        if not endpoint_allowed(endpoint, policy.endpoints):
            raise UsageError(
                "endpoint-not-allowed",
                f"the policy does not list the endpoint {quoted(endpoint)}",
                why="a name means something only together with who answers for it",
                todo="add the endpoint to the policy's 'endpoints', or use one that is listed",
            )
        return HubConnection(endpoint, self._token, self._patience)

    def _api(self, rest: str = "") -> str:
        endpoint = self._candidate.endpoint.rstrip("/")
        return f"{endpoint}/api/models/{quote(self._candidate.id, safe='/')}{rest}"

    def _revision(self) -> str:
        revision = self._candidate.revision
        return f"/revision/{quote(revision, safe='')}" if revision else ""

    def _file_url(self, commit: str, path: str) -> str:
        from huggingface_hub import hf_hub_url

        endpoint = self._candidate.endpoint.rstrip("/")
        return str(hf_hub_url(self._candidate.id, path, revision=commit, endpoint=endpoint))

    def _tree(self, connection: HubConnection, commit: str) -> tuple[FileRecord, ...]:
        """All files at the commit, with the hub's scans where the endpoint can give them."""
        try:
            entries = self._entries(connection, commit, expand=True)
        except FetchError as error:
            if error.code not in _ABSENT:
                raise
            entries = self._entries(connection, commit, expand=False)
        records = (file_record(entry) for entry in entries)
        return tuple(sorted((file for file in records if file), key=lambda file: file.path))

    def _entries(self, connection: HubConnection, commit: str, *, expand: bool) -> list[TreeEntry]:
        url: str | None = self._api(f"/tree/{commit}?recursive=true&expand={str(expand).lower()}")
        found: list[TreeEntry] = []
        for _ in range(_MAX_PAGES):
            if url is None:
                return found
            page: Document = connection.document(url)
            found += read_page(page)
            url = page.next_url
            if len(found) > _MAX_ENTRIES:
                break
        raise Refused(
            "over-limit",
            f"the tree has more than {len(found)} entries",
            why="no model needs that many files, and a listing without end is an attack",
        )

    def _owner(self, connection: HubConnection) -> OwnerOverview | None:
        """What the hub says of the owner: an organisation, or else a user."""
        name = quote(self._candidate.owner, safe="")
        if not name:
            return None
        endpoint = self._candidate.endpoint.rstrip("/")
        for kind in ("organizations", "users"):
            answer = _optional(connection, f"{endpoint}/api/{kind}/{name}/overview")
            if answer is not None:
                return read_owner(answer)
        return None

    def _history(self, connection: HubConnection, commit: str) -> tuple[int | None, CommitEntry | None]:
        """How many commits lead to this one, and the first; None for what the endpoint does not give."""
        url: str | None = self._api(f"/commits/{commit}?limit=1000")
        total: int | None = None
        last: CommitEntry | None = None
        for _ in range(_MAX_HISTORY_PAGES):
            answer = _optional(connection, url) if url else None
            if answer is None:
                return total, None
            total = answer.total if total is None else total
            last = (read_commits(answer) or (last,))[-1]
            url = answer.next_url
            if url is None:
                return total, last
        return total, None


def _optional(connection: HubConnection, url: str) -> Document | None:
    """An answer that not every endpoint gives: a refusal is None, a failure still fails."""
    try:
        return connection.document(url)
    except FetchError as error:
        if error.code in _ABSENT:
            return None
        raise
