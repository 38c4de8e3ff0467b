"""Loading a 2 GB Release, verified, against the public tools and the least that verified loading takes.

One warm process; medians of interleaved rounds; CPU seconds beside wall. The Release is staged by the gate
from a safetensors checkpoint of float16 matrices of 32 MiB and signed with a key. Contestants:

- ``load_verified(into="state_dict")``, every page of every tensor touched afterwards;
- ``model_signing verify`` (its Python API, sha256) and ``safetensors.torch.load_file``, every page touched;
- a loop of two threads that reads, hashes and copies the same bytes into fresh sealed memory and parses
  nothing, against ``load_verified`` without the touching, which the loop does not do either: once with
  sha256, as the bar was set, and once with BLAKE3, which is what the chunks of a Release are digested by;
- the same loop into memory of huge pages, with BLAKE3: the least that this way of loading can take;
- verification alone at one and two threads: of the chunks (BLAKE3), and of everything (``verify``: sha256 of
  the whole file too); and the bytes through either hash and nothing else.

What a contestant loaded is given back after its time is taken. Before each turn as much memory is written and
freed, so that nobody pays for what a virtual machine's host must back first.

    python -m benchmarks.loading [GIGABYTES [ROUNDS]]
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from benchmarks.processes import Spent, cpu_seconds, touch_memory
from registry_gate.hashing import Hash

_SIZE_MB = 32
_LOOP = "two-thread loop into sealed memory, sha256"
_LOOP_BLAKE3 = "two-thread loop into sealed memory, blake3"
_LOOP_HUGE = "two-thread loop into huge pages, blake3"
_BLOCK = 1 << 20
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def main() -> None:
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(prefix="loading-") as name:
        folder = Path(name)
        _in_child("build", name, str(max(10, int(gigabytes * 1024 / _SIZE_MB))))
        weights = folder / "release" / "model" / "model.safetensors"
        cores = len(os.sched_getaffinity(0))
        print(f"Release of {weights.stat().st_size / 1e9:.2f} GB, {rounds} rounds, {cores} cores")
        contestants = _contestants(folder, weights)
        for run in contestants.values():
            _timed(run)  # warm: imports, page cache
        found: dict[str, list[Spent]] = {what: [] for what in contestants}
        for _ in range(rounds):
            for what, run in contestants.items():
                touch_memory(weights.stat().st_size)
                found[what].append(_timed(run))
        _report(found)
        _peak(folder)


def _contestants(folder: Path, weights: Path) -> dict[str, Callable[[], object]]:
    return {
        "load_verified, touched": lambda: _load(folder, touch=True),
        "model_signing + load_file, touched": lambda: _peers(folder, weights),
        "load_verified": lambda: _load(folder),
        _LOOP: lambda: _loop(weights, hashlib.sha256),
        _LOOP_BLAKE3: lambda: _loop(weights, blake3),
        _LOOP_HUGE: lambda: _loop_huge(weights),
        "load_verified, a tenth of the tensors": lambda: _load(folder, tenth=True),
        "verify chunks, 1 thread": lambda: _verify_chunks(folder, 1),
        "verify chunks, 2 threads": lambda: _verify_chunks(folder, 2),
        "verify chunks and sha256, 1 thread": lambda: _verify_all(folder, 1),
        "verify chunks and sha256, 2 threads": lambda: _verify_all(folder, 2),
        "sha256 alone, 2 threads": lambda: _hash(weights, hashlib.sha256),
        "blake3 alone, 2 threads": lambda: _hash(weights, blake3),
    }


def _load(
    folder: Path, *, touch: bool = False, tensors: str | list[str] | None = None, tenth: bool = False
) -> object:
    from registry_gate import load_verified

    if tenth:
        tensors = [f"layers.{index}.weight" for index in range(_count(folder) // 10)]
    loaded = load_verified(folder / "release", trust=_trust(folder), into="state_dict", tensors=tensors)
    if touch:
        _touch(loaded)
    return loaded


def _count(folder: Path) -> int:
    return int((folder / "count").read_text(encoding="ascii"))


def _touch(tensors: dict[str, object]) -> None:
    """Read one byte of every page."""
    import torch

    for tensor in tensors.values():
        assert isinstance(tensor, torch.Tensor)
        tensor.view(-1).view(torch.uint8)[::4096].sum()


def _peers(folder: Path, weights: Path) -> object:
    from model_signing import hashing, verifying
    from safetensors.torch import load_file

    release = folder / "release"
    config = verifying.Config().use_elliptic_key_verifier(public_key=folder / "public.pem")
    config.set_hashing_config(hashing.Config().use_file_serialization(hashing_algorithm="sha256"))
    config.verify(release / "model", release / "attestations" / "model.sig")
    loaded = load_file(weights)
    _touch(loaded)
    return loaded


def _loop(weights: Path, algorithm: Callable[[], Hash]) -> object:
    """Each thread reads, hashes and writes its half, 1 MiB at a time; then it is sealed."""
    source = os.open(weights, os.O_RDONLY)
    memory = os.memfd_create("loop", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    size = os.fstat(source).st_size
    os.ftruncate(memory, size)

    def half(begin: int, end: int) -> None:
        digest = algorithm()
        room = memoryview(bytearray(_BLOCK))
        while begin < end:
            block = room[: os.preadv(source, [room[: end - begin]], begin)]
            digest.update(block)
            begin += os.pwrite(memory, block, begin)

    _threads(half, size)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
    os.close(source)
    return os.fdopen(memory, "rb")


def _loop_huge(weights: Path) -> object:
    """Each thread reads its half, 256 KiB at a time, to where it stays, and hashes it there."""
    source = os.open(weights, os.O_RDONLY)
    size = os.fstat(source).st_size
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    view = memoryview(memory)

    def half(begin: int, end: int) -> None:
        digest = blake3()
        while begin < end:
            block = view[begin : min(begin + _BLOCK // 4, end)]
            count = os.preadv(source, [block], begin)
            digest.update(block[:count])
            begin += count

    _threads(half, size)
    os.close(source)
    return view


def _hash(weights: Path, algorithm: Callable[[], Hash]) -> None:
    source = os.open(weights, os.O_RDONLY)

    def half(begin: int, end: int) -> None:
        digest = algorithm()
        room = memoryview(bytearray(_BLOCK))
        while begin < end:
            block = room[: os.preadv(source, [room[: end - begin]], begin)]
            digest.update(block)
            begin += len(block)

    _threads(half, os.fstat(source).st_size)
    os.close(source)


def _threads(half: Callable[[int, int], None], size: int) -> None:
    middle = size // 2 // _BLOCK * _BLOCK
    running = [threading.Thread(target=half, args=span) for span in ((0, middle), (middle, size))]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def _verify_chunks(folder: Path, threads: int) -> None:
    from registry_gate.signing.chunks import check_chunks, wanted_chunks
    from registry_gate.signing.folder import Folder
    from registry_gate.signing.verify import check_names, read_statements

    with Folder(folder / "release") as source:
        found = read_statements(source, _trust(folder))
        check_names(source, found.manifest)
        for file in found.manifest.files:
            with source.reading(f"model/{file.name}", file.size) as reading:
                check_chunks(reading, file, wanted_chunks(file), threads=threads)


def _verify_all(folder: Path, threads: int) -> None:
    from registry_gate.signing.bytes import check_bytes
    from registry_gate.signing.folder import Folder
    from registry_gate.signing.verify import check_names, read_statements

    with Folder(folder / "release") as source:
        found = read_statements(source, _trust(folder))
        check_names(source, found.manifest)
        for file in found.manifest.files:
            with source.reading(f"model/{file.name}", file.size) as reading:
                check_bytes(reading, file, threads=threads)


def _trust(folder: Path):
    from registry_gate.signing.trust import load_trust

    return load_trust(folder / "home" / "trust.json")


def _timed(run: Callable[[], object]) -> Spent:
    wall, cpu = time.perf_counter(), cpu_seconds()
    loaded = run()
    spent = Spent(time.perf_counter() - wall, cpu_seconds() - cpu)
    if isinstance(loaded, io.IOBase):
        loaded.close()
    return spent


def _report(found: dict[str, list[Spent]]) -> None:
    for what, spent in found.items():
        wall, cpu = (
            statistics.median(values) for values in zip(*((s.wall, s.cpu) for s in spent), strict=True)
        )
        print(f"{what:43} {wall:7.2f} s wall {cpu:7.2f} s CPU")
    _bar(found, "load_verified, touched", "model_signing + load_file, touched", 0.6)
    _bar(found, "load_verified", _LOOP, 1.15)
    for loop, what in (
        (_LOOP_BLAKE3, "the loop with BLAKE3 in sha256's place"),
        (_LOOP_HUGE, "the least that this way of loading can take"),
    ):
        print(f"  for comparison, no bar: {_ratio(found, 'load_verified', loop):.2f} of {what}")
    _bar(found, "load_verified, a tenth of the tensors", "load_verified", 0.2)
    gain = _ratio(found, "blake3 alone, 2 threads", "sha256 alone, 2 threads")
    print(f"reading and blake3 takes {gain:.2f} of reading and sha256")


def _bar(found: dict[str, list[Spent]], own: str, other: str, most: float) -> None:
    ratio = _ratio(found, own, other)
    print(f"bar: {own} at most {most} of {other}: {ratio:.2f} {'met' if ratio <= most else 'MISSED'}")


def _ratio(found: dict[str, list[Spent]], own: str, other: str) -> float:
    pairs = zip(found[own], found[other], strict=True)
    return statistics.median(mine.wall / theirs.wall for mine, theirs in pairs)


def _peak(folder: Path) -> None:
    """The most memory of a process that loads and touches everything, above the model and the imports."""
    found = json.loads(_in_child("peak", str(folder)))
    above = found["peak"] - found["floor"] - found["model"]
    verdict = "met" if above <= 256 else "MISSED"
    print(
        f"bar: peak memory at most the model ({found['model']:.0f} MiB) + 256 MiB above the imports "
        f"({found['floor']:.0f} MiB): model {above:+.0f} MiB {verdict}"
    )


def _measure_peak(folder: Path) -> None:
    from benchmarks.processes import peak_mb, resident_mb

    _load(folder, tensors="layers.0.weight", touch=True)  # everything is imported, every buffer was made once
    floor = resident_mb()
    _load(folder, touch=True)
    size = (folder / "release" / "model" / "model.safetensors").stat().st_size
    print(json.dumps({"floor": floor, "peak": peak_mb(), "model": size / 2**20}))


def _in_child(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.loading", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _build(folder: Path, count: int) -> None:
    """Stage a checkpoint as the gate does, and sign it with a key of its own."""
    import torch
    from safetensors.torch import save_file

    from registry_gate.decision import decide
    from registry_gate.index.edits import with_listed
    from registry_gate.release import Terms
    from registry_gate.signing.sign import sign_release
    from registry_gate.testing.sample_release import an_hour_ago, entry_of, sample_gate

    gate = sample_gate(folder / "home")
    source = folder / "snapshot" / "model.safetensors"
    source.parent.mkdir()
    save_file({f"layers.{index}.weight": _matrix(torch, index) for index in range(count)}, source)
    evidence = gate.evidence(folder / "small", "acme/large", {"model.safetensors": b""}, "a" * 40)
    evidence = evidence.model_copy(update={"staged": _staged(folder, source)})
    issued = an_hour_ago()
    release = sign_release(
        evidence,
        decide(evidence, gate.policy, issued),
        gate.policy,
        terms=Terms(sequence=1, issued_at=issued, expires_at=issued.replace(year=issued.year + 1)),
        signer=gate.authority,
        trust=gate.trust,
        destination=folder / "release",
    )
    gate.index.change(lambda content: with_listed(content, entry_of(release)))
    shutil.rmtree(source.parent)
    (folder / "public.pem").write_text(gate.signer.key.public_key, encoding="ascii")
    (folder / "count").write_text(str(count), encoding="ascii")


def _matrix(torch, index: int):
    generator = torch.Generator().manual_seed(index)
    return (torch.randn(4096, 4096, generator=generator) * 0.02).half()


def _staged(folder: Path, source: Path):
    from registry_gate.candidate import Snapshot, SnapshotFile
    from registry_gate.examine.files import examine_files
    from registry_gate.policy import load_policy
    from registry_gate.weights.selection import select_weights
    from registry_gate.weights.stream import stage

    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    described = SnapshotFile(path=source.name, size=source.stat().st_size, sha256=digest)
    snapshot = Snapshot(listing_digest="sha256:" + "0" * 64, root=source.parent, files=(described,))
    policy = load_policy("default")
    chosen = select_weights(examine_files(snapshot, policy), policy)
    return stage(snapshot, chosen, folder / "staged")


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        _build(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["peak"]:
        _measure_peak(Path(sys.argv[2]))
    else:
        main()
