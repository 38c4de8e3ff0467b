"""STRIP as a measurement: on probe images and on images that carry what inversion found. Runs confined."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from registry_gate.backdoor import strip
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine.image_classifier import ImageClassifier
from registry_gate.examine.image_inversion import Inverted, stamped
from registry_gate.examine.image_plan import VERSION, Plan, generator, unmeasured
from registry_gate.examine.probe_data import ProbeData

_INPUTS = 30
_FEWEST = 20


@dataclass(frozen=True, eq=False)
class _Layer:
    """Lays the overlays of one model over images."""

    classifier: ImageClassifier
    overlays: torch.Tensor
    draws: torch.Generator
    plan: Plan

    def over(self, images: torch.Tensor, target: int | None = None) -> strip.Overlaid:
        """STRIP's entropies of at most thirty images."""
        return strip.overlaid(
            self.classifier.logits,
            images[:_INPUTS].to(self.classifier.device),
            self.overlays,
            generator=self.draws,
            target=target,
            report=self.plan.steps("strip"),
        )


@dataclass(frozen=True, eq=False)
class _Seen:
    """Everything STRIP saw of one model."""

    boundary: strip.Boundary
    clean: strip.Overlaid
    probed: strip.Overlaid
    carrying: strip.Overlaid
    own: strip.Overlaid


def measure_strip(
    classifier: ImageClassifier, probe: ProbeData, plan: Plan, found: Inverted | None
) -> BehaviourMeasurement:
    """STRIP on probe images and on images stamped with the suspected target's pattern, with its power check.

    Half of the probe images are overlays; of the other half every second one sets the boundary.
    """
    half = len(probe.images) // 2
    if found is None:
        return unmeasured("strip", "no pattern to stamp, because no inversion measured")
    if len(probe.images) < _FEWEST:
        return unmeasured("strip", f"{len(probe.images)} usable probe images; {_FEWEST} are needed")
    draws = generator(plan.seed)
    order = torch.randperm(len(probe.images), generator=draws)
    layer = _Layer(classifier, probe.images[order[half:]].to(classifier.device), draws, plan)
    inputs = ProbeData(probe.images[order[:half]], probe.labels[order[:half]])
    clean = layer.over(inputs.images[::2])
    target = min(range(len(found.norms)), key=found.norms.__getitem__)
    seen = _Seen(
        boundary=strip.fit_boundary(clean.entropies, plan.false_rejection_rate),
        clean=clean,
        probed=layer.over(inputs.images[1::2]),
        carrying=_over_stamped(layer, inputs, found, target),
        own=_over_stamped(layer, inputs, found, _median_class(found)),
    )
    return _measurement(target, classifier, plan, seen)


def _over_stamped(layer: _Layer, inputs: ProbeData, found: Inverted, target: int) -> strip.Overlaid:
    victims = inputs.images[inputs.labels != target]
    return layer.over(stamped(victims, found.bounded.patterns[target]), target)


def _median_class(found: Inverted) -> int:
    """The class of median norm: its pattern is the self-made trigger of the power check."""
    order = sorted(range(len(found.norms)), key=found.norms.__getitem__)
    return order[len(order) // 2]


def _measurement(target: int, classifier: ImageClassifier, plan: Plan, seen: _Seen) -> BehaviourMeasurement:
    boundary = seen.boundary
    probed = strip.flagged_share(seen.probed.entropies, boundary)
    share = strip.flagged_share(seen.carrying.entropies, boundary)
    survives = seen.own.kept_share or 0.0
    return BehaviourMeasurement(
        test="strip",
        version=VERSION,
        status="measured",
        reason=classifier.note,
        statistic=max(share, probed),
        score=max(share, probed),
        suspected_target=target,
        details={
            "overlays": strip.OVERLAYS,
            "false_rejection_rate": plan.false_rejection_rate,
            "inputs": boundary.inputs,
            "entropy_boundary_bits": round(boundary.threshold, 4),
            "clean_entropy_mean_bits": round(boundary.mean, 4),
            "clean_entropy_std_bits": round(boundary.std, 4),
            "clean_entropy_share_of_log2_classes": round(boundary.mean / math.log2(classifier.classes), 4),
            "flagged_share_of_probe_images": round(probed, 4),
            "flagged_share_of_stamped_images": round(share, 4),
            "pattern_survives_overlay": round(seen.carrying.kept_share or 0.0, 4),
            "own_trigger_survives_overlay": round(survives, 4),
        },
        samples={"clean": _rounded(seen.clean.entropies), "stamped": _rounded(seen.carrying.entropies)},
        power_note=_power(survives, boundary),
    )


def _rounded(entropies: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(value, 3) for value in entropies)


def _power(survives: float, boundary: strip.Boundary) -> str:
    """Whether STRIP could have seen anything at all on this model."""
    sees = survives >= 0.5 and boundary.threshold > 0
    verdict = (
        "so a trigger like it would be seen" if sees else "so STRIP has little or no power on this model"
    )
    return (
        f"STRIP judges inputs and sees only triggers that survive an overlay: a self-made trigger keeps "
        f"{survives:.0%} of its overlaid copies, {verdict}. It is never a verdict on a model by itself."
    )
