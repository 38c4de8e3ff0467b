"""One bundle of any of the three ways against whoever may sign: out comes a payload and who signed it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from registry_gate.signing.bundle import IN_TOTO, Bundle, read_bundle
from registry_gate.signing.certificate_check import check_certificate, hash_for
from registry_gate.signing.identities import AcceptedSigners, Method, Signatory
from registry_gate.signing.refusal import refusal, shown
from registry_gate.signing.sigstore_check import Window, check_sigstore
from registry_gate.signing.trust import TrustedKey


@dataclass(frozen=True)
class Proven:
    """A payload whose signature holds. ``window`` is when it must have been made, None where nothing says."""

    payload: bytes
    signatory: Signatory
    window: Window | None = None


def prove(
    data: bytes, accepted: AcceptedSigners, *, payload_type: str = IN_TOTO, now: datetime | None = None
) -> Proven:
    """Verify a bundle by whichever way it was signed; needs no network.

    Args:
        data: the bundle, in any JSON form that reads one way only.
        accepted: a trust file, or a list of publishers.
        payload_type: the one expected.
        now: aware time; the clock's if None.

    Raises:
        VerificationError: ``bad-bundle``, ``untrusted-key``, ``untrusted-identity``,
            ``untrusted-certificate``, ``certificate-expired``, ``no-timestamp`` or ``bad-signature``.
        UsageError: ``bad-trusted-root``, ``bad-certificate-roots``.
    """
    bundle = read_bundle(data, payload_type)
    method = bundle.verification_material.method
    window: Window | None = None
    if method is Method.SIGSTORE:
        signatory, window = check_sigstore(data, bundle, accepted)
    elif method is Method.CERTIFICATE:
        signatory, window = check_certificate(bundle, accepted, now or datetime.now(UTC))
    else:
        signatory = _check_key(bundle, accepted)
    return Proven(bundle.dsse_envelope.payload, signatory, window)


def _check_key(bundle: Bundle, accepted: AcceptedSigners) -> Signatory:
    named = bundle.verification_material.public_key
    hint = named.hint if named else ""
    key = next((key for key in accepted.keys if key.hint == hint), None)
    if key is None:
        raise refusal("untrusted-key", f"its key is not among the trusted ones (hint {shown(hint)})")
    check_key_signature(key, bundle.signature, bundle.signed)
    return Signatory(method=Method.KEY, name=key.key_id)


def check_key_signature(key: TrustedKey, signature: bytes, message: bytes) -> None:
    """ECDSA with the digest that Model Signing pairs with the key's curve.

    Raises:
        VerificationError: ``bad-signature`` or ``untrusted-key``.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    name = key.key_id[:16]
    try:
        public = load_pem_public_key(key.public_key.encode())
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise ValueError("not an elliptic curve key")
        public.verify(signature, message, ec.ECDSA(hash_for(public.curve)))
    except InvalidSignature as error:
        raise refusal("bad-signature", f"the signature does not match what key {name} signed") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise refusal("untrusted-key", f"pinned key {name} cannot be used: {shown(str(error))}") from error
