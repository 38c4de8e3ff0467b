"""DSSE envelopes in Sigstore bundles v0.3 with a public-key hint, written one way and read that one way only.

Sources: github.com/secure-systems-lab/dsse (protocol.md v1.0.0), docs.sigstore.dev/about/bundle, and the form
model-signing 1.1.1 writes for key signatures.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from registry_gate.record import canonical_json
from registry_gate.signing.bundle import IN_TOTO, MEDIA_TYPE, pae
from registry_gate.signing.keys import Signer
from registry_gate.signing.proven import check_key_signature
from registry_gate.signing.refusal import refusal, shown
from registry_gate.signing.trust import Trust, TrustedKey


@dataclass(frozen=True)
class Opened:
    """A payload whose signature was verified with a pinned key."""

    payload: bytes
    key: TrustedKey


def seal(payload: bytes, signer: Signer, payload_type: str = IN_TOTO) -> bytes:
    """Sign a payload; returns the bundle as one line of JSON, without a newline."""
    return _encode(payload, payload_type, signer.key.hint, signer.sign(pae(payload_type, payload)))


def unseal(bundle: bytes, trust: Trust, payload_type: str = IN_TOTO) -> Opened:
    """Verify a bundle against the pinned keys and return its payload.

    The bundle must be byte for byte what ``seal`` writes for its parts, so no byte of it is free to change.

    Raises:
        VerificationError: ``bad-bundle``, ``untrusted-key`` or ``bad-signature``.
    """
    payload, hint, signature = _decode(bundle, payload_type)
    key = trust.key_for(hint)
    if any(entry.key.hint == hint for entry in trust.retired_keys):
        raise refusal("key-retired", f"its key was retired (hint {shown(hint)})")
    if key is None:
        raise refusal("untrusted-key", f"its key is not in the trust file (hint {shown(hint)})")
    check_key_signature(key, signature, pae(payload_type, payload))
    return Opened(payload=payload, key=key)


def _encode(payload: bytes, payload_type: str, hint: str, signature: bytes) -> bytes:
    """The one form, in the key order of model-signing."""
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle, separators=(",", ":")).encode()


def _decode(bundle: bytes, payload_type: str) -> tuple[bytes, str, bytes]:
    try:
        parsed = json.loads(bundle)
        envelope = parsed["dsseEnvelope"]
        hint = parsed["verificationMaterial"]["publicKey"]["hint"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        (signature,) = envelope["signatures"]
        raw = base64.b64decode(signature["sig"], validate=True)
        same = isinstance(hint, str) and _encode(payload, payload_type, hint, raw) == bundle
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise refusal("bad-bundle", f"not a signature bundle: {shown(str(error))}") from error
    if not same:
        raise refusal("bad-bundle", "the signature bundle is not in the one form the gate writes")
    return payload, hint, raw


def parse_canonical(payload: bytes) -> object:
    """Parse JSON that must be in canonical form, which excludes duplicate keys and unread bytes.

    Raises:
        ValueError: it is not.
    """
    try:
        value: object = json.loads(payload)
        if canonical_json(value) != payload:
            raise ValueError("not canonical JSON")
    except (RecursionError, TypeError) as error:
        raise ValueError("not JSON of a sensible depth") from error
    return value
