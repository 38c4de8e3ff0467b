"""Is every file of a kind that is allowed, and did a reader understand it?"""

from __future__ import annotations

from registry_gate.checks import custom_code, pickle_program
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
from registry_gate.shard_table import Fault, is_index, mismatches

NAME = "file-formats"
_SHOWN = 200


def _rule(slug: str, severity: Severity, title: str, advice: str) -> Rule:
    return Rule(id=slug, title=title, severity=severity, help=advice)


NO_FILES = _rule(
    "no-files",
    Severity.HIGH,
    "Nothing was read",
    "The candidate holds no file at all, so nothing can be judged.",
)
NOT_READ = _rule(
    "file-not-read",
    Severity.HIGH,
    "A file was not read",
    "A file of the candidate has no facts: the reader stopped before it. Nothing is known about it.",
)
NOT_UNDERSTOOD = _rule(
    "not-understood",
    Severity.MEDIUM,
    "Unknown bytes",
    "No reader knows this file. It is not carried. Remove it from the repository, or have it looked at.",
)
READER_FAILED = _rule(
    "reader-failed",
    Severity.HIGH,
    "A reader failed on a file",
    "The reader broke on these bytes, so nothing is known about them. Treat it as hostile; report it.",
)
UNKNOWN_PROBLEM = _rule(
    "unknown-problem",
    Severity.HIGH,
    "A problem that no check knows",
    "A reader stated a problem that this version of the checks cannot judge. Update registry_gate.",
)
NOT_ALLOWED = _rule(
    "format-not-allowed",
    Severity.MEDIUM,
    "A format the policy does not allow",
    "The file is recognised but not allowed. Ask the publisher for safetensors, or remove the file.",
)
EXECUTABLE = _rule(
    "executable-file",
    Severity.HIGH,
    "Machine code or compiled Python",
    "A model repository needs no program. Find out why it is there before using anything from it.",
)
LEFT_BEHIND = _rule(
    "other-weights-left-behind",
    Severity.LOW,
    "Weights of another framework or format",
    "These weights were not examined as weights and are not carried into the Release.",
)
MISMATCH = _rule(
    "extension-mismatch",
    Severity.HIGH,
    "The name promises another format",
    "The bytes are not what the extension says, which is how scanners are led past a file.",
)
_TABLE = (
    (
        "file-polyglot",
        "A file that two readers take for two things",
        "One program sees weights and another an archive: a known way past scanners. Do not use the file.",
    ),
    (
        "archive-bomb",
        "A compressed file that unpacks without end",
        "What comes out is larger than is read, so nothing is known about the rest of it.",
    ),
    (
        "archive-malformed",
        "A compressed stream out of order",
        "It is broken, cut short or followed by other bytes. Readers differ on what is in it.",
    ),
    ("tar-malformed", "A tar archive out of order", "Its headers cannot be followed; pack it again."),
    (
        "tar-special",
        "A link or device in a tar archive",
        "Unpacking it may write outside its folder.",
    ),
    (
        "numpy-malformed",
        "A NumPy array out of order",
        "Header and data do not fit each other, or the header is none that numpy writes. Save it again.",
    ),
    (
        "legacy-malformed",
        "A torch legacy file out of order",
        "Its five pickles and its storages do not fit each other. Save the checkpoint again.",
    ),
    (
        "legacy-trailing-bytes",
        "Bytes behind the last storage of a torch legacy file",
        "torch.save ends there; something was put behind.",
    ),
    ("zip-malformed", "A zip archive out of order", "The archive cannot be followed; save the model again."),
    (
        "zip-readers-differ",
        "An archive that two readers see differently",
        "Local headers and directory disagree, or members hide each other: a known way past scanners.",
    ),
    (
        "zip-hidden-bytes",
        "Bytes of an archive that belong to no member",
        "torch.save leaves no gaps; something was put before, between or behind the members.",
    ),
    (
        "tensor-name",
        "A tensor name that is not usable",
        "Names must be short, printable and unique; save again.",
    ),
    (
        "tensor-limit",
        "More tensors than are read",
        "The list of tensors was cut, so the model was not judged.",
    ),
    (
        "safetensors-header",
        "A safetensors header out of order",
        "Save the file again with the safetensors library.",
    ),
    ("safetensors-duplicate", "A header key given twice", "Two readers may take two different tensors."),
    (
        "safetensors-metadata",
        "Metadata that is no table of texts",
        "Save the file again with plain metadata.",
    ),
    ("safetensors-entry", "A tensor entry out of order", "Save the file again with the safetensors library."),
    (
        "safetensors-dtype",
        "An element type that is not known",
        "Save the weights in a type safetensors names.",
    ),
    (
        "safetensors-offsets",
        "A tensor that does not fill its bytes",
        "Type and shape disagree with the offsets.",
    ),
    (
        "safetensors-overlap",
        "Tensors that overlap",
        "Two tensors claim the same bytes; honest writers never do.",
    ),
    ("safetensors-hole", "Bytes that belong to no tensor", "Data can hide there; save the file again."),
    (
        "safetensors-polyglot",
        "A safetensors file that is an archive too",
        "Another reader sees another file.",
    ),
    ("json-too-deep", "A JSON document nested too deep", "No configuration needs it; readers crash on it."),
    ("json-duplicate-key", "A JSON key given twice", "Parsers differ on which value counts; give it once."),
)
_DOUBTFUL = (
    (
        "archive-nested",
        "Archives inside archives",
        "They are nested deeper than anybody looks. Upload the files themselves.",
    ),
    (
        "numpy-objects",
        "A NumPy array of objects",
        "NumPy loads such an array with pickle. Save plain numbers, or safetensors.",
    ),
    (
        "zip-compressed",
        "A compressed archive member",
        "torch.save never compresses; save the checkpoint again.",
    ),
    (
        "zip-unexpected-member",
        "An archive member no checkpoint has",
        "Find out what it is; save the weights alone.",
    ),
    (
        "several-state-dicts",
        "More than one set of weights",
        "Save exactly the state dict that is to be used.",
    ),
    (
        "tensor-not-plain",
        "A tensor that is no plain view of bytes",
        "Save dense, plain tensors of known types.",
    ),
    ("json-malformed", "A JSON document out of order", "The document cannot be read as libraries read it."),
    (
        "document-too-large",
        "A document larger than is read",
        "Nothing is known about it; the policy sets the size.",
    ),
)
_INDEX = {
    Fault.ELSEWHERE: _rule(
        "shard-index-differs",
        Severity.HIGH,
        "An index of shards that does not fit its shards",
        "A loader follows the index, so it takes other tensors than those examined. Save the model again.",
    ),
    Fault.INCOMPLETE: _rule(
        "shard-missing",
        Severity.MEDIUM,
        "Shards that an index names are not there",
        "A part of the model was not examined. Upload the whole series.",
    ),
    Fault.UNNAMED: _rule(
        "shard-tensor-unnamed",
        Severity.MEDIUM,
        "Shards hold tensors that their index does not name",
        "Loaders differ on whether they take such tensors. Save the model again.",
    ),
    Fault.ABSENT: _rule(
        "shard-index-alone",
        Severity.LOW,
        "An index of shards without its shards",
        "It is not carried. Remove it from the repository.",
    ),
}
_RECORDED = (
    _rule(
        "tensor-not-convertible",
        Severity.LOW,
        "A tensor of a kind that safetensors cannot hold",
        "The file is safe to look at and cannot be converted. Save dense tensors of types safetensors has.",
    ),
    _rule(
        "big-endian",
        Severity.INFO,
        "Big-endian tensors",
        "They are written little-endian into the Release, as loaders expect.",
    ),
    _rule("no-tensors", Severity.LOW, "No tensor in a weights file", "The file is not used as weights."),
    _rule(
        "extra-objects", Severity.INFO, "Objects beside the weights", "They are not carried into the Release."
    ),
)
RULES = (
    NO_FILES,
    NOT_READ,
    NOT_UNDERSTOOD,
    READER_FAILED,
    UNKNOWN_PROBLEM,
    NOT_ALLOWED,
    EXECUTABLE,
    LEFT_BEHIND,
    MISMATCH,
    *(_rule(slug, Severity.HIGH, title, advice) for slug, title, advice in _TABLE),
    *(_rule(slug, Severity.MEDIUM, title, advice) for slug, title, advice in _DOUBTFUL),
    *_INDEX.values(),
    *_RECORDED,
)
_OWN = {rule.id: rule for rule in RULES}
_ELSEWHERE = frozenset(rule.id for check in (custom_code.CHECK, pickle_program.CHECK) for rule in check.rules)
_DOCUMENTS = frozenset(
    {FileFormat.TEXT, FileFormat.YAML, FileFormat.JSON, FileFormat.IMAGE, FileFormat.SENTENCEPIECE}
    | {FileFormat.PYTHON, FileFormat.EMPTY}
)
_WEIGHTS = frozenset({FileFormat.SAFETENSORS, FileFormat.TORCH_ZIP, FileFormat.TORCH_LEGACY})
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


