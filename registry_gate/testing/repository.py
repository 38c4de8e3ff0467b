"""A hub repository on the loopback hub: files, LFS pointers, and git's own ids for blobs, trees, commits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"

LFS_SUFFIXES = (
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".pkl",
    ".h5",
    ".onnx",
    ".gguf",
    ".npz",
    ".zip",
)
LFS_BYTES = 1024 * 1024
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class RepoMetadata:
    """What the hub says of a repository besides its files; the fields of the hub's own JSON.

    ``scan`` maps a path to the hub's scan status of it (``safe``, ``unsafe``, ``suspicious``, ``queued``...);
    ``scans_done`` None leaves the repository's scan summary out of the answer.
    """

    author: str | None = None
    private: bool = False
    gated: bool | str = False
    disabled: bool = False
    licence: str | None = "apache-2.0"
    base_models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    created_at: datetime | None = datetime(2023, 1, 1, tzinfo=UTC)
    last_modified: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    downloads: int = 100
    likes: int = 1
    scan: Mapping[str, str] = field(default_factory=dict)
    scans_done: bool | None = True


@dataclass(frozen=True)
class Blob:
    """One file of a commit. ``oid`` is git's id of what git stores: the bytes, or the LFS pointer to them."""

    content: bytes | Path
    size: int
    sha256: str
    oid: str
    lfs: bool

    @property
    def etag(self) -> str:
        """What the hub sends as ETag: sha256 for LFS files, git's id for the others."""
        return self.sha256 if self.lfs else self.oid

    @property
    def pointer_size(self) -> int:
        """Bytes of the LFS pointer text."""
        return len(lfs_pointer(self.sha256, self.size))


@dataclass(frozen=True)
class Commit:
    """One commit: its id, its files by path, git's ids of its folders."""

    sha: str
    title: str
    date: datetime
    files: Mapping[str, Blob]
    folders: Mapping[str, str]
    parent: str | None


@dataclass
class Repository:
    """All commits of one repository, its branches and what the hub says about it.

    ``repository_id`` is the hub's own: a repository made again under an old name has another.
    """

    model_id: str
    metadata: RepoMetadata
    repository_id: str = ""
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, revision: str) -> Commit | None:
        """The commit that a branch, tag or 40-digit id stands for."""
        return self.commits.get(self.refs.get(revision, revision))

    def history(self, commit: Commit) -> list[Commit]:
        """The commit and its ancestors, newest first."""
        found = [commit]
        while (parent := found[-1].parent) is not None:
            found.append(self.commits[parent])
        return found

    def add(self, files: Mapping[str, Blob], revision: str) -> Commit:
        """Commit a whole tree on a branch and return the commit."""
        parent = self.refs.get(revision) or self.refs.get("main")
        folders = tree_ids(files)
        title = f"Commit {len(self.commits) + 1}"
        sha = commit_id(folders[""], parent, self.metadata.last_modified, title)
        commit = Commit(sha, title, self.metadata.last_modified, dict(files), folders, parent)
        self.commits[sha] = commit
        self.refs[revision] = sha
        self.refs.setdefault("main", sha)
        return commit


def git_id(kind: str, data: bytes) -> str:
    """Git's object id: sha1 over ``kind length NUL data``."""
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(data)) + data, usedforsecurity=False).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The three-line pointer that git stores for an LFS file (git-lfs specification, version 1)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def make_blob(path: str, content: bytes | Path, *, lfs: bool | None = None) -> Blob:
    """Hash one file, in chunks where it lies on disk; large and binary files become LFS files."""
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    is_lfs = lfs if lfs is not None else size > LFS_BYTES or path.endswith(LFS_SUFFIXES)
    sha256 = hashlib.sha256()
    sha1 = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for chunk in _chunks(content):
        sha256.update(chunk)
        sha1.update(chunk)
    digest = sha256.hexdigest()
    oid = git_id("blob", lfs_pointer(digest, size)) if is_lfs else sha1.hexdigest()
    return Blob(content, size, digest, oid, is_lfs)


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def tree_ids(files: Mapping[str, Blob]) -> dict[str, str]:
    """Git's ids of every folder of a tree, bottom-up; the root's path is the empty string."""
    children: dict[str, dict[str, tuple[str, str]]] = {"": {}}
    for path, blob in files.items():
        folder, _, name = path.rpartition("/")
        children.setdefault(folder, {})[name] = ("100644", blob.oid)
        while folder:
            folder = folder.rpartition("/")[0]
            children.setdefault(folder, {})
    ids: dict[str, str] = {}
    deepest_first = sorted(children, key=lambda path: -path.count("/") if path else 1)
    for folder in deepest_first:
        ids[folder] = _tree_id(children[folder])
        if folder:
            parent, _, name = folder.rpartition("/")
            children[parent][name] = ("40000", ids[folder])
    return ids


def _tree_id(entries: Mapping[str, tuple[str, str]]) -> str:
    def order(item: tuple[str, tuple[str, str]]) -> bytes:
        # git sorts a folder as if its name ended in a slash
        return item[0].encode() + (b"/" if item[1][0] == "40000" else b"")

    data = b"".join(
        mode.encode() + b" " + name.encode() + b"\0" + bytes.fromhex(oid)
        for name, (mode, oid) in sorted(entries.items(), key=order)
    )
    return git_id("tree", data)


def commit_id(tree: str, parent: str | None, date: datetime, title: str) -> str:
    """Git's id of a commit by the loopback hub's one author at a given time."""
    who = f"Loopback Hub <hub@localhost> {int(date.timestamp())} +0000"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else []), f"author {who}", f"committer {who}"]
    return git_id("commit", ("\n".join(lines) + f"\n\n{title}\n").encode())


def folder_files(folder: Path) -> dict[str, Path]:
    """The regular files below a folder, by path relative to it."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
