"""The hostile corpus: cases in families, from the public advisories. Payloads are harmless."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from registry_gate.testing import hostile, hostile_containers, hostile_later, hostile_pickles, hostile_tricks
from registry_gate.testing.hostile import ZipEntry, safetensors_bytes, torch_zip, zip_bytes
from registry_gate.testing.hostile_gadgets import GADGETS
from registry_gate.testing.hostile_pickles import global_reduce, pickle_that_would_run, short_text

Files = dict[str, bytes]


@dataclass(frozen=True)
class Case:
    """One case: its family, its folder below the corpus, and the files in it. It is scanned as ``target``."""

    family: str
    folder: str
    files: tuple[str, ...]

    @property
    def target(self) -> str:
        """What to scan: the only file, or the folder of several."""
        return f"{self.folder}/{self.files[0]}" if len(self.files) == 1 else self.folder


def write_corpus(root: Path, command: str) -> tuple[Case, ...]:
    """Write every case below a folder.

    Args:
        root: created where needed.
        command: what the pickles would run; keep it harmless.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for family, build in FAMILIES.items():
        for path, content in build(command).items():
            case, _, name = path.partition("/")
            target = root / family / case / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            found.setdefault((family, case), []).append(name)
    return tuple(Case(family, f"{family}/{case}", tuple(names)) for (family, case), names in found.items())


def _gadgets(command: str) -> Files:
    files: Files = {}
    for number, (module, name) in enumerate(GADGETS):
        stream = hostile_pickles.stack_global_reduce(module, name, command)
        wrapped = torch_zip(stream) if number % 2 else stream
        files[f"{module}-{name}/{'pytorch_model.bin' if number % 2 else 'model.pkl'}"] = wrapped
    return files


def _routes(command: str) -> Files:
    return {f"{name}/model.pkl": pickle_that_would_run(command, name) for name in hostile_pickles.ROUTES}


def _routes_in_torch(command: str) -> Files:
    return {
        f"{name}/pytorch_model.bin": torch_zip(pickle_that_would_run(command, name))
        for name in hostile_pickles.ROUTES
    }


def _streams(command: str) -> Files:
    call = global_reduce("os", "system", command)
    size = b"ctorch\nSize\n(I1\nt\x85R}" + short_text("a") + b"I1\nsb"
    files = {
        "computed-name": hostile_pickles.computed_name(command),
        "attribute-chain": hostile_pickles.attribute_chain(command),
        "alters-import": hostile_pickles.alters_import(),
        "extension-code": hostile_pickles.extension_code(),
        "huge-literal": hostile_pickles.huge_literal(),
        "memo-zero": b"\x80\x04"
        + short_text("os")
        + b"\x94"
        + short_text("system")
        + b"r\x00\x00\x00\x00h\x00"
        b"h\x00\x93" + short_text(command) + b"\x85R.",
        "carriage-return": b"cos\r\nsystem\r\n(V" + command.encode() + b"\ntR.",
        "no-stop": call[:-1],
        "stop-inside": call[:10] + b"." + call[10:],
        "garbage-first": b"\xff" + call,
        "spaces-first": b"    " + call,
        "two-calls": call[:-1] + b"0" + call[2:],
        "nul-name": b"\x80\x04"
        + short_text("os\0x")
        + short_text("system")
        + b"\x93"
        + short_text("x")
        + b"\x85R.",
        "persistent-code": b"\x80\x02cos\nsystem\nQ.",
        "int-operand": b"\x80\x04K\x01K\x02\x93" + short_text(command) + b"\x85R.",
        "size-build": b"\x80\x02" + size + b".",
        "big-frame": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + call[2:],
    }
    return {f"{name}/model.pkl": content for name, content in files.items()}


def _npy(descr: str, shape: str, data: bytes, version: int = 1) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode() + b"\n"
    width = "<H" if version == 1 else "<I"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(width, len(header)) + header + data


def _numpy(command: str) -> Files:
    evil = pickle_that_would_run(command)
    objects = _npy("'|O'", "(1,)", evil)
    fields = _npy("[('a', '<f4'), ('b', '|O')]", "(1,)", evil)
    return {
        "objects/a.npy": objects,
        "objects-v3/a.npy": _npy("'O'", "(1,)", evil, 3),
        "fields/a.npy": fields,
        "in-npz/a.npz": zip_bytes([ZipEntry("a.npy", objects)]),
        "in-npz-deflated/a.npz": zip_bytes([ZipEntry("a.npy", objects, method=8)]),
        "code-in-header/a.npy": _npy(f"__import__('os').system({command!r})", "(1,)", b""),
        "data-behind/a.npy": _npy("'<f4'", "(1,)", bytes(4) + evil),
        "short/a.npy": _npy("'<f4'", "(1000000,)", bytes(4)),
        "header-beyond/a.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + evil,
        "pickle-as-npy/a.npy": evil,
        "pickle-as-npz/a.npz": evil,
        "deep-header/a.npy": _npy("[" * 500 + "]" * 500, "(1,)", b""),
    }


