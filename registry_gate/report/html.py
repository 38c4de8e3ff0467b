"""The report as one self-contained page: verdict first, no script, no reference to anything outside itself.

Whatever comes from a candidate is escaped twice over: hidden and direction-changing characters are spelt out
as on the terminal, then markup is escaped by the template engine. The content security policy allows the
page's own style, by its digest, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from registry_gate.decision import Verdict
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.finding import Finding, Rule
from registry_gate.report import plots
from registry_gate.report.document import Report, TensorSection, WeightsSection
from registry_gate.report.pages import template
from registry_gate.report.words import behaviour_numbers, measured, place

_LARGEST = 8
_MEANING = {
    Verdict.ADMIT: "Every required check looked, and nothing found keeps it out under this policy.",
    Verdict.REVIEW: "Not admitted: a person has to look at the points below.",
    Verdict.REJECT: "Not admitted: at least one point below rejects it under this policy.",
}
_NOTHING_FOUND = "A scan admits nothing: everything that was looked at gave no reason to refuse."


def render(report: Report, rules: Mapping[str, Rule]) -> str:
    """The report as an HTML document.

    Args:
        report: any.
        rules: of all checks, by id: titles and what to do.
    """
    scanned_clean = report.command == "scan" and report.verdict is Verdict.ADMIT
    return template("page.html.jinja").render(
        report=report,
        said="nothing found" if scanned_clean else report.verdict.value,
        meaning=_NOTHING_FOUND if scanned_clean else _MEANING[report.verdict],
        findings=[(item, rules.get(item.rule), place(item.location)) for item in _worst_first(report)],
        tests=[(test, _numbers(test), plots.of_behaviour(test)) for test in report.behaviour],
        weight_plots=plots.of_weights(report.weights) if report.weights else (),
        largest=_largest(report.weights) if report.weights else (),
        checks=[(check, measured(check.measurements)) for check in report.checks],
    )


def _worst_first(report: Report) -> list[Finding]:
    return sorted(report.findings, key=lambda finding: -finding.severity.rank)


def _numbers(test: BehaviourMeasurement) -> str:
    return behaviour_numbers(test) if test.status == "measured" else ""


def _largest(weights: WeightsSection) -> list[TensorSection]:
    known = [tensor for tensor in weights.tensors if tensor.magnitude is not None]
    return sorted(known, key=lambda tensor: -(tensor.magnitude or 0.0))[:_LARGEST]
