"""What a mutation is, and a small signed Release to do it to; tables of mutations only add to these."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save

from registry_gate.hashing import SHA256
from registry_gate.record import canonical_json
from registry_gate.testing.sample_release import SampleGate

MODEL_SIG = "attestations/model.sig"
STATEMENTS = "attestations/statements.jsonl"
FILES = {
    "config.json": b'{"architectures": ["BertModel"], "model_type": "bert"}',
    "model.safetensors": save({"one": torch.arange(24.0).reshape(4, 6), "two": torch.ones(9)}),
    "tokenizer/vocab.txt": b"[PAD]\n[UNK]\nhello\n",
}


@dataclass(frozen=True)
class Mutation:
    """One way to tamper: how, and every code that is right for it (one, wherever one can be said)."""

    name: str
    change: Callable[[Path], None]
    codes: frozenset[str]


@dataclass(frozen=True)
class Ground:
    """What mutations are made from: one Release, its gate, a stranger's gate, and other Releases of both."""

    gate: SampleGate
    stranger: SampleGate
    release: Path
    by_sha256: Path
    older: Path
    newer: Path
    other: Path
    strangers: Path
    expired: Path

    def read(self, name: str) -> bytes:
        """A file of the Release as it was signed."""
        return (self.release / name).read_bytes()

    def lines(self, root: Path | None = None) -> list[bytes]:
        """The statements, one bundle each."""
        return ((root or self.release) / STATEMENTS).read_bytes().splitlines(keepends=True)

    @property
    def names(self) -> list[str]:
        """Every file of the Release."""
        return [MODEL_SIG, STATEMENTS, *(f"model/{name}" for name in FILES)]


def prepare(folder: Path, gate: SampleGate, stranger: SampleGate) -> Ground:
    """Sign everything the tables need."""
    from datetime import UTC, datetime, timedelta

    long_ago = datetime.now(UTC) - timedelta(days=100)
    changed = FILES | {"config.json": b'{"architectures": ["BertModel"], "model_type": "bert", "x": 1}'}
    return Ground(
        gate=gate,
        stranger=stranger,
        release=gate.release(folder / "a", "acme/tiny", FILES, sequence=5).root,
        by_sha256=replace(gate, algorithm=SHA256).release(folder / "g", "acme/tiny", FILES, sequence=5).root,
        older=gate.release(folder / "b", "acme/tiny", FILES, sequence=4, commit="b" * 40).root,
        newer=gate.release(folder / "c", "acme/tiny", changed, sequence=6, commit="c" * 40).root,
        other=gate.release(folder / "d", "acme/other", FILES, sequence=7).root,
        strangers=stranger.release(folder / "e", "acme/tiny", FILES, sequence=5).root,
        expired=gate.release(folder / "f", "acme/tiny", FILES, sequence=1, issued_at=long_ago, days=30).root,
    )


def put(name: str, data: bytes) -> Callable[[Path], None]:
    """Write a file, whatever was there."""

    def change(root: Path) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # never through a hard link
        path.write_bytes(data)

    return change


def copy_of(release: Path, place: Path) -> Path:
    """A Release of the test's own: hard links, which every change breaks before it writes."""
    return Path(shutil.copytree(release, place, copy_function=os.link))


def one(code: str) -> frozenset[str]:
    return frozenset({code})


def payload(line: bytes) -> dict[str, object]:
    """The statement inside a bundle."""
    found: dict[str, object] = json.loads(base64.b64decode(json.loads(line)["dsseEnvelope"]["payload"]))
    return found


def bundle_with(line: bytes, statement: object) -> bytes:
    """The bundle with another payload under the old signature."""
    bundle = json.loads(line)
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(canonical_json(statement)).decode()
    return json.dumps(bundle, separators=(",", ":")).encode()


def edits(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """The document once with every leaf changed, every key dropped, every list cut: (where, document)."""
    if isinstance(value, dict):
        for key, item in value.items():
            where = f"{path}/{key}"
            yield f"{where} dropped", {other: kept for other, kept in value.items() if other != key}
            for name, edited in edits(item, where):
                yield name, {**value, key: edited}
        yield f"{path}/ added", {**value, "surprise": 1}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for name, edited in edits(item, f"{path}[{index}]"):
                yield name, [*value[:index], edited, *value[index + 1 :]]
        if value:
            yield f"{path} cut", value[:-1]
            yield f"{path} doubled", [*value, value[-1]]
    else:
        yield f"{path} changed", _other(value)


def _other(value: object) -> object:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return value + 1
    text = str(value)
    return text[:-1] + ("0" if text[-1:] != "0" else "1")
