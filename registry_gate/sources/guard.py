"""What no fetch may begin with: the defensive twin of the listing check, which makes the same visible."""

from __future__ import annotations

import hashlib

from registry_gate.candidate import FileRecord, Listing
from registry_gate.errors import Refused
from registry_gate.paths import path_collisions, path_hazard
from registry_gate.policy import Limits, Policy

_SHOWN = 200


def quoted(text: str) -> str:
    """Text from a candidate for a message: escaped, and cut where it is long."""
    shown = repr(text)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."


def refuse_unsafe(listing: Listing, policy: Policy) -> None:
    """Refuse a listing that must not reach a disk, whatever the checks were told to allow.

    Raises:
        Refused: ``redirected-id``, ``empty-repository``, ``unsafe-path``, ``path-collision`` or
            ``over-limit``.
    """
    if listing.resolved_id != listing.candidate.id:
        raise Refused(
            "redirected-id",
            f"asked for {quoted(listing.candidate.id)}, the source answered as {quoted(listing.resolved_id)}",
            why="a renamed or re-registered repository can be taken over by someone else",
            todo="ask for the new id by name if that is what you mean",
        )
    if not listing.files:
        raise Refused("empty-repository", "the source lists no file", why="there is nothing to examine")
    for file in listing.files:
        refuse_unsafe_path(file.path)
    for first, second in path_collisions(file.path for file in listing.files)[:1]:
        raise Refused(
            "path-collision",
            f"{quoted(first)} and {quoted(second)} are one file on some file systems",
            why="what was examined and what is loaded could be two different files",
        )
    refuse_over_limit([file.size for file in listing.files], policy.limits)


def refuse_unsafe_path(path: str) -> None:
    """Refuse one path that must not become a file name.

    Raises:
        Refused: ``unsafe-path``.
    """
    hazard = path_hazard(path)
    if hazard is not None:
        raise Refused(
            "unsafe-path", f"path {quoted(path)} {hazard}", why="it could leave the folder it belongs to"
        )


def refuse_over_limit(sizes: list[int], limits: Limits) -> None:
    """Refuse more files or bytes than the policy allows.

    Args:
        sizes: bytes stated for each file.
        limits: the policy's.

    Raises:
        Refused: ``over-limit``.
    """
    measured = (
        ("files", len(sizes), limits.max_files),
        ("bytes in one file", max(sizes, default=0), limits.max_file_bytes),
        ("bytes in all", sum(sizes), limits.max_total_bytes),
    )
    for what, found, allowed in measured:
        if found > allowed:
            raise Refused(
                "over-limit",
                f"{found} {what}, the policy allows {allowed}",
                todo="raise the limit in the policy if the model is meant to be this large",
            )


def refuse_unbound(file: FileRecord) -> None:
    """Refuse a file whose bytes nothing stated could be compared with, or whose two digests contradict.

    For an LFS file git stores a pointer of three lines; its id must be the blob id the tree states, else
    sha256 and commit do not belong together.

    Raises:
        Refused: ``bytes-differ-from-listing``.
    """
    if file.sha256 is None and file.blob_id is None:
        raise _differs(f"no digest is stated for {quoted(file.path)}")
    if file.sha256 is not None and file.blob_id is not None:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n"
        if git_blob(pointer.encode()) != file.blob_id:
            raise _differs(f"the LFS pointer of {quoted(file.path)} is not the blob that the tree states")


def git_blob(data: bytes) -> str:
    """Git's id of a blob: sha1 over ``blob length NUL data``."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _differs(message: str) -> Refused:
    return Refused(
        "bytes-differ-from-listing",
        message,
        why="what cannot be bound to the commit cannot be vouched for",
    )
