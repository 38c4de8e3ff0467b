"""A detection as text and JSON."""

from __future__ import annotations

import json

from registry_gate.evidence import BehaviourMeasurement
from registry_gate.finding import Status
from registry_gate.report.detected import Detection
from registry_gate.report.escape import for_terminal

_SHOWN_CLASSES = 12


def as_json(found: Detection) -> str:
    """The detection as indented JSON; non-ASCII text is escaped, so no terminal code survives in it."""
    return json.dumps(found.model_dump(mode="json"), indent=2, ensure_ascii=True) + "\n"


def as_text(found: Detection) -> str:
    """The detection for a terminal: the verdict, what each test said, what that means."""
    lines = [
        f"{found.verdict.value}: {found.model} ({found.library_class or 'no network built'})",
        f"weights {found.model_digest}",
    ]
    lines += [f"{finding.severity.value}: {finding.rule}: {finding.message}" for finding in found.findings]
    if not found.findings and found.score is not None:
        said = "nothing found" if found.status is Status.NO_FINDINGS else "no verdict"
        lines.append(f"{said}: {_numbers(found)}")
    if found.reason:
        lines.append(f"{found.status.value}: {found.reason}")
    lines += [_told(test) for test in found.tests if not _said(test, found)]
    if found.power_note:
        lines.append(found.power_note)
    lines.append(f"seed {found.seed}, {found.device or 'no device'}, {found.seconds:.1f} s")
    return "".join(for_terminal(line) + "\n" for line in lines)


def _said(test: BehaviourMeasurement, found: Detection) -> bool:
    """Whether a line on the test would say nothing more: not asked for, or absent for the reason above."""
    same = test.status != "measured" and bool(test.reason) and found.reason.startswith(test.reason)
    return same or test.reason == "not asked for"


def _numbers(found: Detection) -> str:
    named = (("score", found.score), ("statistic", found.statistic), ("p", found.p_value))
    told = [f"{name} {value:.3g}" for name, value in named if value is not None]
    return ", ".join([*told, f"most suspicious class {found.suspected_target}"])


def _told(test: BehaviourMeasurement) -> str:
    if test.status != "measured" or test.statistic is None:
        return f"  {test.test}: {test.status.replace('_', ' ')}: {test.reason}"
    numbers = ", ".join(f"{value:.3g}" for value in test.per_class[:_SHOWN_CLASSES])
    more = len(test.per_class) - _SHOWN_CLASSES
    classes = f"; by class {numbers}{f' and {more} more' if more > 0 else ''}" if numbers else ""
    p_value = f", p {test.p_value:.2g}" if test.p_value is not None else ""
    words = f"; candidates: {test.details['candidates']}" if "candidates" in test.details else ""
    return f"  {test.test}: {test.statistic:.3g}{p_value}, class {test.suspected_target}{classes}{words}"
