"""What a hub states: the JSON of its API, taken as hostile input and turned into our own records."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from registry_gate.candidate import FileRecord, HubMetadata, SeenFacts, Sha1, Sha256
from registry_gate.errors import FetchError, Refused
from registry_gate.record import Record
from registry_gate.sources.connection import Document
from registry_gate.sources.guard import quoted

_MAX_TAGS = 256
_MAX_TEXT = 200
_WORST_FIRST = ("infected", "unsafe", "suspicious", "caution", "error", "queued", "unscanned", "safe")


class _Wire(Record):
    """A part of an answer: unknown fields are passed over, known ones must have their type."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class RepoInfo(_Wire):
    """``GET /api/models/{id}``. The card is written freely by uploaders: it may be anything."""

    id: str = Field(max_length=_MAX_TEXT)
    sha: Sha1
    repository_id: str | None = Field(default=None, alias="_id", max_length=_MAX_TEXT)
    author: str | None = None
    private: bool | None = False
    gated: bool | str | None = False
    disabled: bool | None = False
    created_at: datetime | None = Field(default=None, alias="createdAt")
    last_modified: datetime | None = Field(default=None, alias="lastModified")
    downloads: int | None = None
    likes: int | None = None
    tags: JsonValue = None
    card: JsonValue = Field(default=None, alias="cardData")
    security: JsonValue = Field(default=None, alias="securityRepoStatus")


class _Lfs(_Wire):
    oid: Sha256
    size: int = Field(ge=0)


class TreeEntry(_Wire):
    """One entry of ``GET /api/models/{id}/tree/{commit}``."""

    type: str
    path: str = Field(max_length=4096)
    oid: str
    size: int = Field(ge=0)
    lfs: _Lfs | None = None
    security: JsonValue = Field(default=None, alias="securityFileStatus")


class OwnerOverview(_Wire):
    """``GET /api/organizations/{name}/overview``, or ``/api/users/...``, which states no verification."""

    verified: bool | None = Field(default=None, alias="isVerified")
    owner_id: str | None = Field(default=None, alias="_id", max_length=_MAX_TEXT)
    created_at: datetime | None = Field(default=None, alias="createdAt")


class CommitEntry(_Wire):
    """One entry of ``GET /api/models/{id}/commits/{commit}``, newest first."""

    id: Sha1
    date: datetime | None = None
    authors: JsonValue = None


_PAGE = TypeAdapter(list[TreeEntry])
_COMMITS = TypeAdapter(tuple[CommitEntry, ...])


def read_info(document: Document) -> RepoInfo:
    """Validate a repository's description.

    Raises:
        FetchError: ``hub-answer-not-understood``.
    """
    try:
        return RepoInfo.from_json(document.data)
    except ValidationError as error:
        raise _not_understood("the repository's description", error) from error


def read_page(document: Document) -> list[TreeEntry]:
    """Validate one page of the tree.

    Raises:
        FetchError: ``hub-answer-not-understood``.
    """
    try:
        return _PAGE.validate_json(document.data)
    except ValidationError as error:
        raise _not_understood("the file tree", error) from error


def read_owner(document: Document) -> OwnerOverview:
    """Validate the overview of an organisation or a user.

    Raises:
        FetchError: ``hub-answer-not-understood``.
    """
    try:
        return OwnerOverview.from_json(document.data)
    except ValidationError as error:
        raise _not_understood("the owner's overview", error) from error


def read_commits(document: Document) -> tuple[CommitEntry, ...]:
    """Validate one page of the history.

    Raises:
        FetchError: ``hub-answer-not-understood``.
    """
    try:
        return _COMMITS.validate_json(document.data)
    except ValidationError as error:
        raise _not_understood("the history", error) from error


def file_record(entry: TreeEntry) -> FileRecord | None:
    """The listing's record of one tree entry; None for a folder.

    Raises:
        Refused: ``unsafe-entry`` for anything that is neither file nor folder (links, submodules).
        FetchError: ``hub-answer-not-understood`` when the two stated sizes differ or the id is none.
    """
    if entry.type == "directory":
        return None
    if entry.type != "file":
        raise Refused(
            "unsafe-entry",
            f"{quoted(entry.path)} is a {quoted(entry.type)}, not a file",
            why="links and submodules lead out of what was examined",
        )
    if entry.lfs is not None and entry.lfs.size != entry.size:
        raise _not_understood(f"the size of {quoted(entry.path)}", None)
    try:
        return FileRecord(
            path=entry.path,
            size=entry.size,
            blob_id=entry.oid,
            sha256=entry.lfs.oid if entry.lfs else None,
            hub_scan=scan_status(entry.security),
        )
    except ValidationError as error:
        raise _not_understood(f"the entry of {quoted(entry.path)}", error) from error


