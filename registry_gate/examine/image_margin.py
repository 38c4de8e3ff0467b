"""MM-BD as a measurement. Runs confined."""

from __future__ import annotations

from registry_gate.backdoor import mmbd
from registry_gate.backdoor.outlier_law import FEWEST_REFERENCES, reference_p_value
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine.image_classifier import ImageClassifier
from registry_gate.examine.image_plan import VERSION, Plan, generator, too_dear, unmeasured

PROFILES = {profile.name: profile for profile in (mmbd.FAST, mmbd.PAPER)}
_POWER = (
    "Needs no data. On small, well-trained nets margins of clean classes differ by themselves: expect false "
    "alarms and misses; a backdoor with several targets hides from it."
)
_SCREENED = (
    f" Of more than {mmbd.MOST_CLASSES} classes only the {mmbd.KEPT} of largest margin after a short search "
    f"and {mmbd.KEPT} others were searched in full: a target that starts slowly is missed."
)


def measure_margin(classifier: ImageClassifier, plan: Plan) -> BehaviourMeasurement:
    """The largest margin of each class, and the p-value of the largest under the law of the others."""
    profile, classes = plan.profile, classifier.classes
    if classes < mmbd.FEWEST_CLASSES and not plan.references:
        reason = f"MM-BD fits a law to at least {mmbd.FEWEST_CLASSES} classes; this model has {classes}"
        return unmeasured(
            "mm-bd", f"{reason}. Give the statistics of clean models of its base", "not_applicable"
        )
    if plan.references and len(plan.references) < FEWEST_REFERENCES:
        return unmeasured("mm-bd", f"a reference law needs {FEWEST_REFERENCES} clean models")
    if dear := too_dear(classifier, _rows(profile, classes), plan):
        return unmeasured("mm-bd", dear)
    found = mmbd.maximum_margins(
        classifier.logits,
        classifier.shape,
        classes,
        generator=generator(plan.seed),
        device=classifier.device,
        profile=profile,
        report=plan.steps("mm-bd"),
    )
    return _measurement(classifier, plan, found)


def _rows(profile: mmbd.Profile, classes: int) -> int:
    """Forward and backward passes at most."""
    if classes > mmbd.MOST_CLASSES and profile.projected:
        return classes * 20 + 2 * mmbd.KEPT * profile.starts * profile.steps
    return classes * profile.starts * profile.steps


def _measurement(classifier: ImageClassifier, plan: Plan, found: mmbd.MaximumMargins) -> BehaviourMeasurement:
    screened = len(found.searched) < classifier.classes
    p_value, law = found.p_value, "the other classes"
    if plan.references:
        p_value, law = reference_p_value(found.largest, plan.references), "clean models of the same base"
    return BehaviourMeasurement(
        test="mm-bd",
        version=VERSION,
        status="measured",
        reason=classifier.note,
        statistic=found.largest,
        score=1 - p_value,
        p_value=p_value,
        suspected_target=found.target,
        per_class=found.per_class,
        details={
            "profile": plan.profile.name,
            "starts": plan.profile.starts,
            "steps": found.steps,
            "law": law,
            "p_value_located_at_zero": found.p_value_located_at_zero,
            "p_value_bootstrap_5_percent": found.p_interval[0],
            "p_value_bootstrap_95_percent": found.p_interval[1],
            "classes_searched": len(found.searched),
        },
        power_note=_POWER + (_SCREENED if screened else ""),
    )
