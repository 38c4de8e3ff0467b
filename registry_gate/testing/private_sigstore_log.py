"""The double's transparency log: Rekor v2's wire, hashedrekord 0.0.2 entries, signed-note checkpoints.

A double: memory only, one signer, no witnesses, no monitors. It proves what a client does with such answers.
"""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from threading import Lock

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from registry_gate.testing.private_sigstore_tree import MerkleTree

Entry = dict[str, object]


class TransparencyLog:
    """Takes hashed records, checks their signatures, and answers with a proof under a signed tree head."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.tree = MerkleTree()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self._lock = Lock()

    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo in DER."""
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def log_id(self) -> bytes:
        """sha256 of the public key."""
        return sha256(self.public_key).digest()

    def add(self, request: bytes) -> Entry:
        """Log one ``hashedRekordRequestV002``; returns a TransparencyLogEntry in protobuf's JSON.

        Raises:
            ValueError, KeyError, InvalidSignature: the request is not one.
        """
        record = json.loads(request)["hashedRekordRequestV002"]
        _check(record)
        body = canonical(
            {
                "apiVersion": "0.0.2",
                "kind": "hashedrekord",
                "spec": {
                    "hashedRekordV002": {
                        "data": {"algorithm": "SHA2_256", "digest": record["digest"]},
                        "signature": record["signature"],
                    }
                },
            }
        )
        with self._lock:
            index = self.tree.append(body)
            return self.entry(body, index, len(self.tree.leaves))

    def entry(self, body: bytes, index: int, size: int) -> Entry:
        """What the log says of a leaf when it holds ``size``."""
        return {
            "logIndex": str(index),
            "logId": {"keyId": _text(self.log_id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "integratedTime": "0",
            "inclusionProof": {
                "logIndex": str(index),
                "rootHash": _text(self.tree.root(size)),
                "treeSize": str(size),
                "hashes": [_text(node) for node in self.tree.inclusion(index, size)],
                "checkpoint": {"envelope": self.checkpoint(size)},
            },
            "canonicalizedBody": _text(body),
        }

    def checkpoint(self, size: int) -> str:
        """A tree head as a signed note; the key hint is the beginning of the log's id."""
        note = f"{self.origin}\n{size}\n{_text(self.tree.root(size))}\n"
        signature = self.key.sign(note.encode(), ec.ECDSA(hashes.SHA256()))
        return f"{note}\n\u2014 {self.origin} {_text(self.log_id[:4] + signature)}\n"


def _check(record: dict[str, dict[str, dict[str, dict[str, str]]]]) -> None:
    """A log takes only what its submitter's certificate signed."""
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    verifier = record["signature"]["verifier"]
    certificate = load_der_x509_certificate(base64.b64decode(verifier["x509Certificate"]["rawBytes"]))
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("not an elliptic curve key")
    signature = base64.b64decode(str(record["signature"]["content"]))
    key.verify(signature, base64.b64decode(str(record["digest"])), ec.ECDSA(Prehashed(hashes.SHA256())))


def canonical(value: object) -> bytes:
    """RFC 8785 for the plain ASCII objects that are logged."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
