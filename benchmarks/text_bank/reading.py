"""The text bank's models with what was measured of them, and which of them count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.text_bank.recipes import CLEAN, Recipe, bank, real_bank
from benchmarks.text_bank.score import Scored
from benchmarks.text_bank.train import Card
from registry_gate.candidate import Candidate, SourceKind
from registry_gate.checks.text_trigger import CHECK
from registry_gate.evidence import Behaviour, Evidence, SandboxReport, Structure
from registry_gate.finding import CheckResult
from registry_gate.policy import Policy
from registry_gate.version import VERSION

TOOK = 0.8
WORKS = 0.5


@dataclass(frozen=True)
class Model:
    """One model: its card and its measurement."""

    card: Card
    scored: Scored

    @property
    def recipe(self) -> Recipe:
        """What it was made by."""
        return self.card.recipe

    @property
    def usable(self) -> bool:
        """A model that works, and whose attack, if there was one, took."""
        return self.card.accuracy >= WORKS and (self.card.success is None or self.card.success >= TOOK)

    @property
    def statistic(self) -> float | None:
        """The test's, None where it gave none."""
        test = self.scored.test
        return test.statistic if test.status == "measured" else None

    @property
    def place(self) -> int | None:
        """Where a token of the trigger stands among the first ten candidates, from 1; None if nowhere."""
        named = str(self.scored.test.details.get("candidate_tokens", "")).split()
        places = [at for at, token in enumerate(named, 1) if int(token) in self.card.trigger_ids]
        return min(places, default=None)


def read_bank(models: Path, half: str | None = None, *, real: bool = False) -> list[Model]:
    """Every model that is trained and measured, in the bank's order."""
    found = []
    for recipe in real_bank() if real else bank():
        card, kept = models / f"{recipe.name}.json", models / "scores" / f"{recipe.name}.json"
        if half in (None, recipe.half) and card.is_file() and kept.is_file():
            found.append(Model(Card.from_json(card.read_bytes()), Scored.from_json(kept.read_bytes())))
    return found


def group(models: Sequence[Model], name: str) -> list[Model]:
    """The usable models of a group."""
    return [one for one in models if one.recipe.group == name and one.usable]


def judged(model: Model, policy: Policy) -> CheckResult:
    """What the gate's check makes of the measurement."""
    behaviour = Behaviour(
        sandbox=SandboxReport(mode="none", guarantees=()),
        structure=Structure(status="measured"),
        tests=(model.scored.test,),
    )
    evidence = Evidence(
        gate_version=VERSION,
        observed_at=datetime(2026, 1, 1, tzinfo=UTC),
        candidate=Candidate(kind=SourceKind.FOLDER, endpoint="", id=f"bank/{model.recipe.name}"),
        registered_name=f"bank--{model.recipe.name}",
        behaviour=behaviour,
    )
    return CHECK.run(evidence, policy)


def clean_statistics(models: Sequence[Model]) -> tuple[float, ...]:
    """Of usable clean models that measured."""
    found = (one.statistic for one in group(models, CLEAN))
    return tuple(sorted(value for value in found if value is not None))
