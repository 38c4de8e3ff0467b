"""Bundles of the public tool, made by running it, held by our verifier; and every trap it has."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from registry_gate.errors import VerificationError
from registry_gate.signing.bundle import pae
from registry_gate.signing.identities import Method, TrustedCertificate
from registry_gate.signing.oms import Publishers, SignedModel, verify_model_signature
from registry_gate.signing.trust import TrustedKey, key_id, public_pem
from registry_gate.testing.company_pki import NAME, CompanyPki, Issued, authority, company_pki, signing_leaf

CLI = str(Path(sys.executable).with_name("model_signing"))
FILES = {"config.json": b"{}", "weights/a.bin": b"\0" * 100, "empty.txt": b""}
CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}


def write(folder: Path) -> Path:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def trusted(key: ec.EllipticCurvePrivateKey) -> TrustedKey:
    return TrustedKey(key_id=key_id(key.public_key()), public_key=public_pem(key.public_key()))


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def tool(*arguments: object) -> None:
    done = subprocess.run([CLI, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module", params=CURVES)
def key(request: pytest.FixtureRequest) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(CURVES[request.param])


def test_a_key_bundle_of_the_public_tool_verifies(key: ec.EllipticCurvePrivateKey, tmp_path: Path) -> None:
    model, private = write(tmp_path / "model"), tmp_path / "key.pem"
    private.write_bytes(pem(key))
    (model / ".gitattributes").write_text("* text")
    tool("sign", "key", model, "--private_key", private, "--signature", model / "model.sig")
    found = verify_model_signature(
        digests(model),
        (model / "model.sig").read_bytes(),
        Publishers(keys=(trusted(key),)),
        signature_name="model.sig",
    )
    assert (found.signatory.method, str(found.signatory)) == (Method.KEY, key_id(key.public_key()))
    assert found.unsigned == (".gitattributes", "model.sig")
    assert set(found.files) == set(FILES)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> CompanyPki:
    return company_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def by_certificate(pki: CompanyPki, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed")
    write(folder / "model")
    command = ["sign", "certificate", folder / "model", "--signature", folder / "model.sig"]
    command += ["--private_key", pki.leaf_key, "--signing_certificate", pki.leaf]
    tool(*command, "--certificate_chain", pki.intermediate)
    return folder


def by_name(pki: CompanyPki, name: str = NAME) -> Publishers:
    return Publishers(certificates=(TrustedCertificate(name=name, roots=pki.root.read_text()),))


@pytest.mark.parametrize("name", [NAME, "subject:CN=model gate"])
def test_a_certificate_bundle_of_the_public_tool_verifies(
    name: str, by_certificate: Path, pki: CompanyPki
) -> None:
    bundle = (by_certificate / "model.sig").read_bytes()
    found = verify_model_signature(digests(by_certificate / "model"), bundle, by_name(pki, name))
    assert (found.signatory.method, found.signatory.name) == (Method.CERTIFICATE, name)


def refused(files: dict[str, str], bundle: bytes, publishers: Publishers, now: datetime | None = None) -> str:
    with pytest.raises(VerificationError) as caught:
        verify_model_signature(files, bundle, publishers, now=now)
    return caught.value.code


def test_a_certificate_of_another_name_root_or_time_is_refused(
    by_certificate: Path, pki: CompanyPki, tmp_path: Path
) -> None:
    files, bundle = digests(by_certificate / "model"), (by_certificate / "model.sig").read_bytes()
    other = company_pki(tmp_path / "other")
    assert refused(files, bundle, by_name(pki, "URI:urn:acme:other")) == "untrusted-certificate"
    assert refused(files, bundle, by_name(pki, "DNS:urn:acme:model-gate")) == "untrusted-certificate"
    assert refused(files, bundle, by_name(other)) == "untrusted-certificate"
    assert refused(files, bundle, Publishers()) == "untrusted-certificate"
    later, before = (datetime.now(UTC) + timedelta(days=days) for days in (31, -2))
    assert refused(files, bundle, by_name(pki), later) == "certificate-expired"
    assert refused(files, bundle, by_name(pki), before) == "certificate-expired"


def payload(**changes: Any) -> bytes:
    """What the tool signs for FILES, with a part replaced."""
    files = {name: sha256(data).hexdigest() for name, data in FILES.items()}
    return statement(files, **changes)


def statement(files: dict[str, str], **changes: Any) -> bytes:
    resources = [{"name": n, "algorithm": "sha256", "digest": d} for n, d in sorted(files.items())]
    root = sha256(b"".join(bytes.fromhex(digest) for _, digest in sorted(files.items()))).hexdigest()
    serialization_ = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []}
    made = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": serialization_ | changes.pop("serialization", {}),
            "resources": changes.pop("resources", resources),
        },
    }
    return json.dumps(made | changes).encode()


KEY = ec.generate_private_key(ec.SECP256R1())


def sealed(data: bytes, signed: bytes | None = None, **changes: Any) -> bytes:
    """A bundle by KEY in the tool's form; ``signed`` replaces the bytes under the signature."""
    kind = "application/vnd.in-toto+json"
    signature = KEY.sign(signed or pae(kind, data), ec.ECDSA(hashes.SHA256()))
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": trusted(KEY).hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(data).decode(),
            "payloadType": kind,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(bundle | changes).encode()


