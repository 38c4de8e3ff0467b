"""Static admission of a 2 GB float16 checkpoint against copying and hashing it, and against the public tools.

One warm process; medians of interleaved rounds; CPU seconds beside wall. The gate's time is the whole static
road: the confined reader describes the file, the source digest is verified, the tensors are staged with
statistics and proof, and the result is signed. The peers do what a careful team would do with public tools:
picklescan, ``torch.load(mmap=True, weights_only=True)``, ``safetensors.torch.save_file``, and signing with
``model_signing`` (which hashes what was saved).

    python -m benchmarks.conversion [GIGABYTES [ROUNDS]]
"""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from benchmarks.processes import Spent, cpu_seconds, touch_memory
from registry_gate.hashing import Hash

if TYPE_CHECKING:
    import torch

_SIZE_MB = 32
_SERIAL = "floor: one-thread sha256 of the source"
_FLOOR = "floor: two sha256 and a blake3, no write"


def main() -> None:
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory(prefix="conversion-") as name:
        folder = Path(name)
        source = folder / "snapshot" / "pytorch_model.bin"
        _in_child("build", str(source), str(int(gigabytes * 1024 / _SIZE_MB)))
        print(f"float16 torch zip of {source.stat().st_size / 1e9:.2f} GB, {rounds} rounds")
        gate = Gate(folder, source)
        contestants: dict[str, Callable[[], None]] = {
            "copy + sha256 (1 MiB, one thread)": lambda: floor(source, folder / "copy"),
            "gate: read, verify, stage, sign": gate.admit,
            "  of which stage": gate.stage_only,
            "gate, and verify what was signed": gate.admit_and_verify,
            "public tools": lambda: _peers(source, folder),
            _SERIAL: lambda: _digest(source),
            _FLOOR: lambda: _at_once(source),
        }
        gate.admit()  # warm: imports, compiled loops, page cache
        found: dict[str, list[Spent]] = {what: [] for what in contestants}
        for _ in range(rounds):
            for what, run in contestants.items():
                found[what].append(_timed(run, folder))
        _report(found)
    for size in (gigabytes, 5 * gigabytes):
        _peak(size)


def _report(found: dict[str, list[Spent]]) -> None:
    walls = {what: statistics.median(item.wall for item in spent) for what, spent in found.items()}
    first = next(iter(walls))
    for what, spent in found.items():
        pairs = [item.wall / base.wall for item, base in zip(spent, found[first], strict=True)]
        cpu = statistics.median(item.cpu for item in spent)
        ratio = statistics.median(pairs)
        print(f"{what:42} {walls[what]:7.2f} s wall {cpu:7.2f} s CPU   {ratio:5.2f} x the copy")
    gate, peers = "gate: read, verify, stage, sign", "public tools"
    ratio = statistics.median(
        peer.wall / own.wall for peer, own in zip(found[peers], found[gate], strict=True)
    )
    own = statistics.median(a.wall / b.wall for a, b in zip(found[gate], found[first], strict=True))
    print(f"bar: at most 1.5 x the copy (goal 1.0): {own:.2f} {'met' if own <= 1.5 else 'MISSED'}")
    verdict = "met" if ratio >= 4 else "MISSED"
    print(f"bar: at least 4 x faster than the public tools (goal 8): {ratio:.1f} {verdict}")
    for floor_, what in (
        (_SERIAL, "with any number of cores: the source's sha256 is one chain"),
        (_FLOOR, "here: sha256 of source and staged file and BLAKE3 of the tensors, and nothing else done"),
    ):
        most = statistics.median(
            peer.wall / own.wall for peer, own in zip(found[peers], found[floor_], strict=True)
        )
        least = statistics.median(
            own.wall / base.wall for base, own in zip(found[first], found[floor_], strict=True)
        )
        print(f"  {what}: at best {most:.1f} x faster than the tools, {least:.2f} x the copy")


class Gate:
    """The static road on one file, each time into new folders."""

    def __init__(self, folder: Path, source: Path) -> None:
        from registry_gate.policy import load_policy
        from registry_gate.settings import load
        from registry_gate.signing.keys import init_keys, load_signer
        from registry_gate.signing.trust import effective_trust

        self.folder, self.source = folder, source
        self.policy = load_policy("default")
        settings = load(folder / "home")
        init_keys(settings, (self.policy.digest(),))
        self.signer, self.trust = load_signer(settings), effective_trust(settings)
        self.sha256 = _sha256(source)

    def admit(self) -> None:
        from registry_gate.signing.manifest import manifest_of

        staged = self._staged()
        manifest = manifest_of(staged, {})
        self.release = self._sign(staged, manifest)

    def stage_only(self) -> None:
        from registry_gate.weights.stream import stage

        stage(self._snapshot(), self.chosen, self.folder / "staged")

    def admit_and_verify(self) -> None:
        from registry_gate.signing.bytes import check_bytes
        from registry_gate.signing.folder import Folder
        from registry_gate.signing.manifest import manifest_of

        staged = self._staged()
        manifest = manifest_of(staged, {})
        self._sign(staged, manifest)
        for file in manifest.files:
            with Folder(self.folder / "staged") as source, source.reading(file.name, file.size) as reading:
                check_bytes(reading, file)

    def _snapshot(self) -> object:
        from registry_gate.candidate import Snapshot, SnapshotFile

        size = self.source.stat().st_size
        file = SnapshotFile(path=self.source.name, size=size, sha256=self.sha256)
        return Snapshot(listing_digest="sha256:" + "0" * 64, root=self.source.parent, files=(file,))

    def _staged(self):
        from registry_gate.examine.files import examine_files
        from registry_gate.weights.selection import select_weights
        from registry_gate.weights.stream import stage

        snapshot = self._snapshot()
        facts = examine_files(snapshot, self.policy)
        self.chosen = select_weights(facts, self.policy)
        if self.chosen.problems:
            raise SystemExit(f"not convertible: {self.chosen.problems}")
        return stage(snapshot, self.chosen, self.folder / "staged")

    def _sign(self, staged, manifest) -> bytes:
        """Everything the signer does from digests: manifest, model signature, the proof of conversion."""
        from registry_gate.record import canonical_json
        from registry_gate.signing.dsse import seal
        from registry_gate.signing.predicates import MODEL_SIGNATURE
        from registry_gate.signing.statements import model_signature, payload

        about, predicate = model_signature(manifest)
        seal(payload(about, MODEL_SIGNATURE, predicate), self.signer)
        return seal(canonical_json(staged.model_dump(mode="json")), self.signer)


