"""Keyless signatures, checked by the ``sigstore`` library against a pinned root, with no network.

The library proves certificate, transparency log entry, trusted time and signature. It does not check payload
type or contents, and it accepts an identity without an issuer: both are this folder's business. Its own
offline mode reads the trusted root from a cache that any program of the user can write; that is not used.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING
from urllib.parse import quote

from registry_gate.errors import UsageError
from registry_gate.signing.bundle import Bundle
from registry_gate.signing.identities import (
    PUBLIC_SIGSTORE,
    AcceptedSigners,
    Method,
    Signatory,
    TrustedIdentity,
)
from registry_gate.signing.refusal import refusal, shown

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import TrustedRoot
    from sigstore.verify import Verifier

Window = tuple[datetime, datetime]
"""From when to when a signature must have been made."""

_PUBLIC_INSTANCE = "https://tuf-repo-cdn.sigstore.dev"


def check_sigstore(data: bytes, bundle: Bundle, accepted: AcceptedSigners) -> tuple[Signatory, Window]:
    """Who signed, and the validity of the certificate, in which it was proven to be signed.

    Args:
        data: the bundle as it lies there; ``bundle`` is the same, parsed.
        bundle: its payload is what is verified, to the byte.
        accepted: identities, each with its issuer, and the trusted root.

    Raises:
        VerificationError: ``untrusted-identity``, ``bad-bundle`` or ``bad-signature``.
        UsageError: ``bad-trusted-root``.
    """
    if not accepted.identities or accepted.sigstore_root is None:
        raise refusal("untrusted-identity", "it is signed by an identity, and none is trusted here")
    from sigstore.models import Bundle as SigstoreBundle
    from sigstore.verify.policy import Identity

    try:
        parsed = SigstoreBundle.from_json(data)
        certificate = parsed.signing_certificate
    except Exception as error:  # hostile bytes in another's parser: whatever it raises, nothing is proven
        raise refusal("bad-bundle", f"not a keyless signature bundle: {shown(str(error))}") from error
    wanted = _claimed(certificate, accepted.identities)
    verifier = _verifier(accepted.sigstore_root)
    try:
        policy = Identity(identity=wanted.identity, issuer=wanted.issuer)
        said = verifier.verify_dsse(parsed, policy)
    except Exception as error:  # as above
        raise refusal("bad-signature", f"the keyless signature does not hold: {shown(str(error))}") from error
    if said != (bundle.dsse_envelope.payload_type, bundle.dsse_envelope.payload):
        raise refusal("bad-bundle", "two readers of the bundle see two payloads")
    who = Signatory(method=Method.SIGSTORE, name=wanted.identity, issuer=wanted.issuer)
    return who, (certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _claimed(certificate: Certificate, identities: tuple[TrustedIdentity, ...]) -> TrustedIdentity:
    """The trusted identity that an unproven certificate claims, so that a stranger is called one."""
    from sigstore.verify.policy import Identity

    for wanted in identities:
        try:
            Identity(identity=wanted.identity, issuer=wanted.issuer).verify(certificate)
        except Exception:  # noqa: S112 - not this one, for whatever reason
            continue
        return wanted
    raise refusal("untrusted-identity", f"it is signed by {shown(describe(certificate))}")


def describe(certificate: Certificate) -> str:
    """Identity and issuer that a Sigstore certificate states, for a message; nothing is checked."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        issuers = [
            extension.value.value.decode(errors="replace")
            for extension in certificate.extensions
            if extension.oid.dotted_string == "1.3.6.1.4.1.57264.1.1"
            and isinstance(extension.value, x509.UnrecognizedExtension)
        ]
    except (x509.ExtensionNotFound, ValueError):
        return "a certificate without a name"
    return f"{', '.join(str(name.value) for name in names)} of {', '.join(issuers) or 'no issuer'}"


@lru_cache(maxsize=4)
def _verifier(root: str) -> Verifier:
    from sigstore.errors import Error as SigstoreError
    from sigstore.verify import Verifier

    try:
        return Verifier(trusted_root=trusted_root(root))
    except SigstoreError as error:
        raise _bad_root(str(error)) from error


def trusted_root(root: str) -> TrustedRoot:
    """The trusted root that a trust file names or holds.

    Raises:
        UsageError: ``bad-trusted-root``.
    """
    from sigstore.errors import Error as SigstoreError
    from sigstore.models import TrustedRoot
    from sigstore_models.trustroot.v1 import TrustedRoot as Document

    try:
        return TrustedRoot(Document.from_json(public_root() if root == PUBLIC_SIGSTORE else root))
    except (SigstoreError, ValueError, OSError) as error:
        raise _bad_root(str(error)) from error


def public_root() -> str:
    """The public instance's trusted root, as shipped with the installed library: as good as its code."""
    store = resources.files("sigstore._store") / quote(_PUBLIC_INSTANCE, safe="")
    return (store / "trusted_root.json").read_text(encoding="utf-8")


def _bad_root(detail: str) -> UsageError:
    return UsageError(
        "bad-trusted-root",
        f"the Sigstore trusted root cannot be used: {shown(detail)}",
        why="without it nothing a keyless signature says can be checked",
        todo="write it again with `registry-gate keys trust-identity`",
    )
