"""The double's certificate authority: Fulcio v2's wire, ten-minute leaves with one embedded SCT.

A double: the certificate transparency log behind the SCT is a key and nothing else.
"""

from __future__ import annotations

import base64
import json
import struct
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry_gate.testing.company_pki import Issued, authority, key_usage

_ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_SHA256_ECDSA = b"\x04\x03"


class CertificateAuthority:
    """Binds a fresh key to the identity that a token proves.

    ``valid`` is how long a leaf lives, from how long ago; ``with_sct`` and ``with_issuer`` leave parts out,
    for tests of clients that must notice.
    """

    def __init__(self) -> None:
        self.root: Issued = authority("private sigstore double")
        self.ct_key = ec.generate_private_key(ec.SECP256R1())
        self.valid = (timedelta(seconds=-5), timedelta(minutes=10))
        self.with_sct = True
        self.with_issuer = True

    @property
    def ct_public_key(self) -> bytes:
        """The certificate transparency key's SubjectPublicKeyInfo in DER."""
        return self.ct_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def issue(self, request: bytes, identity: str, issuer: str) -> dict[str, object]:
        """Answer a ``signingCert`` request of somebody whose token was verified.

        Raises:
            ValueError, KeyError: the request is not one, or does not prove possession of its key.
        """
        pem = base64.b64decode(json.loads(request)["certificateSigningRequest"])
        wanted = x509.load_pem_x509_csr(pem)
        key = wanted.public_key()
        if not wanted.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("not a request signed with an elliptic curve key")
        leaf = self._leaf(key, identity, issuer)
        chain = [_pem(certificate) for certificate in (leaf, self.root.certificate)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def _leaf(self, key: ec.EllipticCurvePublicKey, identity: str, issuer: str) -> x509.Certificate:
        builder = self._plain(key, identity, issuer)
        if not self.with_sct:
            return builder.sign(self.root.key, hashes.SHA256())
        logged = builder.sign(self.root.key, hashes.SHA256())
        stamp = x509.UnrecognizedExtension(_SCT_LIST, self._sct_list(logged))
        return builder.add_extension(stamp, critical=False).sign(self.root.key, hashes.SHA256())

    def _plain(self, key: ec.EllipticCurvePublicKey, identity: str, issuer: str) -> x509.CertificateBuilder:
        now = datetime.now(UTC).replace(microsecond=0)
        root = self.root.certificate
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(root.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + self.valid[0])
            .not_valid_after(now + self.valid[1])
            .add_extension(x509.SubjectAlternativeName([_name(identity)]), critical=True)
            .add_extension(key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root.key.public_key()), critical=False
            )
        )
        if not self.with_issuer:
            return builder
        both = ((_ISSUER_V1, issuer.encode()), (_ISSUER_V2, core.UTF8String(issuer).dump()))
        for oid, value in both:
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
        return builder

    def _sct_list(self, logged: x509.Certificate) -> bytes:
        """RFC 6962, 3.3: one SCT over the certificate without this extension, in an OCTET STRING."""
        issuer_key = self.root.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        moment = struct.pack(">Q", int(datetime.now(UTC).timestamp()) * 1000)
        tbs = logged.tbs_certificate_bytes
        entry = sha256(issuer_key).digest() + len(tbs).to_bytes(3, "big") + tbs
        signed = b"\0\0" + moment + b"\0\1" + entry + b"\0\0"
        signature = self.ct_key.sign(signed, ec.ECDSA(hashes.SHA256()))
        log_id = sha256(self.ct_public_key).digest()
        sct = b"\0" + log_id + moment + b"\0\0" + _SHA256_ECDSA + _sized(signature)
        return bytes(core.OctetString(_sized(_sized(sct))).dump())


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _name(identity: str) -> x509.GeneralName:
    if "://" in identity:
        return x509.UniformResourceIdentifier(identity)
    return x509.RFC822Name(identity)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
