"""What would a pickle do if it were loaded? Every import must be on the exact list, every byte understood."""

from __future__ import annotations

from registry_gate.checks.check import Check, Stage
from registry_gate.checks.pickle_arguments import allowed
from registry_gate.checks.pickle_dangers import danger, unlisted
from registry_gate.evidence import Evidence, FileFacts, FileFormat, GlobalUse, PickleFacts, Problem
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

NAME = "pickle-program"
_MAX_FINDINGS = 50  # a file; what is beyond is counted in one more finding

NOT_ALLOWED = Rule(
    id="pickle-global-not-allowed",
    title="A pickle imports a name that is not on the list",
    severity=Severity.HIGH,
    help="Loading the pickle would import and perhaps call this name. Only exact (module, name) pairs of the "
    "reviewed list are allowed. Use safetensors; if the name is honest, have it reviewed for the list.",
)
NOT_UNDERSTOOD = Rule(
    id="pickle-not-understood",
    title="A pickle that was not understood to its end",
    severity=Severity.HIGH,
    help="Instructions before the break run when the file is loaded, whatever follows. Save the file again.",
)
ARGUMENT = Rule(
    id="pickle-argument-not-allowed",
    title="A pickle gives an allowed name something it is never given",
    severity=Severity.HIGH,
    help="The name is on the reviewed list, for certain arguments only. No writer of checkpoints makes this "
    "call or sets this state; it may misuse the name. Save the file again with a current library.",
)
COMPUTED_NAME = Rule(
    id="pickle-computed-name",
    title="A pickle computes the name it imports",
    severity=Severity.HIGH,
    help="No honest writer does this; it hides which name is imported.",
)
COMPUTED_CALL = Rule(
    id="pickle-computed-call",
    title="A pickle calls the result of another call",
    severity=Severity.HIGH,
    help="What is called cannot be told without running the pickle. No checkpoint needs it.",
)
ALTERS_IMPORT = Rule(
    id="pickle-alters-import",
    title="A pickle changes an imported object itself",
    severity=Severity.CRITICAL,
    help="Writing attributes of an imported class or module changes what later code does.",
)
NESTED = Rule(
    id="pickle-nested",
    title="A pickle inside a pickle",
    severity=Severity.MEDIUM,
    help="A literal of the pickle is a pickle itself. It was judged too, but only other code would load it.",
)
TRAILING = Rule(
    id="pickle-trailing-bytes",
    title="Bytes behind the end of a pickle",
    severity=Severity.HIGH,
    help="Honest writers leave nothing behind the end; a second program may hide there.",
)
SEVERAL = Rule(
    id="pickle-several",
    title="Several pickles in one file",
    severity=Severity.MEDIUM,
    help="Each was judged, but a loader may read more or fewer of them than was thought.",
)
RULES = (
    NOT_ALLOWED,
    ARGUMENT,
    NOT_UNDERSTOOD,
    COMPUTED_NAME,
    COMPUTED_CALL,
    ALTERS_IMPORT,
    NESTED,
    TRAILING,
    SEVERAL,
)
_OWN = {rule.id: rule for rule in RULES}
_PICKLES = frozenset(
    {FileFormat.TORCH_ZIP, FileFormat.TORCH_LEGACY, FileFormat.TORCHSCRIPT, FileFormat.PICKLE}
)

