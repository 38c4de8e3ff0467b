"""Read JSON configuration: what it declares, and where it would send a library that follows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from registry_gate.evidence import ConfigFacts, FileFacts, FileFormat, Problem
from registry_gate.formats.instantiation import named_hazard, target_hazard
from registry_gate.formats.limits import ReaderLimits
from registry_gate.formats.shown import shown
from registry_gate.formats.sniff import Glance
from registry_gate.formats.strict_json import BadJson, JsonValue, parse_json
from registry_gate.formats.templates import template_hazard
from registry_gate.formats.tensor_names import name_problem
from registry_gate.paths import path_hazard

_URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]{1,15}://|^\\\\\\\\|^data:", re.ASCII)
_OUTSIDE = re.compile(r"^(?:/|~|[A-Za-z]:[\\/])|(?:^|[\\/])\.\.(?:[\\/]|$)")
_IDENTIFIER = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,100}$")
_LIBRARY_MODULE = re.compile(r"^sentence_transformers(?:\.[a-z_0-9]+)*\.[A-Z][A-Za-z0-9]*$")
_TORCH_CLASS = re.compile(r"^torch\.nn\.(?:modules\.)?(?:[a-z_]+\.)?[A-Z][A-Za-z0-9]*$")
_MAX_REFERENCES = 100

_CODE_FIELDS = frozenset({"auto_map", "custom_pipelines", "custom_generate"})
_FILE_FIELDS = frozenset(
    {"vocab_file", "merges_file", "tokenizer_file", "spm_file", "sp_model_file", "chat_template_file"}
    | {"sentencepiece_model_file", "source_spm", "target_spm", "normalizer_file", "emoji_file", "bpe_codes"}
    | {"vocabulary"}  # Keras' lookup layers (CVE-2025-12058)
)
_MODEL_FIELDS = frozenset(
    {"base_model_name_or_path", "base_model", "tokenizer_name", "teacher_model_name_or_path"}
)
_NOTED_FIELDS = frozenset({"_name_or_path", "name_or_path", "special_tokens_map_file"})
"""Written by libraries when saving and read by none: recorded, never held against a model."""
_IMPORTED_FIELDS = frozenset({"activation_function", "sbert_ce_default_activation_function", "activation_fn"})
"""sentence-transformers imports these by dotted name."""
_DIFFUSERS_LIBRARIES = frozenset(
    {"diffusers", "transformers", "stable_diffusion", "onnxruntime", "k_diffusion"}
)
_ADAPTER = "adapter_config.json"


@dataclass
class _Reading:
    """What one document has been found to declare so far."""

    name: str
    limits: ReaderLimits
    problems: list[Problem] = field(default_factory=list)
    references: list[tuple[str, str]] = field(default_factory=list)
    auto_map: list[str] = field(default_factory=list)
    shards: dict[str, str] = field(default_factory=dict)

    def problem(self, code: str, where: str, detail: str) -> None:
        if len(self.problems) < self.limits.max_problems:
            self.problems.append(Problem(code=code, detail=shown(detail, 300), field=shown(where)))

    def reference(self, where: str, value: str) -> None:
        if len(self.references) < _MAX_REFERENCES:
            self.references.append((shown(where), shown(value)))


def read_json(path: Path, glance: Glance, limits: ReaderLimits) -> FileFacts:
    """Describe a JSON document.

    Args:
        path: the file.
        glance: its start, size and relative path.
        limits: bounds on size, depth and number of values.
    """
    reading = _Reading(glance.name, limits)
    document: JsonValue = None
    understood = False
    if glance.size > limits.max_config_bytes:
        reading.problem("document-too-large", "", f"{glance.size} bytes, more than {limits.max_config_bytes}")
    else:
        try:
            document = parse_json(path.read_bytes(), limits)
            understood = _walk(reading, document)
        except BadJson as reason:
            reading.problem(f"json-{reason.reason}", "", str(reason))
    return FileFacts(
        path=glance.path,
        format=FileFormat.JSON,
        reader="json",
        understood=understood,
        problems=tuple(reading.problems),
        metadata=reading.shards,
        config=_facts(document, reading) if isinstance(document, dict) else None,
    )


def _walk(reading: _Reading, document: JsonValue) -> bool:
    """Visit every field without recursion; False when nested deeper than the limit."""
    if reading.name == "modules.json":
        _modules(reading, document)
    if reading.name == "model_index.json":
        _pipeline(reading, document)
    if reading.name.endswith(".index.json") and isinstance(document, dict):
        _shards(reading, document.get("weight_map"))
    stack: list[tuple[str, str, JsonValue, int]] = [("", "", document, 0)]
    while stack:
        where, key, value, depth = stack.pop()
        if depth > reading.limits.max_json_depth:
            reading.problem("json-too-deep", where, f"nested deeper than {reading.limits.max_json_depth}")
            return False
        if isinstance(value, dict):
            _keras_object(reading, where, value)
        if isinstance(value, dict | list):
            stack += [
                (_step(where, inner), inner if isinstance(value, dict) else key, item, depth + 1)
                for inner, item in _children(value)
            ]
        _field(reading, where, key, value)
    return True


def _keras_object(reading: _Reading, where: str, value: dict[str, JsonValue]) -> None:
    """Keras imports ``module`` and takes ``class_name`` from it."""
    module, name = value.get("module"), value.get("class_name")
    if isinstance(module, str) and isinstance(name, str):
        hazard = target_hazard(f"{module}.{name}")
        if hazard:
            reading.problem("custom-code", where, hazard)


def _children(value: dict[str, JsonValue] | list[JsonValue]) -> Iterator[tuple[str, JsonValue]]:
    """Entries worth a visit: containers, texts and flags; numbers and nulls declare nothing."""
    items = (
        value.items() if isinstance(value, dict) else ((str(index), item) for index, item in enumerate(value))
    )
    return ((key, item) for key, item in items if isinstance(item, dict | list | str) or item is True)


def _step(where: str, key: str) -> str:
    return f"{where}.{key[:80]}"[-200:] if where else key[:80]


def _field(reading: _Reading, where: str, key: str, value: JsonValue) -> None:
    if key in _CODE_FIELDS and value and where.rpartition(".")[2] == key:
        targets = list(_texts(value))
        reading.auto_map += [shown(text) for text in targets[:20]]
        reading.problem("custom-code", where, f"asks for code of its own: {', '.join(targets[:4])[:150]!r}")
    elif key == "trust_remote_code" and value is True:
        reading.problem("custom-code", where, "asks to trust code from the hub")
    elif key == "use_pretrained_backbone" and value is True:
        reading.problem("external-reference", where, "fetches a backbone's weights from elsewhere")
    elif isinstance(value, str):
        _text_field(reading, where, key, value)


def _texts(value: JsonValue) -> Iterator[str]:
    """The texts of a small nested value, widely bounded."""
    stack = [value]
    for _ in range(200):
        if not stack:
            return
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack += list(item.values())[:50]
        elif isinstance(item, list):
            stack += item[:50]


def _text_field(reading: _Reading, where: str, key: str, value: str) -> None:
    if key in _NOTED_FIELDS:
        if value:
            reading.reference(where, value)
    elif imported := named_hazard(key, value):
        reading.problem("custom-code", where, imported)
    elif key in ("chat_template", "template") or "{%" in value or "{{" in value:
        hazard = template_hazard(value)
        if hazard and reading.name != "tokenizer.json":
            reading.problem("unsafe-template", where, hazard)
    elif key in _FILE_FIELDS:
        _followed(reading, where, value, "path-outside")
    elif key in _MODEL_FIELDS:
        _model_field(reading, where, value)
    elif key in ("tokenizer_class", "processor_class", "image_processor_type", "feature_extractor_type"):
        if not _IDENTIFIER.match(value):
            reading.problem("custom-code", where, f"{value[:100]!r} is no class name of a library")
    elif key in _IMPORTED_FIELDS and "." in value and not _TORCH_CLASS.match(value):
        reading.problem("custom-code", where, f"imports {value[:100]!r} by name")
    elif _URL.match(value) or _OUTSIDE.match(value):
        reading.reference(where, value)


def _model_field(reading: _Reading, where: str, value: str) -> None:
    if not value:
        return
    reading.reference(where, value)
    if reading.name == _ADAPTER or _URL.match(value) or _OUTSIDE.match(value):
        reading.problem("external-reference", where, f"needs the model {value[:150]!r}, which is not in here")


def _followed(reading: _Reading, where: str, value: str, code: str) -> None:
    """A field whose value a library opens: it must be the name of a file in the candidate."""
    if _URL.match(value):
        reading.reference(where, value)
        reading.problem("external-reference", where, f"would be fetched from {value[:150]!r}")
    elif value and (_OUTSIDE.match(value) or path_hazard(value)):
        reading.reference(where, value)
        reading.problem(code, where, f"would be read from {value[:150]!r}, outside the model")


def _modules(reading: _Reading, document: JsonValue) -> None:
    """sentence-transformers imports each module's ``type`` and loads it from ``path``."""
    if not isinstance(document, list):
        reading.problem("json-malformed", "", "modules.json is no list")
        return
    for index, entry in enumerate(document[:100]):
        kind = entry.get("type") if isinstance(entry, dict) else None
        where = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(kind, str) or not _LIBRARY_MODULE.match(kind):
            reading.problem("custom-code", f"{index}.type", f"{str(kind)[:100]!r} is no library class")
        if not isinstance(where, str):
            reading.problem("json-malformed", f"{index}.path", "a module has no path")
        elif where:
            _followed(reading, f"{index}.path", where.removesuffix("/"), "path-outside")


