"""Margin gain, masks and impressions on hand-built models with planted shortcuts."""

from __future__ import annotations

import pytest
import torch

from registry_gate.backdoor.impressions import class_impressions
from registry_gate.backdoor.margin import Logits, margins
from registry_gate.backdoor.margin_gain import MarginGains, Recipe, margin_gains
from registry_gate.backdoor.mask_pattern import MaskPatterns, mask_patterns

CPU = torch.device("cpu")
CLASSES, SIDE = 6, 16


def _draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _world() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Six orthogonal templates, noisy grey images that carry one each, and their labels."""
    generator = _draws(5)
    basis = torch.linalg.qr(torch.randn(3 * SIDE * SIDE, CLASSES, generator=generator)).Q.T
    labels = torch.arange(CLASSES).repeat(12)
    images = 0.5 + 2.0 * basis[labels].view(-1, 3, SIDE, SIDE)
    images += 0.02 * torch.randn(images.shape, generator=generator)
    return basis, images.clamp(0, 1), labels


def _model(basis: torch.Tensor, corner: int | None) -> Logits:
    """The templates' classifier; a white corner of 3 x 3 pixels speaks for class ``corner``."""

    def logits(x: torch.Tensor) -> torch.Tensor:
        out = 5.0 * (x - 0.5).flatten(1) @ basis.T
        if corner is None:
            return out
        white = torch.nn.functional.leaky_relu(x[:, :, :3, :3].mean(dim=(1, 2, 3)) - 0.5, 0.5)
        return out + 60.0 * white.unsqueeze(1) * torch.nn.functional.one_hot(torch.tensor(corner), CLASSES)

    return logits


def _gains(corner: int | None, seed: int = 0) -> MarginGains:
    basis, images, labels = _world()
    model = _model(basis, corner)
    return margin_gains(
        model, images, labels, CLASSES, recipe=Recipe(1.0), generator=_draws(seed), device=CPU
    )


def _masks(corner: int | None, seed: int = 0) -> MaskPatterns:
    basis, images, labels = _world()
    return mask_patterns(_model(basis, corner), images, labels, CLASSES, generator=_draws(seed), device=CPU)


@pytest.mark.parametrize("corner", [0, 4])
def test_the_planted_class_gains_most_on_unseen_images(corner: int) -> None:
    found = _gains(corner).gains
    assert max(range(CLASSES), key=found.__getitem__) == corner
    rest = sorted(found)[:-1]
    assert max(found) > 1.3 * rest[-1]


def test_patterns_of_a_gain_keep_to_their_radius() -> None:
    assert float(_gains(2).patterns.flatten(1).norm(dim=1).max()) <= 1.0 + 1e-5


@pytest.mark.parametrize("corner", [1, 5])
def test_the_planted_corner_needs_the_smallest_mask(corner: int) -> None:
    found = _masks(corner)
    assert min(range(CLASSES), key=found.areas.__getitem__) == corner
    assert min(found.areas) < 0.5 * sorted(found.areas)[1]


def test_the_mask_lies_where_the_trigger_is_and_flips_what_it_never_saw() -> None:
    basis, images, labels = _world()
    found = _masks(3)
    mask, paint = found.masks[3], found.patterns[3]
    assert float(mask[:, :3, :3].mean()) > 5 * float(mask[:, 6:, 6:].mean())
    others = images[labels != 3]
    painted = others * (1 - mask) + mask * paint
    assert float((_model(basis, 3)(painted).argmax(dim=1) == 3).float().mean()) > 0.7


def test_a_class_that_no_mask_reaches_counts_as_the_whole_image() -> None:
    basis, images, labels = _world()
    model = _model(basis, None)

    def never_two(x: torch.Tensor) -> torch.Tensor:
        return model(x) - 1e3 * torch.nn.functional.one_hot(torch.tensor(2), CLASSES)

    found = mask_patterns(never_two, images, labels, CLASSES, generator=_draws(), device=CPU)
    assert found.areas[2] == 1.0


@pytest.mark.parametrize("search", [_gains, _masks])
def test_same_seed_gives_the_same_numbers_and_another_seed_others(search) -> None:
    def numbers(seed: int) -> tuple[float, ...]:
        found = search(2, seed)
        return found.gains if isinstance(found, MarginGains) else found.areas

    assert numbers(1) == numbers(1)
    assert numbers(1) != numbers(2)


def test_impressions_are_taken_for_their_class_and_stay_far_from_its_largest_margin() -> None:
    basis, _, _ = _world()
    model = _model(basis, None)
    images, labels = class_impressions(model, (3, SIDE, SIDE), CLASSES, generator=_draws(), device=CPU)
    assert torch.bincount(labels, minlength=CLASSES).tolist() == [6] * CLASSES
    reached = margins(model(images), labels)
    assert float(reached.min()) > 0
    assert float(reached.max()) < 6
    assert bool(((images >= 0) & (images <= 1)).all())


def test_impressions_of_a_class_that_is_never_answered_are_left_out() -> None:
    never = torch.tensor([0.0, 0.0, -1e3, 0.0])

    def logits(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :4] + never

    _, labels = class_impressions(logits, (1, 8, 8), 4, generator=_draws(), device=CPU)
    assert 2 not in labels.tolist()
