"""The policies under ``deploy/kubernetes/policies``, run: CEL by cel-python, Rego by regopy.

Kyverno itself runs nowhere but in a cluster; its policy is CEL as well, and is run as such.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry_gate.drill.deployed import deploy_folder, load

if TYPE_CHECKING:
    import regopy

BROKEN = "evaluation-failed"
"""The code of an expression that could not be evaluated; it refuses, as ``failurePolicy: Fail`` says."""


@dataclass
class Cel:
    """One list of variables and validations, in the order a cluster evaluates them."""

    variables: list[tuple[str, Any]]
    validations: list[tuple[str, Any]]

    @classmethod
    def of(cls, variables: list[dict[str, str]], validations: list[dict[str, str]]) -> Cel:
        """Compile a policy's expressions; each validation's message begins with its code."""
        import celpy

        environment = celpy.Environment()

        def program(text: str) -> Any:
            return environment.program(environment.compile(text))

        return cls(
            [(item["name"], program(item["expression"])) for item in variables],
            [(item["message"].partition(":")[0], program(item["expression"])) for item in validations],
        )

    def violations(self, manifest: Any, params: Any) -> frozenset[str]:
        """Codes of the rules that a manifest breaks, against the ConfigMap of admitted models."""
        import celpy
        import celpy.celtypes

        # cel-python lets some type errors of an expression through as Python's own.
        failed = (celpy.CELEvalError, TypeError, AttributeError, ValueError, KeyError)
        known: dict[str, Any] = {
            "object": celpy.json_to_cel(manifest),
            "params": celpy.json_to_cel(params),
            "variables": celpy.celtypes.MapType({}),
        }
        broken = set()
        for name, program in self.variables:
            try:
                known["variables"][celpy.celtypes.StringType(name)] = program.evaluate(known)
            except failed:
                broken.add(BROKEN)  # as in a cluster, each validation that needs it fails too
        for code, program in self.validations:
            try:
                if program.evaluate(known) != celpy.celtypes.BoolType(True):
                    broken.add(code)
            except failed:
                broken.add(BROKEN)
        return frozenset(broken)


def admission_policy() -> Cel:
    """The ValidatingAdmissionPolicy."""
    path = deploy_folder() / "kubernetes/policies/validating-admission-policy/policy.yaml"
    spec = load(path)["spec"]
    return Cel.of(spec["variables"], spec["validations"])


def kyverno_policy() -> Cel:
    """The CEL of Kyverno's ClusterPolicy."""
    (rule,) = load(deploy_folder() / "kubernetes/policies/kyverno/cluster-policy.yaml")["spec"]["rules"]
    return Cel.of(rule["validate"]["cel"]["variables"], rule["validate"]["cel"]["expressions"])


@dataclass
class Rego:
    """The Rego module with its list; OPA evaluates ``deny``."""

    interpreter: regopy.Interpreter

    @classmethod
    def load(cls, data: Any) -> Rego:
        """The shipped module over a data document."""
        import regopy

        interpreter = regopy.Interpreter()
        path = deploy_folder() / "kubernetes/policies/rego/registry_gate.rego"
        interpreter.add_module(path.name, path.read_text(encoding="utf-8"))
        interpreter.add_data_json(json.dumps(data))
        return cls(interpreter)

    def violations(self, document: Any) -> frozenset[str]:
        """Codes of the rules that a manifest breaks."""
        self.interpreter.set_input_term(json.dumps(document))
        answer = json.loads(str(self.interpreter.query("data.registry_gate.deny")))
        expressions = answer["expressions"] if "expressions" in answer else answer["result"][0]["expressions"]
        return frozenset(message.partition(":")[0] for message in expressions[0])
