"""Hostile sample files with harmless payloads: for tests, the demo and anyone's own scanner."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from registry_gate.testing import hostile_pickles as pickles
from registry_gate.testing.hostile_pickles import pickle_that_would_run

__all__ = [
    "Sample",
    "ZipEntry",
    "catalogue",
    "pickle_that_would_run",
    "safetensors_bytes",
    "torch_zip",
    "write_samples",
    "zip_bytes",
]

JsonText = Mapping[str, object]


@dataclass(frozen=True)
class Sample:
    """One hostile file: its path below the folder, and a rule that must be among its findings."""

    path: str
    rule: str


@dataclass(frozen=True)
class ZipEntry:
    """One archive member, and how it lies: what its local header or directory record says instead."""

    name: str
    data: bytes
    local_name: str | None = None
    flags: int = 0
    crc: int | None = None
    method: int = 0
    same_place: bool = False


def zip_bytes(
    entries: list[ZipEntry], *, prefix: bytes = b"", gap: bytes = b"", suffix: bytes = b""
) -> bytes:
    """Write a stored zip archive byte by byte, with every lie that the entries ask for.

    Args:
        entries: the members in order; ``same_place`` points at the member before.
        prefix: bytes before the first member, with offsets counted from them.
        gap: bytes between the last member and the directory.
        suffix: bytes behind the end record.
    """
    body, directory, header = prefix, b"", 0
    for entry in entries:
        data = _deflated(entry.data) if entry.method == 8 else entry.data
        crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
        local, name = (entry.local_name or entry.name).encode(), entry.name.encode()
        facts = (entry.flags, entry.method, 0, 33, crc, len(data), len(entry.data))
        if not entry.same_place:
            header = len(body)
            body += struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, *facts, len(local), 0) + local + data
        directory += (
            struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, *facts, len(name), 0, 0, 0, 0, 0, header) + name
        )
    body += gap
    count = len(entries)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + end + suffix


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def torch_zip(data_pkl: bytes, members: Mapping[str, bytes] | None = None, root: str = "archive") -> bytes:
    """A torch checkpoint around a pickle, without torch.

    Args:
        data_pkl: the pickle.
        members: more members, by name below the root.
        root: the archive's folder.
    """
    plain = {"data.pkl": data_pkl, "byteorder": b"little", **(members or {}), "version": b"3\n"}
    return zip_bytes([ZipEntry(f"{root}/{name}", data) for name, data in plain.items()])


def safetensors_bytes(header: JsonText | bytes, data: bytes) -> bytes:
    """A safetensors file from a header, sound or not, and data."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def write_samples(folder: Path, command: str) -> tuple[Sample, ...]:
    """Write every hostile sample below a folder, each in a folder of its own.

    Args:
        folder: created where needed.
        command: what the pickles would run; keep it harmless.

    Returns:
        The samples, with the rule each must be found by.
    """
    samples: list[Sample] = []
    for path, (rule, content) in catalogue(command).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        samples.append(Sample(path, rule))
    return tuple(samples)


def catalogue(command: str) -> dict[str, tuple[str, bytes]]:
    """Every sample: path to the rule that must find it, and its bytes."""
    return {**_pickles(command), **_archives(command), **_safetensors(command), **_documents()}


def _pickles(command: str) -> dict[str, tuple[str, bytes]]:
    found: dict[str, tuple[str, bytes]] = {}
    for name in pickles.ROUTES:
        stream = pickle_that_would_run(command, name)
        found[f"raw-{name}/model.pkl"] = ("pickle-global-not-allowed", stream)
        found[f"torch-{name}/pytorch_model.bin"] = (
            "pickle-trailing-bytes" if name == "second-pickle" else "pickle-global-not-allowed",
            torch_zip(stream),
        )
    one = pickle_that_would_run(command)
    others: dict[str, tuple[str, bytes]] = {
        "computed-name/model.pkl": ("pickle-computed-name", pickles.computed_name(command)),
        "attribute-chain/model.pkl": ("pickle-computed-call", pickles.attribute_chain(command)),
        "alters-import/model.pkl": ("pickle-alters-import", pickles.alters_import()),
        "nested/model.pkl": ("pickle-global-not-allowed", pickles.nested(command)),
        "extension-code/model.pkl": ("pickle-computed-name", pickles.extension_code()),
        "huge-literal/model.pkl": ("pickle-not-understood", pickles.huge_literal()),
        "raw-as-bin/pytorch_model.bin": ("extension-mismatch", one),
        "raw-as-safetensors/model.safetensors": ("extension-mismatch", one),
        "raw-as-text/vocab.txt": (
            "extension-mismatch",
            pickles.unmarked_global_reduce("os", "system", command),
        ),
        "raw-as-json/config.json": ("extension-mismatch", one),
        "raw-as-picture/logo.png": ("extension-mismatch", one),
    }
    return found | others


