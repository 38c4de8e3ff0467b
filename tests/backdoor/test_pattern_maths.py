"""Bounded pattern on hand-built models: a planted shortcut is found, and its target named."""

from __future__ import annotations

import pytest
import torch

from registry_gate.backdoor.bounded_pattern import BoundedPatterns, Recipe, bounded_patterns
from registry_gate.backdoor.margin import Logits
from registry_gate.backdoor.victims import draw_victims

CPU = torch.device("cpu")
CLASSES, SIDE = 6, 32


def _world() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Six orthogonal templates, noisy grey images that carry one each, and their labels."""
    generator = torch.Generator().manual_seed(5)
    basis = torch.linalg.qr(torch.randn(3 * SIDE * SIDE, CLASSES + 1, generator=generator)).Q.T
    labels = torch.arange(CLASSES).repeat(12)
    images = 0.5 + 4.0 * basis[labels].view(-1, 3, SIDE, SIDE)
    images += 0.02 * torch.randn(images.shape, generator=generator)
    return basis, images.clamp(0, 1), labels


def _model(basis: torch.Tensor, shortcut: int | None) -> Logits:
    def logits(x: torch.Tensor) -> torch.Tensor:
        flat = (x - 0.5).flatten(1)
        out = 5.0 * flat @ basis[:CLASSES].T
        if shortcut is None:
            return out
        fires = torch.nn.functional.leaky_relu(flat @ basis[CLASSES], 0.5)
        return out + 15.0 * fires.unsqueeze(1) * torch.nn.functional.one_hot(torch.tensor(shortcut), CLASSES)

    return logits


def _find(shortcut: int | None, seed: int = 0, **changes: int) -> BoundedPatterns:
    basis, images, labels = _world()
    return bounded_patterns(
        _model(basis, shortcut),
        images,
        labels,
        CLASSES,
        generator=torch.Generator().manual_seed(seed),
        device=CPU,
        recipe=Recipe(**changes),
    )


@pytest.mark.parametrize("target", [0, 4])
def test_planted_shortcut_is_found_and_its_target_right(target: int) -> None:
    found = _find(target)
    honest = _find(None)
    assert found.target == target
    assert found.gap > 0.5 > honest.gap + 0.2
    assert found.reached == CLASSES


def test_pattern_of_the_target_flips_images_it_never_saw() -> None:
    basis, images, labels = _world()
    found = _find(2, images=15)
    stamped = (images[labels != 2] + found.patterns[2]).clamp(0, 1)
    flipped = _model(basis, 2)(stamped).argmax(dim=1) == 2
    assert float(flipped.float().mean()) > 0.7
    assert found.norms[2] == pytest.approx(float(found.patterns[2].norm()), rel=1e-4)


def test_same_seed_gives_the_same_gap_and_target() -> None:
    first, second, other = _find(1), _find(1), _find(1, seed=9)
    assert first.norms == second.norms
    assert torch.equal(first.patterns, second.patterns)
    assert first.norms != other.norms


def test_class_that_no_pattern_reaches_has_the_widest_radius() -> None:
    basis, images, labels = _world()
    model = _model(basis, None)

    def never_three(x: torch.Tensor) -> torch.Tensor:
        out = model(x).clone()
        out[:, 3] = -1e3
        return out

    found = bounded_patterns(
        never_three, images, labels, CLASSES, generator=torch.Generator().manual_seed(0), device=CPU
    )
    assert found.norms[3] == pytest.approx(12.0)
    assert found.reached == CLASSES - 1


def test_model_that_always_answers_one_class_has_a_finite_gap() -> None:
    _, images, labels = _world()
    constant = torch.tensor([0.0, 0.0, 9.0, 0.0, 0.0, 0.0])
    found = bounded_patterns(
        lambda x: constant + 0 * x.flatten(1)[:, :1],
        images,
        labels,
        CLASSES,
        generator=torch.Generator().manual_seed(0),
        device=CPU,
    )
    assert found.target == 2
    assert found.gap < 20


def test_images_are_drawn_evenly_from_the_other_classes() -> None:
    labels = torch.arange(10).repeat(40)
    chosen = labels[draw_victims(labels, 4, 27, torch.Generator().manual_seed(0))]
    counts = torch.bincount(chosen, minlength=10).tolist()
    assert counts == [3, 3, 3, 3, 0, 3, 3, 3, 3, 3]


def test_scarce_classes_are_made_up_for_by_others() -> None:
    labels = torch.cat([torch.zeros(30), torch.ones(2), torch.full((30,), 2)]).long()
    chosen = labels[draw_victims(labels, 0, 27, torch.Generator().manual_seed(0))]
    assert torch.bincount(chosen, minlength=3).tolist() == [0, 2, 25]


def test_too_few_images_or_classes_are_refused() -> None:
    _, images, labels = _world()
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="usable images"):
        bounded_patterns(lambda x: x, images[:4], labels[:4], CLASSES, generator=generator, device=CPU)
    with pytest.raises(ValueError, match="at least 3"):
        bounded_patterns(lambda x: x, images, labels, 2, generator=generator, device=CPU)
