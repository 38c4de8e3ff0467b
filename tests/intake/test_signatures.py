"""Bundles of the public tool and of a private Sigstore, read in a real confined child; and hostile ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import model_signing
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registry_gate.candidate import Candidate, Snapshot, SnapshotFile, SourceKind
from registry_gate.checks import publisher_signature
from registry_gate.errors import ToolError, UsageError
from registry_gate.evidence import Evidence, PublisherSignature
from registry_gate.intake import signatures
from registry_gate.intake.messages import SignatureAnswer, SignatureRequest
from registry_gate.intake.signatures import examine_signatures, expected_publishers
from registry_gate.policy import Policy, Publisher, load_policy
from registry_gate.signing.trust import public_pem
from registry_gate.testing.company_pki import NAME, CompanyPki, company_pki
from registry_gate.testing.private_sigstore import PrivateSigstore

CANDIDATE = Candidate(kind=SourceKind.HUB, endpoint="https://huggingface.co", id="acme/tiny")
FILES = {"config.json": b"{}", "model.safetensors": b"\0" * 100, "1_Pooling/config.json": b"{}"}
WHO = "release@acme.example"


def policy_of(*publishers: Publisher) -> Policy:
    policy = load_policy("default")
    provenance = policy.provenance.model_copy(update={"publishers": publishers})
    return policy.model_copy(update={"provenance": provenance})


def publisher_of(**way: str) -> Publisher:
    return Publisher(name="acme", models=("acme/*",), required=True, **way)  # type: ignore[arg-type]


def write(folder: Path) -> Path:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def snapshot_of(folder: Path) -> Snapshot:
    files = tuple(
        SnapshotFile(
            path=path.relative_to(folder).as_posix(),
            size=path.stat().st_size,
            sha256=sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    return Snapshot(listing_digest="x", root=folder, files=files)


def read(folder: Path, policy: Policy) -> tuple[PublisherSignature, ...]:
    return examine_signatures(snapshot_of(folder), CANDIDATE, policy, datetime.now(UTC))


def judged(folder: Path, policy: Policy) -> list[str]:
    evidence = Evidence(
        gate_version="0",
        observed_at=datetime.now(UTC),
        candidate=CANDIDATE,
        registered_name="x",
        snapshot=snapshot_of(folder).files,
        signatures=read(folder, policy),
    )
    return [finding.rule for finding in publisher_signature.run(evidence, policy).findings]


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


@pytest.fixture
def signed(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> Path:
    """A model that its publisher signed with the public tool's own library."""
    model, private = write(tmp_path / "model"), tmp_path / "key.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    signing = model_signing.signing.Config().use_elliptic_key_signer(private_key=private)
    signing.sign(model, model / "model.sig")
    return model


@pytest.fixture
def by_key(key: ec.EllipticCurvePrivateKey) -> Policy:
    return policy_of(publisher_of(key=public_pem(key.public_key())))


def test_a_key_of_the_policy_proves_these_files(signed: Path, by_key: Policy) -> None:
    (found,) = read(signed, by_key)
    assert (found.status, found.publisher, found.method, found.path) == ("signed", "acme", "key", "model.sig")
    assert {name for name, _ in found.files} == set(FILES)
    assert judged(signed, by_key) == []


def test_a_byte_changed_after_signing_is_found(signed: Path, by_key: Policy) -> None:
    (signed / "config.json").write_bytes(b'{"auto_map": {}}')
    assert judged(signed, by_key) == ["publisher-signature-invalid", "publisher-signature-missing"]


def test_a_file_added_after_signing_is_found(signed: Path, by_key: Policy) -> None:
    (signed / "tokenizer.json").write_bytes(b"{}")
    assert judged(signed, by_key) == ["publisher-signature-incomplete"]


def test_nobody_expected_makes_a_stranger(signed: Path) -> None:
    (found,) = read(signed, policy_of())
    assert (found.status, found.code) == ("stranger", "untrusted-key")
    other = ec.generate_private_key(ec.SECP256R1())
    (found,) = read(signed, policy_of(publisher_of(key=public_pem(other.public_key()))))
    assert found.status == "stranger"


def test_an_edited_payload_is_invalid(signed: Path, by_key: Policy) -> None:
    bundle = json.loads((signed / "model.sig").read_bytes())
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    payload["predicate"]["resources"][0]["digest"] = "0" * 64
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    (signed / "model.sig").write_text(json.dumps(bundle))
    (found,) = read(signed, by_key)
    assert (found.status, found.code) == ("invalid", "bad-signature")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> CompanyPki:
    return company_pki(tmp_path_factory.mktemp("pki"))


