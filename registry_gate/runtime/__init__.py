"""Beside a model that serves: what it was asked and answered is kept, so that a trigger can be found.

The names are loaded when first used: a server pays for what it uses.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_gate.runtime.middleware import AsgiPredictionLog, WsgiPredictionLog
    from registry_gate.runtime.prediction_log import PredictionLog
    from registry_gate.runtime.strip_guard import StripGuard

__all__ = ["AsgiPredictionLog", "PredictionLog", "StripGuard", "WsgiPredictionLog"]

_HOMES = {
    "AsgiPredictionLog": "registry_gate.runtime.middleware",
    "PredictionLog": "registry_gate.runtime.prediction_log",
    "StripGuard": "registry_gate.runtime.strip_guard",
    "WsgiPredictionLog": "registry_gate.runtime.middleware",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
