"""The drill for a terminal: what caught what and when, the matrix, the response, and what is weak."""

from __future__ import annotations

from collections.abc import Iterator

from registry_gate.drill.document import DrillReport, Outcome, Replay, StageResult
from registry_gate.report.escape import for_terminal

_MARK = {
    Outcome.STOPPED: "stops",
    Outcome.ALARMED: "alarms",
    Outcome.MISSED: "misses",
    Outcome.OFF: "off",
    Outcome.UNAVAILABLE: "n/a here",
}
_WIDTH = 17
_CODES = 4
MATRIX = "a cell is the control that still stops the stage, !! means it gets through, . that it is not met"


def render(report: DrillReport) -> str:
    """The whole report as text."""
    lines = [*_head(report)]
    for stage in report.stages:
        lines += _stage(stage)
    lines += ["", f"one control off at a time: {MATRIX}", *matrix(report)]
    lines += [*_response(report), *_end(report)]
    return "".join(f"{for_terminal(line)}\n" for line in lines)


def _head(report: DrillReport) -> Iterator[str]:
    sandbox = report.sandbox or "none"
    yield f"drill      {len(report.stages)} stages, policy {report.policy}, sandbox {sandbox}"
    yield f"machine    {report.machine}"
    if report.without:
        yield f"without    {', '.join(report.without)}"
    passed = sum(one.outcome is Outcome.MISSED for one in report.honest)
    asked = sum(one.outcome not in (Outcome.OFF, Outcome.UNAVAILABLE) for one in report.honest)
    yield f"honest     an ordinary model passes {passed} of {asked} controls"


def _stage(stage: StageResult) -> Iterator[str]:
    end = "stopped" if stage.stopped else "GOT THROUGH"
    yield ""
    yield f"{stage.stage}: {stage.title}"
    for proof in stage.proofs:
        yield f"  {'real' if proof.seen else 'NOT SEEN'}: {proof.what}"
    for one in stage.readings:
        codes = shortened(one.codes) or one.detail
        yield f"  {one.control:<{_WIDTH}}{_MARK[one.outcome]:<9}{one.seconds:>7.2f} s  {codes}"
    first = "" if stage.seconds_to_detect is None else f", the first after {stage.seconds_to_detect:.2f} s"
    yield f"  {end}, caught by {stage.independent} independent controls{first}"
    if stage.stopped:
        yield f"  gets through once these are off together: {', '.join(stage.smallest_hole)}"
    yield f"  {', '.join(technique.id for technique in stage.techniques)}"


def shortened(codes: tuple[str, ...]) -> str:
    """The first few codes, and how many more there are."""
    more = f" and {len(codes) - _CODES} more" if len(codes) > _CODES else ""
    return ", ".join(codes[:_CODES]) + more


def matrix(report: DrillReport) -> list[str]:
    """Rows are stages, columns controls, both by number: who still stops the stage with that control off."""
    used = columns(report)
    number = {control: str(at) for at, control in enumerate(used, 1)}
    found = {(one.stage, one.without): one for one in report.replays}
    lines = ["    ".join(f"{number[control]:>2} {control:<16}" for control in used[at : at + 4]).rstrip()
             for at in range(0, len(used), 4)]  # fmt: skip
    lines += ["", " " * 18 + "".join(f"{number[control]:>4}" for control in used)]
    for stage in report.stages:
        cells = (_cell(found.get((stage.stage, control)), number) for control in used)
        lines.append(f"{stage.stage:<18}" + "".join(f"{cell:>4}" for cell in cells))
    return lines


def columns(report: DrillReport) -> list[str]:
    """The controls that some stage was replayed without, in the order of the catalogue."""
    off = {one.without for one in report.replays}
    return [control.id for control in report.controls if control.id in off]


def _cell(one: Replay | None, number: dict[str, str]) -> str:
    if one is None:
        return "."
    return "!!" if one.stopped_by is None else number.get(one.stopped_by, one.stopped_by)


def _response(report: DrillReport) -> Iterator[str]:
    if not report.response:
        return
    yield ""
    yield "response to a breach (every control of the gate off, the model admitted and served)"
    for step in report.response:
        code = f"  {step.code}" if step.code else ""
        yield f"  {'held' if step.held else 'DID NOT HOLD':<9}{step.seconds:>7.2f} s  {step.what}{code}"
    if report.seconds_to_respond is not None:
        yield f"  from the decision to revoke to the first refusal: {report.seconds_to_respond:.2f} s"


def _end(report: DrillReport) -> Iterator[str]:
    yield ""
    yield f"marker     {'WRITTEN' if report.marker_written else 'not written: nothing of a candidate ran'}"
    for weak in report.weak:
        yield f"weak       {weak}"
    stages = len(report.stages)
    stopped = sum(stage.stopped for stage in report.stages)
    verdict = "passed" if report.passed else "NOT PASSED"
    yield f"{verdict:<11}{stopped} of {stages} stages stopped, in {report.seconds:.0f} s"