def _mismatches(command: str) -> Files:
    evil = pickle_that_would_run(command)
    names = (
        "model.safetensors",
        "config.json",
        "vocab.txt",
        "logo.png",
        "model.onnx",
        "a.npy",
        "tf_model.h5",
        "tokenizer.model",
        "model.gguf",
        "README.md",
        "model.msgpack",
        "pytorch_model.bin",
    )
    archive = {f"zip-{name}/{name}": torch_zip(evil) for name in names[:6]}
    return {f"raw-{name}/{name}": evil for name in names} | archive


def _lambda_layer() -> bytes:
    layer = {"class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None]}}
    return json.dumps({"class_name": "Sequential", "config": {"layers": [layer]}}).encode()


def _keras(command: str) -> Files:
    del command
    other = b'{"module": "os", "class_name": "system", "config": {}}'

    def keras(config: bytes, method: int = 0) -> bytes:
        return zip_bytes(
            [
                ZipEntry("metadata.json", b"{}", method=method),
                ZipEntry("config.json", config, method=method),
                ZipEntry("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(40)),
            ]
        )

    return {
        "h5-lambda/model.h5": b"\x89HDF\r\n\x1a\n" + bytes(900) + _lambda_layer() + bytes(90),
        "h5-module/model.h5": b"\x89HDF\r\n\x1a\n" + bytes(900) + other + bytes(90),
        "keras-lambda/model.keras": keras(_lambda_layer()),
        "keras-lambda-deflated/model.keras": keras(_lambda_layer(), 8),
        "keras-module/model.keras": keras(other),
    }


def _shards(command: str) -> Files:
    del command
    one, two = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"

    def shard(name: str) -> bytes:
        header = {name: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}
        return safetensors_bytes(header, bytes(4))

    tables: dict[str, dict[str, str]] = {
        "swapped": {"a": two, "b": one},
        "outside": {"a": "../../secret.safetensors", "b": two},
        "absolute": {"a": "/etc/passwd", "b": two},
        "url": {"a": "https://127.0.0.1/a.safetensors", "b": two},
        "missing": {"a": one, "b": two, "c": "model-00003-of-00002.safetensors"},
        "unnamed": {"a": one},
        "invented": {"a": one, "b": two, "c": two},
        "folder": {"a": f"sub/{one}", "b": two},
    }
    files: Files = {}
    for case, table in tables.items():
        files[f"{case}/{one}"], files[f"{case}/{two}"] = shard("a"), shard("b")
        files[f"{case}/config.json"] = b'{"model_type": "bert"}'
        files[f"{case}/model.safetensors.index.json"] = json.dumps({"weight_map": table}).encode()
    return files


def _programs(command: str) -> Files:
    script = zip_bytes(
        [
            ZipEntry("m/data.pkl", b"\x80\x02}."),
            ZipEntry("m/code/__torch__.py", f"# {command}\n".encode()),
            ZipEntry("m/constants.pkl", b"\x80\x02)."),
        ]
    )
    return {
        "torchscript/model.pt": script,
        "elf/model.bin": b"\x7fELF" + bytes(60),
        "pe/model.bin": b"MZ\x90\x00" + bytes(60),
        "pyc/model.pyc": b"\xa7\x0d\r\n" + bytes(30),
        "python/modeling_x.py": b"print('hello')\n",
        "saved-model/saved_model.pb": b"\x08\x01\x12\x04\x0a\x02\x08\x01",
        "tflite/model.tflite": b"\x1c\x00\x00\x00TFL3" + bytes(30),
        "onnx/model.onnx": b"\x08\x07\x12\x07pytorch\x3a\x02\x08\x00",
        "unknown/pytorch_model.bin": bytes([0x03, 0xF7, 0xFF, 0x00]) * 40,
    }


def _from_samples(*words: str) -> Callable[[str], Files]:
    """Cases of the sample catalogue whose folder begins with one of some words."""

    def build(command: str) -> Files:
        return {
            path: content
            for path, (_, content) in hostile.catalogue(command).items()
            if path.startswith(words)
        }

    return build


FAMILIES: dict[str, Callable[[str], Files]] = {
    "gadgets": _gadgets,
    "routes": _routes,
    "routes-in-torch": _routes_in_torch,
    "streams": _streams,
    "torch-legacy": hostile_containers.legacy,
    "zip": hostile_containers.zips,
    "nested": hostile_containers.nested,
    "tar": hostile_containers.tars,
    "packed": hostile_containers.packed,
    "closed-archives": hostile_containers.closed,
    "polyglots": hostile_containers.polyglots,
    "numpy": _numpy,
    "mismatches": _mismatches,
    "safetensors": _from_samples("safetensors-"),
    "shards": _shards,
    "keras": _keras,
    "programs": _programs,
    "documents": _from_samples(
        "auto-map", "trust", "generate", "pipeline", "modules", "diffusers", "adapter", "backbone", "url"
    ),
    "references": _from_samples("absolute", "parent", "shards", "template", "activation", "duplicate-key"),
    **hostile_tricks.FAMILIES,
    **hostile_later.FAMILIES,
}
"""Family to the builder of its files, by path ``case/file``."""
