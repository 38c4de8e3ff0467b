"""The drift test: four edits of a tensor that must be seen, and fine-tuning noise of 1e-3 that must not.

21 shapes in three kinds; the reference is the tensor's fingerprint before the edit.

    python -m benchmarks.drift
"""

from __future__ import annotations

from collections import Counter

import torch
from blake3 import blake3

from registry_gate.evidence import TensorMeasurement
from registry_gate.weights.drift import drift
from registry_gate.weights.fingerprint import Fingerprint, fingerprint
from registry_gate.weights.statistics import TensorMeter

SHAPES: tuple[tuple[int, ...], ...] = (
    *((n,) for n in (16, 64, 100, 768, 3072, 50257)),
    *((10, 16), (2, 768), (30, 30), (64, 128), (128, 64), (256, 256), (1000, 512), (512, 2048)),
    *(
        (8, 3, 3, 3),
        (64, 3, 7, 7),
        (64, 64, 3, 3),
        (256, 128, 1, 1),
        (4, 16, 16),
        (12, 64, 64),
        (3, 5, 7, 11),
    ),
)
KINDS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def main() -> None:
    seen: Counter[str] = Counter()
    total = 0
    for kind, dtype in KINDS.items():
        for seed, shape in enumerate(SHAPES):
            generator = torch.Generator().manual_seed(seed)
            base = (torch.randn(shape, generator=generator) * 0.02).to(dtype)
            reference = _print(base, kind)
            total += 1
            for name, edited in _edits(base.float(), generator).items():
                seen[name] += bool(drift(reference, _print(edited.to(dtype), kind)))
    for name in ("shift", "rescale", "shuffle", "planted"):
        verdict = "met" if seen[name] == total else "MISSED"
        print(f"bar: {name} is seen: {seen[name]} of {total} {verdict}")
    verdict = "met" if not seen["noise"] else "MISSED"
    print(f"bar: noise of relative size 1e-3 is not: {seen['noise']} of {total} {verdict}")


def _edits(wide: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
    planted = wide.clone().flatten()
    planted[len(planted) // 3] = wide.abs().max() * 3
    order = torch.randperm(wide.numel(), generator=generator)
    noise = torch.randn(wide.shape, generator=generator) * wide.square().mean().sqrt() * 1e-3
    return {
        "shift": wide + 0.5 * wide.std(),
        "rescale": wide * 1.25,
        "shuffle": wide.flatten()[order].reshape(wide.shape),
        "planted": planted.reshape(wide.shape),
        "noise": wide + noise,
    }


def _print(tensor: torch.Tensor, kind: str) -> Fingerprint:
    data = tensor.contiguous().view(torch.uint8).numpy().tobytes()
    digest = blake3(data).hexdigest()
    meter = TensorMeter(kind)
    meter.update(memoryview(data))
    measured = TensorMeasurement(
        name="t",
        file="model.safetensors",
        dtype=kind,
        shape=tuple(tensor.shape),
        source_blake3=digest,
        staged_blake3=digest,
        **vars(meter.result()),
    )
    return fingerprint([measured])


if __name__ == "__main__":
    main()
