"""Does the staged set of tensors fill the `transformers` class that ``config.json`` selects? Runs confined.

Only classes that the installed library itself exports and maps for the model type are built, from the
configuration's plain values, on the meta device: no weights, no network, no code of the candidate's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from registry_gate.evidence import Structure

_MAX_CONFIG = 16 << 20
_MAX_REPEATS = 4096
_MAX_NAMES = 50

# Which task a class serves: the library's own tables, the most specific first.
_TASKS = (
    ("image-classification", "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES"),
    ("text-classification", "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES"),
    ("token-classification", "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES"),
    ("question-answering", "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES"),
    ("multiple-choice", "MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES"),
    ("audio-classification", "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES"),
    ("automatic-speech-recognition", "MODEL_FOR_CTC_MAPPING_NAMES"),
    ("automatic-speech-recognition", "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES"),
    ("object-detection", "MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES"),
    ("image-segmentation", "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES"),
    ("image-segmentation", "MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES"),
    ("image-text-to-text", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES"),
    ("zero-shot-image-classification", "MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING_NAMES"),
    ("fill-mask", "MODEL_FOR_MASKED_LM_MAPPING_NAMES"),
    ("text2text-generation", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES"),
    ("text-generation", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"),
    ("feature-extraction", "MODEL_MAPPING_NAMES"),
    ("pretraining", "MODEL_FOR_PRETRAINING_MAPPING_NAMES"),
)
# Settings that would have the library fetch, import or replace something; the gate builds plain classes.
_NEVER = (
    "auto_map",
    "custom_pipelines",
    "attn_implementation",
    "experts_implementation",
    "fusion_config",
    "kernel_config",
    "transformers_weights",
    "trust_remote_code",
    "use_pretrained_backbone",
)
_REPEATS = re.compile(r"layer|depth|block|expert", re.IGNORECASE)

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class LibraryClass:
    """A class ``cls`` of `transformers`, and the library's configuration that it would be built from."""

    name: str
    task: str
    built_from: Any
    cls: Any


class NoClass(Exception):
    """No library class can be selected; the message says why. Not an error: such models exist."""


def examine_structure(root: Path, weights: tuple[str, ...]) -> tuple[Structure, LibraryClass | None]:
    """Hold the staged tensors against the class.

    Args:
        root: the staged folder; ``config.json`` at its top selects the class.
        weights: names of the safetensors files in it.

    Returns:
        The structure, and the class where it could be built.
    """
    try:
        library = select_class(_read_config(root / "config.json"))
    except NoClass as reason:
        return Structure(status="not_applicable", reason=str(reason)), None
    except (OSError, ValueError, RecursionError) as error:
        return Structure(status="error", reason=_short("config.json cannot be used", error)), None
    try:
        staged = staged_shapes(root, weights)
        return compare(library, staged), library
    except MemoryError:
        raise
    except Exception as error:
        # What library code raises on a hostile configuration is open-ended; all of it means the same.
        said = _short(f"{library.name} cannot be built from config.json", error)
        return Structure(status="error", reason=said, library_class=library.name, task=library.task), None


def _short(what: str, error: Exception) -> str:
    return f"{what}: {type(error).__name__}: {str(error)[:200]!r}"


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise NoClass("there is no config.json, so no library class is named")
    if path.stat().st_size > _MAX_CONFIG:
        raise ValueError(f"larger than {_MAX_CONFIG} bytes")
    config = json.loads(path.read_bytes())
    if not isinstance(config, dict):
        raise ValueError("not a JSON object")
    return config


def select_class(config: dict[str, Any]) -> LibraryClass:
    """The library's class for a configuration's ``model_type`` and first architecture.

    Raises:
        NoClass: the library knows no such class for the model type.
        ValueError: the configuration asks for something implausible.
    """
    model_type, architectures = config.get("model_type"), config.get("architectures")
    if not isinstance(model_type, str) or not isinstance(architectures, list) or not architectures:
        raise NoClass("config.json names no model_type or no architecture")
    name = architectures[0]
    if "quantization_config" in config:
        raise NoClass("the weights are quantised; classes of quantised layers are not built here")
    task = _task(model_type, name) if isinstance(name, str) else None
    if task is None:
        raise NoClass(f"{str(name)[:80]!r} is no class of the library for model type {model_type[:80]!r}")
    _refuse_implausible(config)
    return _library_class(model_type, name, task, config)


def _task(model_type: str, name: str) -> str | None:
    from transformers.models.auto import modeling_auto

    for task, table in _TASKS:
        names = getattr(modeling_auto, table, {}).get(model_type, ())
        if name == names or (isinstance(names, tuple | list) and name in names):
            return task
    return None


def _refuse_implausible(value: object, key: str = "") -> None:
    """Repeat counts make the library build modules one by one; no honest model has so many."""
    if isinstance(value, dict):
        for inner_key, inner in value.items():
            _refuse_implausible(inner, str(inner_key))
    elif isinstance(value, list):
        for inner in value:
            _refuse_implausible(inner, key)
    elif isinstance(value, int) and _REPEATS.search(key) and abs(value) > _MAX_REPEATS:
        raise ValueError(f"{key[:80]!r} is {value}, more than {_MAX_REPEATS}")


