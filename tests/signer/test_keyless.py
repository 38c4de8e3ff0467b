"""Keyless signing against the private Sigstore double, and verification with no network at all."""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from registry_gate.errors import Error, FetchError, Refused, VerificationError
from registry_gate.signing.attestations import one_form
from registry_gate.signing.identities import TrustedIdentity
from registry_gate.signing.oms import Publishers, verify_model_signature
from registry_gate.signing.trust import Trust
from registry_gate.signing.verify import verify_release
from registry_gate.testing.private_sigstore import PrivateSigstore
from registry_gate.testing.sample_release import SampleGate, sample_gate
from tests.signer.orders import WHO, keyless, release
from tests.signing.test_oms import digests, write

CLI = str(Path(sys.executable).with_name("model_signing"))


@pytest.fixture(scope="module")
def signed(sigstore: PrivateSigstore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleGate]:
    folder = tmp_path_factory.mktemp("keyless")
    gate = keyless(sample_gate(folder / "home"), sigstore, folder)
    before = len(sigstore.log.tree.leaves)
    root = release(gate, folder, datetime.now(UTC)).root
    assert len(sigstore.log.tree.leaves) == before + 2  # model.sig and the verdict, however many statements
    return root, gate


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_a_keyless_release_verifies_offline_and_says_who(
    signed: tuple[Path, SampleGate], sigstore: PrivateSigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, gate = signed
    no_network(monkeypatch)
    verified = verify_release(root, gate.trust)
    assert verified.signed_by == f"{WHO} (issuer {sigstore.issuer})"


def test_the_public_tool_verifies_a_keyless_release(
    signed: tuple[Path, SampleGate], sigstore: PrivateSigstore, tmp_path: Path
) -> None:
    root, _ = signed
    config = tmp_path / "config.json"
    config.write_text(sigstore.trust_config())
    command = [CLI, "verify", "sigstore", str(root / "model"), "--trust_config", str(config)]
    command += ["--signature", str(root / "attestations/model.sig")]
    command += ["--identity", WHO, "--identity_provider", sigstore.issuer]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "succeeded" in done.stdout) == (0, True), done.stderr


def test_a_keyless_bundle_of_the_public_tool_verifies(sigstore: PrivateSigstore, tmp_path: Path) -> None:
    model, config = write(tmp_path / "model"), tmp_path / "config.json"
    config.write_text(sigstore.trust_config())
    command = [CLI, "sign", "sigstore", str(model), "--trust_config", str(config)]
    command += ["--signature", str(tmp_path / "model.sig"), "--identity_token", sigstore.token(WHO)]
    subprocess.run(command, capture_output=True, check=True)
    found = verify_model_signature(
        digests(model), (tmp_path / "model.sig").read_bytes(), publishers(sigstore)
    )
    assert (found.signatory.name, found.signatory.issuer) == (WHO, sigstore.issuer)


def publishers(sigstore: PrivateSigstore, who: str = WHO, issuer: str | None = None) -> Publishers:
    identity = TrustedIdentity(identity=who, issuer=issuer or sigstore.issuer)
    return Publishers(identities=(identity,), sigstore_root=sigstore.trusted_root())


def refused(root: Path, trust: Trust, **more: Any) -> str:
    with pytest.raises(VerificationError) as caught:
        verify_release(root, trust, **more)
    return caught.value.code


def changed_trust(gate: SampleGate, **update: object) -> Trust:
    return gate.trust.model_copy(update=update)


def test_another_identity_issuer_or_root_is_refused(
    signed: tuple[Path, SampleGate], sigstore: PrivateSigstore
) -> None:
    root, gate = signed
    issuer = sigstore.issuer
    for who, by in ((f"x{WHO}", issuer), (WHO, f"{issuer}/"), (WHO.upper(), issuer), (issuer, issuer)):
        identity = TrustedIdentity(identity=who, issuer=by)
        assert refused(root, changed_trust(gate, identities=(identity,))) == "untrusted-identity"
    assert refused(root, changed_trust(gate, identities=())) == "untrusted-identity"
    assert refused(root, changed_trust(gate, sigstore_root=None)) == "untrusted-identity"
    assert refused(root, changed_trust(gate, sigstore_root="public")) == "bad-signature"
    with PrivateSigstore() as other:
        assert refused(root, changed_trust(gate, sigstore_root=other.trusted_root())) == "bad-signature"


