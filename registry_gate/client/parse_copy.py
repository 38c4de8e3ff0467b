"""The parsers, given only what was verified: tensors, and `transformers` models of library classes."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate.client.dtype import DType, converted, floating
from registry_gate.client.hold import HeldRelease, HeldTensors
from registry_gate.client.tensors import views
from registry_gate.errors import Error, ToolError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_LOGGER = logging.getLogger(__name__)
_OFFLINE = threading.RLock()
_OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_NEVER = frozenset(
    {"auto_map", "fusion_config", "kernel_config", "transformers_weights", "use_pretrained_backbone"}
)
_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "tokenizer.model")


def check_installed(into: str) -> None:
    """Import what ``into`` needs, before gigabytes are read for nothing.

    Raises:
        ToolError: ``missing-extra``.
    """
    with _loading():
        import_module("torch")
        if into == "model":
            import_module("transformers")


def state_dict(held: Iterable[HeldTensors], device: str, dtype: DType | None) -> dict[str, torch.Tensor]:
    """The tensors held, by name, from every ``*.safetensors``.

    On the CPU they are views of the memory they were verified in, and may be written.

    Raises:
        UsageError: ``bad-dtype``.
        ToolError: ``missing-extra`` or ``load-failed``.
    """
    with _loading():
        wanted = None if dtype is None else floating(dtype)
        tensors: dict[str, torch.Tensor] = {}
        for item in held:
            if repeated := tensors.keys() & {place.name for place in item.wanted}:
                raise _failed(f"tensor {min(repeated)[:100]!r} is in two files")
            for name, tensor in views(item.name, item.memory, item.wanted):
                tensors[name] = converted(name, tensor.to(device), wanted)
        if not tensors:
            raise _failed("the Release holds no tensors")
        return tensors


def model(held: HeldRelease, device: str, dtype: DType | None) -> PreTrainedModel:
    """The model that ``config.json`` names, built from a class of the library, in eval mode.

    Raises:
        UsageError: ``bad-dtype``.
        ToolError: ``missing-extra`` or ``load-failed``.
    """
    with _loading(), _offline():
        library_class = _library_class(held.folder)
        loaded: PreTrainedModel = library_class.from_pretrained(
            held.folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            **({} if dtype is None else {"dtype": floating(dtype)}),
        )
        loaded.to(device)
        loaded.eval()
        loaded.verified = held.verified
        loaded.processor = _processor(held.folder)
        return loaded


def _library_class(folder: Path) -> type[PreTrainedModel]:
    """The class ``config.json`` names, if `transformers` itself defines it and nothing is fetched by it."""
    import transformers

    config = json.loads((folder / "config.json").read_bytes())
    if any(key in _NEVER and (value or key == "auto_map") for key, value in _entries(config)):
        raise _failed("its configuration asks for code or weights that are not in the Release")
    if (folder / "adapter_config.json").exists():
        raise _failed("it is an adapter: the weights it changes are not in the Release")
    if any("attn_implementation" in key and "/" in str(value) for key, value in _entries(config)):
        raise _failed("its configuration asks for an attention kernel from the hub")
    _check_shards(folder)
    names = config.get("architectures") or [None]
    found = getattr(transformers, names[0], None) if isinstance(names[0], str) else None
    is_class = isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)
    if found is None or not is_class or not found.__module__.startswith("transformers."):
        raise _failed(f"architecture {str(names[0])[:100]!r} is not a class of the transformers library")
    checked: type[PreTrainedModel] = found
    return checked


def _entries(value: object) -> Iterator[tuple[str, object]]:
    """Every key of a JSON document with its value, at any depth."""
    for key, item in value.items() if isinstance(value, dict) else ():
        yield key, item
        yield from _entries(item)
    for item in value if isinstance(value, list) else ():
        yield from _entries(item)


def _check_shards(folder: Path) -> None:
    """`transformers` opens whatever path a shard index names; only files of the copy are verified."""
    present = {path.name for path in folder.iterdir()}
    for index in folder.glob("*.index.json"):
        shards = json.loads(index.read_bytes())["weight_map"].values()
        if strangers := set(shards) - present:
            raise _failed(f"{index.name} names {str(min(strangers))[:100]!r}, which is not in the Release")


def _processor(folder: Path) -> object | None:
    """The processor or tokenizer of the same copy; None where there is none or its libraries are missing."""
    import transformers

    present = {path.name for path in folder.iterdir()}
    if present.intersection(_PROCESSOR_FILES):
        kind = transformers.AutoProcessor
    elif present.intersection(_TOKENIZER_FILES):
        kind = transformers.AutoTokenizer
    else:
        return None
    try:
        made: object = kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # tokenizers raises bare Exceptions; the weights are usable without it
        _LOGGER.warning("the processor could not be loaded: %s: %s", type(error).__name__, str(error)[:300])
        return None
    return made


@contextmanager
def _loading() -> Iterator[None]:
    """Turn what the libraries raise into one of our errors: the caller handles one family only."""
    try:
        yield
    except Error:
        raise
    except ImportError as error:
        raise ToolError(
            "missing-extra",
            f"loading needs a library that is not installed: {error}",
            todo="pip install 'registry-gate[load]', or use into=\"directory\"",
        ) from error
    except Exception as error:  # the libraries raise many kinds, and none may pass for a verification result
        raise _failed(f"{type(error).__name__}: {str(error)[:300]}") from error


def _failed(detail: str) -> ToolError:
    return ToolError(
        "load-failed",
        f"the Release is genuine but could not be loaded: {detail}",
        todo='use into="state_dict" or into="directory", or install the library versions the model needs',
    )


@contextmanager
def _offline() -> Iterator[None]:
    """Force hub access off, in the variables and in the constant that was read from them at import.

    One loading at a time holds this, so that none restores the hub under another.
    """
    from huggingface_hub import constants

    with _OFFLINE:
        variables = {name: os.environ.get(name) for name in _OFFLINE_VARIABLES}
        constant = constants.HF_HUB_OFFLINE
        os.environ.update(dict.fromkeys(_OFFLINE_VARIABLES, "1"))
        constants.HF_HUB_OFFLINE = True
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = constant
            for name, value in variables.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
