"""STRIP's entropies on known distributions, its boundary, and a model that a surviving trigger owns."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate.backdoor import strip


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_entropy_of_known_distributions_is_in_bits() -> None:
    logits = torch.tensor([[0.0] * 8, [100.0] + [0.0] * 7, [0.0, 0.0] + [-200.0] * 6])
    assert strip.entropy_bits(logits).tolist() == pytest.approx([3.0, 0.0, 1.0], abs=1e-9)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=12), st.floats(-20, 20))
@settings(max_examples=50, deadline=None)
def test_entropy_lies_between_nothing_and_uniform_and_ignores_shifts(row: list[float], shift: float) -> None:
    bits = float(strip.entropy_bits(torch.tensor([row], dtype=torch.float64)))
    moved = float(strip.entropy_bits(torch.tensor([row], dtype=torch.float64) + shift))
    assert -1e-9 <= bits <= math.log2(len(row)) + 1e-9
    assert moved == pytest.approx(bits, abs=1e-6)


def test_boundary_is_the_normal_quantile() -> None:
    boundary = strip.fit_boundary((1.0, 2.0, 3.0), 0.01)
    assert (boundary.mean, boundary.std, boundary.inputs) == (2.0, 1.0, 3)
    assert boundary.threshold == pytest.approx(2.0 - 2.3263478740408408)
    assert strip.flagged_share((-1.0, -0.3, 0.0, 5.0), boundary) == 0.25


def test_one_entropy_fits_no_law() -> None:
    with pytest.raises(ValueError, match="at least two"):
        strip.fit_boundary((1.0,), 0.01)


def _model(x: torch.Tensor) -> torch.Tensor:
    """Four classes by the brightest quadrant; a bright first pixel forces class 0 whatever else is there."""
    quadrants = torch.nn.functional.avg_pool2d(x.mean(dim=1, keepdim=True), 4).flatten(1)
    forced = 100.0 * torch.relu(x[:, :, 0, 0].mean(dim=1, keepdim=True) - 0.9)
    return 10.0 * quadrants + forced * torch.tensor([10.0, 0.0, 0.0, 0.0])


def _images(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 * torch.rand(count, 3, 8, 8, generator=generator)
    for number in range(count):
        row, column = divmod(number % 4, 2)
        images[number, :, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] += 0.3
    images[:, :, 0, 0] = 0.0
    return images


def test_trigger_that_survives_overlays_is_flagged_and_clean_inputs_are_not() -> None:
    clean, overlays = _images(40, 1), _images(60, 2)
    stamped = clean.clone()
    stamped[:, :, 0, 0] = 1.0
    generator = _generator()
    fitted = strip.overlaid(_model, clean[:20], overlays, generator=generator)
    boundary = strip.fit_boundary(fitted.entropies, 0.01)
    again = strip.overlaid(_model, clean[20:], overlays, generator=generator)
    trojaned = strip.overlaid(_model, stamped[1::4], overlays, generator=generator, target=0)
    assert strip.flagged_share(again.entropies, boundary) <= 0.2
    assert strip.flagged_share(trojaned.entropies, boundary) == 1.0
    assert trojaned.kept_share == 1.0
    assert again.kept_share is None


def test_same_seed_gives_the_same_entropies() -> None:
    clean, overlays = _images(8, 1), _images(20, 2)
    first = strip.overlaid(_model, clean, overlays, generator=_generator(), count=10)
    assert first == strip.overlaid(_model, clean, overlays, generator=_generator(), count=10)
    assert len(first.entropies) == 8


def test_overlay_of_black_leaves_the_entropy_of_the_input_itself() -> None:
    clean = _images(4, 1)
    laid = strip.overlaid(_model, clean, torch.zeros(1, 3, 8, 8), generator=_generator(), count=5)
    assert laid.entropies == pytest.approx(strip.entropy_bits(_model(clean)).tolist(), abs=1e-9)
