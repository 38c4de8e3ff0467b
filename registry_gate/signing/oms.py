"""OpenSSF Model Signing (OMS) signatures that others made, held against a folder's digests and nothing less.

What the public tool accepts on request is refused here always: unsigned files, ignored paths, links, shards,
older forms of the predicate. Such a signature says who published these bytes. It carries no verdict: nothing
is admitted by it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from registry_gate.candidate import Sha256
from registry_gate.errors import VerificationError
from registry_gate.record import Record
from registry_gate.signing.bundle import unique_json
from registry_gate.signing.identities import AcceptedSigners, Signatory, TrustedCertificate, TrustedIdentity
from registry_gate.signing.manifest import check_names
from registry_gate.signing.predicates import Resource, SignedFile
from registry_gate.signing.proven import prove
from registry_gate.signing.refusal import refusal, shown
from registry_gate.signing.trust import TrustedKey

UNSIGNED_BY_CUSTOM = frozenset({".gitattributes", ".gitignore"})
"""Files the public tool leaves out by default and no library loads. ``.git`` and ``.github`` are folders."""

_IGNORED_BY_TOOL = UNSIGNED_BY_CUSTOM | {".git", ".github"}


class Publishers(Record):
    """Whoever may have signed a model before the gate saw it; exact, like a trust file's signers."""

    keys: tuple[TrustedKey, ...] = ()
    identities: tuple[TrustedIdentity, ...] = ()
    sigstore_root: str | None = None
    certificates: tuple[TrustedCertificate, ...] = ()


class _Serialization(Record):
    method: Literal["files"]
    hash_type: Literal["sha256"]
    allow_symlinks: Literal[False]
    ignore_paths: tuple[str, ...] = ()


class _Predicate(Record):
    serialization: _Serialization
    resources: tuple[SignedFile, ...] = Field(min_length=1)


class _Statement(Record):
    model_config = ConfigDict(validate_by_alias=True)

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: tuple[Resource]
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    predicate: _Predicate


@dataclass(frozen=True)
class SignedModel:
    """What a Model Signing signature says: by whom, the folder's name at signing, and each file's sha256.

    ``ignored`` are the paths that the signer left out; ``unsigned`` those it does not cover.
    """

    signatory: Signatory
    name: str
    files: dict[str, Sha256]
    ignored: frozenset[str] = frozenset()
    unsigned: tuple[str, ...] = ()


def verify_model_signature(
    files: Mapping[str, str],
    bundle: bytes,
    publishers: AcceptedSigners,
    *,
    signature_name: str | None = None,
    now: datetime | None = None,
) -> SignedModel:
    """Hold a model's files against the signature that came with it. Pure but for the clock.

    Args:
        files: hex sha256 of every file there is, by relative POSIX name; links are no files.
        bundle: the signature file's bytes.
        publishers: who may have signed.
        signature_name: the signature file's own name where it lies among ``files``.
        now: aware time; the clock's if None.

    Returns:
        Who signed what; ``unsigned`` names the files that are there beside it, at most the signature itself
        and git's two settings files at the top.

    Raises:
        VerificationError: what :func:`registry_gate.signing.proven.prove` raises; ``bad-manifest`` for a
            signature that leaves room; ``unexpected-file``, ``missing-file`` or ``bytes-differ``.
    """
    signed = open_model_signature(bundle, publishers, now=now)
    own = {signature_name} if signature_name else set()
    if excess := sorted(signed.ignored - _IGNORED_BY_TOOL - own):
        raise _bad(f"it ignores {shown(excess[0])}")
    beside = set(files) - set(signed.files)
    if extra := sorted(beside - UNSIGNED_BY_CUSTOM - own):
        raise refusal("unexpected-file", f"nobody signed {shown(extra[0])} ({len(extra)} such in all)")
    if missing := sorted(set(signed.files) - set(files)):
        raise refusal(
            "missing-file", f"{shown(missing[0])} is signed but absent ({len(missing)} such in all)"
        )
    if other := sorted(name for name, digest in signed.files.items() if files[name] != digest):
        raise refusal("bytes-differ", f"{shown(other[0])} is not the file that was signed")
    return SignedModel(signed.signatory, signed.name, signed.files, signed.ignored, tuple(sorted(beside)))


def open_model_signature(
    bundle: bytes, publishers: AcceptedSigners, *, now: datetime | None = None
) -> SignedModel:
    """Verify the signature and read what it says; nothing is compared with it yet.

    Raises:
        VerificationError: what :func:`registry_gate.signing.proven.prove` raises, or ``bad-manifest``.
    """
    proven = prove(bundle, publishers, now=now)
    statement = _read(proven.payload)
    predicate = statement.predicate
    files = {file.name: file.digest_ for file in predicate.resources}
    if len(files) != len(predicate.resources):
        raise _bad("a file is named twice")
    check_names(sorted(files))
    (about,) = statement.subject
    root = sha256(b"".join(bytes.fromhex(file.digest_) for file in predicate.resources)).hexdigest()
    if about.digest_.sha256 != root:
        raise _bad("its subject is not the digest of its files")
    return SignedModel(proven.signatory, about.name, files, frozenset(predicate.serialization.ignore_paths))


def _read(payload: bytes) -> _Statement:
    try:
        return _Statement.from_json(json.dumps(unique_json(payload)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _bad(f"{where}: {first['msg']} ({shown(first['input'])})") from error
    except (ValueError, RecursionError) as error:
        raise _bad(str(error)) from error


def _bad(detail: str) -> VerificationError:
    return refusal("bad-manifest", f"the model signature is not one that can be relied on: {detail}")
