"""Ordinary checkpoints found by letting the libraries write them: settings, histories, layouts, trainers.

lightning, timm, accelerate, diffusers, peft, sentence-transformers, torchvision, ultralytics and omegaconf
wrote checkpoints in an environment of their own on 2026-11-25; what is here has the same names and states in
it, without the libraries. Kinds that are flagged stand beside those that are not.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

Document = object


def documents() -> dict[str, dict[str, Document]]:
    """Documents to be saved by torch, by family and name."""
    return {"values": _values(), "trainers": _trainers(), "odd-layouts": _layouts(), "odd-numpy": _numpy()}


def _values() -> dict[str, Document]:
    import torch

    w = torch.ones(3)
    return {
        "history-of-numbers": {"h": defaultdict(int, a=1), "w": w},
        "history-without-factory": {"h": defaultdict(None, a=1.0), "w": w},
        "history-of-histories": defaultdict(dict, {0: {"m": w}}),
        "last-losses": {"all": deque([0.1, 0.2]), "last": deque([1.0], maxlen=20)},
        "settings": {"args": argparse.Namespace(lr=0.1, layers=[1, 2], resume=None), "state_dict": {"w": w}},
        "settings-in-settings": {"args": argparse.Namespace(data=argparse.Namespace(root="/data")), "w": w},
        "settings-with-types": {"args": argparse.Namespace(dtype=torch.float16, device=torch.device("cpu"))},
        "simple-settings": {"args": SimpleNamespace(lr=0.1), "w": w},
        "paths": {"data": PurePosixPath("/data/train"), "out": PurePosixPath("runs"), "w": w},
        "when": {"at": datetime(2024, 1, 1, tzinfo=UTC), "naive": datetime(2024, 1, 1), "w": w},
        "day": {"day": date(2024, 1, 1), "took": timedelta(hours=3), "w": w},
        "big-numbers": {"seed": 10**40, "negative": -5, "best": float("inf"), "loss": float("nan")},
        "none": None,
        "number": 3,
        "list-of-everything": [1, 2.5, "x", None, True, (1, 2), {"a": [w]}],
        "counter-of-classes": {"seen": Counter({"cat": 3}), "order": OrderedDict(cat=1)},
        "slices": {"rows": slice(1, 2), "w": w},
    }


def _trainers() -> dict[str, Document]:
    import numpy as np
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    state, settings = net.state_dict(), argparse.Namespace(model="resnet10t", lr=0.1, aug=[1], pin=True)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler
    shapes = [OrderedDict((key, value.shape) for key, value in state.items())]
    random_states = {
        "random_rng_state": random.Random(0).getstate(),
        "np_rng_state": np.random.RandomState(0).get_state(),
        "torch_rng_state": torch.get_rng_state(),
    }
    return {
        "lightning-with-settings": {
            "state_dict": state,
            "hyper_parameters": {"lr": 0.1, "layers": (1, 2), "cfg": settings},
            "callbacks": {
                "EarlyStopping{'monitor': 'loss'}": {"wait_count": 0, "best_score": torch.ones(())}
            },
        },
        "timm-saver": {"epoch": 1, "arch": "resnet10t", "state_dict": state, "args": settings, "metric": 0.5},
        "megatron": {
            "args": argparse.Namespace(num_layers=2, params_dtype=torch.float16),
            "checkpoint_version": 3.0,
            "model": {"language_model": state},
            "rng_state": [random_states],
        },
        "deepspeed": {
            "module": state,
            "param_shapes": shapes,
            "sparse_tensor_module_names": set(),
            "ds_config": {"train_batch_size": 8},
            "args": settings,
        },
        "accelerate-random": {
            "step": 0,
            "random_state": random.Random(0).getstate(),
            "numpy_random_seed": np.random.RandomState(0).get_state(),
            "torch_manual_seed": torch.get_rng_state(),
        },
        "detectron-arrays": {
            "model": {key: value.numpy() for key, value in state.items()},
            "__author__": "x",
        },
        "voice": {"weight": state, "config": [1025, 32], "info": "300epoch", "sr": "40k", "f0": 1},
        "averaged-diffusers": {"decay": 0.99, "shadow_params": list(net.parameters()), "power": 2 / 3},
        "one-cycle": schedule.OneCycleLR(optimizer, max_lr=0.1, total_steps=10).state_dict(),
        "cyclic": schedule.CyclicLR(optimizer, 0.1, 0.2).state_dict(),
        "lambda": schedule.LambdaLR(optimizer, lambda epoch: 1.0).state_dict(),
        "adafactor": torch.optim.Adafactor(net.parameters()).state_dict(),
    }


def _layouts() -> dict[str, Document]:
    import torch

    marked = torch.ones(2)
    marked.tensor_model_parallel = True  # type: ignore[attr-defined]
    return {
        "compressed-rows": {"w": torch.eye(3).to_sparse_csr()},
        "compressed-blocks": {"w": torch.eye(4).to_sparse_bsr((2, 2))},
        "conjugate": {"w": torch.ones(3, dtype=torch.complex64).conj()},
        "with-gradient": {"w": torch.ones(2, requires_grad=True)},
        "nested": {"w": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])},
        "marked": {"w": marked},
        "quantised-32": {"w": torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint32)},
        "buffer": {"w": torch.nn.Buffer(torch.ones(2))},
    }


def _numpy() -> dict[str, Document]:
    import numpy as np

    return {
        "column-order": {
            "a": np.asfortranarray(np.ones((3, 2))),
            "one": np.array(3.0),
            "swapped": np.ones(3, ">f4"),
        },
        "kinds-of-text": {"name": np.str_("a"), "raw": np.bytes_(b"a")},
        "spans": {"took": np.array([3], dtype="timedelta64[s]"), "at": np.datetime64("2024-01-01T00:00")},
        "generator-state": {"rng": np.random.default_rng(0).bit_generator.state},
        "objects": {"labels": np.array(["cat", None], dtype=object)},
    }


def _weights(folder: Path, name: str = "model.safetensors") -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2)}, folder / name, {"format": "pt"})


def _mlflow(folder: Path) -> None:
    """A model as MLflow keeps one of transformers, without its environment's pins."""
    flavor = "  python_function:\n    loader_module: mlflow.transformers\n    python_version: 3.11.7\n"
    (folder / "MLmodel").write_text(f"artifact_path: model\nflavors:\n{flavor}model_size_bytes: 72\n")
    (folder / "requirements.txt").write_text("mlflow==3.11.0\ntorch>=2.6\ntransformers\n")
    _weights(folder)


