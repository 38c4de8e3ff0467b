"""The ways of sealing a payload, behind one interface (see ``attestations`` for what is sealed and why)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Protocol

from registry_gate.signing.attestations import one_form
from registry_gate.signing.bundle import IN_TOTO, MEDIA_TYPE, pae
from registry_gate.signing.draft import refuses
from registry_gate.signing.dsse import seal
from registry_gate.signing.keys import KeySigner
from registry_gate.signing.refusal import shown
from registry_gate.signing.trust import Trust

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate


class Sealer(Protocol):
    """One way of signing. ``seals_each`` is False where statements beside the verdict are carried."""

    @property
    def seals_each(self) -> bool:
        """Whether every statement gets a seal of its own."""

    def check(self, trust: Trust) -> None:
        """Refuse before anything is sealed what the trust file would not accept; raises ``Refused``."""

    def seal(self, payload: bytes) -> bytes:
        """A bundle in its one form, on one line, without a newline."""


class KeySealer:
    """Seals with a local key."""

    seals_each = True

    def __init__(self, signer: KeySigner) -> None:
        self._signer = signer

    def check(self, trust: Trust) -> None:
        """Refuse a key that no verifier of this trust file would accept."""
        if self._signer.key not in trust.keys:
            raise refuses("the signing key is not in the trust file")

    def seal(self, payload: bytes) -> bytes:
        """A bundle with the key's hint."""
        return seal(payload, self._signer)


class CertificateSealer:
    """Seals with a certificate of a company's own; the chain travels in every bundle.

    ``stamp`` asks a time stamp authority (RFC 3161) about a signature and returns its answer, where there is
    one.
    """

    seals_each = False

    def __init__(
        self, key: EllipticCurvePrivateKey, chain: list[Certificate], stamp: Stamp | None = None
    ) -> None:
        self._key = key
        self._chain = chain
        self._stamp = stamp

    def check(self, trust: Trust) -> None:
        """Refuse a certificate whose names the trust file does not hold."""
        from registry_gate.signing.certificate_check import names_of

        names = names_of(self._chain[0])
        if not any(trusted.name in names for trusted in trust.certificates):
            raise refuses(f"no name of the certificate is in the trust file: {shown(', '.join(names))}")

    def seal(self, payload: bytes) -> bytes:
        """A bundle in the form of model-signing's certificate method."""
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding

        from registry_gate.signing.certificate_check import hash_for

        signature = self._key.sign(pae(IN_TOTO, payload), ec.ECDSA(hash_for(self._key.curve)))
        raw = [_text(certificate.public_bytes(Encoding.DER)) for certificate in self._chain]
        material: dict[str, object] = {
            "x509CertificateChain": {"certificates": [{"rawBytes": der} for der in raw]},
            "tlogEntries": [],
        }
        if self._stamp is not None:
            stamp = {"signedTimestamp": _text(self._stamp(signature))}
            material["timestampVerificationData"] = {"rfc3161Timestamps": [stamp]}
        envelope = {
            "payload": _text(payload),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": _text(signature), "keyid": ""}],
        }
        return one_form({"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope})


class Stamp(Protocol):
    """Whoever answers for the time."""

    def __call__(self, signature: bytes) -> bytes:
        """An RFC 3161 response over a signature, in DER."""


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