def test_a_certificate_under_the_policys_root_proves_these_files(pki: CompanyPki, tmp_path: Path) -> None:
    model = write(tmp_path / "model")
    model_signing.signing.Config().use_certificate_signer(
        private_key=pki.leaf_key, signing_certificate=pki.leaf, certificate_chain=[pki.intermediate]
    ).sign(model, model / "model.sig")
    expected = policy_of(publisher_of(certificate=NAME, roots=pki.root.read_text()))
    (found,) = read(model, expected)
    assert (found.status, found.method) == ("signed", "certificate")
    stranger = policy_of(publisher_of(certificate="URI:urn:acme:other", roots=pki.root.read_text()))
    assert [item.status for item in read(model, stranger)] == ["stranger"]


@pytest.fixture(scope="module")
def sigstore() -> Iterator[PrivateSigstore]:
    with PrivateSigstore() as running:
        yield running


def test_an_identity_of_the_policy_proves_these_files_without_a_network(
    sigstore: PrivateSigstore, tmp_path: Path
) -> None:
    """The child has no network: what is proven is proven from the bundle and the pinned root alone."""
    model, config = write(tmp_path / "model"), tmp_path / "trust.json"
    config.write_text(sigstore.trust_config())
    model_signing.signing.Config().use_sigstore_signer(
        identity_token=sigstore.token(WHO), trust_config=config
    ).sign(model, model / "model.sig")
    root = sigstore.trusted_root()
    expected = publisher_of(identity=WHO, issuer=sigstore.issuer, sigstore_root=root)
    (found,) = read(model, policy_of(expected))
    assert (found.status, found.method) == ("signed", "sigstore")
    assert found.signer == f"{WHO} (issuer {sigstore.issuer})"
    elsewhere = publisher_of(identity=WHO, issuer="https://elsewhere.example", sigstore_root=root)
    assert [item.status for item in read(model, policy_of(elsewhere))] == ["stranger"]


HOSTILE = {
    "empty": (b"", "none"),
    "a detached signature of another tool": (b"\x89\x01\x33\x04" + bytes(range(256)), "none"),
    "other json": (b'{"a": 1}', "none"),
    "nested beyond sense": (b"[" * 200_000, "none"),
    "an envelope of nothing": (b'{"dsseEnvelope": null}', "invalid"),
    "a key given twice": (b'{"dsseEnvelope": 1, "dsseEnvelope": 2}', "invalid"),
    "an envelope full of brackets": (b'{"dsseEnvelope": ' + b"[" * 900 + b"]" * 900 + b"}", "invalid"),
    "numbers without end": (b'{"dsseEnvelope": ' + b"9" * 100_000 + b"}", "none"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bundles_are_told_apart_and_crash_nothing(name: str, tmp_path: Path, by_key: Policy) -> None:
    data, status = HOSTILE[name]
    model = write(tmp_path / "model")
    (model / "model.sig").write_bytes(data)
    assert [item.status for item in read(model, by_key)] == [status]


def test_without_a_signature_no_child_is_started(
    tmp_path: Path, by_key: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "run_confined", None)
    assert read(write(tmp_path / "model"), by_key) == ()


def test_more_signatures_than_are_read_are_invalid(tmp_path: Path, by_key: Policy) -> None:
    model = write(tmp_path / "model")
    for number in range(signatures.MAX_SIGNATURES + 1):
        (model / f"{number}.sig").write_bytes(b"{}")
    statuses = [(item.path, item.status) for item in read(model, by_key)]
    assert statuses[-1] == (f"{signatures.MAX_SIGNATURES}.sig", "invalid")
    assert {status for _, status in statuses[:-1]} == {"none"}


def test_a_child_that_died_leaves_invalid_signatures(
    signed: Path, by_key: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "CHILD", "registry_gate.testing.failing_reader")
    (found,) = read(signed, by_key)
    assert (found.status, found.code) == ("invalid", "signature-not-read")


def _answer(**fields: object) -> bytes:
    said = PublisherSignature(**{"path": "model.sig", "status": "signed", "publisher": "acme", **fields})
    return SignatureAnswer(signatures=(said,)).canonical()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}",
        SignatureAnswer(signatures=()).canonical(),
        _answer(path="other.sig"),
        _answer(publisher="someone"),
        _answer(publisher=None),
        _answer(status="fine"),
        _answer(status="stranger"),
        _answer(files=(("a", "1" * 64), ("a", "2" * 64))),
    ],
)
def test_an_answer_out_of_order_is_not_believed(answer: bytes, by_key: Policy) -> None:
    request = SignatureRequest(
        root="/x",
        paths=("model.sig",),
        publishers=expected_publishers(CANDIDATE, by_key),
        now=datetime.now(UTC),
    )
    with pytest.raises(ToolError) as caught:
        signatures._validated(answer, request)
    assert caught.value.code == "reader-answer"


@pytest.mark.parametrize(
    "way", [{"key": "no key"}, {"identity": "", "issuer": "https://x"}, {"identity": "i", "issuer": "x"}]
)
def test_a_publisher_that_cannot_be_used_is_a_mistake_of_the_policy(way: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        expected_publishers(CANDIDATE, policy_of(publisher_of(**way)))
    assert caught.value.code == "bad-publisher"
