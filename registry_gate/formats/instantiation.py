"""Configurations that name what is to be called: fields such as Hydra's ``_target_``, and YAML's tags.

Hydra and what follows its convention import and call whatever ``_target_`` names, with the fields beside it
as arguments. A class of a modelling library is how such configurations are meant; a function of Python's own
library, or one that loads or calls something else, is a command. jsonargparse (Lightning's command line)
follows ``class_path`` in the same way; MLflow imports ``loader_module``, and peft ``parent_library``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import yaml

_TARGETS = ("_target_", "class_path")
_MODULES = {
    "loader_module": ("mlflow",),
    "parent_library": ("transformers", "diffusers", "sentence_transformers", "timm", "torchvision", "peft"),
}
"""Fields that name a module, and the libraries whose modules they are meant for."""
_PLAIN = frozenset(
    {"collections.OrderedDict", "pathlib.Path", "pathlib.PurePath", "datetime.timedelta"}
    | {f"builtins.{name}" for name in ("dict", "list", "tuple", "set", "str", "int", "float", "bool")}
)
_CALLERS = (
    "hydra.",
    "pickle5.",
    "dill.",
    "cloudpickle.",
    "joblib.",
    "sh.",
    "fabric.",
    "paramiko.",
    "torch.hub.",
)
_LOADERS = frozenset(
    {"torch.load", "numpy.load", "numpy.fromfile", "pandas.read_pickle", "torch.jit.load", "torch.classes"}
    | {"eval", "exec", "open", "compile", "__import__", "getattr"}
)
_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in (
        "str",
        "int",
        "float",
        "bool",
        "null",
        "map",
        "seq",
        "set",
        "omap",
        "pairs",
        "timestamp",
        "binary",
    )
)


def named_hazard(key: str | None, value: str) -> str | None:
    """Say why a field must not be followed; None where it names nothing, or a library's class."""
    if key in _TARGETS:
        return target_hazard(value)
    libraries = _MODULES.get(key or "")
    if libraries is None or not value or value.strip().partition(".")[0] in libraries:
        return None
    return f"asks to import {value[:150]!r}"


def target_hazard(target: str) -> str | None:
    """Say why something must not be called for a configuration's sake; None for what is a library's class."""
    name = target.strip()
    top = name.partition(".")[0]
    if name in _PLAIN:
        return None
    if name in _LOADERS or top in sys.stdlib_module_names or name.startswith(_CALLERS):
        return f"asks to call {name[:150]!r}"
    return None


def yaml_hazard(text: str) -> str | None:
    """Say what a YAML document would make a loader construct or call; nothing is constructed here.

    Tags are taken as the parser resolves them, so that no spelling of one is overlooked. What follows a fault
    is not looked at, because no loader gets there either.
    """
    try:
        for tag, key, value in _pairs(text):
            if tag is not None and tag not in _TAGS and tag != "!":
                return f"asks for {tag[:150]!r}"
            hazard = named_hazard(key, value) if value is not None else None
            if hazard:
                return hazard
    except yaml.YAMLError:
        return None
    return None


def _pairs(text: str) -> Iterator[tuple[str | None, str | None, str | None]]:
    """(tag, the scalar before, scalar) of every node."""
    before: str | None = None
    for event in yaml.parse(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):
        value = event.value if isinstance(event, yaml.ScalarEvent) else None
        yield getattr(event, "tag", None), before, value
        before = value
