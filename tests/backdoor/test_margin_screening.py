"""MM-BD on models of thousands of classes: who is searched, that a target is found, what screening costs."""

from __future__ import annotations

import pytest
import torch

from registry_gate.backdoor import mmbd
from registry_gate.backdoor.margin import Logits

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
CLASSES = 1200


def _model(target: int | None, *, planted: float = 3.0) -> Logits:
    """A linear model of small random rows; a target's row has ``planted`` times the others' length."""
    weights = torch.randn(CLASSES, 64, generator=torch.Generator().manual_seed(5))
    weights /= weights.norm(dim=1, keepdim=True)
    if target is not None:
        weights[target] *= planted
    return lambda images: images.flatten(1) @ weights.T


def _searched(logits: Logits, seed: int = 0, profile: mmbd.Profile = mmbd.FAST) -> mmbd.MaximumMargins:
    draws = torch.Generator().manual_seed(seed)
    return mmbd.maximum_margins(logits, SHAPE, CLASSES, generator=draws, device=CPU, profile=profile)


@pytest.mark.parametrize("target", [0, 777, CLASSES - 1])
def test_planted_target_among_thousands_is_screened_in_and_found(target: int) -> None:
    found = _searched(_model(target))
    assert found.target == target
    assert found.p_value_located_at_zero < 0.05


def test_a_few_classes_stand_for_thousands_and_each_is_named_once() -> None:
    found = _searched(_model(None))
    assert len(found.searched) == len(set(found.searched)) == 2 * mmbd.KEPT
    assert list(found.searched) == sorted(found.searched)
    assert len(found.per_class) == len(found.images) == 2 * mmbd.KEPT
    assert found.target in found.searched
    assert found.largest == found.per_class[found.searched.index(found.target)]


def test_same_seed_screens_the_same_classes() -> None:
    first, second = (_searched(_model(7), seed=3) for _ in range(2))
    assert (first.searched, first.per_class) == (second.searched, second.per_class)


def test_target_that_starts_slowly_is_missed_by_screening() -> None:
    """The stated loss in power: a class whose margin opens only far from any random start is not kept."""
    slow = 900
    honest = _model(None)

    def logits(images: torch.Tensor) -> torch.Tensor:
        # Ten times the others' reach, but only where nearly every pixel is white.
        late = torch.nn.functional.relu(images.flatten(1).mean(dim=1, keepdim=True) - 0.9) * 500
        return honest(images) + late * torch.nn.functional.one_hot(torch.tensor(slow), CLASSES)

    assert slow not in _searched(logits).searched
