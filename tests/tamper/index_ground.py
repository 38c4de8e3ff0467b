"""A gate's index in every state it has been through, and a stranger's; and who holds which key."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp

from registry_gate.index.content import NAME, IndexContent
from registry_gate.index.edits import with_floor
from registry_gate.index.keys import INDEX, ROOT, TIMESTAMP, key_path, load_key, make_key
from registry_gate.index.metadata import make_root, signed_bytes
from registry_gate.index.read import read_index
from registry_gate.release import Verified
from registry_gate.settings import Settings
from registry_gate.settings import load as load_settings
from registry_gate.signing.key_files import read_key
from registry_gate.signing.trust import IndexTrust, Trust, load_trust
from registry_gate.signing.verify import verify_release
from registry_gate.testing.sample_release import SampleGate
from tests.tamper.mutation import FILES

ROLES = ("root", "timestamp", "snapshot", "targets", "index")
"""The five files of a state; the first four are signed metadata, the last what they lead to."""

SIGNED = ("targets", "snapshot", "timestamp")

_YEAR = timedelta(days=365)

Files = Mapping[str, bytes | None]
"""What to put into the folder of an index, by name; None takes a file away."""


@dataclass(frozen=True)
class State:
    """One state of an index: its number, and its files by role."""

    number: int
    files: Mapping[str, bytes]

    def name(self, role: str) -> str:
        """What the file of a role is called."""
        if role == "index":
            return f"{sha256(self.files['index']).hexdigest()}.{NAME}"
        return {"root": "1.root.json", "timestamp": "timestamp.json"}.get(role, f"{self.number}.{role}.json")

    @property
    def named(self) -> dict[str, bytes]:
        """Every file by its name."""
        return {self.name(role): data for role, data in self.files.items()}


@dataclass(frozen=True)
class IndexMutation:
    """One way to tamper with an index, and the one code that is right for it.

    ``memory`` names what the reader has seen before: nothing, the present state, or a huge version number.
    ``trust`` changes the reader's trust file; ``by_alias`` is refused only where an alias was asked for.
    """

    name: str
    files: Files
    code: str = "index-untrusted"
    memory: str = "nothing"
    trust: Callable[[Trust], Trust] = field(default=lambda trust: trust)
    by_alias: bool = False


@dataclass(frozen=True)
class IndexGround:
    """What mutations are made from. ``signers`` are the gate's, by role, and ``wrong`` everybody else's."""

    gate: SampleGate
    release: Path
    verified: Verified
    states: tuple[State, ...]
    strangers: State
    signers: Mapping[str, CryptoSigner]
    wrong: Mapping[str, Signer]
    memories: Mapping[str, Path]

    @property
    def present(self) -> State:
        """The newest state."""
        return self.states[-1]

    @property
    def content(self) -> IndexContent:
        """What the newest state says."""
        return IndexContent.from_json(self.present.files["index"])

    @property
    def pinned(self) -> IndexTrust:
        """The root as the trust file names it."""
        assert self.gate.trust.index is not None
        return self.gate.trust.index

    def next(self, content: IndexContent | bytes | None = None, **changes: object) -> dict[str, bytes]:
        """A state of the gate's own making, one number further: ``made`` with its true keys."""
        data = self.content if content is None else content
        return made(data, self.present.number + 1, self.signers, **changes)  # type: ignore[arg-type]


def made(
    content: IndexContent | bytes,
    number: int,
    signers: Mapping[str, Signer],
    *,
    sign: Mapping[str, Signer | None] | None = None,
    expires: Mapping[str, datetime] | None = None,
    edit: Mapping[str, Callable[..., None]] | None = None,
    timestamp: int | None = None,
) -> dict[str, bytes]:
    """The files of a state, all that belongs together agreeing: only what is asked for is wrong with it.

    Args:
        content: what the index is to say; bytes are taken as they are.
        number: of the state.
        signers: by key: ``index`` for targets and snapshot, ``timestamp``.
        sign: by role, another signer than the right one; None for no signature at all.
        expires: by role, another end of life.
        edit: by role, a change of the metadata before it is signed.
        timestamp: the timestamp's version; ten times the number if None.
    """
    data = (
        content if isinstance(content, bytes) else content.model_copy(update={"number": number}).canonical()
    )
    ends = {role: datetime.now(UTC).replace(microsecond=0) + _YEAR for role in ROLES} | dict(expires or {})
    chosen = {"targets": signers[INDEX], "snapshot": signers[INDEX], "timestamp": signers[TIMESTAMP]}
    by: dict[str, Signer | None] = {**chosen, **(sign or {})}

    def sealed(signed: Targets | Snapshot | Timestamp) -> bytes:
        (edit or {}).get(signed.type, lambda _: None)(signed)
        signer = by[signed.type]
        return signed_bytes(Metadata(signed), *([signer] if signer else []))  # type: ignore[type-var]

    target = TargetFile.from_data(NAME, data)
    targets = sealed(Targets(version=number, expires=ends["targets"], targets={NAME: target}))
    meta = {"targets.json": MetaFile.from_data(number, targets, ["sha256"])}
    snapshot = sealed(Snapshot(version=number, expires=ends["snapshot"], meta=meta))
    newest = Timestamp(
        version=number * 10 if timestamp is None else timestamp,
        expires=ends["timestamp"],
        snapshot_meta=MetaFile.from_data(number, snapshot, ["sha256"]),
    )
    return {
        f"{sha256(data).hexdigest()}.{NAME}": data,
        f"{number}.targets.json": targets,
        f"{number}.snapshot.json": snapshot,
        "timestamp.json": sealed(newest),
    }


