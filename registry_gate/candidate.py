"""What asks to be let in: Candidate, its Listing at a pinned commit, and the Snapshot of its bytes."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from registry_gate.errors import UsageError
from registry_gate.record import Record

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Sha1 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]

_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_MAX_ID = 96


class SourceKind(StrEnum):
    """Where a candidate comes from."""

    HUB = "hub"
    FOLDER = "folder"


class Candidate(Record):
    """What was asked for: nothing here is believed, only recorded.

    ``endpoint`` is an origin (``https://host[:port]``) for a hub and empty for a folder; a name means
    something only together with it. ``revision`` is what the person asked for, None for the default branch.
    """

    kind: SourceKind
    endpoint: str
    id: str
    revision: str | None = None

    @property
    def owner(self) -> str:
        """The part before the slash; empty for a bare (legacy) name."""
        return self.id.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The part after the slash."""
        return self.id.rpartition("/")[2]


def check_model_id(model_id: str) -> str:
    """Return the id if it obeys the hub's own naming rules, which also make ``org--model`` one to one.

    Raises:
        UsageError: ``bad-model-id``.
    """
    parts = model_id.split("/")
    ok = (
        len(parts) in (1, 2)
        and len(model_id) <= _MAX_ID
        and all(_PART.fullmatch(part) for part in parts)
        and "--" not in model_id
        and ".." not in model_id
        and not model_id.endswith((".git", ".ipynb"))
    )
    if not ok:
        raise UsageError(
            "bad-model-id",
            f"{model_id!r} is not a model id",
            why="ids are 'name' or 'owner/name', at most 96 characters of letters, digits, '-', '_' and '.', "
            "without '--' or '..' and not starting or ending with '-' or '.'",
            todo="check the spelling on the model's page",
        )
    return model_id


def registered_name(model_id: str) -> str:
    """The registry's name for an id: ``org/model`` becomes ``org--model``, lower case.

    Registries compare names case-insensitively on some databases, so two ids that differ in case only
    share one registered name; the signed statement carries the exact id.
    """
    return check_model_id(model_id).replace("/", "--").lower()


class FileRecord(Record):
    """One file as the source states it. Sizes in bytes; ``blob_id`` is git's sha1 of the (pointer) blob."""

    path: str
    size: int
    blob_id: Sha1 | None = None
    sha256: Sha256 | None = None
    hub_scan: str | None = None


class SeenFacts(Record):
    """How a repository and its owner's account began, as the hub states it: what changes with their hands.

    A name that is deleted can be taken by anyone; ids, dates and the first commit are then others.
    """

    created_at: datetime | None = None
    repository_id: str | None = None
    first_commit: Sha1 | None = None
    first_commit_at: datetime | None = None
    first_author: str | None = None
    owner_id: str | None = None
    owner_created_at: datetime | None = None


class HubMetadata(Record):
    """What the hub says about the repository: evidence, never proof."""

    author: str | None = None
    owner_verified: bool | None = None
    gated: bool = False
    disabled: bool = False
    private: bool = False
    licence: str | None = None
    base_models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    created_at: datetime | None = None
    last_modified: datetime | None = None
    commits: int | None = None
    downloads: int | None = None
    likes: int | None = None
    scans_done: bool | None = None
    files_with_issues: tuple[str, ...] = ()
    beginnings: SeenFacts | None = None


class Listing(Record):
    """The pinned commit, its tree and the hub's metadata; no bytes yet.

    ``commit`` is 40 hexadecimal digits for a hub; for a folder it is ``sha256:<hex>`` over the sorted
    (path, size, sha256) of its files. ``resolved_id`` is the id the source answered with.
    """

    candidate: Candidate
    resolved_id: str
    commit: str
    files: tuple[FileRecord, ...]
    metadata: HubMetadata | None = None

    @property
    def total_size(self) -> int:
        """Bytes stated for the whole tree."""
        return sum(file.size for file in self.files)


class SnapshotFile(Record):
    """One file whose bytes were compared with the listing."""

    path: str
    size: int
    sha256: Sha256


class Snapshot(Record):
    """A private folder holding exactly the listed files, every byte compared with what was stated."""

    listing_digest: str
    root: Path = Field(default=Path(), exclude=True)
    files: tuple[SnapshotFile, ...]
