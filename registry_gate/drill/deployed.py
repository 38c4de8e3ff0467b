"""Where the files under ``deploy/`` lie, and how their YAML is read: a key said twice is refused."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from registry_gate.errors import ToolError


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a mapping that says a key twice: which of the two an API server took would be luck."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, "a key is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def deploy_folder() -> Path:
    """The shipped ``deploy/``: in the wheel, or beside the package in a checkout."""
    packaged = Path(str(resources.files("registry_gate") / "deploy"))
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "deploy"


def load_all(path: Path) -> list[Any]:
    """Every document of a YAML file.

    Raises:
        ToolError: ``bad-deployment``: it cannot be read, is no YAML, or says a key twice.
    """
    try:
        return list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=_UniqueKeys))
    except (OSError, yaml.YAMLError) as error:
        raise ToolError("bad-deployment", f"{path}: {str(error).splitlines()[0]}") from error


def load(path: Path) -> Any:
    """The one document of a YAML file. Raises as :func:`load_all` does."""
    documents = load_all(path)
    if len(documents) != 1:
        raise ToolError("bad-deployment", f"{path}: {len(documents)} documents, and one was expected")
    return documents[0]