def ours(bundle: bytes, files: dict[str, str] | None = None, **more: Any) -> SignedModel:
    known = {name: sha256(data).hexdigest() for name, data in FILES.items()}
    publishers = Publishers(keys=(trusted(KEY),))
    return verify_model_signature(known if files is None else files, bundle, publishers, **more)


def test_the_form_these_tests_change_is_accepted_unchanged() -> None:
    assert ours(sealed(payload())).unsigned == ()


LEAVES_ROOM: dict[str, bytes] = {
    "shards": payload(serialization={"method": "shards", "shard_size": 10}),
    "blake2": payload(serialization={"hash_type": "blake2b"}),
    "links-allowed": payload(serialization={"allow_symlinks": True}),
    "links-as-text": payload(serialization={"allow_symlinks": "false"}),
    "ignores-config": payload(serialization={"ignore_paths": ["config.json"]}),
    "ignores-a-folder": payload(serialization={"ignore_paths": ["weights"]}),
    "ignores-outside": payload(serialization={"ignore_paths": ["../other"]}),
    "nothing-signed": statement({}),
    "outside": statement({"../../etc/passwd": "0" * 64}),
    "absolute": statement({"/etc/passwd": "0" * 64}),
    "backslash": statement({"a\\b": "0" * 64}),
    "control": statement({"a\nb": "0" * 64}),
    "case-twins": statement({"A.txt": "0" * 64, "a.txt": "0" * 64}),
    "under-git": statement({".git/config": "0" * 64}),
    "named-twice": payload(
        resources=[{"name": "config.json", "algorithm": "sha256", "digest": "0" * 64}] * 2,
        subject=[{"name": "m", "digest": {"sha256": sha256(b"\0" * 64).hexdigest()}}],
    ),
    "other-root": payload(subject=[{"name": "m", "digest": {"sha256": "0" * 64}}]),
    "two-subjects": payload(subject=[{"name": "m", "digest": {"sha256": "0" * 64}}] * 2),
    "older-predicate": payload(predicateType="https://model_signing/Digests/v0.1"),
    "other-predicate": payload(predicateType="https://slsa.dev/provenance/v1"),
    "other-statement": payload(_type="https://in-toto.io/Statement/v0.1"),
    "key-twice": payload().replace(b'"subject"', b'"subject": [], "subject"', 1),
    "extra-field": payload(more=1),
    "not-json": b"{",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", LEAVES_ROOM)
def test_a_signature_that_leaves_room_is_refused(name: str) -> None:
    with pytest.raises(VerificationError) as caught:
        ours(sealed(LEAVES_ROOM[name]))
    assert caught.value.code == "bad-manifest"


def test_the_older_encoding_of_what_is_signed_is_refused() -> None:
    data = payload()
    compat = f"DSSEV1 28 application/vnd.in-toto+json {len(data)} {data!r}".encode()
    with pytest.raises(VerificationError) as caught:
        ours(sealed(data, compat))
    assert caught.value.code == "bad-signature"


CHANGED: dict[str, tuple[Callable[[dict[str, str]], object], str]] = {
    "unsigned-file": (lambda files: files.setdefault("extra.py", "0" * 64), "unexpected-file"),
    "unsigned-under-git": (lambda files: files.setdefault(".git/hooks", "0" * 64), "unexpected-file"),
    "unsigned-under-github": (lambda files: files.setdefault(".github/x.yml", "0" * 64), "unexpected-file"),
    "deep-gitignore": (lambda files: files.setdefault("weights/.gitignore", "0" * 64), "unexpected-file"),
    "case-variant": (lambda files: files.setdefault("CONFIG.json", "0" * 64), "unexpected-file"),
    "removed": (lambda files: files.pop("empty.txt"), "missing-file"),
    "changed": (lambda files: files.update({"config.json": "0" * 64}), "bytes-differ"),
    "renamed": (lambda files: files.update({"e.txt": files.pop("empty.txt")}), "unexpected-file"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_folder_that_is_not_what_was_signed_is_refused(name: str) -> None:
    change, code = CHANGED[name]
    files = {name: sha256(data).hexdigest() for name, data in FILES.items()}
    change(files)
    with pytest.raises(VerificationError) as caught:
        ours(sealed(payload()), files)
    assert caught.value.code == code


def test_a_signature_that_ignores_itself_and_the_settings_of_git_is_accepted() -> None:
    ignored = [".git", ".github", ".gitignore", ".gitattributes", "model.sig"]
    bundle = sealed(payload(serialization={"ignore_paths": ignored}))
    assert ours(bundle, signature_name="model.sig").ignored == frozenset(ignored)
    with pytest.raises(VerificationError):
        ours(bundle)


BUNDLES: dict[str, bytes] = {
    "empty": b"",
    "not-json": b"{",
    "no-signature": sealed(payload()).replace(b'"signatures": [{', b'"signatures": [], "x": [{'),
    "other-payload-type": sealed(payload()).replace(b"vnd.in-toto", b"vnd.other"),
    "other-media-type": sealed(payload(), mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2"),
    "log-entry-with-a-key": sealed(payload()).replace(b'"tlogEntries": []', b'"tlogEntries": [{}]'),
    "no-material": sealed(payload(), verificationMaterial={"tlogEntries": []}),
    "key-twice": sealed(payload()).replace(b'"mediaType"', b'"mediaType": "x", "mediaType"'),
    "loose-base64": sealed(payload()).replace(b'"sig": "', b'"sig": "\\n'),
    "key-and-chain": sealed(
        payload(),
        verificationMaterial={
            "publicKey": {"hint": trusted(KEY).hint},
            "x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]},
        },
    ),
    "unreadable-certificate": sealed(
        payload(),
        verificationMaterial={"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}},
    ),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_what_is_not_plainly_one_signed_envelope_is_refused(name: str) -> None:
    with pytest.raises(VerificationError) as caught:
        ours(BUNDLES[name])
    assert caught.value.code == "bad-bundle"


def test_a_key_without_its_hint_is_a_stranger() -> None:
    bundle = sealed(payload()).replace(trusted(KEY).hint.encode(), b"")
    with pytest.raises(VerificationError) as caught:
        ours(bundle)
    assert caught.value.code == "untrusted-key"


def chained(*certificates: Issued, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    data = payload()
    signer = key or certificates[0].key
    signature = signer.sign(pae("application/vnd.in-toto+json", data), ec.ECDSA(hashes.SHA256()))
    made = json.loads(sealed(data))
    raw = [{"rawBytes": base64.b64encode(c.certificate.public_bytes(DER)).decode()} for c in certificates]
    made["verificationMaterial"] = {"x509CertificateChain": {"certificates": raw}}
    made["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    return json.dumps(made).encode()


DER = serialization.Encoding.DER


@pytest.mark.parametrize(
    ("bundle", "code"),
    [
        ("other-purpose", "untrusted-certificate"),
        ("authority-as-signer", "untrusted-certificate"),
        ("no-intermediate", "untrusted-certificate"),
        ("other-key", "bad-signature"),
        ("root-brought-along", "untrusted-certificate"),
    ],
)
def test_a_chain_that_proves_nothing_is_refused(bundle: str, code: str) -> None:
    root = authority("root")
    middle = authority("issuing", root)
    leaf = signing_leaf(middle)
    server = signing_leaf(middle, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    stranger = authority("stranger")
    made = {
        "other-purpose": lambda: chained(server, middle),
        "authority-as-signer": lambda: chained(middle, root),
        "no-intermediate": lambda: chained(leaf),
        "other-key": lambda: chained(leaf, middle, key=KEY),
        "root-brought-along": lambda: chained(signing_leaf(stranger), stranger),
    }[bundle]()
    names = (NAME, "subject:CN=issuing")
    trust = Publishers(certificates=tuple(TrustedCertificate(name=name, roots=root.pem) for name in names))
    known = {name: sha256(data).hexdigest() for name, data in FILES.items()}
    assert refused(known, made, trust) == code


@pytest.mark.parametrize("name", ["urn:acme", "URI:", "URI:a\nb", "XYZ:a", ""])
def test_a_certificate_is_named_by_kind_and_value(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        TrustedCertificate(name=name, roots="x")