def root_of(
    keys: Mapping[str, CryptoSigner], version: int, *signers: Signer, now: datetime | None = None
) -> bytes:
    """A root that names these keys, signed by whoever signs it."""
    public = {role: keys[role].public_key for role in (ROOT, INDEX, TIMESTAMP)}
    return signed_bytes(make_root(public, version, now or datetime.now(UTC)), *signers)


def prepare_index(folder: Path, gate: SampleGate, stranger: SampleGate) -> IndexGround:
    """Grow an index through its states, with a Release that the newest of them accepts."""
    release = gate.release(folder / "release", "acme/tiny", FILES, sequence=5).root
    states = [state_in(gate.settings)]
    for number in range(3):
        gate.release(folder / f"other-{number}", f"acme/other-{number}", FILES, sequence=6 + number)
        states.append(state_in(gate.settings))
    gate.index.change(lambda content: with_floor(content, "acme--tiny", "approved", 5))
    states.append(state_in(gate.settings))
    stranger.release(folder / "strangers", "acme/tiny", FILES, sequence=5)
    signers = _keys(gate.settings)
    theirs = _keys(stranger.settings)
    wrong: dict[str, Signer] = {f"the stranger's {role} key": key for role, key in theirs.items()}
    wrong["the admission key"] = CryptoSigner(read_key(gate.settings.keys / "signing-key.pem", "key"))
    wrong["a made-up key"] = make_key(folder / "made-up.pem")
    verified = verify_release(release, gate.trust)
    ground = IndexGround(
        gate, release, verified, tuple(states), state_in(stranger.settings), signers, wrong, {}
    )
    ahead = ground.next(timestamp=2**62)
    memories = {
        "present": _memory(folder / "present", ground, ground.present.named),
        "fast-forward": _memory(folder / "ahead", ground, ground.present.named | ahead),
    }
    return replace(ground, memories=memories)


def state_in(settings: Settings) -> State:
    """The newest state in a gate's own folder."""
    folder = settings.own_index
    number = max(int(path.name.split(".")[0]) for path in folder.glob("*.targets.json"))
    names = {"timestamp": "timestamp.json", "root": "1.root.json"}
    names |= {role: f"{number}.{role}.json" for role in ("snapshot", "targets")}
    files = {role: (folder / name).read_bytes() for role, name in names.items()}
    target = Metadata[Targets].from_bytes(files["targets"]).signed.targets[NAME]
    files["index"] = (folder / f"{target.hashes['sha256']}.{NAME}").read_bytes()
    return State(number, {role: files[role] for role in ROLES})


def _keys(settings: Settings) -> dict[str, CryptoSigner]:
    return {role: load_key(key_path(settings.index_keys, role)) for role in (ROOT, INDEX, TIMESTAMP)}


def lay_out(folder: Path, *layers: Files) -> Path:
    """Write the files of an index; a later layer replaces and removes."""
    folder.mkdir(parents=True, exist_ok=True)
    for layer in layers:
        for name, data in layer.items():
            (folder / name).unlink(missing_ok=True)
            if data is not None:
                (folder / name).write_bytes(data)
    return folder


def reader_of(ground: IndexGround, mutation: IndexMutation, folder: Path) -> Settings:
    """Somebody who loads: a home with the trust file and a memory of its own, and the index as it now is."""
    home = folder / "home"
    home.mkdir(parents=True)
    if mutation.memory != "nothing":
        shutil.copytree(ground.memories[mutation.memory], home / "seen", symlinks=True)
    (home / "trust.json").write_text(mutation.trust(ground.gate.trust).model_dump_json())
    place = lay_out(folder / "index", ground.present.named, mutation.files)
    return load_settings(home, administrator_trust=home / "none.json", index=str(place))


def _memory(folder: Path, ground: IndexGround, files: Files) -> Path:
    settings = reader_of(ground, IndexMutation("", files), folder)
    read_index(settings, load_trust(settings.trust))
    return settings.seen


def subsets(items: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every choice of some of them, but none and all left in."""
    for mask in range(1, 2 ** len(items)):
        yield tuple(item for bit, item in enumerate(items) if mask >> bit & 1)