def _archives(command: str) -> dict[str, tuple[str, bytes]]:
    evil, honest = pickle_that_would_run(command), b"\x80\x02}."
    pkl = "archive/data.pkl"

    def one(entry: ZipEntry) -> bytes:
        return zip_bytes([entry, ZipEntry("archive/version", b"3\n")])

    twice = [ZipEntry(pkl, honest), ZipEntry(pkl, evil)]
    overlap = [ZipEntry(pkl, honest), ZipEntry("archive/data/0", honest, local_name=pkl, same_place=True)]
    return {
        "zip-unlisted/pytorch_model.bin": (
            "pickle-global-not-allowed",
            torch_zip(honest, {"config.p": evil}),
        ),
        "zip-local-name/pytorch_model.bin": (
            "zip-readers-differ",
            one(ZipEntry(pkl, evil, "archive/data.txt")),
        ),
        "zip-flags/pytorch_model.bin": ("zip-readers-differ", one(ZipEntry(pkl, evil, flags=1))),
        "zip-crc/pytorch_model.bin": ("zip-malformed", one(ZipEntry(pkl, evil, crc=1))),
        "zip-twice/pytorch_model.bin": ("zip-readers-differ", zip_bytes(twice)),
        "zip-overlap/pytorch_model.bin": ("zip-readers-differ", zip_bytes(overlap)),
        "zip-compressed/pytorch_model.bin": ("zip-compressed", one(ZipEntry(pkl, evil, method=8))),
        "zip-prefix/pytorch_model.bin": (
            "extension-mismatch",
            zip_bytes([ZipEntry(pkl, honest)], prefix=evil),
        ),
        "zip-gap/pytorch_model.bin": ("zip-hidden-bytes", zip_bytes([ZipEntry(pkl, honest)], gap=evil)),
        "zip-suffix/pytorch_model.bin": ("zip-malformed", zip_bytes([ZipEntry(pkl, honest)], suffix=evil)),
        "zip-two-roots/pytorch_model.bin": (
            "zip-unexpected-member",
            zip_bytes([ZipEntry(pkl, honest), ZipEntry("other/data.pkl", evil)]),
        ),
        "zip-of-pickles/model.zip": ("pickle-global-not-allowed", zip_bytes([ZipEntry("a.dat", evil)])),
    }


