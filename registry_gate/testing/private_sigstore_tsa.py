"""The double's time stamp authority (RFC 3161): DER in, a signed moment out."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry_gate.testing.company_pki import Issued, authority, signing_leaf

_POLICY = "1.3.6.1.4.1.57264.2"


class TimestampAuthority:
    """Signs the present moment over whatever digest is asked for; ``clock`` is for tests of wrong clocks."""

    def __init__(self) -> None:
        self.root: Issued = authority("private timestamp double")
        self.leaf: Issued = signing_leaf(
            self.root, days=(-3650, 3650), purpose=ExtendedKeyUsageOID.TIME_STAMPING, critical=True
        )
        self.clock: datetime | None = None
        self._serial = 0

    @property
    def chain(self) -> tuple[x509.Certificate, x509.Certificate]:
        """The signing certificate and its root."""
        return self.leaf.certificate, self.root.certificate

    def answer(self, request: bytes) -> bytes:
        """A granted response in DER. Raises ValueError for what is no request."""
        asked = tsp.TimeStampReq.load(request, strict=True)
        self._serial += 1
        moment = (self.clock or datetime.now(UTC)).replace(microsecond=0)
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": _POLICY,
                "message_imprint": asked["message_imprint"],
                "serial_number": self._serial,
                "gen_time": core.GeneralizedTime(moment),
                "nonce": asked["nonce"],
            }
        )
        token = cms.ContentInfo({"content_type": "signed_data", "content": self._signed(info.dump(), moment)})
        return bytes(tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump())

    def _signed(self, info: bytes, moment: datetime) -> cms.SignedData:
        der = self.leaf.certificate.public_bytes(Encoding.DER)
        certificate = asn1_x509.Certificate.load(der)
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "message_digest", "values": [sha256(info).digest()]}),
                cms.CMSAttribute({"type": "signing_time", "values": [cms.Time("utc_time", moment)]}),
                cms.CMSAttribute({"type": "signing_certificate_v2", "values": [_names(der)]}),
            ]
        )
        signature = self.leaf.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256()))
        sha = algos.DigestAlgorithm({"algorithm": "sha256"})
        signer = {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {
                    "issuer_and_serial_number": cms.IssuerAndSerialNumber(
                        {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
                    )
                }
            ),
            "digest_algorithm": sha,
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": signature,
        }
        return cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [sha],
                "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(info)},
                "certificates": [cms.CertificateChoices("certificate", certificate)],
                "signer_infos": [signer],
            }
        )


def _names(der: bytes) -> tsp.SigningCertificateV2:
    """The attribute that ties the signature to one certificate (RFC 5035)."""
    return tsp.SigningCertificateV2({"certs": [tsp.ESSCertIDv2({"cert_hash": sha256(der).digest()})]})
