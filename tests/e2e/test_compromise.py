"""The compromise drill: one key is stolen, and what its thief can still not do.

Corridor, registry and index are real; the thief writes to the store, the registry and, where a test says so,
the log.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from registry_gate import errors, load_verified, verify
from registry_gate.archive import find
from registry_gate.decision import Verdict, decide
from registry_gate.index.content import RevokedSigner
from registry_gate.index.edits import with_listed
from registry_gate.index.keys import INDEX, TIMESTAMP, key_path, load_key
from registry_gate.index.metadata import timestamp_bytes
from registry_gate.index.repository import IndexRepository, write_files
from registry_gate.ledger import open_ledger
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.log.entries import DecisionBody, SignedBody
from registry_gate.policy import load_policy
from registry_gate.registry import Registry, local_path
from registry_gate.release import Release, Terms
from registry_gate.rotation import retire, rotate
from registry_gate.signing.authority import Authority
from registry_gate.signing.keys import KeySigner, load_signer
from registry_gate.signing.seal import KeySealer
from registry_gate.signing.sign import sign_release
from registry_gate.signing.trust import Trust, effective_trust
from registry_gate.testing.hub import LoopbackHub
from registry_gate.testing.sample_release import entry_of, stage
from registry_gate.withdrawal import named_release, revoke
from tests.e2e.conftest import Gate, make_gate

MODEL, NAME = "acme-ml/drill", "acme-ml--drill"
HOSTILE = {"model.safetensors": b"what the thief wants loaded"}


@dataclass
class Scene:
    """A gate that admitted two commits, and a thief with a copy of one of its keys."""

    gate: Gate
    hub: LoopbackHub
    stolen: KeySigner

    @property
    def trust(self) -> Trust:
        return effective_trust(self.gate.settings)

    @property
    def registry(self) -> Registry:
        return Registry(self.gate.settings.registry_uri)

    @property
    def index(self) -> IndexRepository:
        return IndexRepository(self.gate.settings, self.trust)

    def hostile(self, folder: Path, like: int | None = None) -> Release:
        """Signed with the stolen key, under the pinned policy, from the record of a true admission."""
        entry = self.admissions()[-1]
        body = entry.body
        assert isinstance(body, DecisionBody)
        filed = find(self.gate.settings, entry.sequence, NAME, body.evidence_digest)
        assert filed is not None
        evidence = filed.evidence.model_copy(update={"staged": stage(folder / "staged", HOSTILE)})
        now = datetime.now(UTC)
        trust = self.trust.model_copy(update={"keys": (self.stolen.key,), "retired_keys": ()})
        return sign_release(
            evidence,
            decide(evidence, self.gate.policy, now),
            self.gate.policy,
            terms=Terms(sequence=like or 900, issued_at=now, expires_at=now + timedelta(days=30)),
            signer=Authority(KeySealer(self.stolen), trust),
            trust=trust,
            destination=folder / "release",
        )

    def admissions(self) -> list[object]:
        entries = AdmissionLog(self.gate.settings.log, self.trust).entries()
        return [e for e in entries if isinstance(e.body, DecisionBody) and e.body.verdict is Verdict.ADMIT]

    def commit(self, number: int) -> str:
        weights = {"weight": torch.arange(6.0).reshape(2, 3) + number}
        return self.hub.add_repo(MODEL, {"model.safetensors": save(weights), "README.md": b"card\n"})


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("drill")
    required = [name for name in load_policy("default").required_checks if name != "model-structure"]
    with LoopbackHub() as hub:
        gate = make_gate(folder, hub.url, required_checks=required)
        scene = Scene(gate, hub, load_signer(gate.settings))
        for number in (1, 2):
            scene.commit(number)
            assert gate.admit(MODEL).verdict is Verdict.ADMIT
        yield scene


@pytest.fixture
def scene(master: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scene]:
    """The same house for every test: what a test did to it is undone."""
    home = master.gate.settings.home
    kept = shutil.copytree(home, tmp_path / "kept", symlinks=True)
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(home))
    assert verify(MODEL).sequence > 0
    yield master
    put_back(kept, home)


def put_back(kept: Path, home: Path) -> None:
    """All files as they were; the database, which MLflow keeps open, in its place."""
    database = Path("registry/mlflow.db")
    for path in home.iterdir():
        if path.is_dir() and path.name != "registry":
            shutil.rmtree(path)
    shutil.rmtree(home / "registry" / "artifacts")
    with closing(sqlite3.connect(kept / database)) as old, closing(sqlite3.connect(home / database)) as new:
        old.backup(new)
    (kept / database).unlink()
    shutil.copytree(kept, home, symlinks=True, dirs_exist_ok=True)


def refused(ref: str = MODEL) -> str:
    with pytest.raises(errors.Error) as caught:
        verify(ref)
    with pytest.raises(errors.Error) as again:
        load_verified(ref, into="directory")
    assert caught.value.code == again.value.code
    return caught.value.code


def registered(scene: Scene, release: Release) -> int:
    """In the store, as a version with the right tags, under the alias."""
    version = scene.registry.create_version(release, scene.registry.upload(release))
    scene.registry.set_alias(NAME, "approved", version.version)
    return version.version


# The admission key.


def test_what_the_admission_key_signs_is_not_in_the_index(scene: Scene, tmp_path: Path) -> None:
    version = registered(scene, scene.hostile(tmp_path))
    assert refused() == "not-in-index"
    assert refused(f"models:/{NAME}/{version}") == "not-in-index"
    assert refused(f"{tmp_path}/release/") == "not-in-index"


def test_in_the_place_of_a_true_release_and_with_its_number_it_is_not_in_the_index(
    scene: Scene, tmp_path: Path
) -> None:
    current = scene.registry.version_for(NAME, "approved")
    assert current is not None
    place = local_path(current.source_uri)
    assert place is not None
    shutil.rmtree(place)
    shutil.copytree(scene.hostile(tmp_path, like=current.sequence).root, place)
    assert refused() == "not-in-index"


def test_the_gate_itself_does_not_take_it_for_its_own(scene: Scene, tmp_path: Path) -> None:
    """What the thief left verifies and is tagged right; asked for the same commit, it is passed over."""
    hostile = scene.hostile(tmp_path)
    registered(scene, hostile)
    report = scene.gate.admit(MODEL)
    assert report.verdict is Verdict.ADMIT
    assert report.receipt is not None
    assert report.receipt.reused, "the true one is found behind it"
    assert verify(MODEL).manifest_digest != hostile.manifest_digest


def test_a_log_written_to_as_well_changes_nothing_for_those_who_load(scene: Scene, tmp_path: Path) -> None:
    hostile = scene.hostile(tmp_path)
    registered(scene, hostile)
    log = AdmissionLog(scene.gate.settings.log, scene.trust, scene.stolen)
    log.append(
        SignedBody(registered_name=NAME, release_sequence=900, manifest_digest=hostile.manifest_digest)
    )
    assert refused() == "not-in-index"


def test_a_log_cut_is_noticed_and_not_written_on(scene: Scene) -> None:
    path = scene.gate.settings.log
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    with pytest.raises(errors.VerificationError) as caught:
        scene.gate.admit(MODEL)
    assert caught.value.code == "log-cut"


def test_an_alias_moved_back_to_an_older_true_release_is_noticed(scene: Scene) -> None:
    scene.registry.set_alias(NAME, "approved", 1)
    assert refused() == "superseded"
    assert verify(f"models:/{NAME}/1").sequence == 1, "asked for by number it is what was wanted"


def test_after_the_theft_the_key_is_replaced_and_everything_stands_again(
    scene: Scene, tmp_path: Path
) -> None:
    """The drill of docs/index.md, from the theft to the model loading again."""
    settings = scene.gate.settings
    log = AdmissionLog(settings.log, scene.trust, scene.stolen)
    last = log.head().length
    theirs = log.append(
        SignedBody(registered_name=NAME, release_sequence=900, manifest_digest="sha256:" + "0" * 64)
    )
    rotate(open_ledger(settings))
    retire(open_ledger(settings), scene.stolen.key.key_id, "stolen", after=last)
    ledger = open_ledger(settings)
    assert theirs.sequence in [item.sequence for item in ledger.log.disowned()]
    assert [entry.sequence for entry in ledger.log.entries()][:last] == list(range(1, last + 1))
    key = scene.stolen.key.key_id
    revoke(ledger, RevokedSigner(signed_by=key, reason="stolen", revoked_at=datetime.now(UTC)))
    assert refused() == "key-retired"
    old = scene.trust.model_copy(update={"keys": (scene.stolen.key,), "retired_keys": ()})
    with pytest.raises(errors.VerificationError) as caught:
        verify(MODEL, trust=old)
    assert caught.value.code == "key-revoked", "those with the old trust file are told by the index"
    assert scene.gate.admit(MODEL).verdict is Verdict.ADMIT
    assert verify(MODEL).signed_by == load_signer(settings).key.key_id != key
    registered(scene, scene.hostile(tmp_path))
    assert refused() == "key-retired"


# What was withdrawn.


def test_revoked_files_stay_revoked_when_they_are_examined_anew(scene: Scene) -> None:
    """The store lost the Release, so the same commit is admitted from the start, with another manifest."""
    ledger = open_ledger(scene.gate.settings)
    revoke(ledger, named_release(ledger, MODEL, "poisoned"))
    assert refused() == "revoked"
    for stored in (True, False):
        if not stored:
            with scene.registry._working("lose everything") as client:
                client.delete_registered_model(NAME)
        before = [entry.body.kind for entry in ledger.log.entries()]
        with pytest.raises(errors.VerificationError) as caught:
            scene.gate.admit(MODEL)
        assert caught.value.code == "revoked"
        after = [entry.body.kind for entry in ledger.log.entries()]
        assert after.count("signed") == before.count("signed"), "the key is not used on them"


# The index's keys.


def test_the_index_keys_make_no_bundle(scene: Scene, tmp_path: Path) -> None:
    """Whoever holds both keys of the index lists what he likes, and has no key that signs a verdict."""
    index_key = load_key(key_path(scene.gate.settings.index_keys, INDEX))
    thief = Scene(scene.gate, scene.hub, KeySigner(index_key._private_key))  # type: ignore[attr-defined]
    hostile = thief.hostile(tmp_path)
    scene.index.change(lambda content: with_listed(content, entry_of(hostile)))
    registered(scene, hostile)
    assert refused() == "untrusted-key"


def test_the_timestamp_key_brings_no_old_state_back(scene: Scene, tmp_path: Path) -> None:
    """A revocation stays seen: the old snapshot, signed as the newest, is older than what was seen."""
    settings = scene.gate.settings
    before = scene.index.state()
    assert verify(MODEL)
    entry = RevokedSigner(signed_by=scene.stolen.key.key_id, reason="drill", revoked_at=datetime.now(UTC))
    scene.index.change(lambda content: content.model_copy(update={"revoked": (entry,)}))
    assert refused() == "key-revoked"
    key = load_key(key_path(settings.index_keys, TIMESTAMP))
    forged = timestamp_bytes(before.timestamp.signed.snapshot_meta, 24, key, 999, datetime.now(UTC))
    write_files(settings.own_index, {"timestamp.json": forged})
    assert refused() == "index-rolled-back"


def test_an_old_index_replayed_brings_no_revoked_model_back(scene: Scene, tmp_path: Path) -> None:
    settings = scene.gate.settings
    old = shutil.copytree(settings.own_index, tmp_path / "old")
    ledger = open_ledger(settings)
    entry = RevokedSigner(signed_by=scene.stolen.key.key_id, reason="drill", revoked_at=datetime.now(UTC))
    revoke(ledger, entry)
    assert refused() == "key-revoked"
    shutil.rmtree(settings.own_index)
    shutil.copytree(old, settings.own_index)
    assert refused() == "index-rolled-back"
    with pytest.raises(errors.VerificationError) as caught:
        scene.gate.admit(MODEL)
    assert caught.value.code == "index-rolled-back", "nor does the gate go on from it"


def test_a_pod_without_memory_refuses_what_is_older_than_its_trust_file_asks(
    scene: Scene, tmp_path: Path
) -> None:
    pinned = scene.trust.index
    assert pinned is not None
    newer = scene.trust.model_copy(
        update={"index": pinned.model_copy(update={"minimum_version": scene.index.content().number + 1})}
    )
    with pytest.raises(errors.VerificationError) as caught:
        verify(MODEL, trust=newer)
    assert caught.value.code == "index-rolled-back"


def test_an_index_nobody_refreshes_is_believed_by_nobody(scene: Scene) -> None:
    past = datetime.now(UTC) - timedelta(hours=scene.index.content().hours, minutes=1)
    scene.index.refresh(now=past)
    assert refused() == "index-stale"
