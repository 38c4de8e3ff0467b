"""The policies under deploy/kubernetes/policies, run: CEL by cel-python, Rego by regopy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celpy
import celpy.celtypes
import regopy
import yaml

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "deploy/kubernetes/policies"
PODS = Path(__file__).parent / "pods"
MODEL = "acme--tiny@sha256:" + "1" * 64
GATE_IMAGE = "registry.example/registry-gate@sha256:" + "a" * 64
CONFIG_MAP = {"data": {"model.acme--tiny." + "1" * 64: MODEL, "gate-image.1": GATE_IMAGE}}
REGO_DATA = {"registry_gate_admitted": {"models": [MODEL], "gate_images": [GATE_IMAGE]}}
BROKEN = "evaluation-failed"
# cel-python lets some type errors of an expression through as Python's own.
_FAILED = (celpy.CELEvalError, TypeError, AttributeError, ValueError, KeyError)


class UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a mapping that says a key twice: which of the two an API server took would be luck."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key is there twice: {keys} {node.start_mark}"
        return super().construct_mapping(node, deep)


def load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=UniqueKeyLoader)


def load_all(path: Path) -> list[Any]:
    return list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=UniqueKeyLoader))


@dataclass
class Cel:
    """One list of variables and validations, in the order a cluster evaluates them."""

    variables: list[tuple[str, Any]]
    validations: list[tuple[str, Any]]

    @classmethod
    def of(cls, variables: list[dict[str, str]], validations: list[dict[str, str]]) -> Cel:
        environment = celpy.Environment()

        def program(text: str) -> Any:
            return environment.program(environment.compile(text))

        return cls(
            [(item["name"], program(item["expression"])) for item in variables],
            [(item["message"].partition(":")[0], program(item["expression"])) for item in validations],
        )

    def violations(self, manifest: Any, params: Any = CONFIG_MAP) -> frozenset[str]:
        """Codes of the rules the manifest breaks; an expression that fails refuses, as failurePolicy says."""
        known = {
            "object": celpy.json_to_cel(manifest),
            "params": celpy.json_to_cel(params),
            "variables": celpy.celtypes.MapType({}),
        }
        broken = set()
        for name, program in self.variables:
            try:
                known["variables"][celpy.celtypes.StringType(name)] = program.evaluate(known)
            except _FAILED:
                broken.add(BROKEN)  # as in a cluster, each validation that needs it fails too
        for code, program in self.validations:
            try:
                if program.evaluate(known) != celpy.celtypes.BoolType(True):
                    broken.add(code)
            except _FAILED:
                broken.add(BROKEN)
        return frozenset(broken)


def admission_policy() -> Cel:
    spec = load(POLICIES / "validating-admission-policy/policy.yaml")["spec"]
    return Cel.of(spec["variables"], spec["validations"])


def kyverno_policy() -> Cel:
    (rule,) = load(POLICIES / "kyverno/cluster-policy.yaml")["spec"]["rules"]
    return Cel.of(rule["validate"]["cel"]["variables"], rule["validate"]["cel"]["expressions"])


@dataclass
class Rego:
    """The Rego module with its list; OPA evaluates ``deny``."""

    interpreter: regopy.Interpreter

    @classmethod
    def load(cls, data: Any = REGO_DATA) -> Rego:
        interpreter = regopy.Interpreter()
        path = POLICIES / "rego/registry_gate.rego"
        interpreter.add_module(path.name, path.read_text(encoding="utf-8"))
        interpreter.add_data_json(json.dumps(data))
        return cls(interpreter)

    def violations(self, document: Any) -> frozenset[str]:
        self.interpreter.set_input_term(json.dumps(document))
        answer = json.loads(str(self.interpreter.query("data.registry_gate.deny")))
        expressions = answer["expressions"] if "expressions" in answer else answer["result"][0]["expressions"]
        return frozenset(message.partition(":")[0] for message in expressions[0])
