"""Which kind of settings a file holds, told by its name and content, and who judges them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from registry_gate.enforce.serving import dockerfile, kserve, torchserve, triton_model, vllm
from registry_gate.enforce.serving.containers import containers_of, judge_command
from registry_gate.enforce.serving.rules import found
from registry_gate.enforce.serving.values import Mapping, mapping
from registry_gate.errors import FetchError
from registry_gate.finding import Finding

_MAX_BYTES = 8 << 20
_MAX_DOCUMENTS = 2000


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key said twice, and an alias that would grow the document, are errors."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len({str(key) for key in keys}) != len(keys):
            raise yaml.YAMLError("a key is there twice")
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not followed")
        return super().compose_node(parent, index)


def audit_file(path: Path) -> Iterator[Finding]:
    """Judge one file.

    Raises:
        FetchError: ``cannot-read-settings``.
    """
    text = _read(path)
    name = path.name.lower()
    if name.endswith((".pbtxt", ".textproto", ".prototxt")):
        yield from triton_model.judge(text, str(path))
    elif name.endswith(".properties"):
        yield from torchserve.judge(text, str(path))
    elif name.endswith((".yaml", ".yml", ".json")):
        yield from _yaml(text, str(path))
    elif name.startswith("dockerfile") or name.endswith((".dockerfile", "containerfile")):
        yield from dockerfile.judge(text, str(path))
    else:
        yield _nothing(str(path))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES} bytes")
        return data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise FetchError("cannot-read-settings", f"{str(path)[:200]}: {str(error)[:200]}") from error


def _yaml(text: str, file: str) -> Iterator[Finding]:
    try:
        # S506: a subclass of the safe loader
        documents = list(yaml.load_all(text, Loader=_UniqueKeys))[:_MAX_DOCUMENTS]
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        yield found("serving-not-understood", file, "", f"it is not YAML: {str(error).splitlines()[0][:200]}")
        return
    judged = False
    for document in map(mapping, documents):
        for finding in _document(document, file):
            judged = True
            if finding is not None:
                yield finding
    if not judged:
        yield _nothing(file)


def _document(document: Mapping, file: str) -> Iterator[Finding | None]:
    """Findings of one document, with a None for each thing that was judged, so that silence is noticed."""
    if kserve.is_kserve(document):
        yield None
        yield from kserve.judge(document, file)
    containers = list(containers_of(document))
    for container in containers:
        findings = judge_command(container, file)
        if findings is not None:
            yield None
            yield from findings
    if not containers and vllm.is_settings(document):
        yield None
        yield from vllm.judge_settings(document, file)


def _nothing(file: str) -> Finding:
    return found("serving-not-understood", file, "", "nothing in it is a model server this audit knows")
