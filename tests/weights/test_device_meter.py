"""Statistics on a torch device against the CPU's: the code that a GPU runs, on torch's CPU device."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate import triage as triage_module
from registry_gate.errors import Refused, ToolError, UsageError
from registry_gate.evidence import CopyPlan
from registry_gate.layout import ITEMSIZE
from registry_gate.policy import load_policy
from registry_gate.progress import silent
from registry_gate.triage import triage
from registry_gate.weights import device_meter, device_values, devices, kernels, measuring
from registry_gate.weights.device_meter import DeviceMeter
from registry_gate.weights.devices import Device, device_for, open_device
from registry_gate.weights.measuring import measure_file
from registry_gate.weights.statistics import TensorMeter

from .torch_plans import plan_for

DEVICE = open_device("cuda" if torch.cuda.is_available() else "cpu")
EXACT = ("elements", "nan", "inf", "zeros", "minimum", "maximum", "histogram", "low_bits")


def taken(meter, data, cuts):
    at = 0
    for cut in (*cuts, len(data)):
        meter.update(memoryview(data)[at:cut])
        at = cut
    return meter.result()


def assert_same(found, expected):
    for name in EXACT:
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("mean", "std"):
        seen, known = getattr(found, name), getattr(expected, name)
        assert (seen is None) == (known is None), name
        if known is not None:
            scale = max(abs(expected.minimum), abs(expected.maximum))
            assert math.isclose(seen, known, rel_tol=1e-9, abs_tol=1e-12 * scale), name
    assert (not found.sketch) == (not expected.sketch)
    if expected.sketch and expected.minimum is not None:
        scale = max(abs(expected.minimum), abs(expected.maximum)) * expected.elements
        assert found.sketch == pytest.approx(expected.sketch, rel=1e-9, abs=1e-12 * scale)
    assert (found.rows is None) == (expected.rows is None)
    if expected.rows:
        assert found.rows.count == expected.rows.count
        # the CPU adds halves in float32
        for name in ("median_norm", "norm_spread", "median_mean", "mean_spread"):
            near = pytest.approx(getattr(expected.rows, name), rel=1e-4, abs=1e-5 * expected.rows.median_norm)
            assert getattr(found.rows, name) == near, name
        norms = [norm for _, norm in expected.rows.largest]
        assert [norm for _, norm in found.rows.largest] == pytest.approx(norms, rel=1e-4)


def random_bits(dtype, count, seed=1):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, count * ITEMSIZE[dtype], dtype=np.uint8).tobytes()


@pytest.mark.parametrize("dtype", sorted(ITEMSIZE))
def test_every_kind_is_measured_as_the_cpu_measures_it(dtype):
    data = random_bits(dtype, 200_000)
    cuts = (1001, 70_000, 70_001)
    device, host = DeviceMeter(dtype, 0, DEVICE), TensorMeter(dtype)
    assert_same(taken(device, data, cuts), taken(host, data, cuts))


@settings(max_examples=25, deadline=None)
@given(
    dtype=st.sampled_from(sorted(ITEMSIZE)),
    seed=st.integers(0, 2**31),
    count=st.integers(1, 5000),
    length=st.integers(0, 700),
    cuts=st.lists(st.integers(0, 40_000), max_size=4),
)
def test_however_it_is_cut(dtype, seed, count, length, cuts):
    data = random_bits(dtype, count, seed)
    edges = sorted(cut % (len(data) + 1) for cut in cuts)
    device, host = DeviceMeter(dtype, length, DEVICE), TensorMeter(dtype, length)
    assert_same(taken(device, data, edges), taken(host, data, edges))


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64", "F8_E4M3"])
def test_rows_and_low_bits_of_weights(dtype, monkeypatch):
    monkeypatch.setattr(device_meter, "_PENDING", 3)
    kinds = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
    generator = torch.Generator().manual_seed(2)
    tensor = (torch.randn(700, 2001, generator=generator, dtype=torch.float64) * 0.02).to(
        kinds.get(dtype, torch.float8_e4m3fn)
    )
    data = tensor.view(torch.uint8).numpy().tobytes()
    cuts = range(1 << 20, len(data), 1 << 20)
    device, host = DeviceMeter(dtype, 2001, DEVICE), TensorMeter(dtype, 2001)
    found = taken(device, data, cuts)
    assert_same(found, taken(host, data, cuts))
    assert found.rows.count == 700
    assert found.low_bits is not None or dtype == "F8_E4M3"


def test_values_at_the_edges_of_their_kinds():
    odd = {
        "F64": np.array([1.7e308, 1.7e308, -1.0, 5e-324, math.nan], "<f8"),
        "F32": np.array([1e-45, -1e-45, 3.4e38, math.inf, -0.0], "<f4"),
        "C64": np.array([complex(math.inf, math.nan), complex(math.nan, 1), 3 + 4j, 0], "<c8"),
        "U64": np.array([2**64 - 1, 2**63, 2**53 + 1, 0], "<u8"),
        "I64": np.array([-(2**63), 2**63 - 1, 0], "<i8"),
        "U32": np.array([2**32 - 1, 0], "<u4"),
    }
    for dtype, values in odd.items():
        with np.errstate(all="ignore"):
            host = taken(TensorMeter(dtype), values.tobytes(), ())
        assert_same(taken(DeviceMeter(dtype, 0, DEVICE), values.tobytes(), ()), host)


def test_nothing_and_half_an_element():
    for dtype in sorted(ITEMSIZE):
        assert_same(DeviceMeter(dtype, 0, DEVICE).result(), TensorMeter(dtype).result())
    meter = DeviceMeter("F32", 0, DEVICE)
    meter.update(memoryview(b"\0" * 7))
    with pytest.raises(ValueError, match="whole element"):
        meter.result()


@pytest.mark.parametrize("start", [0, 1, 31, 32, 12345, (1 << 40) + 7])
def test_position_classes_are_those_of_the_cpu(start):
    found = device_values.classes(start, torch.empty(1000))
    assert found.tolist() == kernels.classes(start, 1000).astype(int).tolist()


def test_a_file_with_strided_and_tied_tensors(tmp_path):
    generator = torch.Generator().manual_seed(3)
    base = torch.randn(600, 500, generator=generator)
    state = {"a": base, "tied": base, "turned": base.t(), "half": base.half(), "small": torch.ones(3)}
    path = tmp_path / "pytorch_model.bin"
    torch.save(state, path)
    plan = plan_for(path).plans[0]
    host = measure_file(path, plan, tmp_path, lambda _: None)
    there = Device(DEVICE.torch_device, smallest=1000)
    device = measure_file(path, plan, tmp_path, lambda _: None, there.meter)
    assert [item.name for item in device] == [item.name for item in host]
    for found, expected in zip(device, host, strict=True):
        assert found.source_sha256 == expected.source_sha256
        assert_same(found, expected)
    assert isinstance(there.meter("F32", 0, 999), TensorMeter)


def test_a_device_that_is_not_there_is_said(monkeypatch):
    with pytest.raises(UsageError, match="not a device"):
        device_for("tpu", 0)
    assert device_for("cpu", 1 << 40) == (None, "cpu")
    monkeypatch.setattr(devices, "_nvidia", lambda: False)
    assert device_for("auto", 1 << 40) == (None, "cpu")
    if torch.cuda.is_available():
        return
    with pytest.raises(UsageError, match="cannot be used"):
        device_for("cuda", 0)
    monkeypatch.setattr(
        devices, "_nvidia", lambda: True
    )  # a driver's files, and a torch that cannot use them
    opened, words = device_for("auto", 1 << 40)
    assert opened is None and "could not be opened" in words
    assert "not worth" in device_for("auto", 1000)[1]


def test_a_device_that_fails_is_replaced_in_words_or_not_at_all(tmp_path, monkeypatch):
    torch.save({"w": torch.randn(64, 64)}, tmp_path / "model.pt")
    lame = Device(DEVICE.torch_device, smallest=0)

    def out_of_memory(_data: memoryview) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4 MiB\nmore")

    monkeypatch.setattr(lame, "upload", out_of_memory)
    monkeypatch.setattr(triage_module, "device_for", lambda asked, total: (lame, "lame"))
    policy = load_policy("default")
    report, found = triage(tmp_path / "model.pt", policy, None, silent, "auto")
    assert report.clean and report.tensors == 1
    assert report.device.startswith("cpu, because") and "out of memory" in report.device
    _, known = triage(tmp_path / "model.pt", policy, None, silent, "auto")
    assert found == known
    with pytest.raises(ToolError, match="out of memory"):
        triage(tmp_path / "model.pt", policy, None, silent, "cuda")


def test_both_ways_give_one_fingerprint_within_noise(tmp_path, monkeypatch):
    """A fingerprint taken on one device serves as a reference on another."""
    torch.save({"w": torch.randn(300, 300), "b": torch.randn(300).half()}, tmp_path / "model.pt")
    policy = load_policy("default")
    _, host = triage(tmp_path / "model.pt", policy, None, silent, "cpu")
    there = Device(DEVICE.torch_device, smallest=0)
    monkeypatch.setattr(triage_module, "device_for", lambda asked, total: (there, "there"))
    report, _ = triage(tmp_path / "model.pt", policy, host, silent, "cuda")
    assert report.drift == () and report.device == "there"


def plain_plan(path: Path, count: int) -> CopyPlan:
    torch.save({f"t{index}": torch.randn(3000, 2000).half() for index in range(count)}, path)
    return plan_for(path).plans[0]


def test_walks_side_by_side_find_what_one_walk_finds(tmp_path, monkeypatch):
    plan = plain_plan(tmp_path / "model.bin", 9)
    seen = []
    alone = measure_file(tmp_path / "model.bin", plan, tmp_path, seen.append)
    assert seen == sorted(seen)
    monkeypatch.setattr(measuring, "PART", 1 << 20)
    seen.clear()
    together = measure_file(tmp_path / "model.bin", plan, tmp_path, seen.append)
    for found, expected in zip(together, alone, strict=True):
        assert (found.name, found.source_sha256) == (expected.name, expected.source_sha256)
        assert_same(found, expected)
    assert seen == sorted(seen) and seen[-1] >= 9 * 12_000_000


def test_a_file_that_shrinks_under_a_walk_is_refused(tmp_path):
    plan = plain_plan(tmp_path / "model.bin", 4)

    def shrink(count: int) -> None:
        if count > 5_000_000:
            os.truncate(tmp_path / "model.bin", 6_000_000)

    with pytest.raises(Refused, match="changed its size"):
        measure_file(tmp_path / "model.bin", plan, tmp_path, shrink)