def floor(source: Path, target: Path) -> None:
    """A plain copy loop that hashes what it reads, 1 MiB at a time, in one thread."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(1 << 20):
            digest.update(chunk)
            writing.write(chunk)


def _digest(path: Path, algorithm: Callable[[], Hash] = hashlib.sha256) -> None:
    """What verifying the source's digest takes at least: one chain of sha256."""
    digest, buffer = algorithm(), bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            digest.update(memoryview(buffer)[:size])


def _at_once(source: Path) -> None:
    """The digests that are asked for (of the source, the staged file, the tensors), and nothing else."""
    with ThreadPoolExecutor(3) as pool:
        asked = (hashlib.sha256, hashlib.sha256, blake3)
        for future in [pool.submit(_digest, source, algorithm) for algorithm in asked]:
            future.result()


def _peers(source: Path, folder: Path) -> None:
    from model_signing.signing import Config
    from picklescan.scanner import scan_file_path
    from safetensors.torch import save_file
    from torch import load

    scan_file_path(str(source))
    state = load(source, mmap=True, weights_only=True)
    target = folder / "peers"
    target.mkdir()
    save_file(state, target / "model.safetensors", {"format": "pt"})
    del state
    key = next((folder / "home" / "keys").glob("*.pem"))
    Config().use_elliptic_key_signer(private_key=key).sign(target, folder / "model.sig")


def _timed(run: Callable[[], None], folder: Path) -> Spent:
    for name in ("copy", "staged", "peers", "model.sig"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    subprocess.run(["sync"], check=True)  # nobody pays for another's dirty pages
    touch_memory(next((folder / "snapshot").iterdir()).stat().st_size)
    wall, cpu = time.perf_counter(), cpu_seconds()
    run()
    return Spent(time.perf_counter() - wall, cpu_seconds() - cpu)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_child(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.conversion", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _peak(gigabytes: float) -> None:
    """Peak memory of staging and signing in a process of its own, above what it had once all was imported."""
    with tempfile.TemporaryDirectory(prefix="conversion-") as name:
        source = Path(name) / "snapshot" / "pytorch_model.bin"
        if shutil.disk_usage(name).free < 3 * gigabytes * 2**30:
            print(f"peak memory at {gigabytes:g} GB: not measured, too little disk")
            return
        _in_child("build", str(source), str(int(gigabytes * 1024 / _SIZE_MB)))
        found = json.loads(_in_child("peak", name, str(source)))
        above = found["peak"] - found["floor"]
        verdict = "met" if above <= 512 else "MISSED"
        print(
            f"peak memory at {gigabytes:g} GB: {above:.0f} MiB above {found['floor']:.0f}; bar 512: {verdict}"
        )


def _measure_peak(folder: Path, source: Path) -> None:
    from benchmarks.processes import peak_mb, resident_mb
    from registry_gate.weights.statistics import TensorMeter

    gate = Gate(folder, source)
    meter = TensorMeter("F16")
    meter.update(memoryview(bytes(64)))
    meter.result()
    import registry_gate.examine.files
    import registry_gate.weights.selection
    import registry_gate.weights.stream  # noqa: F401

    floor_mb = resident_mb()
    gate.admit()
    print(json.dumps({"floor": floor_mb, "peak": peak_mb()}))


def _build(source: Path, tensors: int) -> None:
    """A checkpoint of 32 MB float16 matrices, written by torch; beyond 4 GB of zeros, to spare the memory."""
    import torch

    source.parent.mkdir(parents=True)
    zeros = source.with_name("zeros") if tensors > 128 else None
    if zeros:
        with zeros.open("wb") as file:
            file.truncate(_SIZE_MB << 20)
    names = [f"model.layers.{index}.mlp.up_proj.weight" for index in range(tensors)]
    torch.save({name: _matrix(index, zeros) for index, name in enumerate(names)}, source)
    if zeros:
        zeros.unlink()


def _matrix(index: int, zeros: Path | None) -> torch.Tensor:
    import torch

    if zeros:  # mapped once for each tensor: storages of their own, and no memory
        flat = torch.from_file(str(zeros), shared=True, size=4096 * 4096, dtype=torch.float16)
        return flat.view(4096, 4096)
    generator = torch.Generator().manual_seed(index)
    return (torch.randn(4096, 4096, generator=generator) * 0.02).half()


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        _build(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["peak"]:
        _measure_peak(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
