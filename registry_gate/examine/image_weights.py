"""The final layer and the units before it, as measurements. Runs confined."""

from __future__ import annotations

import torch

from registry_gate.backdoor import activations, final_layer
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine.image_classifier import ImageClassifier
from registry_gate.examine.image_inversion import Inverted, stamped
from registry_gate.examine.image_plan import VERSION, unmeasured
from registry_gate.examine.probe_data import ProbeData

_ROW_POWER = (
    "Weights only: sees a target whose row of the final layer was moved by planting it. Weak alone on small "
    "models, and blind to a backdoor that sits in the layers before."
)
_UNIT_POWER = (
    "Shows units and classes for a person to look at. Signals of this kind told trojaned from clean models "
    "hardly better than chance in earlier studies, and this one has no part in the score."
)
_VICTIMS = 60


def measure_final_layer(classifier: ImageClassifier) -> BehaviourMeasurement:
    """Signatures of the final layer's rows; the statistic is the largest row mean, in robust deviations."""
    layer = classifier.last
    if layer is None:
        return unmeasured("final-layer", "no linear layer gives the model's answer", "not_applicable")
    if classifier.classes < final_layer.FEWEST_CLASSES:
        reason = f"rows are compared from {final_layer.FEWEST_CLASSES} classes up"
        return unmeasured("final-layer", reason, "not_applicable")
    found = final_layer.row_signatures(layer.weight, layer.bias)
    largest = found.means[found.target]
    return BehaviourMeasurement(
        test="final-layer",
        version=VERSION,
        status="measured",
        statistic=largest,
        score=max(0.0, largest) / (max(0.0, largest) + 6.0),
        suspected_target=found.target,
        per_class=found.means,
        details={
            "layer": layer.name[:200],
            "largest_row_norm_deviations": round(max(found.sizes), 3),
            "largest_element_deviations": round(max(found.largest), 3),
            "largest_spectral_deviations": round(max(found.spectral), 3),
            "largest_bias_deviations": round(max(found.biases), 3) if found.biases else None,
        },
        power_note=_ROW_POWER,
    )


def measure_activations(
    classifier: ImageClassifier, probe: ProbeData, found: Inverted | None
) -> BehaviourMeasurement:
    """Dormant and extreme units on probe images; how foreign to each class is what its pattern drags in."""
    layer = classifier.last
    if layer is None:
        return unmeasured("activations", "no linear layer gives the model's answer", "not_applicable")
    if found is None:
        return unmeasured("activations", "no pattern to look at, because no inversion measured")
    dragged = tuple(
        _units(classifier, stamped(probe.images[probe.labels != label][:_VICTIMS], pattern))
        for label, pattern in enumerate(found.gained.patterns)
    )
    seen = activations.inspect_units(_units(classifier, probe.images), probe.labels, dragged)
    target = max(range(len(seen.novelty)), key=seen.novelty.__getitem__)
    return BehaviourMeasurement(
        test="activations",
        version=VERSION,
        status="measured",
        statistic=seen.novelty[target],
        suspected_target=target,
        per_class=seen.novelty,
        details={
            "units": seen.units,
            "dormant_units": seen.dormant,
            "extreme_units": seen.extreme,
        },
        power_note=_UNIT_POWER,
    )


def _units(classifier: ImageClassifier, images: torch.Tensor) -> torch.Tensor:
    if classifier.last is None or not len(images):
        return torch.zeros(0, 1)
    parts = torch.split(images, 256)
    return torch.cat([classifier.last.units(part.to(classifier.device)).cpu() for part in parts])
