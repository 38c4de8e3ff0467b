"""The ordinary corpus: checkpoints as honest people save them, by kind."""

from __future__ import annotations

import argparse
import json
import random
import warnings
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.testing import ordinary_more, ordinary_states

if TYPE_CHECKING:
    import torch

Document = object
_DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"),
    *("uint16", "uint32", "uint64", "complex64", "complex128"),
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"),
)
_NEVER_LEGACY = ("uint16", "uint32", "uint64", "float8")


@dataclass(frozen=True)
class Kind:
    """One kind: its family, its name, and the file or folder below the corpus to scan."""

    family: str
    name: str
    target: str


def write_ordinary(root: Path) -> tuple[Kind, ...]:
    """Write one checkpoint of every kind. Needs torch, numpy, safetensors and transformers.

    Args:
        root: an empty folder.
    """
    import torch

    torch.manual_seed(0)
    kinds: list[Kind] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for family, documents in _documents().items():
            for name, document in documents.items():
                kinds += _saved(root, family, name, document)
        for family, writers in _FOLDERS.items():
            for name, write in writers.items():
                folder = root / family / name
                folder.mkdir(parents=True)
                write(folder)
                kinds.append(Kind(family, name, folder.relative_to(root).as_posix()))
    return tuple(kinds)


def _saved(root: Path, family: str, name: str, document: Document) -> list[Kind]:
    """The document as torch saves it: a zip, and the legacy form where torch can write it."""
    import torch

    folder = root / family / name
    folder.mkdir(parents=True)
    torch.save(document, folder / "model.pt")
    kinds = [Kind(family, name, f"{family}/{name}/model.pt")]
    if not name.startswith(_NEVER_LEGACY):
        path = folder / "legacy.pth"
        torch.save(document, path, _use_new_zipfile_serialization=False)
        kinds.append(Kind(f"{family}-legacy", name, f"{family}/{name}/legacy.pth"))
    return kinds


def _documents() -> dict[str, dict[str, Document]]:
    import torch

    return {
        "dtypes": {name: {"w": torch.ones(4).to(getattr(torch, name))} for name in _DTYPES},
        "layouts": _layouts(),
        "training": _training(),
        "libraries": _libraries(),
        **ordinary_more.documents(),
        **ordinary_states.documents(),
    }


def _net() -> torch.nn.Module:
    import torch

    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))


def _layouts() -> dict[str, Document]:
    import torch

    base = torch.arange(24.0).reshape(4, 6)
    tied = torch.ones(3, 3)
    quantised = torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)
    scales, zeros = torch.tensor([0.1, 0.2]), torch.tensor([0, 0])
    by_channel = torch.quantize_per_channel(torch.ones(2, 2), scales, zeros, 0, torch.qint8)
    return {
        "state-dict": _net().state_dict(),
        "ordered-dict": OrderedDict(a=torch.ones(2), b=OrderedDict(c=1)),
        "plain-dict": {"a": torch.ones(2)},
        "tied": {"a": tied, "b": tied},
        "transposed": {"a": base.t(), "b": base[1:3, 2:5], "c": base[:, ::2]},
        "expanded": {"a": torch.ones(1, 3).expand(4, 3)},
        "parameters": {"a": torch.nn.Parameter(torch.ones(3))},
        "parameter-list": list(_net().parameters()),
        "one-tensor": torch.ones(5),
        "tuple": (torch.ones(2), torch.zeros(2)),
        "empty-tensor": {"a": torch.zeros(0, 3)},
        "scalars": {"a": torch.tensor(3), "b": torch.tensor(1.5)},
        "quantised": {"w": quantised, "scale": 0.1},
        "quantised-by-channel": {"w": by_channel},
        "sparse": {"w": torch.eye(3).to_sparse()},
        "storage": {"s": torch.ones(3).storage()},  # type: ignore[no-untyped-call]
        "packed-int4": {"qweight": torch.ones(4, 4, dtype=torch.int32), "g_idx": torch.zeros(4)},
        "size": {"shape": torch.Size([1, 2]), "w": torch.ones(1, 2)},
        "dtype-object": {"dtype": torch.float16, "device": torch.device("cpu"), "w": torch.ones(1)},
    }


