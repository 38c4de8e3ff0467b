"""Row signatures, unit inspection and the bootstrap of MM-BD's law, on values with known answers."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from registry_gate.backdoor.activations import inspect_units
from registry_gate.backdoor.final_layer import deviations, row_signatures
from registry_gate.backdoor.outlier_law import bootstrap_p_values, outlier_p_values, reference_p_value


def _layer(seed: int = 0, classes: int = 10, units: int = 64) -> torch.Tensor:
    return torch.randn(classes, units, generator=torch.Generator().manual_seed(seed))


def test_a_shifted_row_is_named_by_its_mean() -> None:
    weight = _layer()
    weight[7] += 1.0
    found = row_signatures(weight)
    assert found.target == 7
    assert found.means[7] > 5


def test_a_row_along_one_direction_is_seen_in_the_spectrum() -> None:
    weight = 0.1 * _layer(1)
    weight[3] += 5 * torch.nn.functional.normalize(torch.randn(64), dim=0)
    found = row_signatures(weight)
    assert max(range(10), key=found.spectral.__getitem__) == 3
    assert found.biases == ()


def test_references_take_off_what_the_family_shares() -> None:
    base = _layer(2)
    base[4] += 3.0  # the family's own habit
    touched = base.clone()
    touched[8] += 0.5
    assert row_signatures(touched).target == 4
    referenced = row_signatures(touched, references=[base + 0.01 * _layer(n) for n in (5, 6)])
    assert (referenced.target, referenced.referenced) == (8, True)


def test_few_rows_and_references_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        row_signatures(torch.ones(4, 8))
    with pytest.raises(ValueError, match="shape"):
        row_signatures(_layer(), references=[torch.ones(10, 8)])


def test_deviations_of_equal_rows_are_bounded() -> None:
    assert max(map(abs, deviations(torch.tensor([1.0, 1.0, 1.0, 1.0, 9.0])))) <= 1000
    assert deviations(torch.zeros(5)) == (0.0,) * 5


def test_signatures_of_a_final_layer_of_two_million_weights_take_milliseconds() -> None:
    weight = torch.randn(1000, 2048)
    row_signatures(weight)
    started = time.process_time()
    row_signatures(weight)
    assert time.process_time() - started < 0.25  # the benchmark holds the bar; this is for gross slips


def test_dormant_extreme_and_foreign_units_are_counted() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(100)
    clean = torch.rand(300, 20, generator=generator)
    clean[:, 4] = 0.0
    clean[:, 9] = 0.0
    clean[17, 9] = 50.0
    own = tuple(clean[labels == label][:10] for label in range(3))
    foreign = own[1].clone()
    foreign[:, 4] = 9.0
    found = inspect_units(clean, labels, (own[0], foreign, own[2]))
    assert (found.units, found.dormant, found.extreme) == (20, 1, 1)
    assert max(range(3), key=found.novelty.__getitem__) == 1


def test_nothing_is_said_of_a_class_without_images() -> None:
    clean = torch.rand(20, 5)
    found = inspect_units(clean, torch.zeros(20, dtype=torch.long), (clean[:3], clean[:3]))
    assert found.novelty[1] == 0.0


def test_bootstrap_surrounds_the_p_value_and_narrows_with_agreeing_starts() -> None:
    largest = np.array([4.0, 5.0, 5.5, 6.0, 6.2, 7.0, 7.1, 8.0, 9.0, 14.0])
    noise = np.random.default_rng(1).random((10, 8))
    spread = bootstrap_p_values(largest[:, None] - 2 * noise, 200, np.random.default_rng(0))
    same = bootstrap_p_values(np.repeat(largest[:, None], 8, axis=1), 50, np.random.default_rng(0))
    assert np.ptp(same) == 0
    assert same[0] == pytest.approx(outlier_p_values(largest.tolist())[1], rel=0.1)
    assert np.quantile(spread, 0.05) < same[0] < np.quantile(spread, 0.95) * 3


def test_bootstrap_of_margins_without_a_law_is_one() -> None:
    assert bootstrap_p_values(np.ones((6, 4)), 5, np.random.default_rng(0)).tolist() == [1.0] * 5
    assert bootstrap_p_values(-np.ones((6, 4)), 5, np.random.default_rng(0)).tolist() == [1.0] * 5


def test_reference_law_judges_models_of_two_classes() -> None:
    clean = [10.0, 11.0, 9.5, 10.4, 10.8, 9.9, 10.1, 10.6]
    assert reference_p_value(30.0, clean) < 1e-6
    assert reference_p_value(10.3, clean) > 0.3
    with pytest.raises(ValueError, match="8 clean models"):
        reference_p_value(10.0, clean[:5])
