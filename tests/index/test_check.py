"""judge(): what one state of the index says of one Release; pure, so on plain values."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from registry_gate.candidate import SourceKind
from registry_gate.errors import VerificationError
from registry_gate.index.check import judge
from registry_gate.index.content import (
    Floor,
    IndexContent,
    RevokedRelease,
    RevokedSequences,
    RevokedSigner,
    listed,
)
from registry_gate.release import Verified

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST, OTHER, FILES = "sha256:" + "1" * 64, "sha256:" + "2" * 64, "sha256:" + "3" * 64


def verified(**changes: object) -> Verified:
    plain = Verified(
        name="acme--tiny",
        id="acme/tiny",
        kind=SourceKind.HUB,
        endpoint="https://hub.example",
        commit="a" * 40,
        sequence=10,
        manifest_digest=DIGEST,
        files_digest=FILES,
        policy_name="p",
        policy_digest=OTHER,
        evidence_digest=OTHER,
        gate_version="0",
        verifier="v",
        signed_by="c" * 64,
        issued_at=NOW,
        expires_at=NOW,
        files=1,
        size=1,
    )
    return plain.model_copy(update=changes)


def content(**changes: object) -> IndexContent:
    plain = IndexContent(number=3, verifier="v", hours=1, listed=(listed(verified(), NOW),))
    return plain.model_copy(update=changes)


def refused(said: IndexContent, release: Verified, alias: str | int | None = None) -> str:
    with pytest.raises(VerificationError) as caught:
        judge(said, release, alias)
    return caught.value.code


def test_what_is_listed_passes() -> None:
    judge(content(), verified(), "approved")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "acme--other"},
        {"id": "Acme/tiny"},
        {"endpoint": "https://elsewhere.example"},
        {"commit": "b" * 40},
        {"sequence": 11},
        {"manifest_digest": OTHER},
        {"files_digest": OTHER},
        {"policy_digest": DIGEST},
        {"signed_by": "d" * 64},
        {"kind": SourceKind.FOLDER},
    ],
)
def test_every_particular_must_be_the_listed_one(changes: dict[str, object]) -> None:
    assert refused(content(), verified(**changes)) == "not-in-index"


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (RevokedRelease(manifest_digest=DIGEST, reason="r", revoked_at=NOW), "revoked"),
        (RevokedRelease(manifest_digest=OTHER, files_digest=FILES, reason="r", revoked_at=NOW), "revoked"),
        (RevokedSequences(name="acme--tiny", first=5, last=10, reason="r", revoked_at=NOW), "revoked"),
        (RevokedSequences(first=10, last=99, reason="r", revoked_at=NOW), "revoked"),
        (RevokedSigner(signed_by="c" * 64, reason="r", revoked_at=NOW), "key-revoked"),
        (RevokedSigner(signed_by="c" * 64, since=10, reason="r", revoked_at=NOW), "key-revoked"),
    ],
)
def test_what_is_revoked_is_refused_listed_or_not(
    entry: RevokedRelease | RevokedSequences | RevokedSigner, code: str
) -> None:
    assert refused(content(revoked=(entry,)), verified()) == code
    assert refused(content(revoked=(entry,), listed=()), verified()) == code


@pytest.mark.parametrize(
    "entry",
    [
        RevokedRelease(manifest_digest=OTHER, reason="r", revoked_at=NOW),
        RevokedRelease(manifest_digest=OTHER, files_digest=DIGEST, reason="r", revoked_at=NOW),
        RevokedSequences(name="acme--tiny", first=11, last=20, reason="r", revoked_at=NOW),
        RevokedSequences(name="acme--other", first=1, last=99, reason="r", revoked_at=NOW),
        RevokedSigner(signed_by="e" * 64, reason="r", revoked_at=NOW),
        RevokedSigner(signed_by="c" * 64, since=11, reason="r", revoked_at=NOW),
    ],
)
def test_what_others_did_does_not_touch_it(entry: RevokedRelease | RevokedSequences | RevokedSigner) -> None:
    judge(content(revoked=(entry,)), verified())


def test_an_alias_moved_back_is_refused_and_a_number_asked_for_is_not() -> None:
    said = content(floors=(Floor(name="acme--tiny", alias="approved", sequence=11),))
    assert refused(said, verified(), "approved") == "superseded"
    for asked in (None, 1, "other"):
        judge(said, verified(), asked)
    judge(content(floors=(Floor(name="acme--tiny", alias="approved", sequence=10),)), verified(), "approved")
