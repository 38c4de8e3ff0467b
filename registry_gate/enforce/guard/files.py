"""May this file be opened as a model: handed out by ``load_verified``, pulled, or the program's own?"""

from __future__ import annotations

import os
import sys

from registry_gate.enforce.guard.terms import Terms

MODEL_SUFFIXES = (
    ".pt",
    ".pth",
    ".ckpt",
    ".safetensors",
    ".gguf",
    ".keras",
    ".onnx",
    ".mar",
    ".nemo",
    ".llamafile",
)
_WEIGHT_NAMES = ("pytorch_model", "adapter_model", "diffusion_pytorch_model", "optimizer.bin")
_LOADERS = (
    "/torch/serialization.py",
    "/torch/jit/_serialization.py",
    "/transformers/configuration_utils.py",
    "/joblib/numpy_pickle.py",
)
"""Files of libraries that open nothing but models: what they open is judged whatever it is called."""

_TICK = 0.01
"""Seconds by which a file's times may lag behind the clock that a program reads: one tick at 100 Hz."""


def reads(mode: object, flags: object) -> bool:
    """Whether an ``open`` event is about reading."""
    if isinstance(mode, str):
        return "r" in mode or "+" in mode
    return isinstance(flags, int) and flags & os.O_ACCMODE != os.O_WRONLY


def is_model(path: str, caller: str) -> bool:
    """Whether a path, opened by a file of a library, is opened as a model."""
    if caller.endswith(_LOADERS):
        return True
    if path.endswith(MODEL_SUFFIXES):
        return not _is_path_file(path)
    return path.endswith(".bin") and path.rpartition("/")[2].startswith(_WEIGHT_NAMES)


def _is_path_file(path: str) -> bool:
    """Python's path files share a suffix with checkpoints; one that torch opens is judged."""
    return path.endswith(".pth") and path.rpartition("/")[0].endswith(("/site-packages", "/dist-packages"))


def may_open(path: str, terms: Terms) -> bool:
    """Whether a model's file may be opened. What is not there may: opening it fails by itself."""
    try:
        status = os.stat(path)  # noqa: PTH116 - no pathlib at start
    except (OSError, ValueError):
        return True
    ledger = sys.modules.get("registry_gate.client.handed_out")
    if ledger is not None and ledger.is_verified(status):
        return True
    if terms.folders and _below(os.path.realpath(path), terms.folders):
        return True
    return terms.own_files and _made_by_us(status, terms.since)


def _below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _made_by_us(status: os.stat_result, since: float) -> bool:
    """Written by this user since the program began: a checkpoint of its own.

    Contents and entry must both be that young: a rename keeps the time of the contents, ``os.utime`` cannot
    set the time of the entry. Nothing tells this program from another of the same user.
    """
    return status.st_uid == os.geteuid() and min(status.st_mtime, status.st_ctime) >= since - _TICK
