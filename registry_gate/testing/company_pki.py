"""A company's certificate authority in miniature, for tests: root, intermediate, signing leaf."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "URI:urn:acme:model-gate"
"""How the leaf of :func:`company_pki` is named in a trust file."""


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> bytes:
        """The private key in PKCS#8 PEM, not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(frozen=True)
class CompanyPki:
    """Where each file lies: what a signer needs, and the root that verifiers pin."""

    root: Path
    intermediate: Path
    leaf: Path
    leaf_key: Path


def company_pki(folder: Path, *, days: tuple[float, float] = (-1, 30)) -> CompanyPki:
    """Make a hierarchy whose leaf may sign from ``days[0]`` to ``days[1]`` from now; keys have mode 0600."""
    folder.mkdir(parents=True, exist_ok=True)
    root = authority("acme root")
    middle = authority("acme issuing", root)
    leaf = signing_leaf(middle, days=days)
    made = CompanyPki(*(folder / name for name in ("root.pem", "chain.pem", "leaf.pem", "leaf.key")))
    made.root.write_text(root.pem)
    made.intermediate.write_text(middle.pem)
    made.leaf.write_text(leaf.pem)
    made.leaf_key.touch(mode=0o600)
    made.leaf_key.write_bytes(leaf.key_pem)
    return made


def authority(name: str, issuer: Issued | None = None) -> Issued:
    """A certificate authority, signed by itself or by another one; valid for ten years around today."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, issuer, (-3650, 3650))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(key_usage(authority=True), critical=True)
    return Issued(builder.sign((issuer.key if issuer else key), hashes.SHA256()), key)


def signing_leaf(
    issuer: Issued,
    *,
    days: tuple[float, float] = (-1, 30),
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
    critical: bool = False,
) -> Issued:
    """A leaf named ``urn:acme:model-gate`` that may sign code, or whatever ``purpose`` says."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:acme:model-gate")])
    builder = _builder("model gate", key, issuer, days).add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(key_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=critical)
    return Issued(builder.sign(issuer.key, hashes.SHA256()), key)


def _builder(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: Issued | None, days: tuple[float, float]
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC).replace(microsecond=0)
    above = issuer.key.public_key() if issuer else key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
    )


def key_usage(*, authority: bool) -> x509.KeyUsage:
    """What an authority's key, or a signer's, may be used for."""
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
