"""Does the candidate bring code, or send a library elsewhere for something?"""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.evidence import Evidence, FileFacts, FileFormat, Problem
from registry_gate.finding import (
    CheckResult,
    Confidence,
    Finding,
    Location,
    Rule,
    Severity,
    Status,
    concluded,
)
from registry_gate.policy import Policy

NAME = "custom-code"

CODE = Rule(
    id="custom-code",
    title="The model brings code of its own",
    severity=Severity.HIGH,
    help="Libraries run such code when asked to trust it. Use a model whose class the library ships, or have "
    "the code reviewed and shipped as a package of your own.",
)
REFERENCE = Rule(
    id="external-reference",
    title="The configuration sends a library elsewhere",
    severity=Severity.HIGH,
    help="What is fetched from there was not examined. Admit the other model itself, or merge it in.",
)
OUTSIDE = Rule(
    id="path-outside",
    title="The configuration names a file outside the model",
    severity=Severity.HIGH,
    help="A library would open a file of the machine that loads the model. Correct the configuration.",
)
TEMPLATE = Rule(
    id="unsafe-template",
    title="A chat template reaches for Python's insides",
    severity=Severity.HIGH,
    help="An honest template formats a conversation only. Templates are run by every application that chats.",
)
RULES = (CODE, REFERENCE, OUTSIDE, TEMPLATE)
_OWN = {rule.id: rule for rule in RULES}


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Collect code, references, outside paths and unsafe templates from the facts of every file."""
    del policy
    if evidence.facts is None:
        return CheckResult(name=NAME, version=1, status=Status.NOT_RUN, reason="no files were read")
    findings = [finding for file in evidence.facts.files for finding in _judge(file)]
    documents = sum(file.config is not None for file in evidence.facts.files)
    return concluded(NAME, 1, findings, {"configurations": documents})


def _judge(file: FileFacts) -> list[Finding]:
    findings = [_of_problem(file, item) for item in file.problems if item.code in _OWN]
    stated = {item.code for item in file.problems}
    if file.format is FileFormat.PYTHON and CODE.id not in stated:
        findings.append(_of_problem(file, Problem(code=CODE.id, detail="a Python file")))
    if file.config is not None and file.config.auto_map and CODE.id not in stated:
        findings.append(_of_problem(file, Problem(code=CODE.id, detail="an auto_map")))
    return findings


def _of_problem(file: FileFacts, problem: Problem) -> Finding:
    rule = _OWN[problem.code]
    # a stray script is run by nobody; a configuration that asks for code is followed
    stray = file.format is FileFormat.PYTHON
    field = f" ({problem.field[:200]!r})" if problem.field else ""
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        confidence=Confidence.MEDIUM if stray else Confidence.HIGH,
        message=f"{file.path[:200]!r}{field}: {problem.detail[:300]}",
        location=Location(file=file.path, field=problem.field),
    )


CHECK = Check(name=NAME, version=1, stage=Stage.FILES, rules=RULES, run=run)
