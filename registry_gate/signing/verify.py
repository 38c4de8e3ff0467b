"""Verification, in the one safe order: signatures and what they say, the manifest, the names, then the bytes.

Nothing here returns a bool: a refusal is an exception with a stable code (``signing.refusal``).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from registry_gate.errors import VerificationError
from registry_gate.progress import Progress, silent
from registry_gate.release import Manifest, ManifestFile, Verified
from registry_gate.signing.bytes import Told, check_bytes
from registry_gate.signing.chunks import Out, check_chunks, wanted_chunks
from registry_gate.signing.folder import Folder, ReleaseSource
from registry_gate.signing.refusal import refusal, shown
from registry_gate.signing.statements import MODEL_FOLDER, MODEL_SIG, STATEMENTS
from registry_gate.signing.trust import Trust
from registry_gate.signing.verify_statements import VerifiedStatements, verify_statements

_MAX_ATTESTATION_BYTES = 256 * 1024 * 1024


def read_statements(
    source: ReleaseSource,
    trust: Trust,
    *,
    expect_name: str | None = None,
    expect_id: str | None = None,
    now: datetime | None = None,
) -> VerifiedStatements:
    """Verify the attestations of a Release wherever it is; raises what ``verify_statements`` raises."""
    model_sig, statements = _attestation(source, MODEL_SIG), _attestation(source, STATEMENTS)
    return verify_statements(
        statements, model_sig, trust, expect_name=expect_name, expect_id=expect_id, now=now
    )


def _attestation(source: ReleaseSource, name: str) -> bytes:
    try:
        with source.open(name) as file:
            data = bytearray()
            while block := file.read(1024 * 1024):
                data += block
                if len(data) > _MAX_ATTESTATION_BYTES:
                    raise refusal("bad-bundle", f"{name} is larger than {_MAX_ATTESTATION_BYTES} bytes")
    except VerificationError as error:
        if error.code == "missing-file":
            raise refusal("no-signature", f"there is no {name}") from error
        raise
    return bytes(data)


def check_names(source: ReleaseSource, manifest: Manifest) -> None:
    """The files there must be those of the manifest and the two attestations, no more, no fewer.

    Raises:
        VerificationError: ``unexpected-file``, ``missing-file`` or ``link``.
    """
    wanted = {f"{MODEL_FOLDER}/{file.name}" for file in manifest.files} | {MODEL_SIG, STATEMENTS}
    there = source.names()
    if extra := sorted(there - wanted):
        raise refusal("unexpected-file", f"nobody signed {shown(extra[0])} ({len(extra)} such in all)")
    if missing := sorted(wanted - there):
        raise refusal(
            "missing-file", f"{shown(missing[0])} is signed but absent ({len(missing)} such in all)"
        )


def verify_release(
    root: Path,
    trust: Trust,
    *,
    expect_name: str | None = None,
    expect_id: str | None = None,
    now: datetime | None = None,
    progress: Progress = silent,
) -> Verified:
    """Verify a Release folder where it lies, to the last byte; what is promised holds for this moment only.

    ``progress`` is told ``verify``, bytes hashed, bytes in all.

    Raises:
        VerificationError: see ``signing.refusal.CODES``.
        FetchError: the folder cannot be read.
    """
    with Folder(root) as source:
        found = read_statements(source, trust, expect_name=expect_name, expect_id=expect_id, now=now)
        check_files(source, found.manifest, progress)
        return found.verified


def check_files(source: ReleaseSource, manifest: Manifest, progress: Progress = silent) -> None:
    """Exactly the files of the manifest, by all digests of each: how the gate reads back what it stored.

    Raises:
        VerificationError: ``unexpected-file``, ``missing-file``, ``link`` or ``bytes-differ``.
    """
    check_names(source, manifest)
    told = counted(manifest, progress)
    for file in manifest.files:
        check_whole(source, file, told)


def check_whole(source: ReleaseSource, file: ManifestFile, told: Told) -> None:
    """One file by all its digests: the sha256 that ``model.sig`` signs, and every chunk's.

    Raises:
        VerificationError: ``missing-file``, ``link``, ``unexpected-file`` or ``bytes-differ``.
    """
    with source.reading(f"{MODEL_FOLDER}/{file.name}", file.size) as reading:
        check_bytes(reading, file, told)


def check_chunked(source: ReleaseSource, file: ManifestFile, told: Told, out: Out = None) -> None:
    """Every chunk of one file, on all cores, written into ``out`` where that is given.

    Raises:
        VerificationError: ``missing-file``, ``link``, ``unexpected-file`` or ``bytes-differ``.
    """
    with source.reading(f"{MODEL_FOLDER}/{file.name}", file.size) as reading:
        check_chunks(reading, file, wanted_chunks(file), out=out, told=told)


def counted(manifest: Manifest, progress: Progress) -> Told:
    """Tell ``verify``, bytes so far and bytes in all."""
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        progress("verify", done, manifest.total_size)

    return told


def copy_verified(
    source: ReleaseSource, found: VerifiedStatements, destination: Path, progress: Progress = silent
) -> Path:
    """Copy a Release into a new private folder (mode 0700), hashing what is written; returns the folder.

    Every file is opened once. If anything is not what was signed the error is raised and the caller must
    delete the folder: nothing in it may be used.

    Raises:
        VerificationError: ``unexpected-file``, ``missing-file``, ``link`` or ``bytes-differ``.
    """
    check_names(source, found.manifest)
    destination.mkdir(mode=0o700)
    told = counted(found.manifest, progress)
    for file in found.manifest.files:
        copy_chunked(source, file, destination / MODEL_FOLDER / file.name, told)
    (destination / "attestations").mkdir(mode=0o700)
    (destination / MODEL_SIG).write_bytes(found.model_sig)
    (destination / STATEMENTS).write_bytes(found.statements)
    return destination


def copy_chunked(source: ReleaseSource, file: ManifestFile, target: Path, told: Told) -> None:
    """Copy one file, verified, to a place where nothing is; raises what ``check_chunked`` raises."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with target.open("xb") as out:
        check_chunked(source, file, told, out.fileno())
