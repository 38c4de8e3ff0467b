"""A private Sigstore on loopback, for tests: a double of four services, told apart here from the real ones.

It speaks the wire of Fulcio v2, Rekor v2, RFC 3161 and OpenID Connect discovery, with real signatures, a real
growing Merkle tree and real certificates, so it proves what a client does with right and wrong answers. It
does not prove that a client works with the services of sigstore.dev: it has a root key of its own in memory,
no certificate transparency log behind its SCTs, no witnesses, no TUF repository, and it vouches for anyone.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Self

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from registry_gate.testing.private_sigstore_ca import CertificateAuthority
from registry_gate.testing.private_sigstore_log import TransparencyLog
from registry_gate.testing.private_sigstore_oidc import IdentityProvider
from registry_gate.testing.private_sigstore_server import SigstoreServer
from registry_gate.testing.private_sigstore_tsa import TimestampAuthority

_LONG = {"start": "2020-01-01T00:00:00Z"}


class PrivateSigstore:
    """The four services on one free port; use as a context. The parts may be bent to test a client."""

    def __init__(self, port: int = 0) -> None:
        self.ca = CertificateAuthority()
        self.tsa = TimestampAuthority()
        self.server = SigstoreServer(self, port)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.log = TransparencyLog(f"127.0.0.1:{self.server.server_port}")
        self.oidc = IdentityProvider(self.url)

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    @property
    def issuer(self) -> str:
        """The issuer that certificates name."""
        return self.oidc.issuer

    def token(self, identity: str, *, minutes: float = 60) -> str:
        """An identity token, as a CI system would hand one out."""
        return self.oidc.token(identity, minutes=minutes)

    def trusted_root(self) -> str:
        """What verifiers pin, as the JSON of a Sigstore trusted root."""
        return json.dumps(self._trusted_root())

    def trust_config(self) -> str:
        """What signers need too: a ClientTrustConfig, as ``model_signing --trust_config`` takes it."""
        service = {"majorApiVersion": 1, "validFor": _LONG, "operator": "private double"}
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                "trustedRoot": self._trusted_root(),
                "signingConfig": {
                    "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                    "caUrls": [{"url": self.url, **service}],
                    "oidcUrls": [{"url": self.url, **service}],
                    "rekorTlogUrls": [{"url": self.url, **service, "majorApiVersion": 2}],
                    "tsaUrls": [{"url": f"{self.url}/api/v1/timestamp", **service}],
                    "rekorTlogConfig": {"selector": "ANY"},
                    "tsaConfig": {"selector": "ANY"},
                },
            }
        )

    def expire_leaves(self) -> None:
        """Issue certificates that were over before they were asked for."""
        self.ca.valid = (timedelta(minutes=-30), timedelta(minutes=-20))

    def _trusted_root(self) -> dict[str, object]:
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log(self.url, self.log.public_key, self.log.log_id)],
            "certificateAuthorities": [_authority(self.url, (self.ca.root.certificate,))],
            "ctlogs": [_log(self.url, self.ca.ct_public_key, None)],
            "timestampAuthorities": [_authority(self.url, self.tsa.chain)],
        }


def _log(url: str, key: bytes, log_id: bytes | None) -> dict[str, object]:
    from hashlib import sha256

    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": _text(key),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": _LONG,
        },
        "logId": {"keyId": _text(log_id or sha256(key).digest())},
    }


def _authority(url: str, chain: tuple[Certificate, ...]) -> dict[str, object]:
    certificates = [{"rawBytes": _text(certificate.public_bytes(Encoding.DER))} for certificate in chain]
    return {
        "subject": {"organization": "private double", "commonName": "private double"},
        "uri": url,
        "certChain": {"certificates": certificates},
        "validFor": _LONG,
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
