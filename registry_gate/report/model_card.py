"""The model card of a bill of materials: what was measured, and, marked as such, what only the uploader says.

Source: ECMA-424 (CycloneDX 1.6), section on ``modelCard``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pydantic import JsonValue

from registry_gate.evidence import BehaviourMeasurement, ConfigFacts, Evidence

_CLAIMED = "stated by the uploader's model card, not verified"
_DATASET = "dataset:"
_MAX_DATASETS = 100


def model_card(evidence: Evidence) -> dict[str, JsonValue]:
    """Architecture, task, data sets, the behaviour tests' numbers and what those tests cannot see."""
    tests = evidence.behaviour.tests if evidence.behaviour else ()
    card: dict[str, JsonValue] = {"properties": _properties(evidence)}
    if parameters := _parameters(evidence):
        card["modelParameters"] = parameters
    if metrics := [metric for test in tests for metric in _metrics(test)]:
        card["quantitativeAnalysis"] = {"performanceMetrics": [*metrics]}
    if limits := _limitations(evidence, tests):
        card["considerations"] = {"technicalLimitations": [*limits]}
    return card


def _parameters(evidence: Evidence) -> dict[str, JsonValue]:
    structure = evidence.behaviour.structure if evidence.behaviour else None
    config = _config(evidence)
    stated: dict[str, JsonValue] = {
        "task": structure.task if structure else None,
        "architectureFamily": config.model_type if config else None,
        "modelArchitecture": structure.library_class if structure else None,
        "datasets": _datasets(evidence) or None,
    }
    return {name: value for name, value in stated.items() if value is not None}


def _config(evidence: Evidence) -> ConfigFacts | None:
    facts = evidence.facts.file("config.json") if evidence.facts else None
    return facts.config if facts else None


def _datasets(evidence: Evidence) -> list[JsonValue]:
    """The hub turns the card's data sets into tags."""
    metadata = evidence.listing.metadata if evidence.listing else None
    named = (
        [tag.removeprefix(_DATASET) for tag in metadata.tags if tag.startswith(_DATASET)] if metadata else []
    )
    return [{"type": "dataset", "name": name, "description": _CLAIMED} for name in named[:_MAX_DATASETS]]


def _metrics(test: BehaviourMeasurement) -> Iterator[dict[str, JsonValue]]:
    """One metric a number of a test that measured; its threshold stands beside it."""
    if test.status != "measured":
        return
    numbers = (
        ("statistic", test.statistic),
        ("p-value", test.p_value),
        ("score", test.score),
        ("threshold", test.threshold),
    )
    for name, value in numbers:
        if value is not None:
            yield {"type": f"registry-gate:{test.test}:{name}", "value": f"{value:.6g}"}
    for index, value in enumerate(test.per_class):
        yield {
            "type": f"registry-gate:{test.test}:statistic",
            "value": f"{value:.6g}",
            "slice": f"class {index}",
        }


def _limitations(evidence: Evidence, tests: tuple[BehaviourMeasurement, ...]) -> list[str]:
    """What the tests can and cannot see, and which tests said nothing."""
    notes = [f"{test.test}: {test.power_note}" for test in tests if test.power_note]
    notes += [f"{test.test}: {test.status}: {test.reason}" for test in tests if test.status != "measured"]
    if evidence.behaviour is None:
        notes.append("No behavioural test was made.")
    return notes


def _properties(evidence: Evidence) -> list[JsonValue]:
    tensors = evidence.staged.tensors if evidence.staged else ()
    dtypes = Counter(tensor.dtype for tensor in tensors)
    named = [
        ("tensors", str(len(tensors))),
        ("parameters", str(sum(tensor.elements for tensor in tensors))),
        *((f"tensors:{dtype}", str(count)) for dtype, count in sorted(dtypes.items())),
    ]
    return [{"name": f"registry-gate:{name}", "value": value} for name, value in named]
