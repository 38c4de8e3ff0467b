"""The hub's JSON answers, built from a repository of the loopback hub."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from registry_gate.testing.hub_state import Owner
from registry_gate.testing.repository import Blob, Commit, JsonValue, RepoMetadata, Repository

Answer = dict[str, JsonValue]


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def info(repository: Repository, commit: Commit, said_id: str, *, blobs: bool, security: bool) -> Answer:
    """``GET /api/models/{id}``; ``said_id`` is the id the answer claims."""
    metadata = repository.metadata
    answer: Answer = {
        "_id": repository.repository_id,
        "id": said_id,
        "modelId": said_id,
        "sha": commit.sha,
        "author": metadata.author if metadata.author is not None else said_id.rpartition("/")[0],
        "private": metadata.private,
        "gated": metadata.gated,
        "disabled": metadata.disabled,
        "downloads": metadata.downloads,
        "likes": metadata.likes,
        "tags": [*metadata.tags],
        "cardData": _card(metadata),
        "lastModified": _stamp(metadata.last_modified),
        "siblings": [_sibling(path, blob, blobs=blobs) for path, blob in sorted(commit.files.items())],
    }
    if metadata.created_at is not None:
        answer["createdAt"] = _stamp(metadata.created_at)
    if security and metadata.scans_done is not None:
        answer["securityRepoStatus"] = _security(metadata)
    return answer


def _card(metadata: RepoMetadata) -> Answer:
    card: Answer = {}
    if metadata.licence is not None:
        card["license"] = metadata.licence
    if metadata.base_models:
        card["base_model"] = [*metadata.base_models]
    return card


def _security(metadata: RepoMetadata) -> Answer:
    issues: list[JsonValue] = [
        {"path": path, "level": level} for path, level in metadata.scan.items() if level not in _CLEAN
    ]
    return {"scansDone": metadata.scans_done, "filesWithIssues": issues}


_CLEAN = ("safe", "queued", "unscanned", "error")


def _sibling(path: str, blob: Blob, *, blobs: bool) -> Answer:
    if not blobs:
        return {"rfilename": path}
    entry: Answer = {"rfilename": path, "size": blob.size, "blobId": blob.oid}
    if blob.lfs:
        entry["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": blob.pointer_size}
    return entry


def tree(
    repository: Repository, commit: Commit, below: str, *, recursive: bool, expand: bool
) -> list[Answer]:
    """``GET /api/models/{id}/tree/{revision}[/{below}]``: folders and files, sorted by path."""
    prefix = f"{below}/" if below else ""
    entries: list[Answer] = [
        {"type": "directory", "oid": oid, "size": 0, "path": path}
        for path, oid in commit.folders.items()
        if path and path.startswith(prefix) and path != below
    ]
    entries += [
        file_entry(repository, commit, path, expand=expand)
        for path in commit.files
        if path.startswith(prefix)
    ]
    shown = [entry for entry in entries if recursive or "/" not in str(entry["path"])[len(prefix) :]]
    return sorted(shown, key=lambda entry: str(entry["path"]))


def file_entry(repository: Repository, commit: Commit, path: str, *, expand: bool) -> Answer:
    """One file of the tree; ``expand`` adds the last commit and the hub's scan."""
    blob = commit.files[path]
    entry: Answer = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
    if blob.lfs:
        entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": blob.pointer_size}
    if expand:
        entry["lastCommit"] = {"id": commit.sha, "title": commit.title, "date": _stamp(commit.date)}
        entry["securityFileStatus"] = _file_security(repository.metadata.scan.get(path))
    return entry


def _file_security(status: str | None) -> Answer | None:
    if status is None:
        return None
    return {"status": status, "avScan": {"status": status}, "pickleImportScan": {"status": "unscanned"}}


def commits(history: Iterable[Commit]) -> list[Answer]:
    """``GET /api/models/{id}/commits/{revision}``: newest first; the hub states no signature."""
    return [
        {
            "id": commit.sha,
            "title": commit.title,
            "message": "",
            "date": _stamp(commit.date),
            "authors": [{"user": "loopback", "avatar": ""}],
        }
        for commit in history
    ]


def refs(repository: Repository) -> Answer:
    """``GET /api/models/{id}/refs``."""
    branches: list[JsonValue] = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha}
        for name, sha in repository.refs.items()
    ]
    return {"branches": branches, "tags": [], "converts": []}


def owner(name: str, account: Owner) -> Answer:
    """``GET /api/organizations/{name}/overview`` and ``/api/users/{name}/overview``."""
    answer: Answer = {
        "_id": account.owner_id,
        "fullname": name,
        "avatarUrl": "",
        "numModels": 1,
        "numFollowers": 1,
    }
    if account.created_at is not None:
        answer["createdAt"] = _stamp(account.created_at)
    if account.kind == "users":
        return {**answer, "user": name, "type": "user", "isPro": False}
    return {**answer, "name": name, "isVerified": account.verified, "numUsers": 1, "plan": "free"}