def test_an_identity_without_its_issuer_cannot_be_written() -> None:
    for made in ({"identity": WHO}, {"identity": WHO, "issuer": ""}, {"identity": "", "issuer": "https://x"}):
        with pytest.raises(ValueError, match="i"):
            TrustedIdentity.model_validate(made)


def test_a_key_is_no_identity_and_an_identity_no_key(
    signed: tuple[Path, SampleGate], gate: SampleGate, tmp_path: Path
) -> None:
    root, by_identity = signed
    by_key = gate.release(tmp_path).root
    assert refused(root, gate.trust) == "untrusted-identity"
    assert refused(by_key, by_identity.trust) == "untrusted-key"


def test_an_expired_or_postdated_verdict_is_refused(signed: tuple[Path, SampleGate]) -> None:
    root, gate = signed
    assert refused(root, gate.trust, now=datetime.now(UTC) + timedelta(days=31)) == "expired"


def edit(root: Path, change: Callable[[Any], object], line: int | None = None) -> None:
    """Change ``model.sig``, or one line of the statements, keeping its one form."""
    path = root / ("attestations/model.sig" if line is None else "attestations/statements.jsonl")
    lines = path.read_bytes().splitlines()
    value = json.loads(lines[line or 0])
    change(value)
    lines[line or 0] = one_form(value)
    path.write_bytes(b"\n".join(lines) + (b"" if line is None else b"\n"))


def material(bundle: Any) -> Any:
    return bundle["verificationMaterial"]


def proof(bundle: Any) -> Any:
    return material(bundle)["tlogEntries"][0]["inclusionProof"]


def shrink(bundle: Any) -> None:
    proof(bundle)["treeSize"] = "1"
    proof(bundle)["hashes"] = []


EDITS: dict[str, tuple[Callable[[Any], object], set[str]]] = {
    "no time stamp": (lambda b: material(b).pop("timestampVerificationData"), {"bad-bundle"}),
    "empty time stamps": (
        lambda b: material(b)["timestampVerificationData"].update(rfc3161Timestamps=[]),
        {"bad-bundle", "bad-signature"},
    ),
    "no log entry": (lambda b: material(b).update(tlogEntries=[]), {"bad-bundle"}),
    "no inclusion proof": (
        lambda b: material(b)["tlogEntries"][0].pop("inclusionProof"),
        {"bad-bundle"},
    ),
    "empty inclusion proof": (lambda b: proof(b).update(hashes=[]), {"bad-signature"}),
    "no checkpoint": (lambda b: proof(b).pop("checkpoint"), {"bad-bundle"}),
    "tree that shrank": (shrink, {"bad-bundle"}),
    "another root hash": (
        lambda b: proof(b).update(rootHash="A" * 43 + "="),
        {"bad-signature"},
    ),
    "another signature": (
        lambda b: b["dsseEnvelope"]["signatures"][0].update(sig="AAAA"),
        {"bad-signature"},
    ),
    "another payload": (lambda b: b["dsseEnvelope"].update(payload="e30="), {"bad-signature"}),
    "another payload type": (lambda b: b["dsseEnvelope"].update(payloadType="text/plain"), {"bad-bundle"}),
    "unknown field": (lambda b: b.update(more=1), {"bad-bundle"}),
    "unreadable certificate": (lambda b: material(b)["certificate"].update(rawBytes="AAAA"), {"bad-bundle"}),
}


@pytest.fixture
def copy(signed: tuple[Path, SampleGate], tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(signed[0], tmp_path / "copy"))


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("line", [None, -1])
def test_an_edited_keyless_bundle_is_refused(
    name: str, line: int | None, copy: Path, signed: tuple[Path, SampleGate]
) -> None:
    change, codes = EDITS[name]
    edit(copy, change, line)
    assert refused(copy, signed[1].trust) in codes


def test_a_carried_statement_counts_only_as_the_verdict_names_it(
    copy: Path, signed: tuple[Path, SampleGate]
) -> None:
    path = copy / "attestations/statements.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert json.loads(lines[1])["signatures"] == []
    for made in (
        [*lines[:1], *lines[2:]],
        [lines[0], lines[2], lines[1], *lines[3:]],
        [*lines[:1], lines[1], *lines[1:]],
        [lines[0].replace(b'"signatures"', b'"more":1,"signatures"'), *lines[1:]],
        [lines[0].replace(b'"payload":"', b'"payload":"AAAA'), *lines[1:]],
        lines[:-1],
        lines[-1:],
    ):
        path.write_bytes(b"".join(made))
        assert refused(copy, signed[1].trust) in {"bad-statement", "bad-bundle"}