_VERBS = {"import": "imports", "call": "calls", "new": "makes", "build": "sets the state of"}


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Judge every pickle program of every file against the exact allow-list of the policy."""
    if evidence.facts is None:
        return CheckResult(name=NAME, version=1, status=Status.NOT_RUN, reason="no files were read")
    findings: list[Finding] = []
    pickles = 0
    for file in evidence.facts.files:
        pickles += len(file.pickles)
        found = _judge(file, policy)
        findings += found[:_MAX_FINDINGS]
        if len(found) > _MAX_FINDINGS:
            findings.append(_finding(file, NOT_ALLOWED, f"{len(found) - _MAX_FINDINGS} more findings"))
    dated = policy.pickle_allow_list.dated.isoformat()
    return concluded(NAME, 1, findings, {"pickles": pickles, "allow-list-dated": dated})


def _judge(file: FileFacts, policy: Policy) -> list[Finding]:
    findings: list[Finding] = []
    for pickle in file.pickles:
        findings += _globals(file, pickle, policy)
    stated = [item for item in file.problems if item.code in _OWN]
    findings += [_of_problem(file, item) for item in stated]
    # nothing a reader leaves unsaid may pass: an incomplete program, or a pickle format without a program
    if any(not pickle.complete for pickle in file.pickles) and not any(
        item.code != NESTED.id for item in stated
    ):
        findings.append(_finding(file, NOT_UNDERSTOOD, "a program was not followed to its end"))
    if file.format in _PICKLES and not file.pickles:
        findings.append(_finding(file, NOT_UNDERSTOOD, "no program could be read from it"))
    # the worst first, so that a cut list keeps it
    return sorted(findings, key=lambda item: -item.severity.rank)


def _globals(file: FileFacts, pickle: PickleFacts, policy: Policy) -> list[Finding]:
    off_list: dict[tuple[str, str], list[GlobalUse]] = {}
    findings = []
    for item in pickle.globals:
        if _of_torchscript(file, item):
            continue
        if not policy.pickle_allow_list.allows(item.module, item.name):
            off_list.setdefault((item.module, item.name), []).append(item)
        elif not allowed(item, policy.pickle_allow_list) and file.format is not FileFormat.TORCHSCRIPT:
            findings.append(_misused(file, pickle, item))
    return [_off_list(file, pickle, uses) for uses in off_list.values()] + findings


def _misused(file: FileFacts, pickle: PickleFacts, use: GlobalUse) -> Finding:
    name = repr(f"{use.module}.{use.name}"[:200])
    given = use.use.partition(" ")[2][:200]
    detail = f", shaped {given!r}" if given else ""
    return Finding(
        rule=ARGUMENT.id,
        severity=ARGUMENT.severity,
        confidence=Confidence.HIGH,
        message=f"{_where(file, pickle.member)} {_verb(use)} {name} in a way that is not on the list{detail}",
        location=Location(file=file.path, member=pickle.member, offset=use.offset),
    )


def _verb(use: GlobalUse) -> str:
    return _VERBS.get(use.use.partition(" ")[0], "changes the result of")


def _of_torchscript(file: FileFacts, use: GlobalUse) -> bool:
    """Names below ``__torch__`` are classes inside a TorchScript archive, which Python cannot import."""
    inside = use.module == "__torch__" or use.module.startswith("__torch__.")
    return file.format is FileFormat.TORCHSCRIPT and inside


def _off_list(file: FileFacts, pickle: PickleFacts, uses: list[GlobalUse]) -> Finding:
    first = uses[0]
    ability = danger(first.module, first.name)
    name = repr(f"{first.module}.{first.name}"[:200])
    done = " and ".join(sorted({_verb(use) for use in uses}))
    tail = f", which {ability}" if ability else f", {unlisted(first.module)}"
    return Finding(
        rule=NOT_ALLOWED.id,
        severity=Severity.CRITICAL if ability else NOT_ALLOWED.severity,
        confidence=Confidence.HIGH,
        message=f"{_where(file, pickle.member)} {done} {name}{tail}",
        location=Location(file=file.path, member=pickle.member, offset=first.offset),
    )


def _of_problem(file: FileFacts, problem: Problem) -> Finding:
    rule = _OWN[problem.code]
    message = f"{_where(file, problem.member)}: {problem.detail[:300]}"
    confidence = Confidence.MEDIUM if rule is NESTED else Confidence.HIGH
    location = Location(file=file.path, member=problem.member, offset=problem.offset)
    return Finding(
        rule=rule.id, severity=rule.severity, confidence=confidence, message=message, location=location
    )


def _finding(file: FileFacts, rule: Rule, detail: str) -> Finding:
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        confidence=Confidence.HIGH,
        message=f"{_where(file, None)}: {detail}",
        location=Location(file=file.path),
    )


def _where(file: FileFacts, member: str | None) -> str:
    return f"{file.path[:200]!r}" + (f" in {member[:200]!r}" if member else "")


CHECK = Check(name=NAME, version=1, stage=Stage.FILES, rules=RULES, run=run)
