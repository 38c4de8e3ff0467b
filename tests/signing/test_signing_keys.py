from __future__ import annotations

import stat
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from registry_gate import settings as settings_module
from registry_gate.errors import UsageError
from registry_gate.settings import Settings
from registry_gate.signing.keys import init_keys, load_signer
from registry_gate.signing.trust import load_trust

POLICY = "sha256:" + "1" * 64


@pytest.fixture
def mine(tmp_path: Path) -> Settings:
    return settings_module.load(tmp_path / "home", administrator_trust=tmp_path / "none")


def test_the_private_key_is_for_its_owner_only(mine: Settings) -> None:
    pair = init_keys(mine, (POLICY,))
    assert stat.S_IMODE(pair.private_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(mine.keys.stat().st_mode) == 0o700


def test_the_key_id_is_the_digest_of_the_public_key_in_der(mine: Settings) -> None:
    pair = init_keys(mine, (POLICY,))
    key = serialization.load_pem_public_key(pair.public_key.read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert pair.key_id == sha256(der).hexdigest()
    trust = load_trust(mine.trust)
    assert [item.key_id for item in trust.keys] == [pair.key_id]
    assert (trust.policies, trust.verifier) == ((POLICY,), pair.verifier)


def test_nothing_is_overwritten(mine: Settings) -> None:
    pair = init_keys(mine, (POLICY,))
    before = pair.private_key.read_bytes(), mine.trust.read_bytes()
    with pytest.raises(UsageError) as caught:
        init_keys(mine, (POLICY,))
    assert caught.value.code == "keys-exist"
    assert (pair.private_key.read_bytes(), mine.trust.read_bytes()) == before


def test_a_trust_file_of_another_gate_is_not_widened(mine: Settings) -> None:
    mine.trust.parent.mkdir(parents=True)
    mine.trust.write_text("{}")
    with pytest.raises(UsageError) as caught:
        init_keys(mine, (POLICY,))
    assert caught.value.code == "trust-exists"
    assert mine.trust.read_text() == "{}"
    assert not mine.keys.exists()


def test_killed_between_key_and_trust_the_next_call_finishes(mine: Settings) -> None:
    pair = init_keys(mine, (POLICY,))
    mine.trust.unlink()
    assert init_keys(mine, (POLICY,)) == pair
    assert load_trust(mine.trust).keys[0].key_id == pair.key_id


def test_a_key_that_others_can_read_is_not_used(mine: Settings) -> None:
    init_keys(mine, (POLICY,)).private_key.chmod(0o640)
    with pytest.raises(UsageError) as caught:
        load_signer(mine)
    assert caught.value.code == "key-readable-by-others"


def test_no_key_says_what_to_do(mine: Settings) -> None:
    with pytest.raises(UsageError) as caught:
        load_signer(mine)
    assert caught.value.code == "no-signing-key"
    assert "keys init" in caught.value.todo


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        pem(rsa.generate_private_key(65537, 2048)),
        pem(ec.generate_private_key(ec.SECP384R1())),
    ],
)
def test_another_kind_of_key_is_not_used(content: bytes, mine: Settings) -> None:
    path = init_keys(mine, (POLICY,)).private_key
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load_signer(mine)
    assert caught.value.code == "bad-signing-key"


def test_a_key_behind_a_link_is_not_used(mine: Settings, tmp_path: Path) -> None:
    path = init_keys(mine, (POLICY,)).private_key
    path.rename(tmp_path / "elsewhere.pem")
    path.symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(UsageError) as caught:
        load_signer(mine)
    assert caught.value.code == "bad-signing-key"
