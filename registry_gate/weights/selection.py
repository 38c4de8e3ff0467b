"""Facts -> WeightSet: the one set of weights that a Release carries, and what is left behind and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from registry_gate.evidence import (
    CopyPlan,
    Facts,
    FileFacts,
    FileFormat,
    Problem,
    TensorSource,
    WeightSet,
)
from registry_gate.layout import ITEMSIZE
from registry_gate.policy import Policy
from registry_gate.shard_table import mismatches
from registry_gate.weights.carrying import carried_files, is_module_folder, reason_left, weights_like
from registry_gate.weights.shard_index import INDEX, needs_index

TARGET = "model.safetensors"
_SHOWN = 5
_BY_THE_WAY = frozenset({"no-tensors", "extra-objects", "big-endian"})


@dataclass(frozen=True)
class _Family:
    """The names under which a loader looks for weights of one framework, and the formats these may have."""

    single: str
    shard: re.Pattern[str]
    formats: frozenset[FileFormat]

    @property
    def index(self) -> str:
        """The name of the index of shards."""
        return f"{self.single}.index.json"


_SAFETENSORS = _Family(
    TARGET, re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors"), frozenset({FileFormat.SAFETENSORS})
)
_TORCH = _Family(
    "pytorch_model.bin",
    re.compile(r"pytorch_model-(\d{5})-of-(\d{5})\.bin"),
    frozenset({FileFormat.TORCH_ZIP, FileFormat.TORCH_LEGACY}),
)
_FAMILIES = (_SAFETENSORS, _TORCH)
_INDEXES = frozenset({INDEX, *(family.index for family in _FAMILIES)})


@dataclass(frozen=True)
class _Choice:
    """Source files with their targets, or the problems that keep any from being chosen."""

    files: tuple[tuple[FileFacts, str], ...] = ()
    problems: tuple[Problem, ...] = ()


def select_weights(facts: Facts, policy: Policy) -> WeightSet:
    """Choose the weights at the top of a candidate, by name and by the policy's order of formats.

    Taken are ``model.safetensors`` or ``pytorch_model.bin``, or the complete series of shards of either (held
    against their index where there is one), with the weights
    of sentence-transformers module folders; other names, variants, adapters, sub-folders and frameworks are
    left behind, each with its reason. A preferred file that cannot be used is never quietly replaced by
    another: what a loader would take is what must be examined.

    Args:
        facts: of the whole snapshot.
        policy: ``weight_preference`` and ``formats``.

    Returns:
        Plans, or problems ``no-weights`` or ``not-convertible``.
    """
    choice = _chosen(facts, policy)
    if not choice.problems:
        choice = _with_modules(choice, facts, policy)
    return _weight_set(choice, facts, policy)


def whole_file(facts: Facts, policy: Policy) -> WeightSet:
    """The set for one bare file, whatever its name: scanned, never carried anywhere."""
    usable = tuple((file, TARGET) for file in facts.files if file.format in policy.weight_preference)
    if len(usable) != 1:
        return _weight_set(_nothing(facts), facts, policy)
    return _weight_set(_Choice(files=usable, problems=_not_convertible(usable[0][0])), facts, policy)


def _weight_set(choice: _Choice, facts: Facts, policy: Policy) -> WeightSet:
    problems = choice.problems or _contradictions(choice.files)
    plans = () if problems else tuple(_plan(file, target) for file, target in choice.files)
    sources = {plan.source for plan in plans}
    carried = () if problems else carried_files(facts, policy)
    taken = sources | set(carried)
    sharded = needs_index(plans)
    left = tuple(
        (file.path, "written anew from the staged tensors" if sharded and file.path in _INDEXES else reason)
        for file in facts.files
        if file.path not in taken
        for reason in (reason_left(file, policy),)
    )
    return WeightSet(plans=plans, carried=carried, left_behind=left, problems=problems)


def _plan(file: FileFacts, target: str) -> CopyPlan:
    return CopyPlan(source=file.path, target=target, tensors=file.tensors, metadata={"format": "pt"})


def _chosen(facts: Facts, policy: Policy) -> _Choice:
    """The first family of the policy's order that the candidate has under a loader's own names."""
    for family in _families(policy):
        allowed = family.formats & set(policy.weight_preference)
        single = facts.file(family.single)
        shards = [file for file in facts.files if family.shard.fullmatch(file.path)]
        if single is not None and shards:
            return _refusal(f"both {family.single} and a series of shards are there", single.path)
        if single is not None:
            return _Choice(((single, TARGET),), _not_convertible(single, allowed))
        if shards:
            return _series(family, shards, facts.file(family.index), allowed)
    return _nothing(facts)


def _families(policy: Policy) -> list[_Family]:
    ordered = (
        family for format_ in policy.weight_preference for family in _FAMILIES if format_ in family.formats
    )
    return list(dict.fromkeys(ordered))


def _series(
    family: _Family, shards: Sequence[FileFacts], index: FileFacts | None, allowed: frozenset[FileFormat]
) -> _Choice:
    """All shards of one series, agreeing with their index; the staged one is written anew."""
    numbers = [match.groups() for file in shards if (match := family.shard.fullmatch(file.path))]
    total = int(numbers[0][1])
    stated = sorted((int(number), int(of)) for number, of in numbers)
    if stated != [(number, total) for number in range(1, total + 1)]:
        return _refusal(f"{len(shards)} shards are not one complete series", shards[0].path)
    problems = [item for file in shards for item in _not_convertible(file, allowed)]
    problems += _index_problems(index, shards) if index is not None else ()
    targets = (f"model-{number}-of-{of}.safetensors" for number, of in numbers)
    return _Choice(tuple(zip(shards, targets, strict=True)), tuple(problems[:_SHOWN]))


def _index_problems(index: FileFacts, shards: Sequence[FileFacts]) -> list[Problem]:
    if not index.understood or not index.metadata:
        return [_problem(f"the index {index.path!r} was not understood", index.path)]
    return [_problem(f"{index.path!r}: {item.detail}", index.path) for item in mismatches(index, shards)]


def _nothing(facts: Facts) -> _Choice:
    """No weights under any name that a loader would take."""
    others = [file.path for file in facts.files if weights_like(file)]
    if others:
        shown = ", ".join(repr(path[:100]) for path in others[:_SHOWN])
        return _refusal(f"no weights that can be converted, only {shown}", others[0])
    return _Choice(problems=(Problem(code="no-weights", detail="no file of the candidate holds weights"),))


def _refusal(why: str, path: str) -> _Choice:
    return _Choice(problems=(_problem(why, path),))


def _problem(why: str, path: str) -> Problem:
    return Problem(code="not-convertible", detail=why, field=path)


def _not_convertible(file: FileFacts, expected: frozenset[FileFormat] | None = None) -> tuple[Problem, ...]:
    """Why a file's tensors cannot be copied; empty when they can."""
    reason = _whole_file_reason(file, expected)
    if reason:
        return (Problem(code="not-convertible", detail=reason, field=file.path),)
    if not file.tensors:
        return (Problem(code="no-weights", detail=f"{file.path[:100]!r} has no tensor", field=file.path),)
    faulty = [
        Problem(code="not-convertible", detail=f"{tensor.name[:100]!r} {fault}", field=file.path)
        for tensor in file.tensors
        if (fault := _tensor_reason(tensor))
    ]
    return tuple(faulty[:_SHOWN])


