"""The report as one self-contained page: verdict first, no script, no reference to anything outside itself.

Whatever comes from a candidate is escaped twice over: hidden and direction-changing characters are spelt out
as on the terminal, then markup is escaped by the template engine. The content security policy allows the
page's own style, by its digest, and nothing else.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING

from registry_gate.decision import Verdict
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.finding import Finding, Rule
from registry_gate.report import plots
from registry_gate.report.document import Report, TensorSection, WeightsSection
from registry_gate.report.escape import for_terminal
from registry_gate.report.words import behaviour_numbers, measured, place

if TYPE_CHECKING:
    from jinja2 import Template

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
    css = _asset("page.css")
    return _template().render(
        css=_markup(css),
        css_hash=f"sha256-{base64.b64encode(sha256(css.encode()).digest()).decode()}",
        report=report,
        said="nothing found" if scanned_clean else report.verdict.value,
        meaning=_NOTHING_FOUND if scanned_clean else _MEANING[report.verdict],
        findings=[(item, rules.get(item.rule), place(item.location)) for item in _worst_first(report)],
        tests=[(test, _numbers(test), plots.of_behaviour(test)) for test in report.behaviour],
        weight_plots=plots.of_weights(report.weights) if report.weights else (),
        largest=_largest(report.weights) if report.weights else (),
        checks=[(check, measured(check.measurements)) for check in report.checks],
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_shown)
    return environment.from_string(_asset("page.html.jinja"))


def _asset(name: str) -> str:
    return (resources.files("registry_gate.report") / name).read_text(encoding="utf-8")


def _markup(text: str) -> str:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - our own style sheet, never a candidate's text


def _shown(value: object) -> object:
    """Spell out what cannot be seen; what the engine itself marked as safe is not a candidate's."""
    return for_terminal(value) if type(value) is str else value


def _worst_first(report: Report) -> list[Finding]:
    return sorted(report.findings, key=lambda finding: -finding.severity.rank)


def _numbers(test: BehaviourMeasurement) -> str:
    return behaviour_numbers(test) if test.status == "measured" else ""


def _largest(weights: WeightsSection) -> list[TensorSection]:
    known = [tensor for tensor in weights.tensors if tensor.magnitude is not None]
    return sorted(known, key=lambda tensor: -(tensor.magnitude or 0.0))[:_LARGEST]
