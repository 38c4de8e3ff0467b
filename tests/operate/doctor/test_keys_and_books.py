"""Keys, trust, index, log and clock, each really broken in one way."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry_gate.index.repository import IndexRepository
from registry_gate.index.setup import rotate_root
from registry_gate.ledger import open_ledger
from registry_gate.log.entries import KeyBody
from registry_gate.rotation import trust_approver
from registry_gate.self_test import ProbeState
from registry_gate.settings import SigningSettings, load
from registry_gate.signing.key_files import make_key_file
from registry_gate.signing.keys import init_keys
from registry_gate.signing.trust import Approver, load_trust, save_trust
from registry_gate.testing.company_pki import company_pki
from registry_gate.testing.sample_release import SampleGate
from tests.operate.doctor.conftest import Try

SOUND = ("trust-file", "key-files", "signing-key", "log-key", "index-fresh", "index-own", "log-whole")
NOW = datetime.now(UTC)


@pytest.mark.parametrize("code", [*SOUND, "clock-records"])
def test_a_sound_gate_passes(code: str, home: SampleGate, attempt: Try) -> None:
    found = attempt(home.settings, code)
    assert (found.state, found.measured != "") == (ProbeState.OK, True), found


@pytest.mark.parametrize(
    "code", [*SOUND, "clock-records", "approver-keys", "certificate", "registry-unaltered"]
)
def test_where_nothing_is_set_up_nothing_fails_and_nothing_is_made(
    code: str, tmp_path: Path, attempt: Try
) -> None:
    bare = load(tmp_path / "bare", administrator_trust=tmp_path / "none.json")
    assert attempt(bare, code).state is ProbeState.NOT_CONFIGURED
    assert not bare.home.exists()


@pytest.mark.parametrize(
    ("code", "path", "mode"),
    [
        ("key-files", "keys/signing-key.pem", 0o640),
        ("key-files", "keys/log-key.pem", 0o604),
        ("key-files", "index-keys/timestamp.pem", 0o644),
        ("key-files", "keys", 0o777),
        ("trust-file", "trust.json", 0o666),
        ("trust-file", ".", 0o777),
    ],
)
def test_what_others_can_read_or_write_is_found(
    code: str, path: str, mode: int, home: SampleGate, attempt: Try
) -> None:
    (home.settings.home / path).chmod(mode)
    found = attempt(home.settings, code)
    assert (found.state, "chmod" in found.todo) == (ProbeState.FAILED, True), found
    assert f"{mode:04o}" in found.measured


def test_a_key_that_others_can_read_is_not_opened_by_the_signer(home: SampleGate, attempt: Try) -> None:
    (home.settings.keys / "signing-key.pem").chmod(0o644)
    found = attempt(home.settings, "signing-key")
    assert found.state is ProbeState.FAILED
    assert "key-readable-by-others" in found.measured


def test_a_linked_key_is_found(home: SampleGate, attempt: Try, tmp_path: Path) -> None:
    key = home.settings.keys / "signing-key.pem"
    key.rename(tmp_path / "elsewhere.pem")
    key.symlink_to(tmp_path / "elsewhere.pem")
    assert attempt(home.settings, "key-files").state is ProbeState.FAILED


def test_a_passphrase_file_that_others_can_read_is_found(
    home: SampleGate, attempt: Try, tmp_path: Path
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("x" * 20)
    secret.chmod(0o644)
    signing = SigningSettings(passphrase_file=secret)
    found = attempt(home.settings.model_copy(update={"signing": signing}), "key-files")
    assert (found.state, str(secret) in found.measured) == (ProbeState.FAILED, True)


def test_an_encrypted_key_needs_its_passphrase_and_gets_it_from_a_file(tmp_path: Path, attempt: Try) -> None:
    settings = load(tmp_path / "locked", administrator_trust=tmp_path / "none.json")
    init_keys(settings, (), b"correct horse battery")
    found = attempt(settings, "signing-key")
    assert (found.state, "passphrase-needed" in found.measured) == (ProbeState.FAILED, True)
    (tmp_path / "passphrase").write_text("correct horse battery")
    signing = SigningSettings(passphrase_file=tmp_path / "passphrase")
    opened = settings.model_copy(update={"signing": signing})
    assert attempt(opened, "signing-key").state is ProbeState.OK


def test_a_key_of_another_gate_is_found(home: SampleGate, attempt: Try) -> None:
    for name in ("signing-key.pem", "log-key.pem"):
        (home.settings.keys / name).unlink()
        make_key_file(home.settings.keys / name, "stranger's key")
    assert attempt(home.settings, "signing-key").state is ProbeState.FAILED
    found = attempt(home.settings, "log-key")
    assert (found.state, "not in the trust file" in found.measured) == (ProbeState.FAILED, True)


@pytest.mark.parametrize("damage", [b"{", b"", b'{"version": 1}'])
def test_a_damaged_trust_file_is_found_by_its_probe_and_ends_no_other(
    damage: bytes, home: SampleGate, attempt: Try
) -> None:
    home.settings.trust.write_bytes(damage)
    assert attempt(home.settings, "trust-file").state is ProbeState.FAILED
    for code in ("index-fresh", "log-key", "approver-keys", "registry-unaltered"):
        found = attempt(home.settings, code)
        assert (found.state, found.todo) == (ProbeState.COULD_NOT_TELL, "mend trust-file first"), code


def test_an_administrators_file_that_is_the_users_own_is_no_ceiling(
    home: SampleGate, attempt: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_trust(home.settings.administrator_trust, home.trust)
    if os.geteuid() == 0:
        assert attempt(home.settings, "trust-file").state is ProbeState.OK
        os.chown(home.settings.administrator_trust, 4711, -1)
        monkeypatch.setattr("os.geteuid", lambda: 4711)
    assert attempt(home.settings, "trust-file").state is ProbeState.FAILED


def test_approvers_with_keys_of_their_own_pass_and_are_reminded(home: SampleGate, attempt: Try) -> None:
    trust_approver(home.settings, "ana")
    found = attempt(home.settings, "approver-keys")
    assert (found.state, "ana.pem" in found.todo) == (ProbeState.OK, True)


def test_an_approver_with_the_gates_own_key_is_found(home: SampleGate, attempt: Try) -> None:
    own = Approver(name="ana", key=home.signer.key)
    save_trust(home.settings.trust, home.trust.model_copy(update={"approvers": (own,)}))
    assert attempt(home.settings, "approver-keys").state is ProbeState.FAILED


@pytest.mark.parametrize(
    ("days", "state"),
    [((-1, 40), ProbeState.OK), ((-40, -1), ProbeState.FAILED), ((1, 40), ProbeState.FAILED)],
)
def test_a_certificate_must_be_valid_now(
    days: tuple[float, float], state: ProbeState, home: SampleGate, attempt: Try, tmp_path: Path
) -> None:
    pki = company_pki(tmp_path / "pki", days=days)
    signing = SigningSettings(
        sign_with="certificate",
        certificate=pki.leaf,
        certificate_chain=pki.intermediate,
        certificate_key=pki.leaf_key,
    )
    found = attempt(home.settings.model_copy(update={"signing": signing}), "certificate")
    assert (found.state, "days left" in found.measured) == (state, True), found


def test_an_expired_index_is_found(home: SampleGate, attempt: Try) -> None:
    home.index.refresh(hours=1, now=NOW - timedelta(days=2))
    found = attempt(home.settings, "index-fresh")
    assert (found.state, found.measured.partition(":")[0]) == (ProbeState.FAILED, "index-stale")


def test_a_root_about_to_expire_is_told(home: SampleGate, attempt: Try) -> None:
    rotate_root(home.settings, home.trust, (), now=NOW - timedelta(days=3 * 365 - 30))
    home.index.change(lambda content: content)  # renews what is as old as that root
    found = attempt(home.settings, "index-fresh")
    assert (found.state, "rotate-root" in found.todo) == (ProbeState.OK, True), found


def test_an_index_that_was_rolled_back_is_found(home: SampleGate, attempt: Try) -> None:
    old = (home.settings.own_index / "timestamp.json").read_bytes()
    home.index.refresh()
    assert attempt(home.settings, "index-fresh").state is ProbeState.OK
    (home.settings.own_index / "timestamp.json").write_bytes(old)
    for code in ("index-fresh", "index-own"):
        found = attempt(home.settings, code)
        assert (found.state, "index-rolled-back" in found.measured) == (ProbeState.FAILED, True), found


def test_a_replaced_index_key_is_found(home: SampleGate, attempt: Try) -> None:
    path = home.settings.index_keys / "timestamp.pem"
    path.unlink()
    make_key_file(path, "stranger's key")
    assert attempt(home.settings, "index-own").state is ProbeState.FAILED


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_log_is_found(damage: str, home: SampleGate, attempt: Try) -> None:
    ledger = open_ledger(home.settings)
    for _ in range(2):
        ledger.record(KeyBody(action="added", key_id="a" * 64))
    lines = home.settings.log.read_bytes().splitlines(keepends=True)
    match damage:
        case "cut":
            home.settings.log.write_bytes(lines[0])
        case "changed":
            home.settings.log.write_bytes(lines[0].replace(b"a", b"b", 1) + lines[1])
        case _:
            home.settings.log.unlink()
    found = attempt(home.settings, "log-whole")
    wanted = "log-damaged" if damage == "changed" else "log-cut"
    assert (found.state, found.measured.partition(":")[0]) == (ProbeState.FAILED, wanted)


def test_an_index_signed_in_the_future_is_a_clock_that_went_back(home: SampleGate, attempt: Try) -> None:
    IndexRepository(home.settings, load_trust(home.settings.trust)).refresh(now=NOW + timedelta(hours=3))
    found = attempt(home.settings, "clock-records")
    assert (found.state, "in the future" in found.measured) == (ProbeState.FAILED, True)


@pytest.mark.parametrize(
    ("ahead", "state"), [(0.0, ProbeState.OK), (-60.0, ProbeState.FAILED), (60.0, ProbeState.FAILED)]
)
def test_a_clock_that_is_set_meanwhile_is_found(
    ahead: float, state: ProbeState, home: SampleGate, attempt: Try
) -> None:
    """The reading of the clock that nobody can set stands in for the one that root can."""
    assert attempt(home.settings, "clock-steady", ahead=ahead).state is state
