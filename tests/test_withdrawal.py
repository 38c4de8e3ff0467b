"""revoke, keys rotate and keys retire, on a gate with an embedded registry."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_gate import errors, verify
from registry_gate.cli.app import run
from registry_gate.index.content import RevokedRelease, RevokedSequences, RevokedSigner
from registry_gate.index.edits import with_floor
from registry_gate.ledger import open_ledger
from registry_gate.registry import Registry
from registry_gate.rotation import retire, rotate, rotate_log_key
from registry_gate.signing.keys import load_log_signer, load_signer
from registry_gate.signing.trust import load_trust
from registry_gate.testing.sample_release import SampleGate, SampleStore, sample_gate
from registry_gate.withdrawal import clear_alias, move_alias_back, named_release, revoke

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store, whose tables take seconds to make."""
    gate = sample_gate(tmp_path_factory.mktemp("template") / "home")
    Registry(gate.settings.registry_uri).names()
    return gate.settings.home / "registry"


@pytest.fixture
def store(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleStore:
    gate = sample_gate(tmp_path / "home")
    shutil.copytree(template, gate.settings.home / "registry")
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(gate.settings.home))
    return SampleStore(gate, Registry(gate.settings.registry_uri))


def code(ref: str) -> str:
    try:
        verify(ref)
    except errors.Error as error:
        return error.code
    return "verified"


def test_revoked_by_reference_once_and_for_all(store: SampleStore, tmp_path: Path) -> None:
    version = store.admit(tmp_path, "acme/tiny")
    ledger = open_ledger(store.gate.settings)
    entry = named_release(ledger, "acme/tiny", "poisoned data")
    assert entry.manifest_digest == version.manifest_digest
    assert code("acme/tiny") == "verified"
    assert revoke(ledger, entry).new
    assert not revoke(ledger, named_release(ledger, "acme/tiny", "said again")).new
    assert code("acme/tiny") == code(f"{store.folder(version)}/") == "revoked"
    assert [item.body.kind for item in ledger.log.entries()] == ["revocation"]
    assert ledger.index.content().revoked == (entry,), "the first reason stays"
    assert store.registry.version_for("acme--tiny", "approved") is not None, "nobody asked to move the alias"
    assert "cleared" in clear_alias(ledger, "acme/tiny")
    assert code("acme/tiny") == "not-in-registry"
    clear_alias(ledger, "acme/tiny")


def test_the_alias_moves_back_when_asked_and_only_to_what_verifies(
    store: SampleStore, tmp_path: Path
) -> None:
    first = store.admit(tmp_path / "1", "acme/back", {"weights.bin": b"1"}, sequence=1)
    second = store.admit(tmp_path / "2", "acme/back", {"weights.bin": b"2"}, sequence=2)
    store.gate.index.change(lambda content: with_floor(content, "acme--back", "approved", 2))
    ledger = open_ledger(store.gate.settings)
    revoke(ledger, named_release(ledger, f"models:/acme--back/{second.version}", "worse"))
    with pytest.raises(errors.VerificationError) as caught:
        move_alias_back(ledger, "acme/back", second.version)
    assert caught.value.code == "revoked"
    move_alias_back(ledger, "acme/back", first.version)
    assert verify("acme/back").sequence == 1