def _training() -> dict[str, Document]:
    import numpy as np
    import torch

    found: dict[str, Document] = {}
    for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "NAdam"):
        net = torch.nn.Linear(3, 2)
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(torch.optim, name)(net.parameters(), lr=0.1, **options)
        net(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        found[f"optimizer-{name.lower()}"] = optimizer.state_dict()
    schedule = torch.optim.lr_scheduler
    cosine = schedule.CosineAnnealingLR(optimizer, 10)
    steps = schedule.MultiStepLR(optimizer, [3, 6])
    return found | {
        "scheduler-cosine": cosine.state_dict(),
        "scheduler-multistep": steps.state_dict(),
        "scheduler-plateau": schedule.ReduceLROnPlateau(optimizer).state_dict(),
        "grad-scaler": torch.amp.GradScaler("cpu").state_dict(),
        "numpy-scalars": {
            "best": np.float64(0.5),
            "step": np.int64(3),
            "ok": np.bool_(True),
            "f": np.float32(2),
        },
        "numpy-arrays": {"mean": np.ones(3, dtype=np.float32), "labels": np.arange(4)},
        "numpy-random": {
            "numpy": np.random.RandomState(0).get_state(),
            "python": random.Random(0).getstate(),
        },
        "torch-random": {"torch": torch.get_rng_state(), "cuda": [torch.get_rng_state()]},
        "counter": {"seen": Counter("abca"), "w": torch.ones(1)},
        "sets": {"done": {1, 2, 3}, "names": frozenset({"a"}), "w": torch.ones(1)},
        "complex-number": {"z": 1 + 2j, "w": torch.ones(1)},
        "bytes": {"blob": b"\x00\x01" * 40, "text": "caf\u00e9", "w": torch.ones(1)},
        "whole-run": {
            "epoch": 3,
            "model": _net().state_dict(),
            "optimizer": optimizer.state_dict(),
            "loss": 0.3,
        },
        "defaultdict": {"history": defaultdict(list, loss=[1.0])},
    }


def _libraries() -> dict[str, Document]:
    import torch

    state = _net().state_dict()
    lightning = {
        "epoch": 1,
        "global_step": 10,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": OrderedDict((f"model.{key}", value) for key, value in state.items()),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 2}}}},
        "callbacks": {
            "ModelCheckpoint{'monitor': 'loss'}": {
                "monitor": "loss",
                "best_model_score": torch.tensor(0.3),
                "best_k_models": {"a.ckpt": torch.tensor(0.3)},
                "last_model_path": "",
            }
        },
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.1, "layers": [1, 2]},
    }
    return {
        "lightning": lightning,
        "lightning-ema": {**lightning, "state_dict_ema": None},
        "timm": {"epoch": 7, "arch": "resnet18", "state_dict": state, "version": 2, "metric": 71.2},
        "timm-with-args": {"arch": "resnet18", "state_dict": state, "args": argparse.Namespace(lr=0.1)},
        "detectron": {"model": state, "matching_heuristics": True, "__author__": "somebody"},
        "mmcv": {
            "meta": {"epoch": 12, "CLASSES": ("a", "b"), "config": "model = dict()"},
            "state_dict": state,
        },
        "yolo-like": {"epoch": -1, "best_fitness": None, "ema": None, "model": state, "date": "2024-01-01"},
        "fairseq": {"args": None, "cfg": {"task": "x"}, "model": state, "extra_state": {"epoch": 1}},
        "whisper": {"dims": {"n_mels": 80}, "model_state_dict": state},
        "gan": {"g_ema": state, "latent_avg": torch.ones(4)},
        "lora": {f"base.{key}.lora_A": value for key, value in state.items()},
        "textual-inversion": {"<cat>": torch.ones(8)},
        "ddp": {f"module.{key}": value for key, value in state.items()},
    }


def _hub(**options: object) -> Callable[[Path], None]:
    """A small model as transformers saves it, in the form that the options ask for."""

    def write(folder: Path) -> None:
        from transformers import BertConfig, BertForSequenceClassification

        config = BertConfig(
            vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24
        )
        BertForSequenceClassification(config).save_pretrained(folder, **options)

    return write


def _as_torch(folder: Path) -> None:
    """``pytorch_model.bin`` as transformers used to save it."""
    import torch
    from safetensors.torch import load_file

    _hub()(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _as_torch_shards(folder: Path) -> None:
    import torch

    table: dict[str, str] = {}
    for number in (1, 2, 3):
        name = f"pytorch_model-{number:05}-of-00003.bin"
        state = {f"layer.{number}.weight": torch.ones(4, 4), f"layer.{number}.bias": torch.ones(4)}
        torch.save(state, folder / name)
        table |= dict.fromkeys(state, name)
    document = {"metadata": {"total_size": 240}, "weight_map": table}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(document))


def _both_forms(folder: Path) -> None:
    """Safetensors with the weights of other frameworks beside them."""
    _hub()(folder)
    (folder / "tf_model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    (folder / "flax_model.msgpack").write_bytes(b"\x82\xa5embed\xc4\x04" + bytes(200))
    (folder / "README.md").write_text("# A model\n")


def _arrays(folder: Path) -> None:
    import numpy as np

    np.savez(folder / "arrays.npz", a=np.ones(3), b=np.arange(4))
    np.savez_compressed(folder / "packed.npz", a=np.ones((30, 30)))
    np.save(folder / "plain.npy", np.asfortranarray(np.ones((2, 3))))


def _diffusers(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "unet").mkdir()
    save_file({"w": torch.ones(2)}, folder / "unet/diffusion_pytorch_model.safetensors", {"format": "pt"})


_FOLDERS: dict[str, dict[str, Callable[[Path], None]]] = {
    "repositories": {
        "transformers": _hub(),
        "transformers-sharded": _hub(max_shard_size="4KB"),
        "transformers-torch": _as_torch,
        "torch-sharded": _as_torch_shards,
        "other-frameworks-beside": _both_forms,
        "numpy": _arrays,
        "diffusers": _diffusers,
    },
    **ordinary_more.FOLDERS,
    **ordinary_states.FOLDERS,
}
