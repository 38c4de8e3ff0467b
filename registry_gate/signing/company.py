"""Opening a company's certificate for signing: leaf, chain and key from files, checked to belong together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.errors import FetchError, UsageError
from registry_gate.settings import SigningSettings
from registry_gate.signing.private_keys import read_private_key
from registry_gate.signing.seal import CertificateSealer, Stamp

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_SECONDS = 15
_MAX_STAMP = 64 * 1024


def open_certificate(signing: SigningSettings, passphrase: bytes | None) -> CertificateSealer:
    """Read certificate, chain and key.

    Raises:
        UsageError: ``no-certificate``, ``bad-certificate``, or what reading the key raises.
    """
    if signing.certificate is None or signing.certificate_key is None:
        raise UsageError(
            "no-certificate",
            "signing with a certificate needs a certificate and its key",
            todo="set REGISTRY_GATE_CERTIFICATE and REGISTRY_GATE_CERTIFICATE_KEY to their files, and "
            "REGISTRY_GATE_CERTIFICATE_CHAIN to the certificates above it",
        )
    try:
        key = read_private_key(signing.certificate_key, passphrase)
    except FileNotFoundError as error:
        raise _bad(f"there is no key at {signing.certificate_key}") from error
    chain = [*read_chain(signing.certificate), *(read_chain(signing.certificate_chain))]
    if not chain or chain[0].public_key() != key.public_key():
        raise _bad(f"{signing.certificate} is not the certificate of the key")
    return CertificateSealer(key, chain, _asking(signing.timestamp_url))


def read_chain(path: Path | None) -> list[Certificate]:
    """The certificates of a PEM file, none for None. Raises UsageError ``bad-certificate``."""
    from cryptography import x509

    if path is None:
        return []
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _bad(f"{path}: {str(error)[:200]}") from error


def _bad(detail: str) -> UsageError:
    return UsageError("bad-certificate", f"the certificate cannot be used for signing: {detail}")


def _asking(url: str | None) -> Stamp | None:
    """Ask one authority; its answer is checked by whoever verifies the bundle, this signer first."""
    if url is None:
        return None

    def stamp(signature: bytes) -> bytes:
        import requests
        from rfc3161_client import TimestampRequestBuilder
        from rfc3161_client.base import HashAlgorithm

        builder = TimestampRequestBuilder().hash_algorithm(HashAlgorithm.SHA256)
        asked = builder.data(signature).nonce(nonce=True).build()
        headers = {"Content-Type": "application/timestamp-query"}
        try:
            answer = requests.post(url, data=asked.as_bytes(), headers=headers, timeout=_SECONDS)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise FetchError("timestamp-failed", f"{url}: {str(error)[:200]}") from error
        return answer.content[:_MAX_STAMP]

    return stamp