def run(evidence: Evidence, policy: Policy) -> CheckResult:
    """Hold the facts of every file against the policy's formats; a file without facts is a finding."""
    if evidence.facts is None:
        return CheckResult(name=NAME, version=1, status=Status.NOT_RUN, reason="no files were read")
    files = evidence.facts.files
    findings = [] if files else [_finding(NO_FILES, "the candidate holds no file", Location())]
    read = {file.path for file in files}
    for stated in evidence.snapshot or ():
        if stated.path not in read:
            message = f"{_quote(stated.path)} was not read"
            findings.append(_finding(NOT_READ, message, Location(file=stated.path)))
    alone = not any(file.understood and file.tensors and file.format in policy.formats for file in files)
    for file in files:
        findings += _judge(file, policy, alone)
        findings += _index(file, files) if is_index(file) else []
    understood = sum(file.understood for file in files)
    return concluded(NAME, 1, findings, {"files": len(files), "understood": understood})


def _judge(file: FileFacts, policy: Policy, alone: bool) -> list[Finding]:
    """The findings of one file; ``alone`` says that nothing beside it could be carried as weights."""
    findings = [_of_problem(file, item) for item in file.problems if item.code not in _ELSEWHERE]
    if alone and not file.understood:
        findings = [_alone(item) if item.rule == LEFT_BEHIND.id else item for item in findings]
    where = Location(file=file.path)
    if file.format in _WEIGHTS and file.format not in policy.formats:
        message = f"{_quote(file.path)} is {file.format.value}, which the policy does not carry"
        findings.append(_finding(NOT_ALLOWED, message, where, Severity.LOW))
    elif file.format not in _DOCUMENTS | _WEIGHTS and not file.problems:
        message = f"{_quote(file.path)} is {file.format.value}, which the policy does not allow"
        findings.append(_finding(NOT_ALLOWED, message, where))
    if file.format is FileFormat.EMPTY and file.path.lower().endswith(_WEIGHT_SUFFIXES):
        findings.append(_finding(NOT_UNDERSTOOD, f"{_quote(file.path)} is empty", where))
    elif not file.understood and not file.problems:
        findings.append(_finding(NOT_UNDERSTOOD, f"{_quote(file.path)} was not understood", where))
    return findings


