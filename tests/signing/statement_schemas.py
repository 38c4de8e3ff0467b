"""JSON Schemas of the standards' statements, written by us from their published texts, field by field.

in-toto Attestation Framework v1 (statement.md, resource_descriptor.md, digest_set.md), SLSA v1.0 (provenance,
verification_summary), in-toto test-result v0.1. Standard names never hold an underscore; SLSA lets extensions
stand in any object, named ``<vendor>_<fieldName>``. Anything else unknown is a misspelt standard field.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_EXTENSION = "^[A-Za-z]+_[A-Za-z]+$"
_URI = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$"}
_TIME = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$"}
_DIGEST_SET = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]+$"},
    "properties": {"sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
}


def _object(required: tuple[str, ...], **properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": [*required],
        "properties": properties,
        "patternProperties": {_EXTENSION: {}},
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_TEXTS = _list({"type": "string"})
_MAP: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_DESCRIPTOR = {
    **_object(
        (),
        name={"type": "string"},
        uri=_URI,
        digest=_DIGEST_SET,
        content={"type": "string", "contentEncoding": "base64"},
        downloadLocation=_URI,
        mediaType={"type": "string", "pattern": "^[a-z]+/[a-z0-9.+-]+$"},
        annotations={"type": "object"},
    ),
    "anyOf": [{"required": [name]} for name in ("uri", "digest", "content")],
}

STATEMENT = _object(
    ("_type", "subject", "predicateType"),
    _type={"const": "https://in-toto.io/Statement/v1"},
    subject={"type": "array", "minItems": 1, "items": {**_DESCRIPTOR, "required": ["digest"]}},
    predicateType=_URI,
    predicate={"type": "object"},
)

VERDICT = _object(
    ("verifier", "timeVerified", "resourceUri", "policy", "verificationResult", "verifiedLevels"),
    verifier=_object(("id",), id=_URI, version=_MAP),
    timeVerified=_TIME,
    resourceUri=_URI,
    policy={**_DESCRIPTOR, "required": ["uri", "digest"]},
    inputAttestations=_list({**_DESCRIPTOR, "required": ["digest"]}),
    verificationResult={"enum": ["PASSED", "FAILED"]},
    # levels of our own are allowed, but their names must not begin with SLSA_
    verifiedLevels=_list({"type": "string", "pattern": "^(?!SLSA_)[A-Z0-9_]+$"}),
    dependencyLevels={"type": "object", "additionalProperties": {"type": "integer"}},
    slsaVersion={"type": "string"},
)

TEST_RESULT = _object(
    ("result", "configuration"),
    result={"enum": ["PASSED", "WARNED", "FAILED"]},
    configuration=_list(_DESCRIPTOR),
    url=_URI,
    passedTests=_TEXTS,
    warnedTests=_TEXTS,
    failedTests=_TEXTS,
)

PROVENANCE = _object(
    ("buildDefinition", "runDetails"),
    buildDefinition=_object(
        ("buildType", "externalParameters"),
        buildType=_URI,
        externalParameters={"type": "object"},
        internalParameters={"type": "object"},
        resolvedDependencies=_list(_DESCRIPTOR),
    ),
    runDetails=_object(
        ("builder",),
        builder=_object(("id",), id=_URI, version=_MAP, builderDependencies=_list(_DESCRIPTOR)),
        metadata=_object((), invocationId={"type": "string"}, startedOn=_TIME, finishedOn=_TIME),
        byproducts=_list(_DESCRIPTOR),
    ),
)

PREDICATES = {
    "https://slsa.dev/verification_summary/v1": VERDICT,
    "https://in-toto.io/attestation/test-result/v0.1": TEST_RESULT,
    "https://slsa.dev/provenance/v1": PROVENANCE,
}