def test_whitespace_and_other_spellings_of_a_bundle_are_refused(
    copy: Path, signed: tuple[Path, SampleGate]
) -> None:
    path = copy / "attestations/model.sig"
    bundle = json.loads(path.read_bytes())
    for text in (json.dumps(bundle), json.dumps(bundle, indent=1), json.dumps(bundle, ensure_ascii=False)):
        path.write_bytes(text.encode())
        assert refused(copy, signed[1].trust) == "bad-bundle"


LABELS = {"keyId", "envelope", "signedTimestamp"}
"""Fields in which a few characters prove nothing (docs/signing.md); in all others every character counts."""


def field_at(bundle: bytes, position: int) -> str:
    names: list[bytes] = re.findall(rb'"([A-Za-z0-9]+)":', bundle[:position])
    return names[-1].decode() if names else ""


@pytest.mark.parametrize("name", ["attestations/model.sig", "attestations/statements.jsonl"])
def test_a_changed_character_of_a_keyless_bundle_is_refused(
    name: str, copy: Path, signed: tuple[Path, SampleGate]
) -> None:
    path = copy / name
    whole = path.read_bytes()
    chosen = random.Random(name)
    for position in chosen.sample(range(len(whole)), 60):
        changed = bytearray(whole)
        changed[position] ^= 1 << chosen.randrange(7)
        path.write_bytes(changed)
        try:
            verify_release(copy, signed[1].trust)
        except VerificationError:
            continue
        assert field_at(whole, position) in LABELS


def signing_fails(gate: SampleGate, folder: Path) -> Error:
    with pytest.raises(Error) as caught:
        release(gate, folder, datetime.now(UTC))
    assert not (folder / "release").exists()
    return caught.value


def test_a_token_of_another_identity_makes_no_log_entry(
    own_gate: SampleGate, sigstore: PrivateSigstore, tmp_path: Path
) -> None:
    before = len(sigstore.log.tree.leaves)
    error = signing_fails(keyless(own_gate, sigstore, tmp_path, "mallory@acme.example"), tmp_path)
    assert isinstance(error, Refused)
    assert (error.code, "trust file" in error.message) == ("signer-refuses", True)
    assert len(sigstore.log.tree.leaves) == before


@pytest.mark.parametrize("token", ["", "not a token", "a.b.c"])
def test_a_token_that_is_none_is_refused(
    token: str, own_gate: SampleGate, sigstore: PrivateSigstore, tmp_path: Path
) -> None:
    gate = keyless(own_gate, sigstore, tmp_path)
    (tmp_path / "token.jwt").write_text(token)
    assert signing_fails(gate, tmp_path).code == "bad-identity-token"


@pytest.mark.parametrize("service", ["/api/v2/signingCert", "/api/v2/log/entries", "/api/v1/timestamp"])
def test_a_service_that_fails_leaves_nothing_signed(
    service: str, own_gate: SampleGate, sigstore: PrivateSigstore, tmp_path: Path
) -> None:
    gate = keyless(own_gate, sigstore, tmp_path)
    sigstore.server.failing = {service}
    try:
        error = signing_fails(gate, tmp_path)
    finally:
        sigstore.server.failing = set()
    assert isinstance(error, FetchError)
    assert error.code == "sigstore-failed"


@pytest.mark.parametrize("defect", ["expired leaf", "no SCT", "no issuer", "wrong clock"])
def test_an_instance_that_errs_is_noticed_before_anything_is_written(
    defect: str, own_gate: SampleGate, tmp_path: Path
) -> None:
    with PrivateSigstore() as sigstore:
        gate = keyless(own_gate, sigstore, tmp_path)
        if defect == "expired leaf":
            sigstore.expire_leaves()
        elif defect == "wrong clock":
            sigstore.tsa.clock = datetime.now(UTC) - timedelta(days=2)
        else:
            setattr(sigstore.ca, {"no SCT": "with_sct", "no issuer": "with_issuer"}[defect], False)
        assert signing_fails(gate, tmp_path).code in {
            "sigstore-failed",
            "bad-signature",
            "untrusted-identity",
        }