def test_the_same_command_twice_never_revokes_what_the_alias_was_moved_to(
    store: SampleStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = store.admit(tmp_path / "1", "acme/twice", {"weights.bin": b"1"}, sequence=1)
    store.admit(tmp_path / "2", "acme/twice", {"weights.bin": b"2"}, sequence=2)
    command = ["revoke", "acme/twice", "--reason", "worse", "--move-alias-to", str(first.version)]
    assert run(command) == 0
    assert verify("acme/twice").sequence == 1
    capsys.readouterr()
    assert run(command) == 1
    assert "alias-already-there" in capsys.readouterr().err
    assert verify("acme/twice").sequence == 1


def test_by_range_and_by_signer(store: SampleStore, tmp_path: Path) -> None:
    store.admit(tmp_path / "1", "acme/one", {"weights.bin": b"1"}, sequence=5)
    store.admit(tmp_path / "2", "acme/two", {"weights.bin": b"2"}, sequence=6)
    ledger = open_ledger(store.gate.settings)
    revoke(ledger, RevokedSequences(first=5, last=5, reason="r", revoked_at=NOW))
    assert (code("acme/one"), code("acme/two")) == ("revoked", "verified")
    key = store.gate.signer.key.key_id
    revoke(ledger, RevokedSigner(signed_by=key, since=7, reason="r", revoked_at=NOW))
    assert code("acme/two") == "verified"
    revoke(ledger, RevokedSigner(signed_by=key, since=6, reason="r", revoked_at=NOW))
    assert code("acme/two") == "key-revoked"


def test_killed_between_log_and_index_the_next_call_finishes(
    store: SampleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(store.gate.settings)
    entry = RevokedRelease(manifest_digest="sha256:" + "1" * 64, reason="r", revoked_at=NOW)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(type(ledger), "witness", _interrupted)
        revoke(ledger, entry)
    assert ledger.index.content().revoked == ()
    assert revoke(ledger, entry).new
    assert len(ledger.log.entries()) == 1


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_names_nothing_is_not_revoked(store: SampleStore) -> None:
    ledger = open_ledger(store.gate.settings)
    for what in ("sha256:short", "sha256:" + "G" * 64):
        with pytest.raises(errors.UsageError) as caught:
            named_release(ledger, what, "r")
        assert caught.value.code == "bad-reference"
    with pytest.raises(errors.FetchError):
        named_release(ledger, "acme/absent", "r")


def again(store: SampleStore) -> SampleGate:
    """The gate after its trust file or key changed."""
    settings = store.gate.settings
    return SampleGate(settings, load_signer(settings), load_trust(settings.trust), store.gate.policy)


def test_two_keys_at_once_then_one(store: SampleStore, tmp_path: Path) -> None:
    """What the old key signed loads until it is retired; what the new one signs loads at once."""
    store.admit(tmp_path / "1", "acme/old", {"weights.bin": b"1"}, sequence=1)
    old = store.gate.signer.key
    new = rotate(open_ledger(store.gate.settings))
    assert load_signer(store.gate.settings).key == new != old
    assert load_trust(store.gate.settings.trust).keys == (new, old)
    SampleStore(again(store), store.registry).admit(
        tmp_path / "2", "acme/new", {"weights.bin": b"2"}, sequence=2
    )
    assert (code("acme/old"), code("acme/new")) == ("verified", "verified")
    retire(open_ledger(store.gate.settings), old.key_id[:12], "rotated")
    assert (code("acme/old"), code("acme/new")) == ("key-retired", "verified")
    kinds = [(item.body.kind, item.sequence) for item in open_ledger(store.gate.settings).log.entries()]
    assert kinds == [("key", 1), ("key", 2)], "the old key's entry is still read"
    public = store.gate.settings.keys / "signing-key.pub.pem"
    assert public.read_text() == new.public_key


def test_rotation_killed_anywhere_goes_on_with_the_same_key(
    store: SampleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = store.gate.settings
    for place in ("save_trust", "_put_in_place"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(f"registry_gate.rotation.{place}", _interrupted)
            rotate(open_ledger(settings))
        open_ledger(settings)
    rotate(open_ledger(settings))
    assert len(load_trust(settings.trust).keys) == 2
    assert len(open_ledger(settings).log.entries()) == 1


@pytest.mark.parametrize(
    ("key", "said"), [("0" * 64, "no-such-key"), ("", "no-such-key"), (None, "key-in-use")]
)
def test_what_cannot_be_retired(key: str | None, said: str, store: SampleStore) -> None:
    with pytest.raises(errors.UsageError) as caught:
        retire(
            open_ledger(store.gate.settings), key or ("" if key == "" else store.gate.signer.key.key_id), "r"
        )
    assert caught.value.code == said


def test_the_logs_key_is_replaced_and_retired_too(store: SampleStore) -> None:
    settings = store.gate.settings
    old = load_log_signer(settings).key
    new = rotate_log_key(open_ledger(settings))
    assert load_log_signer(settings).key == new
    assert load_trust(settings.trust).log_keys == (new, old)
    assert load_signer(settings).key == store.gate.signer.key, "the signing key is another matter"
    last = retire(open_ledger(settings), old.key_id, "rotated").last_sequence
    ledger = open_ledger(settings)
    assert (last, len(ledger.log.entries())) == (1, 2)
    assert load_trust(settings.trust).log_keys == (new,)


def test_a_new_key_can_be_encrypted_and_a_weak_passphrase_is_refused(store: SampleStore) -> None:
    settings = store.gate.settings
    with pytest.raises(errors.UsageError) as caught:
        rotate(open_ledger(settings), b"short")
    assert caught.value.code == "weak-passphrase"
    key = rotate(open_ledger(settings), b"correct horse battery staple")
    with pytest.raises(errors.UsageError) as caught:
        load_signer(settings)
    assert caught.value.code == "passphrase-needed"
    assert load_signer(settings, b"correct horse battery staple").key == key
