"""More ordinary checkpoints: layers, optimizers, NumPy kinds and repositories left out at first."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

Document = object


def documents() -> dict[str, dict[str, Document]]:
    """Documents to be saved by torch, by family and name."""
    return {"layers": _layers(), "more-training": _training(), "more-numpy": _numpy()}


def _layers() -> dict[str, Document]:
    import torch
    from torch import nn
    from torch.nn.utils import parametrizations, prune

    pruned = nn.Linear(4, 4)
    prune.l1_unstructured(pruned, "weight", amount=0.5)  # type: ignore[no-untyped-call]
    normed = parametrizations.weight_norm(nn.Linear(4, 4))
    spectral = parametrizations.spectral_norm(nn.Linear(4, 4))
    averaged = torch.optim.swa_utils.AveragedModel(nn.Linear(4, 2))
    transformer = nn.TransformerEncoderLayer(8, 2, 16)
    return {
        "lstm": nn.LSTM(4, 8, 2, bidirectional=True).state_dict(),
        "transformer-layer": transformer.state_dict(),
        "transposed-convolution": nn.ConvTranspose3d(2, 3, 2).state_dict(),
        "embedding-bag": nn.EmbeddingBag(10, 4).state_dict(),
        "pruned": pruned.state_dict(),
        "weight-norm": normed.state_dict(),
        "spectral-norm": spectral.state_dict(),
        "averaged": averaged.state_dict(),
        "channels-last": {"w": torch.ones(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)},
        "half-of-one-storage": {"a": (base := torch.arange(10.0))[:5], "b": base[5:]},
        "numbered-keys": {0: torch.ones(2), 1: torch.zeros(2)},
        "deep": {"a": {"b": {"c": {"d": [{"w": torch.ones(2)}]}}}},
    }


def _training() -> dict[str, Document]:
    import torch

    found: dict[str, Document] = {}
    for name in ("Adamax", "ASGD", "Rprop", "RAdam"):
        net = torch.nn.Linear(3, 2)
        optimizer = getattr(torch.optim, name)(net.parameters())
        net(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        found[f"optimizer-{name.lower()}"] = optimizer.state_dict()
    schedule = torch.optim.lr_scheduler
    parts: list[torch.optim.lr_scheduler.LRScheduler] = [
        schedule.LinearLR(optimizer),
        schedule.ExponentialLR(optimizer, 0.9),
    ]
    return found | {
        "scheduler-warm-restarts": schedule.CosineAnnealingWarmRestarts(optimizer, 5).state_dict(),
        "scheduler-sequential": schedule.SequentialLR(optimizer, parts, [3]).state_dict(),
        "deepspeed-like": {
            "module": OrderedDict(w=torch.ones(2)),
            "ds_config": {"train_batch_size": 8, "fp16": {"enabled": True}},
            "ds_version": "0.14.0",
            "dp_world_size": 1,
            "skipped_steps": 0,
        },
        "generator": {"rng": torch.Generator().manual_seed(1).get_state(), "w": torch.ones(1)},
    }


def _numpy() -> dict[str, Document]:
    import numpy as np

    return {
        "numpy-texts": {"labels": np.array(["cat", "dog"]), "raw": np.array([b"a", b"bc"])},
        "numpy-structured": {"boxes": np.zeros(3, dtype=[("x", "<f4"), ("y", "<f4")])},
        "numpy-flags": {"mask": np.array([True, False]), "empty": np.zeros((0, 3))},
        "numpy-dates": {"when": np.array(["2024-01-01"], dtype="datetime64[D]"), "one": np.float16(0.5)},
    }


def _safetensors_kinds(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    state = {
        "f8": torch.ones(4).to(torch.float8_e4m3fn),
        "bf16": torch.ones(3, dtype=torch.bfloat16),
        "flag": torch.tensor([True, False]),
        "none": torch.zeros(0, 2),
        "scalar": torch.tensor(1.5),
    }
    save_file(state, folder / "model.safetensors", {"format": "pt", "author": "somebody"})


def _adapter(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"base.q.lora_A.weight": torch.ones(2, 4)}, folder / "pytorch_lora_weights.safetensors")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# An adapter\n")


def _nemo_like_configuration(folder: Path) -> None:
    """A configuration of NeMo's kind, whose targets are classes of a library."""
    import torch
    from safetensors.torch import save_file

    target = "nemo.collections.asr.modules.ConformerEncoder"
    text = f"encoder:\n  _target_: {target}\n  d_model: 16\nlr: !!float 1e-3\n"
    (folder / "model_config.yaml").write_text(text)
    save_file({"w": torch.ones(2)}, folder / "model.safetensors", {"format": "pt"})


def _chat(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    template = (
        "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] | trim }}"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": template, "eos_token": "</s>"})
    )
    (folder / "chat_template.jinja").write_text(template)
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": True, "temperature": 0.7}))
    save_file({"w": torch.ones(2)}, folder / "model.safetensors", {"format": "pt"})


def _notebook_beside(folder: Path) -> None:
    import torch

    torch.save({"w": torch.ones(2)}, folder / "pytorch_model.bin")
    (folder / "results.csv").write_text("epoch,loss\n1,0.5\n")
    (folder / "train.log").write_text("step 1 loss 0.5\n" * 50)
    (folder / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (folder / "added_tokens.json").write_text("{}")


FOLDERS: dict[str, dict[str, Callable[[Path], None]]] = {
    "more-repositories": {
        "safetensors-kinds": _safetensors_kinds,
        "adapter-alone": _adapter,
        "nemo-like-configuration": _nemo_like_configuration,
        "chat": _chat,
        "log-beside": _notebook_beside,
    }
}
