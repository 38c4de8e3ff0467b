"""The index's and the approvers' keys under a passphrase: who has the file alone signs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_gate import errors
from registry_gate import settings as settings_module
from registry_gate.index.edits import with_floor
from registry_gate.index.keys import INDEX, ROOT, TIMESTAMP, key_path
from registry_gate.index.read import read_index
from registry_gate.index.repository import IndexRepository
from registry_gate.index.setup import init_root, rotate_root
from registry_gate.ledger import open_ledger
from registry_gate.settings import Settings
from registry_gate.signing.approval import load_approver, make_approver
from registry_gate.signing.keys import init_keys
from registry_gate.signing.private_keys import is_encrypted
from registry_gate.signing.trust import Trust, effective_trust

PASSPHRASE = "correct horse battery staple"
OTHER = "an altogether different one"
ROLES = (ROOT, INDEX, TIMESTAMP)


def code(work: object, *arguments: object) -> str:
    with pytest.raises(errors.UsageError) as caught:
        work(*arguments)  # type: ignore[operator]
    return caught.value.code


@pytest.fixture
def house(tmp_path: Path) -> tuple[Settings, Trust]:
    """A gate whose index has encrypted keys; the settings name the file with the passphrase."""
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE}\n")
    settings = settings_module.load(
        tmp_path / "home", administrator_trust=tmp_path / "none.json", index_passphrase_file=file
    )
    init_keys(settings, ("sha256:" + "0" * 64,))
    init_root(settings)
    return settings, effective_trust(settings)


def without(settings: Settings) -> Settings:
    return settings.model_copy(update={"index_passphrase_file": None})


def saying(settings: Settings, passphrase: str, folder: Path) -> Settings:
    file = folder / "another"
    file.write_text(passphrase)
    return settings.model_copy(update={"index_passphrase_file": file})


def test_all_three_keys_are_encrypted_and_open_with_the_passphrase_only(
    house: tuple[Settings, Trust], tmp_path: Path
) -> None:
    settings, trust = house
    assert all(is_encrypted(key_path(settings.index_keys, role)) for role in ROLES)
    assert b"ENCRYPTED" in key_path(settings.index_keys, ROOT).read_bytes()
    open_ledger(settings).witness(lambda content: with_floor(content, "acme--tiny", "approved", 3))
    assert read_index(settings, trust).floor("acme--tiny", "approved") == 3
    assert code(open_ledger, without(settings)) == "passphrase-needed"
    assert code(open_ledger, saying(settings, OTHER, tmp_path)) == "wrong-passphrase"
    assert code(IndexRepository(without(settings), trust).refresh) == "passphrase-needed"
    missing = settings.model_copy(update={"index_passphrase_file": tmp_path / "absent"})
    assert code(open_ledger, missing) == "no-passphrase"


def test_reading_needs_no_passphrase(house: tuple[Settings, Trust]) -> None:
    settings, trust = house
    assert read_index(without(settings), trust).number == 1
    assert IndexRepository(without(settings), trust).content().number == 1


def test_the_environment_and_a_terminal_will_do(
    house: tuple[Settings, Trust], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, trust = house
    asked = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return PASSPHRASE

    monkeypatch.setattr("getpass.getpass", typed)
    monkeypatch.setattr("sys.stdin", _Terminal())
    repository = IndexRepository(without(settings), trust)
    for sequence in (1, 2, 3):
        repository.change(lambda content, number=sequence: with_floor(content, "a", "approved", number))
    assert len(asked) == 1, "it is typed once, not for every signature"
    monkeypatch.setenv("REGISTRY_GATE_INDEX_PASSPHRASE", PASSPHRASE)
    IndexRepository(without(settings), trust).refresh()
    assert len(asked) == 1


class _Terminal:
    def isatty(self) -> bool:
        return True


def test_new_keys_are_encrypted_as_the_old_ones_were(house: tuple[Settings, Trust]) -> None:
    settings, trust = house
    assert code(rotate_root, without(settings), trust, (INDEX,)) == "passphrase-needed"
    before = key_path(settings.index_keys, INDEX).read_bytes()
    assert rotate_root(settings, trust, ROLES) == 2
    assert all(is_encrypted(key_path(settings.index_keys, role)) for role in ROLES)
    assert key_path(settings.index_keys, INDEX).read_bytes() != before
    assert read_index(settings, trust).number == 2


def test_a_passphrase_can_be_given_when_keys_are_replaced(tmp_path: Path) -> None:
    plain = settings_module.load(tmp_path / "home", administrator_trust=tmp_path / "none.json")
    init_keys(plain, ("sha256:" + "0" * 64,))
    trust = init_root(plain)
    assert not any(is_encrypted(key_path(plain.index_keys, role)) for role in ROLES)
    rotate_root(saying(plain, PASSPHRASE, tmp_path), trust, (INDEX,))
    assert [is_encrypted(key_path(plain.index_keys, role)) for role in ROLES] == [False, True, False]


def test_a_weak_passphrase_makes_no_key(tmp_path: Path) -> None:
    settings = settings_module.load(tmp_path / "home", administrator_trust=tmp_path / "none.json")
    init_keys(settings, ("sha256:" + "0" * 64,))
    assert code(init_root, saying(settings, "short", tmp_path)) == "weak-passphrase"
    assert not list(settings.index_keys.glob("*.pem"))
    assert code(make_approver, tmp_path / "keys", "ana", b"short") == "weak-passphrase"
    assert not (tmp_path / "keys").exists()


def test_an_approvers_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    made = make_approver(tmp_path, "ana", PASSPHRASE.encode())
    path = tmp_path / "ana.pem"
    assert is_encrypted(path)
    assert load_approver(path, PASSPHRASE.encode()).key == made.key
    assert code(load_approver, path) == "passphrase-needed"
    assert code(load_approver, path, OTHER.encode()) == "wrong-passphrase"
    assert make_approver(tmp_path, "ana", PASSPHRASE.encode()) == made, "made once"
