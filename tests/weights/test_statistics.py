"""Every kind is compared with torch on the same bytes."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate.layout import ITEMSIZE
from registry_gate.weights.number_kinds import NARROW, values
from registry_gate.weights.statistics import TensorMeter

from .torch_plans import KINDS

TORCH = {name: kind for kind, name in KINDS.items()}


def measure(dtype, data, cuts=()):
    meter = TensorMeter(dtype)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for begin, end in itertools.pairwise(edges):
        meter.update(memoryview(data)[begin:end])
    return meter.result()


def oracle(dtype, data):
    tensor = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(TORCH[dtype])
    if dtype == "C64":
        nan, inf = torch.isnan(tensor), torch.isinf(tensor) & ~torch.isnan(tensor)
        wide = torch.where(nan, torch.nan, tensor.to(torch.complex128).abs())
    elif dtype == "BOOL":
        wide = (torch.frombuffer(bytearray(data), dtype=torch.uint8) != 0).to(torch.float64)
        nan = inf = torch.zeros(len(wide), dtype=torch.bool)
    else:
        wide = tensor.to(torch.float32).to(torch.float64) if "F8" in dtype else tensor.to(torch.float64)
        nan, inf = torch.isnan(wide), torch.isinf(wide)
    finite = wide[torch.isfinite(wide)]
    found = {
        "elements": wide.numel(),
        "nan": int(nan.sum()),
        "inf": int(inf.sum()),
        "zeros": int((wide == 0).sum()),
    }
    if len(finite):
        found |= {
            "minimum": finite.min().item(),
            "maximum": finite.max().item(),
            "mean": finite.mean().item(),
            "std": finite.std(unbiased=False).item(),
        }
    return found


def test_every_stageable_kind_has_an_oracle():
    assert set(TORCH) == set(ITEMSIZE)


@pytest.mark.parametrize("dtype", sorted(ITEMSIZE))
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**31), count=st.integers(1, 3000), cuts=st.lists(st.integers(0, 30000), max_size=4)
)
def test_agrees_with_torch_on_random_bits_however_they_are_cut(dtype, seed, count, cuts):
    generator = torch.Generator().manual_seed(seed)
    data = bytes(
        torch.randint(0, 256, (count * ITEMSIZE[dtype],), dtype=torch.uint8, generator=generator).tolist()
    )
    found, expected = measure(dtype, data, cuts), oracle(dtype, data)
    for name, value in expected.items():
        seen = getattr(found, name)
        if seen is None:  # float64 cannot hold the moments of random float64 bits
            assert dtype in ("F64", "C64") and name in ("mean", "std"), name
        elif name in ("mean", "std") and not math.isfinite(value):
            assert dtype == "F64", name  # torch's own sum overflowed, ours need not
        elif name in ("mean", "std"):
            scale = max(abs(expected["minimum"]), abs(expected["maximum"]))
            assert math.isclose(seen, value, rel_tol=1e-9, abs_tol=1e-9 * scale), name
        elif dtype == "C64":  # two square roots may differ in the last bit
            assert math.isclose(seen, value, rel_tol=1e-14), name
        else:
            assert seen == value, name


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "F64"])
def test_agrees_with_torch_on_trained_looking_weights(dtype):
    generator = torch.Generator().manual_seed(0)
    tensor = (torch.randn(300_001, generator=generator) * 0.02 + 5).to(TORCH[dtype])
    data = bytes(tensor.view(torch.uint8).numpy())
    found, expected = measure(dtype, data, (7, 100_001)), oracle(dtype, data)
    assert found.mean == pytest.approx(expected["mean"], rel=1e-12)
    assert found.std == pytest.approx(expected["std"], rel=1e-9)


@pytest.mark.parametrize("dtype", sorted(NARROW - {"BOOL"}))
def test_the_table_of_values_is_torchs(dtype):
    bits = 8 * ITEMSIZE[dtype]
    raw = torch.arange(1 << bits, dtype=torch.int32)
    patterns = (raw.to(torch.uint8) if bits == 8 else raw.to(torch.uint16)).view(TORCH[dtype])
    expected = patterns.to(torch.float32).to(torch.float64)
    assert torch.allclose(torch.tensor(values(dtype)), expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", sorted(ITEMSIZE))
def test_an_empty_tensor_has_no_values(dtype):
    found = measure(dtype, b"")
    assert (found.elements, found.nan, found.inf, found.zeros) == (0, 0, 0, 0)
    assert found.minimum is found.maximum is found.mean is found.std is None


def test_no_finite_element_leaves_no_mean():
    data = bytes(torch.tensor([math.nan, math.inf, -math.inf]).view(torch.uint8).numpy())
    found = measure("F32", data)
    assert (found.nan, found.inf, found.zeros, found.mean, found.minimum) == (1, 2, 0, None, None)


def test_negative_zero_is_zero_and_a_nan_wins_nothing():
    data = bytes(torch.tensor([-0.0, math.nan, 3.0, -7.0]).view(torch.uint8).numpy())
    found = measure("F32", data)
    assert (found.zeros, found.nan, found.minimum, found.maximum) == (1, 1, -7.0, 3.0)


def test_moments_beyond_float64_are_absent_not_wrong():
    data = bytes(torch.tensor([1.7e308, 1.7e308, -1.0], dtype=torch.float64).view(torch.uint8).numpy())
    found = measure("F64", data)
    assert found.maximum == 1.7e308
    assert found.std is None


@pytest.mark.parametrize("dtype", ["F16", "F32", "F64"])
def test_half_an_element_is_an_error(dtype):
    with pytest.raises(ValueError, match="whole element"):
        measure(dtype, b"\0" * (ITEMSIZE[dtype] * 3 - 1))