def _alone(finding: Finding) -> Finding:
    """Weights that are left behind where nothing else is there are not left: there is no model to carry."""
    return finding.model_copy(update={"severity": Severity.MEDIUM})


def _index(file: FileFacts, files: tuple[FileFacts, ...]) -> list[Finding]:
    return [
        _finding(_INDEX[item.fault], f"{_quote(file.path)}: {item.detail[:_SHOWN]}", Location(file=file.path))
        for item in mismatches(file, files)
    ]


def _of_problem(file: FileFacts, problem: Problem) -> Finding:
    rule = _OWN.get(problem.code, UNKNOWN_PROBLEM)
    member = f" in {_quote(problem.member)}" if problem.member else ""
    detail = problem.detail if rule is not UNKNOWN_PROBLEM else f"{problem.code}: {problem.detail}"
    location = Location(file=file.path, member=problem.member, offset=problem.offset, field=problem.field)
    return _finding(rule, f"{_quote(file.path)}{member}: {detail[:_SHOWN]}", location)


def _finding(rule: Rule, message: str, location: Location, severity: Severity | None = None) -> Finding:
    return Finding(
        rule=rule.id,
        severity=severity or rule.severity,
        confidence=Confidence.HIGH,
        message=message,
        location=location,
    )


def _quote(text: str) -> str:
    return repr(text[:_SHOWN])


CHECK = Check(name=NAME, version=1, stage=Stage.FILES, rules=RULES, run=run)
