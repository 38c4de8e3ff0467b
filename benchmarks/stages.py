"""Seconds a stage and peak memory of one whole admission of a 500 MB checkpoint, against a loopback hub.

The model is a BERT of about 125 million parameters saved as ``pytorch_model.bin`` in float32. Beside the
stages stand, in the same run and on the same file, a plain copy loop plus one-thread ``hashlib.sha256`` over
1 MiB reads: the floor that copying and hashing alone costs on this machine at this moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from registry_gate.policy import policies_folder
from registry_gate.testing.hub import LoopbackHub

_MODEL = "acme-ml/bert-500mb"
_CONFIG = {"vocab_size": 23000, "hidden_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 16}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(
            [sys.executable, "-m", "benchmarks.stages", "build", str(folder / "model")], check=True
        )
        checkpoint = folder / "model" / "pytorch_model.bin"
        print(f"checkpoint {checkpoint.stat().st_size / 1e6:.0f} MB, {os.cpu_count()} cores")
        with LoopbackHub() as hub:
            hub.add_repo(_MODEL, folder / "model")
            first = _admit(folder, hub.url, "first admission")
            _admit(folder, hub.url, "again: already admitted, verified in full")
        floor = _floor(checkpoint, folder / "copy")
        convert = first["seconds"]["convert"]
        print(f"copy + sha256 of the same file: {floor:.2f} s; convert / floor = {convert / floor:.2f}")


def build(folder: Path) -> None:
    """Write the 500 MB model; in a process of its own, so that its memory is not measured."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    folder.mkdir()
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(**_CONFIG, intermediate_size=4096))
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    (folder / "config.json").write_text(json.dumps(config, default=str), encoding="utf-8")


def _admit(folder: Path, endpoint: str, what: str) -> dict[str, dict[str, float]]:
    policy, report = folder / "policy.yaml", folder / "report.json"
    document = yaml.safe_load((policies_folder() / "default.yaml").read_text(encoding="utf-8"))
    policy.write_text(
        yaml.safe_dump(document | {"name": "bench", "endpoints": ["loopback"]}), encoding="utf-8"
    )
    environment = os.environ | {"REGISTRY_GATE_HOME": str(folder / "home")}
    gate = [sys.executable, "-m", "registry_gate"]
    if not (folder / "home").exists():
        subprocess.run([*gate, "keys", "init"], env=environment, check=True, stdout=subprocess.DEVNULL)
        trust = [*gate, "keys", "trust-policy", str(policy)]
        subprocess.run(trust, env=environment, check=True, stdout=subprocess.DEVNULL)
    options = ["--endpoint", endpoint, "--policy", str(policy), "--format", "json", "--output", str(report)]
    started = time.perf_counter()
    subprocess.run([*gate, "admit", _MODEL, *options], env=environment, check=True)
    wall = time.perf_counter() - started
    found = json.loads(report.read_text(encoding="utf-8"))
    stages = ", ".join(f"{name} {value:.2f}" for name, value in found["seconds"].items())
    # The largest single process among the gate and its confined readers.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{what}: {found['verdict']}, {wall:.1f} s wall; peak {peak:.0f} MiB so far")
    print(f"  seconds a stage: {stages}")
    return found


def _floor(source: Path, target: Path) -> float:
    """Median of three runs of a plain copy loop that hashes what it reads, 1 MiB at a time."""
    runs = []
    for _ in range(3):
        target.unlink(missing_ok=True)
        started = time.perf_counter()
        digest = hashlib.sha256()
        with source.open("rb") as reading, target.open("wb") as writing:
            while chunk := reading.read(1 << 20):
                digest.update(chunk)
                writing.write(chunk)
        runs.append(time.perf_counter() - started)
    return sorted(runs)[1]


if __name__ == "__main__":
    if sys.argv[1:2] == ["build"]:
        build(Path(sys.argv[2]))
    else:
        main()