def scan_status(security: JsonValue) -> str | None:
    """The worst that any of the hub's scanners says of a file; None where the hub says nothing.

    The hub states one overall status and one a scanner (``avScan``, ``pickleImportScan`` and others): one of
    ``safe unscanned queued error caution suspicious unsafe``; older answers carry ``virusFound`` and
    ``highestSafetyLevel`` instead. A word that is not known is kept, so that no check takes it for safe.
    """
    if not isinstance(security, dict):
        return None
    said = [_word(security.get("status"))]
    for scan in security.values():
        if isinstance(scan, dict):
            # a scanner that has not looked takes nothing away from one that has
            said.append(_word(scan.get("status")) if scan.get("status") not in _IDLE else None)
            said.append("infected" if scan.get("virusFound") is True else None)
            said.append("unsafe" if scan.get("highestSafetyLevel") == "dangerous" else None)
    words = [word for word in said if word is not None]
    unknown = [word for word in words if word not in _WORST_FIRST]
    worst = next((word for word in _WORST_FIRST if word in words), None)
    return worst if worst in _BAD or not unknown else unknown[0]


_IDLE = ("unscanned", "queued", "error", None)
_BAD = ("infected", "unsafe", "suspicious")


def _word(value: JsonValue) -> str | None:
    return value[:40].lower() if isinstance(value, str) else None


def _beginnings(info: RepoInfo, owner: OwnerOverview | None, first: CommitEntry | None) -> SeenFacts:
    """How repository and owner began, as far as the hub says so."""
    return SeenFacts(
        created_at=_aware(info.created_at),
        repository_id=info.repository_id,
        first_commit=first.id if first else None,
        first_commit_at=_aware(first.date) if first else None,
        first_author=_author(first.authors) if first else None,
        owner_id=owner.owner_id if owner else None,
        owner_created_at=_aware(owner.created_at) if owner else None,
    )


def _author(stated: JsonValue) -> str | None:
    """The first author's account name."""
    for author in stated if isinstance(stated, list) else []:
        if isinstance(author, dict) and isinstance(user := author.get("user"), str):
            return user[:_MAX_TEXT]
    return None


def metadata(
    info: RepoInfo,
    owner: OwnerOverview | None,
    commits: int | None,
    first: CommitEntry | None = None,
) -> HubMetadata:
    """Everything the hub says about a repository, as evidence."""
    card = info.card if isinstance(info.card, dict) else {}
    tags = _texts(info.tags)
    security = info.security if isinstance(info.security, dict) else {}
    done = security.get("scansDone")
    return HubMetadata(
        author=info.author[:_MAX_TEXT] if info.author else None,
        owner_verified=owner.verified if owner else None,
        gated=bool(info.gated),
        disabled=bool(info.disabled),
        private=bool(info.private),
        licence=_licence(card.get("license"), tags),
        base_models=_base_models(card.get("base_model"), tags),
        tags=tags,
        created_at=_aware(info.created_at),
        last_modified=_aware(info.last_modified),
        commits=commits,
        downloads=info.downloads,
        likes=info.likes,
        scans_done=done if isinstance(done, bool) else None,
        files_with_issues=_issues(security.get("filesWithIssues")),
        beginnings=_beginnings(info, owner, first),
    )


def _licence(stated: JsonValue, tags: tuple[str, ...]) -> str | None:
    """The card's licence; several must all be acceptable, so they are joined with AND."""
    found = _texts(stated) or tuple(
        tag.removeprefix("license:") for tag in tags if tag.startswith("license:")
    )
    return " AND ".join(found)[:_MAX_TEXT] or None


def _base_models(stated: JsonValue, tags: tuple[str, ...]) -> tuple[str, ...]:
    tagged = [tag.rpartition(":")[2] for tag in tags if tag.startswith("base_model:")]
    return tuple(dict.fromkeys([*_texts(stated), *tagged]))


def _issues(stated: JsonValue) -> tuple[str, ...]:
    """``level:path`` a file; a hub that states paths only is taken to mean ``unsafe``."""
    found: list[str] = []
    for item in stated if isinstance(stated, list) else []:
        if isinstance(item, str):
            found.append(f"unsafe:{item[:_MAX_TEXT]}")
        elif isinstance(item, dict) and isinstance(path := item.get("path"), str):
            found.append(f"{_word(item.get('level')) or 'unsafe'}:{path[:_MAX_TEXT]}")
    return tuple(found)


def _texts(stated: JsonValue) -> tuple[str, ...]:
    items = stated if isinstance(stated, list) else [stated]
    return tuple(item[:_MAX_TEXT] for item in items if isinstance(item, str) and item)[:_MAX_TAGS]


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _not_understood(what: str, error: ValidationError | None) -> FetchError:
    detail = f" ({quoted(error.errors()[0]['msg'])})" if error else ""
    return FetchError(
        "hub-answer-not-understood",
        f"fetch failed, not admitted: {what} makes no sense{detail}",
        why="an endpoint that contradicts itself or the hub's protocol cannot be read",
        todo="check that the endpoint is a Hugging Face hub or a faithful mirror",
    )
