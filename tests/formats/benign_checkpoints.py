"""Ordinary checkpoints of many kinds, as training code writes them: none of them may be flagged."""

import pickle
import random
from collections import Counter, OrderedDict

import numpy as np
import torch
from torch import nn

_DTYPES = [
    "float64",
    "float32",
    "float16",
    "bfloat16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
    "complex64",
    "complex128",
    "uint16",
    "uint32",
    "uint64",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, tokens):
        return self.head(self.norm(self.embed(tokens)))


def stepped(kind, **more):
    net = Net()
    optimizer = kind(net.parameters(), lr=0.1, **more)
    net(torch.tensor([1, 2, 3])).sum().backward()
    optimizer.step()
    return net, optimizer


def trained():
    net, optimizer = stepped(torch.optim.Adam, amsgrad=True)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3, 3])
    return net, optimizer, scheduler


def tensors():
    base = torch.arange(24, dtype=torch.float32)
    linked = nn.Linear(3, 3)
    weight = nn.Parameter(torch.ones(2, 2))
    weight.tag = "decay"
    return {
        "state-dict": Net().state_dict(),
        "plain-dict": {"w": torch.ones(2, 3)},
        "requires-grad": {"w": torch.ones(2, requires_grad=True)},
        "parameters": dict(linked.named_parameters()),
        "parameter-list": list(linked.parameters()),
        "parameter-with-state": {"w": weight},
        "views": {"a": base[3:9], "b": base.view(4, 6).t(), "c": base[::2], "d": base[:0]},
        "scalar": {"step": torch.tensor(3.0), "empty": torch.empty(0, 3)},
        "expanded": {"e": torch.ones(1, 3).expand(4, 3)},
        "conjugate": {"z": torch.ones(2, dtype=torch.complex64).conj()},
        "negative": {"z": torch.ones(2, dtype=torch.complex64).conj().imag},
        "sparse-coo": {"s": torch.eye(3).to_sparse()},
        "sparse-csr": {"s": torch.eye(3).to_sparse_csr()},
        "quantised": {"q": torch.quantize_per_tensor(torch.randn(3, 3), 0.1, 2, torch.qint8)},
        "quantised-32": {"q": torch.quantize_per_tensor(torch.randn(3, 3), 0.1, 2, torch.qint32)},
        "quantised-channels": {
            "q": torch.quantize_per_channel(
                torch.randn(2, 3), torch.tensor([0.1, 0.2]), torch.tensor([0, 1]), 0, torch.quint8
            )
        },
        "size-and-device": {"shape": torch.Size([2, 3]), "device": torch.device("cuda", 0)},
        "device-without-index": {"device": torch.device("cpu"), "dtype": torch.float16},
        "tensor-alone": torch.ones(2),
    } | {f"dtype-{name}": {"w": torch.zeros(4, dtype=getattr(torch, name))} for name in _DTYPES}


def training():
    net, adam, scheduler = trained()
    _, momentum = stepped(torch.optim.SGD, momentum=0.9, nesterov=True)
    _, decayed = stepped(torch.optim.AdamW)
    _, properties = stepped(torch.optim.RMSprop)
    return {
        "adam": {"model": net.state_dict(), "optimizer": adam.state_dict(), "epoch": 3},
        "sgd": {"optimizer": momentum.state_dict()},
        "adamw": {"optimizer": decayed.state_dict()},
        "rmsprop": {"optimizer": properties.state_dict()},
        "scheduler": {"scheduler": scheduler.state_dict()},
        "random-states": {
            "python": random.getstate(),
            "numpy": np.random.RandomState(1).get_state(),
            "torch": torch.get_rng_state(),
        },
        "lightning": {
            "epoch": 4,
            "global_step": 1200,
            "pytorch-lightning_version": "2.5.0",
            "state_dict": OrderedDict((f"model.{key}", value) for key, value in net.state_dict().items()),
            "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 4, "done": 3}}}},
            "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best": torch.tensor(0.5), "path": "/a/b"}},
            "optimizer_states": [adam.state_dict()],
            "lr_schedulers": [scheduler.state_dict()],
            "hparams_name": "kwargs",
            "hyper_parameters": {
                "lr": 1e-3,
                "layers": (1, 2),
                "none": None,
                "big": 2**70,
                "names": {"a", "b"},
            },
        },
        "timm-ema": {
            "arch": "resnet18",
            "state_dict": net.state_dict(),
            "state_dict_ema": {key: value.clone() for key, value in net.state_dict().items()},
            "metric": np.float64(81.25),
            "version": 2,
            "args": {"opt": "sgd", "lr": 0.1, "mixup": 0.0, "channels_last": False},
        },
        "transformers": OrderedDict(
            (f"bert.encoder.layer.{layer}.attention.self.query.weight", torch.ones(4, 4))
            for layer in range(6)
        ),
        "diffusers": {"state_dict": {"unet.in": torch.ones(2)}, "betas": np.linspace(0, 1, 5)},
    }


def values():
    shared = [torch.ones(2)]
    return {
        "numpy-scalars": {
            "loss": np.float32(0.1),
            "n": np.int64(3),
            "ok": np.bool_(True),
            "c": np.complex64(1),
        },
        "numpy-arrays": {
            "a": np.arange(6).reshape(2, 3),
            "b": np.zeros(0),
            "c": np.asfortranarray(np.eye(3)),
        },
        "numpy-bytes": {"raw": np.frombuffer(bytes(range(256)), np.uint8), "names": np.array(["cat", "dog"])},
        "numpy-swapped": {"a": np.arange(3, dtype=">f4"), "s": np.array([b"ab", b"c"])},
        "numpy-zero-dim": {"a": np.array(2.5), "h": np.ones(3, np.float16), "dtype": np.dtype("f4")},
        "sets": {"set": {1, 2}, "frozen": frozenset("ab"), "nested": {frozenset([1]), frozenset([2])}},
        "numbers": {"i": 2**80, "f": float("inf"), "n": float("nan"), "c": 1 + 2j, "neg": -1, "b": True},
        "bytes": {"b": b"\x00\xff" * 20, "empty": b"", "array": bytearray(b"abc"), "none": bytearray()},
        "counters": Counter("abracadabra"),
        "ordered": OrderedDict([("a", 1), ("b", OrderedDict(c=2))]),
        "texts": {"t": "caf\u00e9 \u2603 " * 50, "long": "x" * 9000, "lines": "a\nb\r\nc"},
        "shared": [shared, shared, {"again": shared}],
        "deep": {"a": {"b": {"c": {"d": {"e": [({"f": (1, (2, (3,)))},)]}}}}},
    }


def kinds():
    """Every kind by name."""
    return {**tensors(), **training(), **values()}


def write(value, path, how):
    """Write a value as ``zip``, ``legacy``, or ``pickle-N`` (None where torch cannot)."""
    if how in ("zip", "legacy"):
        torch.save(value, path, _use_new_zipfile_serialization=how == "zip")
    else:
        path.write_bytes(pickle.dumps(value, int(how.partition("-")[2])))
