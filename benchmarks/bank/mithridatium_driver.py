"""Runs Mithridatium's MM-BD on folders of ours; started by ``peers.py`` with its packages on the path."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import types
from pathlib import Path

import torch
from transformers import AutoModelForImageClassification

MEAN, STD, SIZE = 0.5, 0.25, 32


class _Wrapped(torch.nn.Module):
    """A classifier as the package expects one: tensors in, logits out, ``num_classes``."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.model = AutoModelForImageClassification.from_pretrained(folder)
        self.num_classes = self.model.config.num_labels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images).logits


class _Configs:
    """What ``run_mmbd`` asks of its preprocessing configuration."""

    input_size = (3, SIZE, SIZE)

    def get_mean(self) -> tuple[float, ...]:
        return (MEAN,) * 3

    def get_std(self) -> tuple[float, ...]:
        return (STD,) * 3

    def get_dataset(self) -> str:
        return "none"


def main() -> None:
    models = types.ModuleType("torchvision.models")
    models.resnet18 = None  # type: ignore[attr-defined]
    sys.modules["torchvision"], sys.modules["torchvision.models"] = types.ModuleType("torchvision"), models
    from mithridatium.defenses.mmbd import run_mmbd

    torch.set_num_threads(1)
    for folder in sys.argv[1:]:
        model = _Wrapped(folder)
        torch.manual_seed(0)
        started = time.process_time()
        with contextlib.redirect_stdout(sys.stderr):
            found = run_mmbd(model, _Configs(), device=torch.device("cpu"))
        spent = round(time.process_time() - started, 3)
        told = {"name": Path(folder).name, "p_value": found["p_value"], "verdict": found["verdict"]}
        print(json.dumps(told | {"cpu_seconds": spent}), flush=True)


if __name__ == "__main__":
    main()
