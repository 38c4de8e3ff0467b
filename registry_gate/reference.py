"""What a person types: ``org/model``, ``org/model@revision`` or a folder, turned into a Source."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from registry_gate.candidate import Candidate, SourceKind, check_model_id
from registry_gate.errors import UsageError
from registry_gate.policy import Policy
from registry_gate.sources import FolderSource, HubSource, Source


def open_source(
    reference: str,
    policy: Policy,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    as_id: str | None = None,
    token: str | None = None,
) -> Source:
    """Turn a reference into the source it names; nothing is fetched yet.

    Args:
        reference: ``org/model``, ``org/model@revision`` or, with ``as_id``, a local folder.
        policy: says which endpoints are allowed; the first one is the default.
        revision: branch, tag or commit; not together with ``@revision``.
        endpoint: origin of a hub.
        as_id: the id a folder is to be known by; required for a folder, refused for a hub id.
        token: sent to ``endpoint`` only.

    Raises:
        UsageError: ``bad-reference``, ``bad-model-id``, ``endpoint-not-allowed``, ``folder-not-allowed``.
    """
    if as_id is not None:
        if revision or endpoint or token:
            raise UsageError(
                "bad-reference", "--as names a folder; --revision and --endpoint belong to a hub"
            )
        return _folder(Path(reference), as_id, policy)
    if _looks_like_path(reference):
        raise UsageError(
            "bad-reference",
            f"{reference[:200]!r} is a local path without an id",
            todo="say what it is to be known by: --as owner/name (or `registry-gate scan`, to look only)",
        )
    model_id, _, in_reference = reference.partition("@")
    if revision == "" or reference.endswith("@"):
        # An unset variable in a script, most likely: the default branch is not what was meant.
        raise UsageError("bad-reference", "an empty revision was given")
    if in_reference and revision and in_reference != revision:
        raise UsageError("bad-reference", f"two revisions: {in_reference[:200]!r} and {revision[:200]!r}")
    candidate = Candidate(
        kind=SourceKind.HUB,
        endpoint=_origin(endpoint or policy.endpoints[0]),
        id=check_model_id(model_id),
        revision=in_reference or revision,
    )
    return HubSource(candidate, token)


def _looks_like_path(reference: str) -> bool:
    if reference.startswith((".", "/", "~")) or reference.endswith("/"):
        return True
    return is_there(reference) and Path(reference).is_dir()


def is_there(path: str) -> bool:
    """Whether a local path exists; what cannot be a path does not."""
    try:
        return Path(path).exists()
    except OSError:
        return False


def _folder(folder: Path, as_id: str, policy: Policy) -> Source:
    if not policy.allow_folder_source:
        raise UsageError("folder-not-allowed", f"policy {policy.name!r} admits nothing from local folders")
    if not (is_there(str(folder)) and folder.is_dir()):
        raise UsageError("bad-reference", f"{str(folder)[:200]!r} is not a folder")
    candidate = Candidate(kind=SourceKind.FOLDER, endpoint="", id=check_model_id(as_id))
    return FolderSource(candidate, folder)


def _origin(endpoint: str) -> str:
    """``scheme://host[:port]``, lower case; anything more (path, credentials, query) is refused."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError as error:
        raise UsageError("bad-reference", f"endpoint {endpoint!r}: {error}") from error
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not bare:
        raise UsageError("bad-reference", f"endpoint {endpoint!r} is not an origin like https://hub.example")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")