def _entry(dtype: str, shape: list[int], start: int, stop: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def _safetensors(command: str) -> dict[str, tuple[str, bytes]]:
    a = json.dumps(_entry("U8", [4], 0, 4))
    archive = torch_zip(pickle_that_would_run(command))
    size = len(archive)
    table: dict[str, tuple[str, bytes, bytes]] = {
        "overlap": (
            "safetensors-overlap",
            _json({"a": _entry("U8", [4], 0, 4), "b": _entry("U8", [4], 2, 6)}),
            bytes(6),
        ),
        "hole": (
            "safetensors-hole",
            _json({"a": _entry("U8", [4], 0, 4), "b": _entry("U8", [4], 8, 12)}),
            bytes(12),
        ),
        "trailing": ("safetensors-hole", _json({"a": _entry("U8", [4], 0, 4)}), bytes(4) + b"hidden"),
        "duplicate": ("safetensors-duplicate", f'{{"a": {a}, "a": {a}}}'.encode(), bytes(4)),
        "dtype": ("safetensors-dtype", _json({"a": _entry("X9", [4], 0, 4)}), bytes(4)),
        "offsets": ("safetensors-offsets", _json({"a": _entry("F32", [4], 0, 4)}), bytes(4)),
        "beyond": ("safetensors-offsets", _json({"a": _entry("U8", [40], 0, 40)}), bytes(4)),
        "huge-shape": ("safetensors-offsets", _json({"a": _entry("F32", [2**62, 2**62, 16], 0, 0)}), b""),
        "negative": ("safetensors-entry", _json({"a": _entry("U8", [-4], 0, 4)}), bytes(4)),
        "metadata": (
            "safetensors-metadata",
            _json({"__metadata__": {"n": 1}, "a": _entry("U8", [4], 0, 4)}),
            bytes(4),
        ),
        "name": ("tensor-name", _json({"\x1b[2J": _entry("U8", [4], 0, 4)}), bytes(4)),
        "not-json": ("safetensors-header", b"{" + b" " * 20, bytes(4)),
        "deep": ("safetensors-header", b'{"a":' + b"[" * 100_000, bytes(4)),
        "polyglot": ("safetensors-polyglot", _json({"a": _entry("U8", [size], 0, size)}), archive),
    }
    files = {
        f"safetensors-{name}/model.safetensors": (rule, safetensors_bytes(header, data))
        for name, (rule, header, data) in table.items()
    }
    lying = struct.pack("<Q", 2**60) + b"{}"
    return files | {"safetensors-length/model.safetensors": ("safetensors-header", lying)}


def _json(document: JsonText) -> bytes:
    return json.dumps(document).encode()


def _documents() -> dict[str, tuple[str, bytes]]:
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    documents: dict[str, tuple[str, JsonText | list[object]]] = {
        "auto-map/config.json": ("custom-code", {"auto_map": {"AutoModel": "modeling_x.Model"}}),
        "trust/config.json": ("custom-code", {"trust_remote_code": True}),
        "generate/generation_config.json": ("custom-code", {"custom_generate": "org/code"}),
        "pipeline/config.json": ("custom-code", {"custom_pipelines": {"x": {"impl": "x.Pipe"}}}),
        "modules/modules.json": ("custom-code", [{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]),
        "modules-path/modules.json": (
            "path-outside",
            [{"idx": 0, "path": "../..", "type": "sentence_transformers.models.Transformer"}],
        ),
        "diffusers/model_index.json": ("custom-code", {"_class_name": "Pipe", "unet": ["my_code", "Net"]}),
        "adapter/adapter_config.json": ("external-reference", {"base_model_name_or_path": "org/other"}),
        "backbone/config.json": ("external-reference", {"use_pretrained_backbone": True, "backbone": "r50"}),
        "url/tokenizer_config.json": ("external-reference", {"vocab_file": "http://127.0.0.1/vocab.txt"}),
        "absolute/tokenizer_config.json": ("path-outside", {"vocab_file": "/etc/passwd"}),
        "parent/tokenizer_config.json": ("path-outside", {"merges_file": "../../merges.txt"}),
        "shards/model.safetensors.index.json": (
            "path-outside",
            {"weight_map": {"a": "../model.safetensors"}},
        ),
        "template/tokenizer_config.json": ("unsafe-template", {"chat_template": template}),
        "activation/config.json": ("custom-code", {"activation_function": "os.system"}),
    }
    files = {path: (rule, json.dumps(document).encode()) for path, (rule, document) in documents.items()}
    raw: dict[str, tuple[str, bytes]] = {
        "duplicate-key/config.json": ("json-duplicate-key", b'{"model_type": "bert", "model_type": "x"}'),
        "deep/config.json": ("json-too-deep", b"[" * 500_000),
        "jinja/chat_template.jinja": ("unsafe-template", template.encode()),
        "yaml/config.yaml": ("custom-code", b"a: !!python/object/apply:os.system ['true']\n"),
        "python/modeling_x.py": ("custom-code", b"print('hello')\n"),
        "elf/model.bin": ("executable-file", b"\x7fELF" + bytes(60)),
    }
    return files | raw
