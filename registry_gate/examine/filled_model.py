"""A library class filled with the staged tensors, all of them or none. Runs confined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from registry_gate.examine.model_structure import LibraryClass


def filled_model(root: Path, weights: tuple[str, ...], library: LibraryClass) -> Any:
    """The model in evaluation mode and float32, its weights frozen.

    Args:
        root: the staged folder.
        weights: names of the safetensors files in it.
        library: the class, whose structure was compared before.

    Raises:
        ValueError: the tensors do not fill the class exactly.
    """
    tensors = {name: tensor for file in weights for name, tensor in load_file(root / file).items()}
    model, info = library.cls.from_pretrained(
        None,
        config=library.built_from,
        state_dict=tensors,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    if info["missing_keys"] or info["mismatched_keys"] or info.get("error_msgs"):
        raise ValueError("the staged tensors do not fill the class; a half-loaded model is not tested")
    return model.eval().requires_grad_(False)
