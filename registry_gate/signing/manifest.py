"""The canonical manifest: which names may stand in it, how it is made from Staged, and its one digest."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from hashlib import sha256
from itertools import pairwise

from registry_gate.errors import VerificationError
from registry_gate.evidence import Staged
from registry_gate.hashing import SHA256
from registry_gate.release import Manifest, ManifestFile
from registry_gate.signing.bytes import new_hash
from registry_gate.signing.refusal import refusal, shown

MAX_FILES = 100_000
_MAX_NAME_BYTES = 1024
_MAX_PART_BYTES = 255
_OF_NOTHING = sha256().hexdigest()
# The public Model Signing tool ignores these at the top of a model, so a file so named could not be verified.
_IGNORED_BY_TOOLS = frozenset({".git", ".github", ".gitattributes", ".gitignore"})


def manifest_of(staged: Staged, written: Mapping[str, bytes]) -> Manifest:
    """The manifest of the staged files and of what the gate itself writes beside them, checked.

    Raises:
        VerificationError: ``bad-manifest``.
    """
    files = [
        ManifestFile(
            name=file.name,
            size=file.size,
            sha256=file.sha256,
            chunk_size=file.chunk_size,
            chunk_ends=file.chunk_ends,
            algorithm=file.algorithm,
            chunks=file.chunks,
        )
        for file in staged.files
    ]
    files += [_written(name, data) for name, data in written.items()]
    return check_manifest(Manifest(files=tuple(sorted(files, key=lambda file: file.name))))


def _written(name: str, data: bytes) -> ManifestFile:
    """A file small enough to be one chunk."""
    digest = sha256(data).hexdigest()
    return ManifestFile(name=name, size=len(data), sha256=digest, chunk_size=len(data), chunks=(digest,))


def check_manifest(manifest: Manifest) -> Manifest:
    """Return the manifest if every name is safe everywhere and sizes agree with chunk counts.

    Raises:
        VerificationError: ``bad-manifest``, ``unknown-algorithm``.
    """
    check_names([file.name for file in manifest.files])
    for file in manifest.files:
        new_hash(file)
        _check_chunks(file)
    return manifest


def check_names(names: list[str]) -> None:
    """Names that are safe, sorted, and distinct on every file system.

    Raises:
        VerificationError: ``bad-manifest``.
    """
    if not names or len(names) > MAX_FILES:
        raise _bad(f"it lists {len(names)} files")
    if any(first >= second for first, second in pairwise(names)):
        raise _bad("its names are not sorted or not unique")
    for name in names:
        _check_name(name)
    _check_collisions(names)


def _check_chunks(file: ManifestFile) -> None:
    expected = len(file.chunk_ends) or -(-file.size // file.chunk_size)
    if len(file.chunks) != expected:
        raise _bad(f"{shown(file.name)} has {len(file.chunks)} chunk digests for {file.size} bytes")
    bounds = (0, *file.chunk_ends)
    if file.chunk_ends and (bounds[-1] != file.size or any(a >= b for a, b in pairwise(bounds))):
        raise _bad(f"the chunks of {shown(file.name)} do not make up its {file.size} bytes")
    comparable = file.algorithm == SHA256 or not file.chunks
    if comparable and len(file.chunks) < 2 and file.sha256 != (file.chunks or (_OF_NOTHING,))[0]:
        raise _bad(f"{shown(file.name)} has two digests for the same bytes")


def _check_name(name: str) -> None:
    parts = name.split("/")
    if not name or len(name.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES:
        raise _bad("a name is empty or longer than 1024 bytes")
    if any(_bad_part(part) for part in parts):
        raise _bad(f"the name {shown(name)} is not a plain relative path")
    if any(part.casefold() in _IGNORED_BY_TOOLS for part in parts):
        raise _bad(f"the name {shown(name)} is one that verification tools ignore")


def _bad_part(part: str) -> bool:
    if part in ("", ".", "..") or len(part.encode("utf-8", "surrogatepass")) > _MAX_PART_BYTES:
        return True
    # Cc control, Cf invisible or direction-changing, Cs surrogates, Zl and Zp line breaks.
    return "\\" in part or any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in part)


def _check_collisions(names: list[str]) -> None:
    """No two names may be one where case is folded or Unicode normalised; no file may be a folder too."""
    seen: dict[str, str] = {}
    files = {fold(name) for name in names}
    for name in names:
        folded = fold(name)
        other = seen.setdefault(folded, name)
        if other != name:
            raise _bad(f"{shown(name)} and {shown(other)} are the same name on some file systems")
        if any(folder in files for folder in _folders(folded)):
            raise _bad(f"{shown(name)} lies in a folder that is also a file")


def fold(name: str) -> str:
    """A name as a case-folding, normalising file system sees it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _folders(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _bad(detail: str) -> VerificationError:
    return refusal("bad-manifest", f"the manifest is not acceptable: {detail}")
