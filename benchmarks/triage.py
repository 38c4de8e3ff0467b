"""Weight triage of a 2 GB float16 checkpoint, beside one-thread sha256 of the same file and mlsec.

One warm process for the gate and the hash, in interleaved pairs; mlsec's checkpoint triage runs once in its
own process (its import time, from an empty file, is taken off). mlsec is installed in a
folder of its own the first time; where that fails, its bar is not measured.

    python -m benchmarks.triage [GIGABYTES [ROUNDS]]
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import environments
from benchmarks.processes import Spent, cpu_seconds
from registry_gate.weights.regions import Meters
from registry_gate.weights.statistics import TensorMeter


def main() -> None:
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(prefix="triage-") as name:
        source = Path(name) / "weights" / "pytorch_model.bin"
        build = [
            sys.executable,
            "-m",
            "benchmarks.conversion",
            "build",
            str(source),
            str(int(gigabytes * 32)),
        ]
        subprocess.run(build, check=True)
        size = source.stat().st_size
        measure = _measurer(source, Path(name))
        contestants: dict[str, Callable[[], None]] = {
            "sha256, one thread": lambda: _sha256(source),
            "gate: digests and statistics of every tensor": measure,
            "gate: triage, confined reader included": lambda: _whole(source),
        }
        measure()  # warm
        found: dict[str, list[Spent]] = {what: [] for what in contestants}
        for _ in range(rounds):
            for what, run in contestants.items():
                found[what].append(_timed(run))
        _report(found, size)
        _on_a_gpu(source, Path(name), size)
        runs = found["gate: triage, confined reader included"]
        own = Spent(
            statistics.median(item.wall for item in runs), statistics.median(item.cpu for item in runs)
        )
        _mlsec(source, Path(name), own)


def _report(found: dict[str, list[Spent]], size: int) -> None:
    first = next(iter(found))
    for what, spent in found.items():
        wall = statistics.median(item.wall for item in spent)
        cpu = statistics.median(item.cpu for item in spent)
        ratio = statistics.median(a.wall / b.wall for a, b in zip(spent, found[first], strict=True))
        speed = f"{size / wall / 1e9:5.2f} GB/s {ratio:5.2f} x sha256"
        print(f"{what:46} {wall:6.2f} s wall {cpu:6.2f} s CPU {speed}")
    fused = "gate: digests and statistics of every tensor"
    ratio = statistics.median(a.wall / b.wall for a, b in zip(found[fused], found[first], strict=True))
    print(f"bar: fused with hashing at most 1.3 x sha256: {ratio:.2f} {'met' if ratio <= 1.3 else 'MISSED'}")
    cpu = statistics.median(a.cpu / b.cpu for a, b in zip(found[fused], found[first], strict=True))
    print(f"  half its CPU seconds, what two idle cores could do at best: {cpu / 2:.2f} x sha256")


def _on_a_gpu(source: Path, scratch: Path, size: int) -> None:
    """The pass with its statistics on a GPU, and those alone beside the device's own speed of copying."""
    import torch

    if not torch.cuda.is_available():
        print("statistics on a GPU: not measured (there is none here)")
        return
    from registry_gate.weights.devices import open_device

    device = open_device("cuda")
    measure = _measurer(source, scratch, device.meter)
    measure()
    print(f"gate, statistics on {device.name}: {_timed(measure).wall:.2f} s wall for {size / 1e9:.2f} GB")
    from registry_gate.weights.device_meter import DeviceMeter

    piece = torch.randn(1 << 21, device="cuda").half().view(torch.uint8)
    meter = DeviceMeter("F16", 4096, device)

    def take(times: int) -> None:
        for _ in range(times):
            meter.add_there(piece)
        torch.cuda.synchronize()

    take(10)
    speed = 500 * piece.numel() / _timed(lambda: take(500)).wall / 1e9
    whole = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()

    def copy() -> None:
        whole.clone()
        torch.cuda.synchronize()

    copy()
    bandwidth = 2 * whole.numel() / _timed(copy).wall / 1e9
    print(f"  kernels alone: {speed:.0f} GB/s of float16, {speed / bandwidth:.0%} of {bandwidth:.0f} GB/s")


def _measurer(source: Path, scratch: Path, meters: Meters = TensorMeter) -> Callable[[], None]:
    from registry_gate.evidence import CopyPlan
    from registry_gate.formats import ReaderLimits, describe
    from registry_gate.weights.measuring import measure_file

    # Our own file, just written: here the reader may look at it without its sandbox.
    facts = describe(source, source.name, ReaderLimits())
    plan = CopyPlan(source=source.name, target=source.name, tensors=facts.tensors)

    def measure() -> None:
        measure_file(source, plan, scratch, lambda _: None, meters)

    return measure


def _whole(source: Path) -> None:
    from registry_gate.policy import load_policy
    from registry_gate.progress import silent
    from registry_gate.triage import triage

    report, _ = triage(source, load_policy("default"), None, silent)
    if not report.clean:
        raise SystemExit("the benchmark's own checkpoint was not found clean")


def _sha256(path: Path) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)


def _timed(run: Callable[[], None]) -> Spent:
    wall, cpu = time.perf_counter(), cpu_seconds()
    run()
    return Spent(time.perf_counter() - wall, cpu_seconds() - cpu)


def _mlsec(source: Path, folder: Path, own: Spent) -> None:
    where = environments.mlsec()
    if where is None:
        print("mlsec: not measured (it could not be installed)")
        return
    tiny = folder / "tiny" / "pytorch_model.bin"
    build = [sys.executable, "-m", "benchmarks.conversion", "build", str(tiny), "0"]
    subprocess.run(build, check=True)
    base = _mlsec_run(where, tiny.parent)
    theirs = _mlsec_run(where, source.parent)
    for what, spent in (("mlsec checkpoint, empty file", base), ("mlsec checkpoint", theirs)):
        print(f"{what:46} {spent.wall:6.2f} s wall {spent.cpu:6.2f} s CPU")
    ratio = (theirs.wall - base.wall) / own.wall
    print(f"bar: at least 20 x mlsec's checkpoint triage: {ratio:.0f} {'met' if ratio >= 20 else 'MISSED'}")
    print(f"  in CPU seconds: {(theirs.cpu - base.cpu) / own.cpu:.0f} x")


def _mlsec_run(where: Path, folder: Path) -> Spent:
    command = [sys.executable, "-m", "mlsec.tools.checkpoint_triage", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(where)}
    wall, cpu = time.perf_counter(), cpu_seconds()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return Spent(time.perf_counter() - wall, cpu_seconds() - cpu)


if __name__ == "__main__":
    main()
