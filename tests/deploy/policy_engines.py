"""The engines of ``registry_gate.drill``, with the list and the pods that the tests hold them against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry_gate.drill import policy_engines as engines
from registry_gate.drill.deployed import load, load_all

__all__ = ["BROKEN", "Cel", "Rego", "admission_policy", "kyverno_policy", "load", "load_all"]

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "deploy/kubernetes/policies"
PODS = Path(__file__).parent / "pods"
MODEL = "acme--tiny@sha256:" + "1" * 64
GATE_IMAGE = "registry.example/registry-gate@sha256:" + "a" * 64
CONFIG_MAP = {"data": {"model.acme--tiny." + "1" * 64: MODEL, "gate-image.1": GATE_IMAGE}}
REGO_DATA = {"registry_gate_admitted": {"models": [MODEL], "gate_images": [GATE_IMAGE]}}
BROKEN = engines.BROKEN


@dataclass
class Cel:
    """The engine, asked with the tests' list if with none."""

    engine: engines.Cel

    @property
    def validations(self) -> list[tuple[str, Any]]:
        return self.engine.validations

    def violations(self, manifest: Any, params: Any = CONFIG_MAP) -> frozenset[str]:
        return self.engine.violations(manifest, params)


def admission_policy() -> Cel:
    return Cel(engines.admission_policy())


def kyverno_policy() -> Cel:
    return Cel(engines.kyverno_policy())


class Rego:
    """The engine over the tests' list if over none."""

    @staticmethod
    def load(data: Any = REGO_DATA) -> engines.Rego:
        return engines.Rego.load(data)
