"""The store changes while a Release is loaded, or before it is parsed: the change is never loaded."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file

from registry_gate import errors, load_verified
from registry_gate.client import parse_copy
from registry_gate.client.hold import HeldRelease
from registry_gate.client.sealed import Held
from registry_gate.signing.folder import Folder, Reading
from registry_gate.testing.sample_release import CHUNK, SampleGate, sample_gate
from tests.tamper.mutation import FILES

WEIGHTS = "model/model.safetensors"
ORIGINAL = load(FILES["model.safetensors"])


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> SampleGate:
    return sample_gate(tmp_path_factory.mktemp("gate") / "home")


@pytest.fixture(scope="module")
def master(gate: SampleGate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gate.release(tmp_path_factory.mktemp("master"), "acme/tiny", FILES).root


@pytest.fixture
def release(master: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: SampleGate) -> Path:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(gate.settings.home))
    return Path(shutil.copytree(master, tmp_path / "release"))


def loaded(release: Path) -> dict[str, torch.Tensor]:
    return load_verified(release, into="state_dict")


def same(tensors: dict[str, torch.Tensor]) -> bool:
    return tensors.keys() == ORIGINAL.keys() and all(torch.equal(tensors[n], ORIGINAL[n]) for n in ORIGINAL)


def flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


@dataclass
class Watched:
    """A reading that lets somebody act right before its n-th read."""

    reading: Reading
    before: int
    act: Callable[[], None]
    concurrent: bool = False

    def read_into(self, room: memoryview, at: int, run_end: int) -> int:
        if self.before == 0:
            self.act()
        self.before -= 1
        return self.reading.read_into(room, at, run_end)


def watch(monkeypatch: pytest.MonkeyPatch, before: int, act: Callable[[], None]) -> None:
    original = Folder.reading

    @contextmanager
    def reading(self: Folder, name: str, size: int) -> Iterator[Reading]:
        with original(self, name, size) as found:
            yield Watched(found, before, act) if name == WEIGHTS else found

    monkeypatch.setattr(Folder, "reading", reading)


SIZE = len(FILES["model.safetensors"])
READS = -(-SIZE // CHUNK)
MOMENTS = sorted(
    {(read, place) for read in range(READS) for place in random.Random(7).sample(range(SIZE), 60)}
    | {(read, read * CHUNK + step) for read in range(READS) for step in (-1, 0) if read * CHUNK + step >= 0}
)


def test_a_byte_changed_before_it_is_read_is_refused_and_one_changed_after_changes_nothing(
    release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bit flips in the store right before the n-th chunk is read: before it, at it, behind it."""
    assert len(MOMENTS) > 200
    for read, place in MOMENTS:
        with monkeypatch.context() as patched:
            watch(patched, read, lambda place=place: flip(release / WEIGHTS, place))
            if place < read * CHUNK:
                assert same(loaded(release)), (read, place)
            else:
                with pytest.raises(errors.VerificationError) as caught:
                    loaded(release)
                assert caught.value.code == "bytes-differ", (read, place)
        flip(release / WEIGHTS, place)
    assert same(loaded(release))