def _library_class(model_type: str, name: str, task: str, config: dict[str, Any]) -> LibraryClass:
    import transformers

    cls = getattr(transformers, name, None)
    if not isinstance(cls, type) or not issubclass(cls, transformers.PreTrainedModel):
        raise NoClass(f"{name!r} is not a model class in this installation of the library")
    plain = {key: value for key, value in config.items() if key not in _NEVER and not key.startswith("_")}
    try:
        built_from = transformers.CONFIG_MAPPING[model_type].from_dict(plain)
    except MemoryError:
        raise
    except Exception as error:
        # The library validates configurations with whatever exceptions its many classes chose.
        raise ValueError(_short(f"a {model_type!r} configuration", error)) from error
    built_from._attn_implementation = "eager"
    return LibraryClass(name=name, task=task, built_from=built_from, cls=cls)


def staged_shapes(root: Path, weights: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes by tensor name over all staged files.

    Raises:
        ValueError: a file is not safetensors, or a name occurs twice.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in weights:
        try:
            with safe_open(root / file, "numpy") as tensors:
                found = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{file!r} is not safetensors: {error}") from error
        if twice := shapes.keys() & found.keys():
            raise ValueError(f"tensor {min(twice)[:80]!r} is in two files")
        shapes |= found
    return shapes


@dataclass(frozen=True)
class _Placed:
    """Where one staged tensor goes: names in the class, and whether the library recomputes it on the way."""

    names: tuple[str, ...]
    converted: bool


def compare(library: LibraryClass, staged: Shapes) -> Structure:
    """Build the class without weights and compare names and shapes the way the library matches them."""
    import torch

    with torch.device("meta"):
        model = library.cls(library.built_from)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    placed = _place(model, expected, staged)
    reached = {name for place in placed.values() for name in place.names}
    missing = set(expected) - reached - _filled_by_ties(model, reached)
    unexpected = {source for source, place in placed.items() if not place.names}
    wrong = [
        f"{name}: {staged[source]}, {expected[name]}"
        for source, place in placed.items()
        for name in place.names
        if not place.converted and staged[source] != expected[name]
    ]
    converted = sum(place.converted for place in placed.values())
    return Structure(
        status="measured",
        reason=f"{converted} tensors are recomputed by the library; their shapes were not compared"
        * bool(converted),
        library_class=library.name,
        task=library.task,
        num_labels=_num_labels(library),
        missing=_named(_without(missing, _patterns(model, "missing"))),
        unexpected=_named(_without(unexpected, _patterns(model, "unexpected"))),
        mismatched=_named(wrong),
    )


def _place(model: Any, expected: Shapes, staged: Shapes) -> dict[str, _Placed]:
    """The library's own renaming: registered conversions, then the base model's prefix added or removed."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    rules = get_model_conversion_mapping(model)
    renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
    prefix, state = model.base_model_prefix, model.state_dict()
    placed = {}
    for source in staged:
        name, pattern = rename_source_key(source, renamings, converters, prefix, state)
        if name not in expected and source in expected:
            name, pattern = rename_source_key(source, [], [], prefix, state)
        names = [name]
        for converter in converters:
            if pattern in converter.source_patterns:
                first, *more = converter.target_patterns
                names += [name.replace(first, other) for other in more]
        known = tuple(candidate for candidate in names if candidate in expected)
        placed[source] = _Placed(known, converted=pattern is not None)
    return placed


def _filled_by_ties(model: Any, reached: set[str]) -> set[str]:
    """Names that share memory with one that was reached."""
    ties: dict[str, str] = getattr(model, "all_tied_weights_keys", None) or {}
    groups: dict[str, set[str]] = {}
    for name, source in ties.items():
        groups.setdefault(source, {source}).add(name)
    return {name for group in groups.values() if group & reached for name in group}


def _patterns(model: Any, kind: str) -> tuple[str, ...]:
    """Names that the library itself ignores: its classes' own lists, and buffers of older versions."""
    declared = getattr(model, f"_keys_to_ignore_on_load_{kind}", None) or ()
    buffers = (r"rotary_emb\.inv_freq$", r"(^|\.)position_ids$") if kind == "unexpected" else ()
    held = {name.rpartition(".")[2] for name, _ in model.named_buffers()}
    return (
        *declared,
        *(pattern for pattern in buffers if any(re.search(pattern, f"rotary_emb.{h}") for h in held)),
    )


def _without(names: set[str], patterns: tuple[str, ...]) -> set[str]:
    return {name for name in names if not any(re.search(pattern, name) for pattern in patterns)}


def _num_labels(library: LibraryClass) -> int | None:
    """Width of the classifier, which the comparison of shapes has held against the tensors."""
    labels = getattr(library.built_from, "num_labels", None)
    return labels if library.task.endswith("classification") and isinstance(labels, int) else None


def _named(names: Any) -> tuple[str, ...]:
    """At most fifty names of at most 200 characters, and how many more there are."""
    ordered = sorted(names)
    shown = tuple(name[:200] for name in ordered[:_MAX_NAMES])
    more = len(ordered) - len(shown)
    return (*shown, f"(and {more} more)") if more else shown
