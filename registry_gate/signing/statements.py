"""in-toto statements: one canonical JSON form, one subject, a typed predicate."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal, TypeVar

from pydantic import ConfigDict, Field, JsonValue, ValidationError

from registry_gate.record import Record, canonical_json
from registry_gate.release import Manifest
from registry_gate.signing.dsse import parse_canonical
from registry_gate.signing.predicates import (
    DigestSet,
    InputAttestation,
    ModelSignature,
    Resource,
    SignedFile,
)
from registry_gate.signing.refusal import refusal, shown

_TYPE = "https://in-toto.io/Statement/v1"
MODEL_FOLDER = "model"
MODEL_SIG = "attestations/model.sig"
STATEMENTS = "attestations/statements.jsonl"

P = TypeVar("P", bound=Record)


class Statement(Record):
    """One in-toto Statement v1, its predicate not read yet."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(
        default="https://in-toto.io/Statement/v1", alias="_type"
    )
    subject: tuple[Resource]
    predicate_type: str = Field(alias="predicateType")
    predicate: JsonValue


def subject(name: str, digest: str) -> Resource:
    """A subject from a name and ``sha256:<hex>``."""
    return Resource(name=name, digest=DigestSet(sha256=digest.removeprefix("sha256:")))


def payload(about: Resource, predicate_type: str, predicate: Record | JsonValue) -> bytes:
    """The bytes to sign for one statement."""
    said = predicate.model_dump(mode="json") if isinstance(predicate, Record) else predicate
    return canonical_json(
        {
            "_type": _TYPE,
            "subject": [about.model_dump(mode="json")],
            "predicateType": predicate_type,
            "predicate": said,
        }
    )


def parse(data: bytes) -> Statement:
    """Read a statement from a verified payload.

    Raises:
        VerificationError: ``bad-statement``.
    """
    try:
        parse_canonical(data)
        return Statement.from_json(data)
    except ValueError as error:
        detail = str(error).splitlines()[0]
        raise refusal("bad-statement", f"a signed payload is not a statement: {shown(detail)}") from error


def predicate_of(statement: Statement, kind: type[P]) -> P:
    """The statement's predicate as a record.

    Raises:
        VerificationError: ``bad-statement``.
    """
    try:
        return kind.from_json(canonical_json(statement.predicate))
    except ValidationError as error:
        detail = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise refusal(
            "bad-statement", f"a {kind.__name__} statement is not in the agreed form: {shown(detail)}"
        ) from error


def input_attestation(predicate_type: str, data: bytes) -> InputAttestation:
    """How the verdict names another statement: its type and the digest of its payload."""
    digest = sha256(data).hexdigest()
    return InputAttestation(uri=f"{predicate_type}#sha256:{digest}", digest=DigestSet(sha256=digest))


def model_signature(manifest: Manifest) -> tuple[Resource, ModelSignature]:
    """Subject and predicate that Model Signing v1.0 gives for these files, from digests alone.

    The subject's digest is the sha256 of the concatenated file digests, in path order; names are not in it.
    """
    files = sorted(manifest.files, key=lambda file: file.name.split("/"))
    root = sha256(b"".join(bytes.fromhex(file.sha256) for file in files)).hexdigest()
    resources = tuple(SignedFile(name=file.name, digest=file.sha256) for file in files)
    about = Resource(name=MODEL_FOLDER, digest=DigestSet(sha256=root))
    return about, ModelSignature(resources=resources)
