"""The admission gate between public model hubs and your own model registry.

The public names are loaded when first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_gate import errors
    from registry_gate.admission import admit
    from registry_gate.client import load_verified, verify

__all__ = ["admit", "errors", "load_verified", "verify"]

_HOMES = {
    "admit": ("registry_gate.admission", "admit"),
    "errors": ("registry_gate.errors", None),
    "load_verified": ("registry_gate.client", "load_verified"),
    "verify": ("registry_gate.client", "verify"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    loaded = importlib.import_module(module)
    value = loaded if attribute is None else getattr(loaded, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
