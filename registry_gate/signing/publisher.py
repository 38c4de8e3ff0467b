"""A folder on disk against its publisher's signature, and who is accepted, from what a command line names."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from registry_gate.errors import FetchError, UsageError
from registry_gate.signing.bundle import MAX_BUNDLE_BYTES
from registry_gate.signing.folder import Folder
from registry_gate.signing.identities import PUBLIC_SIGSTORE, TrustedCertificate, TrustedIdentity
from registry_gate.signing.oms import Publishers, SignedModel, verify_model_signature
from registry_gate.signing.refusal import shown
from registry_gate.signing.trust import TrustedKey, key_id


def verify_folder(folder: Path, signature: Path, accepted: Publishers) -> SignedModel:
    """Hash every file where it lies, following no link, and hold them against the signature.

    Raises:
        VerificationError: what :func:`registry_gate.signing.oms.verify_model_signature` raises, or ``link``.
        FetchError: folder or signature cannot be read.
    """
    bundle = _read(signature, MAX_BUNDLE_BYTES + 1)
    inside = signature.resolve().is_relative_to(folder.resolve())
    own = signature.resolve().relative_to(folder.resolve()).as_posix() if inside else None
    digests: dict[str, str] = {}
    with Folder(folder) as source:
        for name in source.names():
            with source.open(name) as stream:
                digests[name] = _sha256(stream)
    return verify_model_signature(digests, bundle, accepted, signature_name=own)


def accepted_signers(
    public_key: Path | None,
    keyless: tuple[str | None, str | None, Path | None],
    certificate: tuple[str | None, Path | None],
) -> Publishers:
    """Whoever a command line accepts: a key, an identity with its issuer, a name with its roots.

    Raises:
        UsageError: ``no-signer-named``, ``bad-identity``, ``bad-public-key``, ``bad-trust-config``.
    """
    identity, issuer, config = keyless
    name, roots = certificate
    if (identity is None) != (issuer is None) or (name is None) != (roots is None):
        raise UsageError(
            "no-signer-named",
            "an identity needs its issuer, and a certificate's name its roots",
            why="half of a name is anybody's",
            todo="give --identity with --issuer, or --certificate-name with --certificate-roots",
        )
    if public_key is None and identity is None and name is None:
        raise UsageError(
            "no-signer-named",
            "no signer is accepted, so no signature can be",
            todo="give --public-key, or --identity with --issuer, or --certificate-name with its roots",
        )
    try:
        identities = (TrustedIdentity(identity=identity, issuer=issuer),) if identity and issuer else ()
        certificates = (_certificate(name, roots),) if name and roots else ()
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError("bad-identity", f"{first['loc'][-1]}: {first['msg'][:200]}") from error
    return Publishers(
        keys=(read_public_key(public_key),) if public_key else (),
        identities=identities,
        sigstore_root=read_root(config) if identities else None,
        certificates=certificates,
    )


def read_root(config: Path | None) -> str:
    """The trusted root in a ClientTrustConfig, as JSON; ``public`` for None.

    Raises:
        UsageError: ``bad-trust-config``, ``bad-trusted-root``.
        FetchError: it cannot be read.
    """
    if config is None:
        return PUBLIC_SIGSTORE
    from registry_gate.signing.sigstore_check import trusted_root

    try:
        root = json.dumps(json.loads(_read(config, 1024 * 1024))["trustedRoot"], sort_keys=True)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            "bad-trust-config", f"{shown(str(config))} is no ClientTrustConfig: {shown(str(error))}"
        ) from error
    trusted_root(root)
    return root


def read_public_key(path: Path) -> TrustedKey:
    """A pinned key from a PEM file, on any curve that Model Signing uses.

    Raises:
        UsageError: ``bad-public-key``.
        FetchError: it cannot be read.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from registry_gate.signing.trust import public_pem

    try:
        key = load_pem_public_key(_read(path, 64 * 1024))
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("not an elliptic curve key")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError("bad-public-key", f"{shown(str(path))}: {shown(str(error))}") from error
    return TrustedKey(key_id=key_id(key), public_key=public_pem(key))


def _sha256(stream: BinaryIO) -> str:
    digest = sha256()
    while block := stream.read(1024 * 1024):
        digest.update(block)
    return digest.hexdigest()


def _certificate(name: str, roots: Path) -> TrustedCertificate:
    return TrustedCertificate(name=name, roots=_read(roots, 100_000).decode(errors="replace"))


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise FetchError("cannot-read-file", f"{shown(str(path))}: {error.strerror}") from error