def _whole_file_reason(file: FileFacts, expected: frozenset[FileFormat] | None) -> str:
    if expected is not None and file.format not in expected:
        wanted = " or ".join(sorted(item.value for item in expected))
        return f"{file.path[:100]!r} is {file.format.value}, not {wanted}"
    if not file.understood:
        grave = [item for item in file.problems if item.code not in _BY_THE_WAY] or list(file.problems)
        said = "; ".join(f"{problem.code}: {problem.detail[:150]}" for problem in grave[:2])
        return f"{file.path[:100]!r} was not understood: {said}"
    framework = file.metadata.get("format", "pt")
    if file.format is FileFormat.SAFETENSORS and framework not in ("pt", ""):
        return f"{file.path[:100]!r} was saved for {framework[:40]!r}, not for torch"
    return ""


def _tensor_reason(tensor: TensorSource) -> str:
    if tensor.dtype not in ITEMSIZE:
        return f"is of kind {tensor.dtype[:40]!r}, which cannot be staged"
    return ""


def _contradictions(files: Sequence[tuple[FileFacts, str]]) -> tuple[Problem, ...]:
    """Shards that hold a tensor twice."""
    seen: dict[str, str] = {}
    for file, target in files:
        if "/" in target:  # module folders have a namespace of their own
            continue
        for tensor in file.tensors:
            if tensor.name in seen:
                why = f"tensor {tensor.name[:100]!r} is in {seen[tensor.name]!r} and in {file.path!r}"
                return _refusal(why, file.path).problems
            seen[tensor.name] = file.path
    return ()


def _with_modules(choice: _Choice, facts: Facts, policy: Policy) -> _Choice:
    """Add the weights of sentence-transformers modules (``2_Dense/model.safetensors``): all are one model."""
    if facts.file("modules.json") is None:
        return choice
    files, problems = list(choice.files), list(choice.problems)
    folders = {file.path.partition("/")[0] for file in facts.files if is_module_folder(file.path)}
    for folder in sorted(folders):
        for family in _families(policy):
            found = facts.file(f"{folder}/{family.single}")
            if found is not None:
                files.append((found, f"{folder}/{TARGET}"))
                problems += _not_convertible(found, family.formats & set(policy.weight_preference))
                break
    return _Choice(tuple(files), tuple(problems))