def truncated(path: Path) -> None:
    os.truncate(path, SIZE // 2)


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("change", [truncated, grown])
@pytest.mark.parametrize("read", range(READS))
def test_a_length_changed_during_the_load_is_refused(
    change: Callable[[Path], None], read: int, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(monkeypatch, read, lambda: change(release / WEIGHTS))
    if change is truncated and read * CHUNK >= SIZE:
        assert same(loaded(release))
        return
    with pytest.raises(errors.VerificationError) as caught:
        loaded(release)
    assert caught.value.code == "bytes-differ"


@pytest.mark.parametrize("read", range(READS))
def test_a_file_replaced_during_the_load_is_not_opened(
    read: int, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is opened once: what takes its name later is never looked at."""

    def replace() -> None:
        (release / WEIGHTS).rename(release / "aside")
        (release / WEIGHTS).symlink_to("/dev/zero")

    watch(monkeypatch, read, replace)
    assert same(loaded(release))


@pytest.mark.parametrize("into", ["state_dict", "model"])
def test_a_store_rewritten_between_verification_and_parsing_changes_nothing(
    into: str, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race of verify-then-load: all of the store is another one's when the parser starts."""
    parse = parse_copy.state_dict
    seen: list[dict[str, torch.Tensor]] = []

    def rewrite(held: Any, *arguments: object) -> dict[str, torch.Tensor]:
        for path in release.rglob("*"):
            if path.is_file():
                path.write_bytes(b"\xff" * path.stat().st_size)
        if into == "model":
            seen.append(load_file(held.folder / "model.safetensors"))
        else:
            seen.append(parse(held, "cpu", None))
        return seen[-1]

    monkeypatch.setattr(parse_copy, into, rewrite)
    load_verified(release, into=into)  # type: ignore[call-overload]
    shutil.rmtree(release)
    assert same(seen[0])


def test_a_store_that_somebody_writes_all_the_time(release: Path) -> None:
    """A writer turns one byte over and back without rest: what loads is what was signed, or it is refused."""
    stop, started = threading.Event(), threading.Event()
    path = release / WEIGHTS

    def write() -> None:
        descriptor = os.open(path, os.O_RDWR)
        original = os.pread(descriptor, 1, SIZE - 1)
        while not stop.is_set():
            os.pwrite(descriptor, bytes([original[0] ^ 255]), SIZE - 1)
            started.set()
            os.pwrite(descriptor, original, SIZE - 1)
        os.close(descriptor)

    writer = threading.Thread(target=write)
    writer.start()
    started.wait()
    try:
        for _ in range(60):
            try:
                assert same(loaded(release))
            except errors.VerificationError as error:
                assert error.code == "bytes-differ"
    finally:
        stop.set()
        writer.join()
    assert same(loaded(release))


def test_sealed_memory_cannot_be_written_by_anybody(tmp_path: Path) -> None:
    with Held(64, tmp_path) as held:
        os.pwrite(held.descriptor, b"a" * 64, 0)
        held.seal()
        assert held.sealed
        for attempt in (
            lambda: os.pwrite(held.descriptor, b"b", 0),
            lambda: os.ftruncate(held.descriptor, 32),
            lambda: os.ftruncate(held.descriptor, 128),
            lambda: os.pwrite(os.open(f"/proc/self/fd/{held.descriptor}", os.O_RDWR), b"b", 0),
        ):
            with pytest.raises(OSError, match="not permitted"):
                attempt()
        assert os.pread(held.descriptor, 65, 0) == b"a" * 64
    assert list(tmp_path.iterdir()) == []


def test_tensors_can_be_written_without_changing_the_sealed_memory(release: Path) -> None:
    first = loaded(release)
    first["one"].zero_()
    assert not first["one"].any()
    assert same(loaded(release))


def refuse(*_: object) -> int:
    raise PermissionError(1, "not here")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_without_sealed_memory_a_private_file_stands_in(
    release: Path, monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    monkeypatch.setattr(os, "memfd_create", refuse)
    seen = []
    seal = Held.seal

    def look(held: Held) -> None:
        seal(held)
        seen.append((held.sealed, held.path.stat().st_mode & 0o777, held.path.parent.stat().st_mode & 0o777))

    def parse(held: HeldRelease, *_: object) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in load_file(held.folder / "model.safetensors").items()}

    monkeypatch.setattr(Held, "seal", look)
    monkeypatch.setattr(parse_copy, "model", parse)
    assert same(load_verified(release))  # type: ignore[arg-type]
    assert seen == [(False, 0o400, 0o700)]
    assert list(scratch.iterdir()) == []
    flip(release / WEIGHTS, SIZE - 1)
    with pytest.raises(errors.VerificationError):
        load_verified(release)
    assert list(scratch.iterdir()) == []


def test_tensors_need_neither_a_descriptor_nor_a_folder(
    release: Path, monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    """What is loaded as tensors is never where another process could open it."""
    before = set(Path("/proc/self/fd").iterdir())
    monkeypatch.setattr(os, "memfd_create", refuse)
    scratch.chmod(0o500)
    tensors, some = loaded(release), load_verified(release, into="state_dict", tensors="*")
    assert same(tensors)
    assert same(some)
    assert set(Path("/proc/self/fd").iterdir()) == before
    address = tensors["one"].data_ptr()
    mapping = next(line for line in mappings() if line[0] <= address < line[1])
    assert mapping[2:] == ("rw-p", "0")


def mappings() -> Iterator[tuple[int, int, str, str]]:
    """Begin, end, permissions and inode of every mapping of this process; inode 0 is anonymous memory."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, permissions, _, _, inode, *_ = line.split()
        begin, _, end = span.partition("-")
        yield int(begin, 16), int(end, 16), permissions, inode
