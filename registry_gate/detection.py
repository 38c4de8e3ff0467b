"""``detect``: the behaviour tests of one local model, read, staged and measured as ``admit`` would."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from registry_gate import version
from registry_gate.backdoor.fusion import Fused
from registry_gate.checks import CHECKS, Stage
from registry_gate.checks.backdoor_score import score
from registry_gate.decision import Verdict, disposition
from registry_gate.errors import Refused
from registry_gate.evidence import Behaviour, BehaviourMeasurement, Evidence, Staged
from registry_gate.examination import Examination, Options
from registry_gate.examine.behaviour import Probing
from registry_gate.examine.behaviour_messages import TESTS, TEXT_TESTS
from registry_gate.finding import CheckResult, Status
from registry_gate.local_scan import scan_local
from registry_gate.policy import Disposition, Policy
from registry_gate.progress import Progress, silent
from registry_gate.record import canonical_digest
from registry_gate.report.detected import Detection

_SAMPLES = ("bounded-pattern", "margin-gain", "mask-pattern")
_NO_SAMPLES = ("impression-pattern", "impression-gain")

TESTS_OF: dict[str, tuple[str, ...]] = {
    "mmbd": ("mm-bd",),
    "strip": ("strip",),
    "inversion": (*_SAMPLES, *_NO_SAMPLES),
    "weights": ("final-layer",),
    "text": TEXT_TESTS,
    "all": TESTS,
}
CHECKS_OF: dict[str, tuple[str, ...]] = {
    "mmbd": ("mm-bd",),
    "strip": ("strip",),
    "inversion": ("bounded-pattern",),
    "weights": ("final-layer",),
    "text": ("text-trigger",),
    "all": ("backdoor-score", "strip"),
}
_LEADING = {
    "mmbd": "mm-bd",
    "strip": "strip",
    "inversion": "bounded-pattern",
    "weights": "final-layer",
    "text": "text-trigger",
}
# What `all` means for a task that has one test only.
_ALL_OF_TASK = {"text-classification": "text"}
_LOOKED = (Status.NO_FINDINGS, Status.FINDINGS)


def detect(
    path: Path, defense: str, policy: Policy, probing: Probing, *, progress: Progress = silent
) -> Detection:
    """Run one defence, or all, on a folder or file.

    Args:
        path: a Hugging Face folder, or a state dict as one file together with ``probing.architecture``.
        defense: a key of ``TESTS_OF``.
        policy: limits, thresholds, coefficients.
        probing: probe data, device, seed; its ``tests`` are set here.
        progress: steps of each test.

    Raises:
        UsageError: bad probe data, device or architecture.
        FetchError, ToolError: nothing can be said.
        Refused: the files themselves are refused, so that nothing of them is built.
    """
    wanted = replace(probing, tests=TESTS_OF[defense])
    options = Options(probing=wanted, stages=frozenset(Stage) - {Stage.METADATA}, full=True)
    with tempfile.TemporaryDirectory(prefix="registry-gate-") as workspace:
        walk = scan_local(path, policy, options, Path(workspace), now=datetime.now(UTC), progress=progress)
    _refuse_unread(walk)
    staged, behaviour = walk.evidence.staged, walk.evidence.behaviour
    if staged is None or behaviour is None:
        raise _nothing_staged(walk)
    return _concluded(str(path), defense, policy, wanted, walk.evidence, staged, behaviour)


def _refuse_unread(walk: Examination) -> None:
    """What rejects a file before its behaviour is looked at refuses here too."""
    for result in walk.evidence.results:
        for finding in result.findings:
            early = result.name in _FILE_CHECKS
            if early and disposition(finding, walk.policy) is Disposition.REJECT:
                raise Refused(
                    finding.rule,
                    finding.message,
                    why="a file that is refused as a file is not built and tested",
                    todo="see the whole report: registry-gate scan",
                )


_FILE_CHECKS = {check.name for check in CHECKS if check.stage is Stage.FILES}


def _nothing_staged(walk: Examination) -> Refused:
    chosen = walk.evidence.weight_set
    problems = [*walk.evidence.refusals, *(chosen.problems if chosen else ())]
    said = "; ".join(f"{problem.code}: {problem.detail}" for problem in problems[:3])
    return Refused(
        problems[0].code if problems else "no-weights",
        said or "no set of weights was found",
        why="only weights that convert to safetensors can be built and tested",
        todo="see the whole report: registry-gate scan",
    )


def _concluded(
    path: str,
    defense: str,
    policy: Policy,
    probing: Probing,
    evidence: Evidence,
    staged: Staged,
    behaviour: Behaviour,
) -> Detection:
    only = _ALL_OF_TASK.get(behaviour.structure.task or "", defense) if defense == "all" else defense
    deciding = [result for name in CHECKS_OF[only] for result in evidence.results if result.name == name]
    first = deciding[0]
    leading = _leading(only, behaviour, policy)
    return Detection(
        defense=defense,
        verdict=_verdict(defense, deciding, policy),
        status=first.status,
        reason=_reason(first, leading, behaviour),
        score=leading.score,
        p_value=leading.p_value if leading.p_value is not None else _judged_p_value(first),
        statistic=leading.statistic,
        suspected_target=leading.suspected_target,
        per_class=leading.per_class,
        findings=tuple(finding for result in deciding for finding in result.findings),
        model=path[:500],
        model_digest=_digest(staged),
        library_class=behaviour.structure.library_class,
        profile=probing.profile or policy.mm_bd_profile,
        seed=probing.seed,
        device=next((test.device for test in behaviour.tests if test.device), None),
        seconds=behaviour.seconds,
        power_note=leading.power_note,
        policy=policy.name,
        gate_version=version.VERSION,
        tests=behaviour.tests,
    )


def _reason(first: CheckResult, leading: BehaviourMeasurement, behaviour: Behaviour) -> str:
    """Why a test did not look; where no network was filled, what the tensors would fill instead."""
    reason, built = first.reason or leading.reason, behaviour.structure.reason
    return f"{reason}: {built}" if first.status not in _LOOKED and built and built not in reason else reason


def _verdict(defense: str, deciding: list[CheckResult], policy: Policy) -> Verdict:
    """What the policy makes of the findings; of one test asked for alone, without the policy's overrides.

    Policies may count a single test in the score only. Who asks for that test by name wants to know.
    """
    judging = policy if defense == "all" else policy.model_copy(update={"rules": {}})
    seen = [disposition(finding, judging) for result in deciding for finding in result.findings]
    if Disposition.REJECT in seen:
        return Verdict.REJECT
    if Disposition.REVIEW in seen or deciding[0].status not in _LOOKED:
        return Verdict.REVIEW
    return Verdict.ADMIT


def _leading(defense: str, behaviour: Behaviour, policy: Policy) -> BehaviourMeasurement:
    """The measurement that a defence is named by; of ``all`` the fused score as one."""
    if defense != "all":
        named = {test.test: test for test in behaviour.tests}
        chosen = named[_LEADING[defense]]
        standing_in = named["impression-pattern"]
        impressions = defense == "inversion" and chosen.status == "unavailable"
        return standing_in if impressions and standing_in.status == "measured" else chosen
    fused = score(behaviour, policy)
    if not isinstance(fused, Fused):
        return BehaviourMeasurement(
            test="backdoor-score", version=1, status="unavailable", reason=fused[:1000]
        )
    margin = next((test.p_value for test in behaviour.tests if test.test == "mm-bd"), None)
    return BehaviourMeasurement(
        test="backdoor-score",
        version=1,
        status="measured",
        statistic=fused.logit,
        score=fused.score,
        p_value=margin,
        suspected_target=fused.target,
        per_class=fused.per_class,
        power_note=f"{fused.situation.replace('-', ' ')}: none found means by {', '.join(fused.counted)}. "
        "They see one trigger that turns many classes into one target; source-specific, all-to-all, warping "
        "and input-dependent triggers may all be missed.",
    )


def _digest(staged: Staged) -> str:
    """Of the one weights file as it was given, else of all their names and digests."""
    weights = [file for file in staged.files if file.name.endswith(".safetensors")]
    if len(weights) == 1:
        return f"sha256:{weights[0].source_sha256}"
    return canonical_digest([[file.source, file.source_sha256] for file in weights])


def _judged_p_value(result: CheckResult) -> float | None:
    """Where a test's p-value comes from the policy's references, the check has it and not the measurement."""
    found = result.measurements.get("p_value")
    return found if isinstance(found, float) else None
