"""Signatures with a company's own certificates: chain, purpose, exact name and time, then the signature.

Path validation is the ``cryptography`` library's (RFC 5280 with the CA/Browser profile for authorities).
Without a time stamp nothing proves when a signature was made, so the whole chain must be valid now; with one
from a pinned authority (RFC 3161) it must have been valid then.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from registry_gate.errors import UsageError
from registry_gate.signing.bundle import Bundle, Chain
from registry_gate.signing.identities import AcceptedSigners, Method, Signatory, TrustedCertificate
from registry_gate.signing.refusal import refusal, shown

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import Certificate

Window = tuple[datetime, datetime]


def check_certificate(bundle: Bundle, accepted: AcceptedSigners, now: datetime) -> tuple[Signatory, Window]:
    """Who signed, and when it must have been: the certificate's validity, or the moment of the time stamp.

    Raises:
        VerificationError: ``untrusted-certificate``, ``certificate-expired``, ``bad-bundle`` or
            ``bad-signature``.
        UsageError: ``bad-certificate-roots``.
    """
    chain = bundle.verification_material.x509_certificate_chain
    leaf, *others = _certificates(chain)
    wanted = _claimed(leaf, accepted.certificates)
    _check_signature(leaf, bundle)
    stamped = _stamped(bundle, wanted)
    root = _check_chain(leaf, others, wanted, stamped or now)
    _check_purpose(leaf)
    who = Signatory(
        method=Method.CERTIFICATE, name=wanted.name, issuer=fingerprint(root), certificate=fingerprint(leaf)
    )
    return who, (stamped, stamped) if stamped else (leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def fingerprint(certificate: Certificate) -> str:
    """Hex sha256 of the certificate."""
    from cryptography.hazmat.primitives import hashes

    return certificate.fingerprint(hashes.SHA256()).hex()


def names_of(certificate: Certificate) -> tuple[str, ...]:
    """Every name a trust file can accept a certificate by: alternative names, then the whole subject."""
    from cryptography import x509

    names = []
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += [f"URI:{name}" for name in alternative.get_values_for_type(x509.UniformResourceIdentifier)]
        names += [f"email:{name}" for name in alternative.get_values_for_type(x509.RFC822Name)]
        names += [f"DNS:{name}" for name in alternative.get_values_for_type(x509.DNSName)]
    except x509.ExtensionNotFound:
        pass
    subject = certificate.subject.rfc4514_string()
    return (*names, f"subject:{subject}") if subject else tuple(names)


def read_certificates(pem: str) -> list[Certificate]:
    """Certificates in PEM.

    Raises:
        UsageError: ``bad-certificate-roots``.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise UsageError(
            "bad-certificate-roots",
            f"the certificates of a trust file cannot be read: {shown(str(error))}",
            todo="write them again with `registry-gate keys trust-certificate`",
        ) from error


def _certificates(chain: Chain | None) -> list[Certificate]:
    from cryptography import x509

    try:
        return [x509.load_der_x509_certificate(c.raw_bytes) for c in (chain.certificates if chain else ())]
    except ValueError as error:
        raise refusal("bad-bundle", f"a certificate cannot be read: {shown(str(error))}") from error


def _claimed(leaf: Certificate, trusted: tuple[TrustedCertificate, ...]) -> TrustedCertificate:
    try:
        names = names_of(leaf)
    except ValueError as error:
        raise refusal("bad-bundle", f"the certificate's names cannot be read: {shown(str(error))}") from error
    for wanted in trusted:
        if wanted.name in names:
            return wanted
    raise refusal("untrusted-certificate", f"it is signed by {shown(', '.join(names) or 'nobody named')}")


def _check_signature(leaf: Certificate, bundle: Bundle) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec

    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise refusal("bad-bundle", "the certificate holds no elliptic curve key")
    try:
        key.verify(bundle.signature, bundle.signed, ec.ECDSA(hash_for(key.curve)))
    except InvalidSignature as error:
        raise refusal("bad-signature", "the signature does not match the certificate's key") from error


def hash_for(curve: ec.EllipticCurve) -> hashes.HashAlgorithm:
    """The digest Model Signing pairs with a curve.

    Raises:
        VerificationError: ``bad-bundle`` for a curve it does not use.
    """
    from cryptography.hazmat.primitives import hashes as known

    pairs = {"secp256r1": known.SHA256(), "secp384r1": known.SHA384(), "secp521r1": known.SHA512()}
    if curve.name not in pairs:
        raise refusal("bad-bundle", f"keys on the curve {shown(curve.name)} are not accepted")
    return pairs[curve.name]


def _check_chain(
    leaf: Certificate, others: list[Certificate], wanted: TrustedCertificate, when: datetime
) -> Certificate:
    """Validate the path at one time; returns the root it ends at."""
    from cryptography import x509
    from cryptography.x509 import verification as path

    authority = path.ExtensionPolicy.webpki_defaults_ca().may_be_present(
        x509.ExtendedKeyUsage, path.Criticality.AGNOSTIC, None
    )
    roots = read_certificates(wanted.roots)
    verifier = (
        path.PolicyBuilder()
        .store(path.Store(roots))
        .time(when)
        .max_chain_depth(5)
        .extension_policies(ca_policy=authority, ee_policy=path.ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    try:
        return verifier.verify(leaf, others).chain[-1]
    except (path.VerificationError, x509.UnsupportedGeneralNameType, ValueError) as error:
        if not leaf.not_valid_before_utc <= when <= leaf.not_valid_after_utc:
            raise refusal(
                "certificate-expired",
                f"its certificate is valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc}",
            ) from error
        raise refusal("untrusted-certificate", f"no valid path to a root: {shown(str(error))}") from error


def _check_purpose(leaf: Certificate) -> None:
    """A certificate that says what it is for must say signing, and one that says nothing is no signer's."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    extensions = {extension.oid: extension.value for extension in leaf.extensions}
    usage = extensions.get(x509.KeyUsage.oid)
    extended = extensions.get(x509.ExtendedKeyUsage.oid)
    constraints = extensions.get(x509.BasicConstraints.oid)
    allowed = [usage.digital_signature] if isinstance(usage, x509.KeyUsage) else []
    if isinstance(extended, x509.ExtendedKeyUsage):
        allowed.append(ExtendedKeyUsageOID.CODE_SIGNING in extended)
    if not allowed or not all(allowed):
        raise refusal("untrusted-certificate", "its certificate is not one for signing")
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        raise refusal("untrusted-certificate", "it is signed by an authority's own certificate")


def _stamped(bundle: Bundle, wanted: TrustedCertificate) -> datetime | None:
    """The time that a pinned authority proves, where the trust file asks for one."""
    if not wanted.timestamp_roots:
        return None
    from rfc3161_client import VerificationError as NoTimestamp
    from rfc3161_client import VerifierBuilder, decode_timestamp_response

    data = bundle.verification_material.timestamp_verification_data
    builder = VerifierBuilder()
    for root in read_certificates(wanted.timestamp_roots):
        builder = builder.add_root_certificate(root)
    verifier = builder.build()
    detail = "there is none"
    for stamp in data.rfc3161_timestamps if data else ():
        try:
            response = decode_timestamp_response(stamp.signed_timestamp)
            verifier.verify_message(response, bundle.signature)
            when: datetime = response.tst_info.gen_time
        except (NoTimestamp, ValueError) as error:
            detail = str(error)
            continue
        return when
    raise refusal("no-timestamp", f"no time stamp of the pinned authority holds: {shown(detail)}")