def _full_model_of_peft(folder: Path) -> None:
    """The base model's weights beside settings that peft wrote, with a task's class named in them."""
    mapping = {"base_model_class": "BertModel", "parent_library": "transformers.models.bert.modeling_bert"}
    (folder / "peft_settings.json").write_text(json.dumps({"peft_type": "LORA", "auto_mapping": mapping}))
    _weights(folder)


def _lightning_command_line(folder: Path) -> None:
    text = "model:\n  class_path: lightning.pytorch.demos.BoringModel\n  init_args:\n    lr: 0.1\n"
    (folder / "config.yaml").write_text(text)
    _weights(folder)


def _keras_settings(folder: Path) -> None:
    """The configuration of a Keras Hub preset, whose weights were converted."""
    module = "keras_hub.src.models.bert.bert_backbone"
    config = {"module": module, "class_name": "BertBackbone", "config": {"vocabulary_size": 40}}
    (folder / "config.json").write_text(json.dumps(config))
    _weights(folder)


FOLDERS: dict[str, dict[str, Callable[[Path], None]]] = {
    "tool-repositories": {
        "mlflow": _mlflow,
        "peft-settings": _full_model_of_peft,
        "lightning-command-line": _lightning_command_line,
        "keras-settings": _keras_settings,
    }
}