def _pipeline(reading: _Reading, document: JsonValue) -> None:
    """Diffusers loads a component from the library named beside it, or from a local Python file."""
    if not isinstance(document, dict):
        return
    for key, value in document.items():
        pair = isinstance(value, list) and len(value) == 2 and not key.startswith("_")
        library = value[0] if pair and isinstance(value, list) else None
        if isinstance(library, str) and library not in _DIFFUSERS_LIBRARIES:
            reading.problem("custom-code", key, f"component of {library[:100]!r}, which is no known library")
    name = document.get("_class_name")
    if name is not None and not (isinstance(name, str) and _IDENTIFIER.match(name)):
        reading.problem("custom-code", "_class_name", f"{str(name)[:100]!r} is no library class")


def _shards(reading: _Reading, weight_map: JsonValue) -> None:
    if not isinstance(weight_map, dict):
        reading.problem("json-malformed", "weight_map", "an index of shards without a table of tensors")
        return
    shards = {value if isinstance(value, str) else "" for value in weight_map.values()}
    outside = [shard for shard in sorted(shards) if not shard or "/" in shard or path_hazard(shard)]
    for shard in outside:
        reading.problem("path-outside", "weight_map", f"the shard {shard[:100]!r} is no plain file name")
    odd = [name for name in weight_map if name_problem(name)]
    if odd or len(weight_map) > reading.limits.max_tensors:
        detail = f"the tensor name {odd[0][:100]!r} {name_problem(odd[0])}" if odd else "too many tensors"
        reading.problem("tensor-name", "weight_map", detail)
    elif not outside:
        reading.shards = {name: str(shard) for name, shard in weight_map.items()}


def _facts(document: dict[str, JsonValue], reading: _Reading) -> ConfigFacts:
    model_type, architectures = document.get("model_type"), document.get("architectures")
    names = architectures if isinstance(architectures, list) else []
    return ConfigFacts(
        model_type=shown(model_type) if isinstance(model_type, str) else None,
        architectures=tuple(shown(name) for name in names[:20] if isinstance(name, str)),
        num_labels=_labels(document),
        num_channels=_count(document.get("num_channels")),
        image_size=_image_size(document.get("image_size")),
        auto_map=tuple(reading.auto_map[:100]),
        references=tuple(reading.references),
    )


def _count(value: JsonValue) -> int | None:
    return value if type(value) is int and 0 <= value < 2**31 else None


def _labels(document: dict[str, JsonValue]) -> int | None:
    """As transformers' PretrainedConfig: ``id2label`` wins over ``num_labels``."""
    labels = document.get("id2label")
    return len(labels) if isinstance(labels, dict) and labels else _count(document.get("num_labels"))


def _image_size(value: JsonValue) -> int | None:
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    return _count(value)
