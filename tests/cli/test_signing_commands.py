from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_gate.cli.app import run
from registry_gate.settings import load
from registry_gate.signing.trust import load_trust
from registry_gate.testing.company_pki import NAME, company_pki
from registry_gate.testing.private_sigstore import PrivateSigstore


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("REGISTRY_GATE_HOME", "REGISTRY_GATE_PASSPHRASE", "REGISTRY_GATE_SIGN_WITH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def sigstore() -> Iterator[PrivateSigstore]:
    with PrivateSigstore() as double:
        yield double


def test_a_passphrase_from_a_file_encrypts_the_signing_key(home: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse battery staple\n")
    assert run(["keys", "init", "--passphrase-file", str(secret)]) == 0
    assert b"ENCRYPTED" in (home / "keys/signing-key.pem").read_bytes()
    assert b"ENCRYPTED" not in (home / "keys/log-key.pem").read_bytes()


def test_a_short_passphrase_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    assert run(["keys", "init", "--passphrase-file", str(secret)]) == 1
    assert "weak-passphrase" in capsys.readouterr().err
    assert not home.exists()


def test_init_once_more_makes_the_log_key_that_is_missing(home: Path) -> None:
    assert run(["keys", "init"]) == 0
    before = (home / "keys/signing-key.pem").read_bytes()
    (home / "keys/log-key.pem").unlink()
    assert run(["keys", "init"]) == 0
    assert (home / "keys/signing-key.pem").read_bytes() == before
    trust = load_trust(load().trust)
    assert (len(trust.keys), len(trust.log_keys)) == (1, 2)
    assert run(["keys", "init"]) == 1


def test_a_keyless_gate_has_no_key_to_admit_with(
    home: Path, sigstore: PrivateSigstore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    config.write_text(sigstore.trust_config())
    assert run(["keys", "init", "--keyless"]) == 0
    assert [path.name for path in (home / "keys").iterdir()] == ["log-key.pem"]
    named = ["keys", "trust-identity", "gate@acme.example", "--trust-config", str(config)]
    assert run(named) == 1  # no issuer
    assert run([*named, "--issuer", "acme"]) == 1
    assert run([*named, "--issuer", sigstore.issuer]) == 0
    trust = load_trust(load().trust)
    assert (trust.keys, [(who.identity, who.issuer) for who in trust.identities]) == (
        (),
        [("gate@acme.example", sigstore.issuer)],
    )
    assert json.loads(trust.sigstore_root or "{}") == json.loads(sigstore.trusted_root())
    capsys.readouterr()
    assert run(["keys", "trust-identity", "b@acme.example", "--issuer", sigstore.issuer]) == 1
    assert "other-sigstore-root" in capsys.readouterr().err
    assert run(["keys", "show"]) == 0
    assert f"identity    gate@acme.example of {sigstore.issuer}" in capsys.readouterr().out


def test_a_certificate_is_trusted_by_name_and_root(home: Path, tmp_path: Path) -> None:
    pki = company_pki(tmp_path / "pki")
    assert run(["keys", "init"]) == 0
    assert run(["keys", "trust-certificate", NAME, "--roots", str(pki.root)]) == 0
    assert run(["keys", "trust-certificate", "acme", "--roots", str(pki.root)]) == 1
    assert run(["keys", "trust-certificate", NAME, "--roots", str(pki.leaf_key)]) == 1
    assert [who.name for who in load_trust(load().trust).certificates] == [NAME]


def test_signing_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("REGISTRY_GATE_SIGN_WITH", "certificate")
    monkeypatch.setenv("REGISTRY_GATE_CERTIFICATE", "leaf.pem")
    monkeypatch.setenv("REGISTRY_GATE_PASSPHRASE_FD", "7")
    signing = load().signing
    assert (signing.sign_with, signing.passphrase_fd) == ("certificate", 7)
    assert signing.certificate == Path("leaf.pem").absolute()
    assert load(sign_with="key").signing.sign_with == "key"


@pytest.mark.parametrize(("name", "value"), [("SIGN_WITH", "magic"), ("PASSPHRASE_FD", "three")])
def test_signing_settings_that_mean_nothing_are_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"REGISTRY_GATE_{name}", value)
    assert run(["keys", "show"]) == 1
    assert "bad-signing-settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    "named",
    [[], ["--identity", "a@b.example"], ["--issuer", "https://b.example"], ["--certificate-name", NAME]],
)
def test_a_signature_is_checked_for_somebody_named_in_full(
    named: list[str], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.sig").write_bytes(b"{}")
    assert run(["signature", str(tmp_path), "--signature", str(tmp_path / "model.sig"), *named]) == 1
    assert "no-signer-named" in capsys.readouterr().err
