"""The after-action report for people: what was played, who caught it, what would have got through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from registry_gate.drill.document import DrillReport, Outcome, StageResult
from registry_gate.drill.text import columns, shortened
from registry_gate.report.escape import for_terminal

_LIMIT = 400


def render(report: DrillReport) -> str:
    """The report as Markdown; what came from a candidate is escaped."""
    lines = [
        "# After-action report of a drill",
        "",
        *_summary(report),
        "",
        "## Who caught what, and when",
        "",
    ]
    lines += [*_caught(report), "", "## One control off at a time", ""]
    lines += [
        "A cell names the control that still stops the stage when the column's control is off. A dot: that"
    ]
    lines += [
        "control is not on the stage's road. Each cell was computed from the readings of this very run.",
        "",
    ]
    lines += [*_matrix(report), "", "## Stages", ""]
    for stage in report.stages:
        lines += _stage(stage)
    lines += [*_response(report), *_weak(report)]
    return "\n".join(lines) + "\n"


def _summary(report: DrillReport) -> Iterator[str]:
    stopped = sum(stage.stopped for stage in report.stages)
    verdict = "Passed" if report.passed else "**Not passed**"
    yield f"{verdict}: {stopped} of {len(report.stages)} stages stopped."
    yield ""
    yield from _table(
        ("", ""),
        (
            ("began", f"{report.began_at:%Y-%m-%d %H:%M} UTC"),
            ("took", f"{report.seconds:.0f} s on {report.machine}"),
            ("gate", f"{report.gate_version}, policy {report.policy}, sandbox {report.sandbox or 'none'}"),
            ("controls off", ", ".join(report.without) or "none"),
            (
                "marker file",
                "**written**" if report.marker_written else "not written: nothing of a candidate ran",
            ),
            ("honest model", _honest(report)),
        ),
    )


def _honest(report: DrillReport) -> str:
    alarms = [one.control for one in report.honest if one.outcome in (Outcome.STOPPED, Outcome.ALARMED)]
    return f"**false alarms: {', '.join(alarms)}**" if alarms else "passed every control"


def _caught(report: DrillReport) -> Iterator[str]:
    when = {control.id: control.when for control in report.controls}
    rows = [
        (
            stage.stage,
            one.control,
            one.outcome.value,
            when[one.control],
            f"{one.seconds:.2f}",
            shortened(one.codes),
        )
        for stage in report.stages
        for one in stage.readings
    ]
    yield from _table(("stage", "control", "outcome", "when", "seconds", "codes"), rows)


def _matrix(report: DrillReport) -> Iterator[str]:
    used = columns(report)
    found = {(one.stage, one.without): one for one in report.replays}
    rows = []
    for stage in report.stages:
        replays = (found.get((stage.stage, control)) for control in used)
        cells = ("." if one is None else one.stopped_by or "GETS THROUGH" for one in replays)
        rows.append((stage.stage, *cells))
    yield from _table(("", *used), rows)


def _stage(stage: StageResult) -> Iterator[str]:
    yield f"### {stage.stage}: {stage.title}"
    yield ""
    yield f"{stage.story} If nothing stops it: {stage.consequence}."
    yield ""
    for technique in stage.techniques:
        yield f"* {technique.framework} [{technique.id}]({technique.url}) {technique.name}"
    for proof in stage.proofs:
        yield f"* {'Real' if proof.seen else '**Not seen**'}: {_escaped(proof.what)}"
    for one in stage.readings:
        yield f"* `{one.control}` {one.outcome.value}: {_escaped(one.detail)}"
    detect = "never" if stage.seconds_to_detect is None else f"{stage.seconds_to_detect:.2f} s"
    end = "Stopped" if stage.stopped else "**Got through**"
    yield f"* {end}; {stage.independent} independent controls caught it, the first after {detect}."
    if stage.stopped:
        yield f"* It gets through once these are off together: {', '.join(stage.smallest_hole)}."
    yield ""
    if stage.tree:
        yield from ("```text", *stage.tree.replace("```", "` ` `").splitlines(), "```", "")


def _response(report: DrillReport) -> Iterator[str]:
    if not report.response:
        return
    yield from (
        "## Response",
        "",
        "To a breach: every control of the gate off, the model admitted and served.",
        "",
    )
    rows = [
        (step.what, f"{step.seconds:.2f}", "held" if step.held else "**did not hold**", step.code)
        for step in report.response
    ]
    yield from _table(("step", "seconds", "", "code"), rows)
    if report.seconds_to_respond is not None:
        yield ""
        yield f"From the decision to revoke to the first refusal: {report.seconds_to_respond:.2f} s."
    yield ""


def _weak(report: DrillReport) -> Iterator[str]:
    yield from ("## What is weak", "")
    yield from ([f"* {_escaped(weak)}" for weak in report.weak] or ["Nothing that this drill tries."])
    missed = [
        f"* `{one.control}` did not see `{stage.stage}`: {_escaped(one.detail)}"
        for stage in report.stages
        for one in stage.readings
        if one.outcome in (Outcome.MISSED, Outcome.UNAVAILABLE)
    ]
    if missed:
        yield from ("", "What a control did not see, though others did:", "", *missed)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(_escaped(cell) for cell in row)} |"


def _escaped(text: str) -> str:
    shown = for_terminal(text, _LIMIT)
    for character in "\\`<>|[]":
        shown = shown.replace(character, f"\\{character}")
    return shown
