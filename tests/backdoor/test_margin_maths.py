"""MM-BD against a hand-made model with a known answer and against an independent plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from registry_gate.backdoor import mmbd, outlier_law
from registry_gate.backdoor.margin import groups, margins

CPU = torch.device("cpu")
SHAPE = (3, 6, 6)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _small_net(seed: int, classes: int = 6) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 16, classes)
        )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3)
    return net.eval().requires_grad_(False)


def _plain_loop(net: torch.nn.Module, classes: int, seed: int) -> tuple[list[float], float]:
    """The reference's loop, class by class, written from its description and sharing no code.

    Statistics and p-value; the starts are drawn in the order of the classes, as ours are.
    """
    draws = _generator(seed)
    starts = [torch.rand(30, *SHAPE, generator=draws) for _ in range(classes)]
    found = []
    for target, start in enumerate(starts):
        images, last = start, None
        for _ in range(300):
            images = images.detach().requires_grad_()
            out = net(images.clamp(0, 1))
            others = torch.cat([out[:, :target], out[:, target + 1 :]], dim=1)
            loss = -(out[:, target] - others.max(dim=1).values).sum()
            loss.backward()
            images = images - 0.01 * images.grad
            if last is not None and abs(last - loss.item()) / abs(last) < 1e-5:
                break
            last = loss.item()
        out = net(images.detach().clamp(0, 1))
        others = torch.cat([out[:, :target], out[:, target + 1 :]], dim=1)
        found.append(float((out[:, target] - others.max(dim=1).values).max()))
    shape, location, scale = stats.gamma.fit(sorted(found)[:-1])
    return found, 1 - stats.gamma.cdf(max(found), shape, location, scale) ** classes


def test_margins_are_the_logit_minus_the_largest_other() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [-1.0, -5.0, -1.0]])
    assert margins(logits, torch.tensor([0, 1, 2])).tolist() == [1.0, -2.0, 0.0]


@pytest.mark.parametrize("most", [1, 7, 30, 1000])
def test_groups_cover_every_class_once(most: int) -> None:
    parts = groups(11, 3, most)
    assert [index for part in parts for index in part] == list(range(11))
    assert all(len(part) * 3 <= max(3, most) for part in parts)


@pytest.mark.parametrize("profile", [mmbd.PAPER, mmbd.FAST], ids=lambda p: p.name)
def test_linear_model_reaches_its_known_margins(profile: mmbd.Profile) -> None:
    """Each class sums its own block of 18 pixels: the best image is white there and black elsewhere."""
    gains = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    weights = torch.zeros(6, 108)
    for label in range(6):
        weights[label, label * 18 : (label + 1) * 18] = gains[label]
    found = mmbd.maximum_margins(
        lambda x: x.flatten(1) @ weights.T, SHAPE, 6, generator=_generator(0), device=CPU, profile=profile
    )
    known = 18 * gains
    assert found.target == 5
    assert np.allclose(found.per_class, known, rtol=0.02)
    assert all(value <= best + 1e-3 for value, best in zip(found.per_class, known.tolist(), strict=True))


@pytest.mark.parametrize("seed", [1, 2])
def test_published_profile_agrees_with_an_independent_loop(seed: int) -> None:
    net = _small_net(seed + 2)
    found = mmbd.maximum_margins(net, SHAPE, 6, generator=_generator(seed), device=CPU)
    loop, p_value = _plain_loop(net, 6, seed)
    assert np.allclose(found.per_class, loop, rtol=0.05)
    assert found.target == int(np.argmax(loop))
    assert found.p_value == pytest.approx(p_value, rel=0.05, abs=0.01)


def test_batched_profile_finds_no_smaller_margins() -> None:
    net = _small_net(4)
    published = mmbd.maximum_margins(net, SHAPE, 6, generator=_generator(1), device=CPU)
    batched = mmbd.maximum_margins(net, SHAPE, 6, generator=_generator(2), device=CPU, profile=mmbd.FAST)
    assert all(b >= 0.999 * p for b, p in zip(batched.per_class, published.per_class, strict=True))


def test_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    net = _small_net(5)

    def run(seed: int) -> mmbd.MaximumMargins:
        return mmbd.maximum_margins(net, SHAPE, 6, generator=_generator(seed), device=CPU, profile=mmbd.FAST)

    assert run(0).per_class == run(0).per_class
    assert run(0).per_class != run(1).per_class


def test_groups_of_classes_change_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    net = _small_net(6)
    whole = mmbd.maximum_margins(net, SHAPE, 6, generator=_generator(0), device=CPU, profile=mmbd.FAST)
    monkeypatch.setattr(mmbd, "_MOST_ROWS", 8)
    parts = mmbd.maximum_margins(net, SHAPE, 6, generator=_generator(0), device=CPU, profile=mmbd.FAST)
    assert np.allclose(whole.per_class, parts.per_class, rtol=1e-3)


def test_stop_rule_ends_a_constant_model_after_two_steps() -> None:
    weights = torch.zeros(6, 108)
    bias = torch.arange(6.0)
    found = mmbd.maximum_margins(
        lambda x: x.flatten(1) @ weights.T + bias, SHAPE, 6, generator=_generator(0), device=CPU
    )
    assert found.steps == 2
    assert found.per_class[5] == 1.0


def test_progress_counts_up_to_its_total() -> None:
    seen: list[tuple[int, int]] = []
    mmbd.maximum_margins(
        _small_net(1),
        SHAPE,
        6,
        generator=_generator(0),
        device=CPU,
        profile=mmbd.FAST,
        report=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (60, 60)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_four_classes_have_statistics_but_no_law() -> None:
    found = mmbd.maximum_margins(
        lambda x: x.flatten(1)[:, :4], SHAPE, 4, generator=_generator(0), device=CPU, profile=mmbd.FAST
    )
    assert len(found.per_class) == 4
    assert (found.p_value, found.p_value_located_at_zero, found.p_interval) == (1.0, 1.0, (1.0, 1.0))


def test_one_class_has_no_margin() -> None:
    with pytest.raises(ValueError, match="two classes"):
        mmbd.maximum_margins(lambda x: x.flatten(1)[:, :1], SHAPE, 1, generator=_generator(0), device=CPU)


def test_p_value_follows_the_published_formula() -> None:
    values = [4.0, 5.0, 5.5, 6.0, 6.2, 7.0, 7.1, 8.0, 9.0, 14.0]
    free, at_zero = outlier_law.outlier_p_values(values)
    law = stats.gamma.fit(values[:-1])
    assert free == pytest.approx(1 - stats.gamma.cdf(14.0, *law) ** 10, rel=1e-6)
    fixed = stats.gamma.fit(values[:-1], floc=0.0)
    assert at_zero == pytest.approx(1 - stats.gamma.cdf(14.0, *fixed) ** 10, rel=1e-6)
    assert free < 0.05


def test_p_value_of_an_outlier_is_smaller_than_of_none() -> None:
    rest = [4.0, 5.0, 5.5, 6.0, 6.2, 7.0, 7.1, 8.0, 9.0]
    assert outlier_law.outlier_p_values([*rest, 30.0])[0] < outlier_law.outlier_p_values([*rest, 9.5])[0]


@pytest.mark.parametrize("values", [[3.0] * 8, [1.0, 2.0, 3.0, 4.0, float("nan")]])
def test_p_value_is_one_where_no_law_fits(values: list[float]) -> None:
    assert outlier_law.outlier_p_values(values)[0] == 1.0
