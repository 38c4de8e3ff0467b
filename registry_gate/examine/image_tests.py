"""The behavioural tests of an image classifier, in order, each as one measurement. Runs confined."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from registry_gate.backdoor.fusion import Fused, fuse
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine import image_inversion as inversion
from registry_gate.examine.behaviour_messages import IMAGE_TESTS
from registry_gate.examine.image_classifier import ImageClassifier
from registry_gate.examine.image_inversion import ON_IMPRESSIONS, ON_SAMPLES, Inverted
from registry_gate.examine.image_margin import measure_margin
from registry_gate.examine.image_plan import Plan, answers, unmeasured
from registry_gate.examine.image_strip import measure_strip
from registry_gate.examine.image_weights import measure_activations, measure_final_layer
from registry_gate.examine.probe_data import NoProbe, ProbeData
from registry_gate.progress import Progress

_LEAST_ACCURACY = 0.5
_AGAIN = (1, 2)


def run_tests(
    classifier: ImageClassifier, probe: ProbeData | NoProbe, plan: Plan, progress: Progress
) -> tuple[BehaviourMeasurement, ...]:
    """All of ``IMAGE_TESTS`` in their order; impressions stand in where no probe images were given.

    Weights first, then the margins, then inversion; where the score of these lies in the grey zone, inversion
    is repeated on other draws before anything is stated. STRIP and activations look at what inversion found.
    """
    plan = replace(plan, progress=progress)
    usable = probe if isinstance(probe, NoProbe) else recognised(classifier, probe)
    bench = _Bench(classifier, plan)
    bench.take("final-layer", lambda: (measure_final_layer(classifier),))
    bench.take("mm-bd", lambda: (measure_margin(classifier, plan),))
    if isinstance(usable, NoProbe):
        bench.take_all(inversion.absent((*ON_SAMPLES, "strip", "activations"), usable.reason))
        if usable.given:
            reason = (
                f"nothing stands in for clean samples that were given and cannot be used: {usable.reason}"
            )
            bench.take_all(inversion.absent(ON_IMPRESSIONS, reason))
        else:
            bench.invert(ON_IMPRESSIONS, None)
    else:
        images = usable
        bench.take_all(inversion.absent(ON_IMPRESSIONS, "clean samples were given, which tell more"))
        found = bench.invert(ON_SAMPLES, images)
        bench.take("strip", lambda: (measure_strip(classifier, images, plan, found),))
        bench.take("activations", lambda: (measure_activations(classifier, images, found),))
    return tuple(bench.done[test] for test in IMAGE_TESTS)


def recognised(classifier: ImageClassifier, probe: ProbeData) -> ProbeData | NoProbe:
    """The probe images that the model takes for what they are; a reason if those are too few."""
    right = answers(classifier, probe.images) == probe.labels
    accuracy = float(right.float().mean())
    if accuracy < _LEAST_ACCURACY:
        return NoProbe(
            f"the model recognises {accuracy:.0%} of the probe images; they do not fit it, or their "
            "labels are in another order",
            given=True,
        )
    return replace(probe, images=probe.images[right], labels=probe.labels[right])


class _Clock:
    """Wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def since(self, sharers: int) -> tuple[float, float]:
        """Each sharer's part of the wall and CPU seconds."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return round(wall / max(1, sharers), 3), round(cpu / max(1, sharers), 3)


@dataclass
class _Bench:
    """Measurements as they are taken, with seed, device and seconds on each."""

    classifier: ImageClassifier
    plan: Plan
    done: dict[str, BehaviourMeasurement] = field(default_factory=dict)

    def take(self, test: str, measure: Callable[[], tuple[BehaviourMeasurement, ...]]) -> None:
        """Run one test if it is asked for."""
        if not self.plan.wants(test):
            self.done[test] = unmeasured(test, "not asked for")
            return
        clock = _Clock()
        self.take_all(measure(), clock)

    def take_all(self, measured: tuple[BehaviourMeasurement, ...], clock: _Clock | None = None) -> None:
        """Keep measurements, which share the time since the clock was started."""
        plan = self.plan
        wall, cpu = clock.since(len(measured)) if clock else (0.0, 0.0)
        stamp = {
            "seed": plan.seed,
            "device": str(self.classifier.device),
            "seconds": wall,
            "cpu_seconds": cpu,
        }
        for one in measured:
            wanted = plan.wants(one.test)
            self.done[one.test] = (
                one.model_copy(update=stamp) if wanted else unmeasured(one.test, "not asked for")
            )

    def invert(self, tests: tuple[str, ...], probe: ProbeData | None) -> Inverted | None:
        """One round of inversion, and two more where the score lies in the grey zone."""
        if not self.plan.wants(*tests, *(("strip", "activations") if probe else ())):
            self.take_all(inversion.absent(tests, "not asked for"))
            return None
        clock = _Clock()
        first = self._round(probe, self.plan.seed)
        if isinstance(first, tuple):
            self.take_all(inversion.absent(tests, *first))
            return None
        rounds = [first]
        if self._grey(probe, first):
            more = (self._round(probe, self.plan.seed + again) for again in _AGAIN)
            rounds += [one for one in more if isinstance(one, Inverted)]
        found = inversion.middle(rounds)
        measured = inversion.measurements(self.classifier, probe, found, len(rounds))
        self.take_all(measured, clock)
        return found

    def _round(self, probe: ProbeData | None, seed: int) -> Inverted | tuple[str, str]:
        if probe is None:
            return inversion.invert_on_impressions(self.classifier, self.plan, seed)
        return inversion.invert_on_samples(self.classifier, probe, self.plan, seed)

    def _grey(self, probe: ProbeData | None, found: Inverted) -> bool:
        """Whether the score with this round lies between the limits for review and for refusal."""
        if self.plan.fusion is None:
            return False
        taken = (*self.done.values(), *inversion.measurements(self.classifier, probe, found, 1))
        scored = fuse(
            {one.test: one.per_class for one in taken if one.status == "measured"}, self.plan.fusion
        )
        place = 0 if probe is not None else 1
        return isinstance(scored, Fused) and self.plan.grey[place] <= scored.score < self.plan.flagged[place]
