"""A Sigstore bundle v0.3 with one DSSE envelope, read strictly whoever wrote it; nothing is believed yet.

Sources: docs.sigstore.dev/about/bundle, github.com/secure-systems-lab/dsse (protocol.md v1.0.0), and what
model-signing 1.1.1 writes with its key, sigstore and certificate methods.
"""

from __future__ import annotations

import base64
import json
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from registry_gate.record import Record
from registry_gate.signing.identities import Method
from registry_gate.signing.refusal import refusal, shown

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
MAX_BUNDLE_BYTES = 64 * 1024 * 1024
_MAX_CERTIFICATE_BYTES = 16 * 1024
_MAX_CHAIN = 8
_MAX_TIMESTAMPS = 4


def _decoded(value: object) -> bytes:
    """Base64 in its one canonical form: no line breaks, no bits left over."""
    if not isinstance(value, str):
        raise ValueError("base64 text expected")
    data = base64.b64decode(value, validate=True)
    if base64.b64encode(data).decode() != value:
        raise ValueError("not canonical base64")
    return data


Base64 = Annotated[bytes, BeforeValidator(_decoded)]


class _Wire(Record):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True)


class Certificate(_Wire):
    """One certificate in DER."""

    raw_bytes: Annotated[Base64, Field(min_length=1, max_length=_MAX_CERTIFICATE_BYTES)]


class Chain(_Wire):
    """A leaf, then whatever leads towards a root."""

    certificates: Annotated[tuple[Certificate, ...], Field(min_length=1, max_length=_MAX_CHAIN)]


class PublicKey(_Wire):
    """The key's name: sha256 of its PEM in hex."""

    hint: str = ""


class Timestamp(_Wire):
    """One RFC 3161 answer over the signature."""

    signed_timestamp: Base64


class Timestamps(_Wire):
    """The answers of time stamp authorities."""

    rfc3161_timestamps: Annotated[tuple[Timestamp, ...], Field(max_length=_MAX_TIMESTAMPS)] = ()


class Material(_Wire):
    """What the signature is to be checked with; exactly one of the first three is there."""

    public_key: PublicKey | None = None
    certificate: Certificate | None = None
    x509_certificate_chain: Annotated[Chain | None, Field(alias="x509CertificateChain")] = None
    tlog_entries: tuple[JsonValue, ...] = ()
    timestamp_verification_data: Timestamps | None = None

    @property
    def method(self) -> Method:
        """How it was signed. Raises ValueError where that is not plain."""
        there = (self.public_key, self.certificate, self.x509_certificate_chain)
        methods = (Method.KEY, Method.SIGSTORE, Method.CERTIFICATE)
        (method,) = (name for name, part in zip(methods, there, strict=True) if part is not None)
        if bool(self.tlog_entries) != (method is Method.SIGSTORE):
            raise ValueError(f"{len(self.tlog_entries)} log entries in a bundle signed by {method.value}")
        return method


class Signature(_Wire):
    """One signature; the key id is a hint nobody needs."""

    sig: Base64
    keyid: str = ""


class Envelope(_Wire):
    """DSSE: a payload, its type and one signature over both."""

    payload: Base64
    payload_type: str
    signatures: tuple[Signature]


class Bundle(_Wire):
    """The whole bundle."""

    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]
    verification_material: Material
    dsse_envelope: Envelope

    @property
    def signed(self) -> bytes:
        """DSSE's pre-authentication encoding: the very bytes under the signature."""
        return pae(self.dsse_envelope.payload_type, self.dsse_envelope.payload)

    @property
    def signature(self) -> bytes:
        """The one signature."""
        return self.dsse_envelope.signatures[0].sig


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def read_bundle(data: bytes, payload_type: str = IN_TOTO) -> Bundle:
    """Parse a bundle; fields nobody knows, keys given twice and other payload types are refused.

    Raises:
        VerificationError: ``bad-bundle``.
    """
    try:
        if len(data) > MAX_BUNDLE_BYTES:
            raise ValueError(f"it is larger than {MAX_BUNDLE_BYTES} bytes")
        bundle = Bundle.from_json(json.dumps(unique_json(data)))
        if bundle.dsse_envelope.payload_type != payload_type:
            raise ValueError(f"its payload is {bundle.dsse_envelope.payload_type!r}, not {payload_type!r}")
        _ = bundle.verification_material.method
    except ValidationError as error:
        first = error.errors()[0]
        detail = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise refusal("bad-bundle", f"not a signature bundle: {shown(detail)}") from error
    except (ValueError, RecursionError) as error:
        raise refusal("bad-bundle", f"not a signature bundle: {shown(str(error))}") from error
    return bundle


def unique_json(data: bytes) -> JsonValue:
    """Parse JSON in which no key is given twice, since parsers disagree on which one counts.

    Raises:
        ValueError: it is not such JSON.
        RecursionError: it is nested beyond sense.
    """
    value: JsonValue = json.loads(data, object_pairs_hook=_unique)
    return value


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key is given twice")
    return table
