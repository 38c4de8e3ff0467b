"""Holds a bare state dict against a built-in network and fills it: every tensor used, or refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from registry_gate.architectures.builtin import BUILTINS
from registry_gate.evidence import Structure
from registry_gate.examine.behaviour_messages import Architecture
from registry_gate.examine.model_structure import LibraryClass, staged_shapes

TASK = "image-classification"
# What training scripts wrap around a state dict: one dictionary key, and data parallelism's prefix.
_WRAPPERS = ("state_dict.", "model_state_dict.", "model.", "net.", "module.")
# Counters of batch normalisation, which old checkpoints lack and evaluation does not read.
_COUNTER = re.compile(r"(^|\.)num_batches_tracked$")
_MAX_NAMES = 50


def examine_builtin(
    root: Path, weights: tuple[str, ...], architecture: Architecture
) -> tuple[Structure, LibraryClass | None]:
    """Compare names and shapes, all of them, with the network's own state dict.

    Args:
        root: the staged folder.
        weights: names of the safetensors files in it.
        architecture: which network, and how many classes.

    Returns:
        The structure, and the network where it is known; what does not fit is named in the structure.
    """
    if architecture.name not in BUILTINS:
        known = ", ".join(sorted(BUILTINS))
        return Structure(status="error", reason=f"{architecture.name!r} is not one of {known}"), None
    library = LibraryClass(architecture.name, TASK, architecture, BUILTINS[architecture.name].build)
    try:
        staged = staged_shapes(root, weights)
    except (OSError, ValueError) as error:
        return Structure(status="error", reason=str(error)[:500], task=TASK), None
    return _compared(architecture, staged), library


def _compared(architecture: Architecture, staged: Mapping[str, tuple[int, ...]]) -> Structure:
    prefix = wrapping(staged)
    found = {name.removeprefix(prefix): shape for name, shape in staged.items()}
    expected = expected_shapes(architecture)
    missing = [name for name in expected.keys() - found.keys() if not _COUNTER.search(name)]
    wrong = [
        f"{name}: {found[name]}, {expected[name]}"
        for name in found.keys() & expected.keys()
        if found[name] != expected[name]
    ]
    unexpected = found.keys() - expected.keys()
    reason = f"the prefix {prefix!r} was taken off every name" if prefix else ""
    if missing or wrong or unexpected:
        fitting = ", ".join(_fitting(found)) or "no built-in network"
        reason = f"{reason}; {fitting} fits these tensors".removeprefix("; ")
    return Structure(
        status="measured",
        reason=reason,
        library_class=architecture.name,
        task=TASK,
        num_labels=architecture.classes,
        missing=_named(missing),
        unexpected=_named(unexpected),
        mismatched=_named(wrong),
    )


def wrapping(names: Iterable[str]) -> str:
    """The prefix of wrappers that every name carries; what only some carry is left alone."""
    rest, taken = list(names), ""
    while prefix := next((w for w in _WRAPPERS if rest and all(n.startswith(w) for n in rest)), ""):
        rest, taken = [name.removeprefix(prefix) for name in rest], taken + prefix
    return taken


def expected_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Shapes by name of the network's state dict."""
    with torch.device("meta"):
        model = BUILTINS[architecture.name].build(architecture.classes)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _fitting(found: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Built-in networks and class counts that these tensors fill, to be named in a refusal."""
    counted = {name: shape for name, shape in found.items() if not _COUNTER.search(name)}
    widths = {shape[0] for name, shape in counted.items() if len(shape) == 2 and shape[0] > 1}
    fits = []
    for name in BUILTINS:
        for classes in sorted(widths)[:4]:
            expected = expected_shapes(Architecture(name=name, classes=classes))
            if counted == {key: shape for key, shape in expected.items() if not _COUNTER.search(key)}:
                fits.append(f"{name} with {classes} classes")
    return fits


def fill(root: Path, weights: tuple[str, ...], architecture: Architecture) -> torch.nn.Module:
    """The network with the staged tensors in it, in float32.

    Raises:
        ValueError: the tensors do not fill it exactly.
    """
    tensors = {name: tensor for file in weights for name, tensor in load_file(root / file).items()}
    prefix = wrapping(tensors)
    model = BUILTINS[architecture.name].build(architecture.classes)
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    counters = {name: value for name, value in model.state_dict().items() if _COUNTER.search(name)}
    try:
        model.load_state_dict(counters | named, strict=True)
    except RuntimeError as error:
        raise ValueError(f"the staged tensors do not fill {architecture.name}: {str(error)[:300]}") from error
    return model.float()


def _named(names: Iterable[str]) -> tuple[str, ...]:
    """At most fifty names of at most 200 characters, and how many more there are."""
    ordered = sorted(names)
    shown = tuple(name[:200] for name in ordered[:_MAX_NAMES])
    more = len(ordered) - len(shown)
    return (*shown, f"(and {more} more)") if more else shown
