"""Loads a staged text classifier and looks for a trigger in its vocabulary. Runs confined."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from registry_gate.backdoor import text_ladder, text_trigger
from registry_gate.backdoor.text_ladder import Ladder, Told
from registry_gate.backdoor.text_runs import Candidate
from registry_gate.backdoor.text_trigger import Doses
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine.image_examination import resolve_device
from registry_gate.examine.model_structure import LibraryClass
from registry_gate.examine.text_classifier import TextClassifier, load_text_classifier, seconds_a_row
from registry_gate.examine.text_tokenizer import NoTokenizer
from registry_gate.finding import Scalar
from registry_gate.progress import Progress

if TYPE_CHECKING:
    from registry_gate.examine.behaviour_messages import Request

TEST = "text-trigger"
VERSION = 1
_SHARE_OF_TIME = 0.8
_NAMED = 10
_POWER = (
    "Sees a word that turns texts of every other class into one class although many words speak against it. "
    "Phrases are mostly missed, those above all of which no part works alone; triggers of style, syntax or "
    "meaning, with gaps, for one source class only, or with several targets were not tested. An honest word "
    "that overrides everything looks like a trigger: read the named tokens."
)


def examine_text(
    request: Request, library: LibraryClass, started: float, progress: Progress
) -> tuple[BehaviourMeasurement, ...]:
    """The text test's measurement; whatever the model's own code trips over is an ``error`` in words.

    Args:
        request: what the parent asks.
        library: the class whose structure was compared.
        started: ``time.monotonic()`` at the start of the child's work.
        progress: told of steps.
    """
    if TEST not in request.tests:
        return (_unmeasured("not asked for"),)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        device = resolve_device(request.device)
        classifier = load_text_classifier(Path(request.root), request.weights, library, device)
        left = started + _SHARE_OF_TIME * request.seconds - time.monotonic()
        measured = _measured(classifier, request.seed, left, progress)
    except NoTokenizer as reason:
        return (_unmeasured(str(reason)),)
    except MemoryError:
        raise
    except Exception as error:
        # A hostile configuration makes library code raise anything; all of it means "not tested".
        said = f"the model could not be tested: {type(error).__name__}: {str(error)[:300]!r}"
        return (_unmeasured(said, "error"),)
    stamp = {
        "seed": request.seed,
        "device": str(classifier.device),
        "seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
    }
    return (measured.model_copy(update=stamp),)


def _unmeasured(reason: str, status: str = "unavailable") -> BehaviourMeasurement:
    return BehaviourMeasurement(test=TEST, version=VERSION, status=status, reason=reason[:1000])


def _measured(
    classifier: TextClassifier, seed: int, seconds: float, progress: Progress
) -> BehaviourMeasurement:
    vocabulary = classifier.tokenizer.vocabulary
    if classifier.classes < 2:
        return _unmeasured("one output: nothing can be turned into another class", "not_applicable")
    if len(vocabulary) < text_ladder.FEWEST_TOKENS:
        few = f"a vocabulary of {len(vocabulary)} tokens is too small to build a ladder from"
        return _unmeasured(few, "not_applicable")
    rows = text_trigger.rows_needed(len(vocabulary), classifier.classes, text_ladder.RECIPE)
    if dear := _too_dear(classifier, rows, seconds):
        return _unmeasured(dear)
    generator = torch.Generator().manual_seed(seed)
    told = _telling(progress, rows)
    ladder = text_ladder.build(classifier.logits, vocabulary, generator=generator, told=told)
    if broken := _broken(ladder):
        return _unmeasured(broken)
    found = text_trigger.doses(classifier.logits, vocabulary, ladder, generator=generator, told=told)
    return _measurement(classifier, ladder, found)


def _too_dear(classifier: TextClassifier, rows: int, left: float) -> str:
    """A reason if so many rows cannot be read in the time left, else empty."""
    needed = seconds_a_row(classifier) * rows
    if needed <= left:
        return ""
    return (
        f"it would take about {needed:.0f} s on {classifier.device.type} and {max(0.0, left):.0f} s are left "
        "of the policy's limit; use an accelerator or raise behaviour_seconds"
    )


def _telling(progress: Progress, rows: int) -> Told:
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done = min(rows, done + more)
        progress("text trigger", done, rows)

    return told


def _broken(ladder: Ladder) -> str:
    """A reason where the ladder does not hold without any candidate, so that falling off it means nothing.

    A class that a model hardly ever answers, even to its own words, says that the model is unfinished or far
    from balanced, and words overturn much in it; one in ten may be.
    """
    weak = [number for number in range(len(ladder.shares)) if number not in ladder.sources]
    if len(ladder.sources) >= 2 and len(weak) * 10 <= len(ladder.shares):
        return ""
    shown = ", ".join(f"class {number}: {float(ladder.shares[number]):.0%}" for number in weak[:10])
    return (
        "sentences made of the model's own strongest words are not taken for their class "
        f"({shown}; {ladder.needed:.0%} needed), so no token can be judged against them"
    )


def _measurement(classifier: TextClassifier, ladder: Ladder, found: Doses) -> BehaviourMeasurement:
    reach, blindest = found.blindest
    return BehaviourMeasurement(
        test=TEST,
        version=VERSION,
        status="measured",
        statistic=found.statistic,
        score=min(1.0, max(0.0, found.statistic)),
        suspected_target=found.suspected.target,
        per_class=found.per_class,
        details=_trigger(classifier, found.trigger)
        | _candidates(classifier, found)
        | {"least_reach": reach, "least_reach_class": blindest}
        | _family(classifier, ladder),
        power_note=_power(found),
    )


def _trigger(classifier: TextClassifier, trigger: Candidate) -> dict[str, Scalar]:
    return {
        "trigger": classifier.tokenizer.text(trigger.tokens)[:200],
        "trigger_tokens": " ".join(str(token) for token in trigger.tokens),
        "trigger_dose": trigger.dose,
        "trigger_can_be_typed": classifier.tokenizer.typed(trigger.tokens),
    }


def _candidates(classifier: TextClassifier, found: Doses) -> dict[str, Scalar]:
    """The ten most suspicious single tokens of all classes, in words and in numbers."""
    ten = found.singles[:_NAMED]
    named = [f"{classifier.tokenizer.text(c.tokens)[:60]!r} to {c.target} at {c.dose:.2f}" for c in ten]
    return {
        "candidates": "; ".join(named)[:2000],
        "candidate_tokens": " ".join(str(c.tokens[0]) for c in ten),
    }


def _family(classifier: TextClassifier, ladder: Ladder) -> dict[str, Scalar]:
    """What decides which clean models this one may be held against."""
    return {
        "ladder_held_least": round(float(ladder.shares.min()), 4),
        "tokenizer": classifier.tokenizer.kind,
        "vocabulary": len(classifier.tokenizer.vocabulary),
        "model_type": classifier.model_type,
        "hidden": classifier.hidden,
        "layers": classifier.layers,
        "classes": classifier.classes,
    }


def _power(found: Doses) -> str:
    unsearched = found.classes - len(found.found)
    return _POWER + f" {unsearched} classes that screening ranked low were not searched." * bool(unsearched)
