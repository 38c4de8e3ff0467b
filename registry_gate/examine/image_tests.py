"""The behavioural tests of an image classifier, each as one measurement. Runs confined."""

from __future__ import annotations

import time
from dataclasses import replace

from registry_gate.backdoor import mmbd
from registry_gate.backdoor.margin import Steps
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine.image_classifier import ImageClassifier
from registry_gate.examine.image_patterns import measure_pattern, measure_strip
from registry_gate.examine.image_plan import VERSION, Plan, answers, generator, too_dear, unmeasured
from registry_gate.examine.probe_data import ProbeData
from registry_gate.progress import Progress

TESTS = ("mm-bd", "bounded-pattern", "strip")
PROFILES = {profile.name: profile for profile in (mmbd.FAST, mmbd.PAPER)}
_LEAST_ACCURACY = 0.5

_MM_BD_POWER = (
    "Needs no data. On small, well-trained nets margins of clean classes differ by themselves: expect false "
    "alarms and misses; a backdoor with several targets hides from it."
)


def run_tests(
    classifier: ImageClassifier, probe: ProbeData | str, plan: Plan, progress: Progress
) -> tuple[BehaviourMeasurement, ...]:
    """All tests in the order of ``TESTS``; ``probe`` is a reason where there are no probe images."""
    clock = time.perf_counter()
    margin = _measure_margin(classifier, plan, _steps("mm-bd", progress))
    margin, clock = _stamp(margin, classifier, plan, clock)
    usable = probe if isinstance(probe, str) else recognised(classifier, probe)
    if isinstance(usable, str):
        return margin, unmeasured("bounded-pattern", usable), unmeasured("strip", usable)
    gap, found = measure_pattern(classifier, usable, plan, _steps("bounded pattern", progress))
    gap, clock = _stamp(gap, classifier, plan, clock)
    entropy = measure_strip(classifier, usable, plan, found, _steps("strip", progress))
    entropy, _ = _stamp(entropy, classifier, plan, clock)
    return margin, gap, entropy


def _steps(stage: str, progress: Progress) -> Steps:
    return lambda done, total: progress(stage, done, total)


def _stamp(
    measured: BehaviourMeasurement, classifier: ImageClassifier, plan: Plan, since: float
) -> tuple[BehaviourMeasurement, float]:
    """The measurement with seed, device and seconds, and the clock now."""
    now = time.perf_counter()
    update = {"seed": plan.seed, "device": str(classifier.device), "seconds": round(now - since, 3)}
    return measured.model_copy(update=update), now


def recognised(classifier: ImageClassifier, probe: ProbeData) -> ProbeData | str:
    """The probe images that the model takes for what they are; a reason if those are too few."""
    right = answers(classifier, probe.images) == probe.labels
    accuracy = float(right.float().mean())
    if accuracy < _LEAST_ACCURACY:
        return (
            f"the model recognises {accuracy:.0%} of the probe images; they do not fit it, or their "
            "labels are in another order"
        )
    return replace(probe, images=probe.images[right], labels=probe.labels[right])


def _measure_margin(classifier: ImageClassifier, plan: Plan, report: Steps) -> BehaviourMeasurement:
    profile, classes = plan.profile, classifier.classes
    if classes < mmbd.FEWEST_CLASSES:
        reason = f"MM-BD fits a law to at least {mmbd.FEWEST_CLASSES} classes; this model has {classes}"
        return unmeasured("mm-bd", reason, "not_applicable")
    if dear := too_dear(classifier, classes * profile.starts * profile.steps, plan):
        return unmeasured("mm-bd", dear)
    found = mmbd.maximum_margins(
        classifier.logits,
        classifier.shape,
        classes,
        generator=generator(plan.seed),
        device=classifier.device,
        profile=profile,
        report=report,
    )
    return BehaviourMeasurement(
        test="mm-bd",
        version=VERSION,
        status="measured",
        reason=classifier.note,
        statistic=found.largest,
        score=1 - found.p_value,
        p_value=found.p_value,
        suspected_target=found.target,
        per_class=found.per_class,
        details={
            "profile": profile.name,
            "starts": profile.starts,
            "steps": found.steps,
            "p_value_located_at_zero": found.p_value_located_at_zero,
        },
        power_note=_MM_BD_POWER,
    )
