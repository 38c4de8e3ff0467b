"""The compiled loops and numpy say the same, and both what plain arithmetic says."""

import math
from pathlib import Path

import numpy as np
import pytest

from registry_gate.layer_names import is_final_layer
from registry_gate.layout import ITEMSIZE
from registry_gate.weights import kernels, low_bits, rows, statistics
from registry_gate.weights.number_kinds import values as table
from registry_gate.weights.rows import RowMeter, plain_rows, row_length
from registry_gate.weights.statistics import TensorMeter


def without_numba(monkeypatch):
    for module in (statistics, low_bits, rows):
        monkeypatch.setattr(module, "kernels", lambda: None)


def measure(dtype, data, length=0, cuts=(1001, 70_000)):
    meter, at = TensorMeter(dtype, length), 0
    for cut in (*cuts, len(data)):
        meter.update(memoryview(data)[at:cut])
        at = cut
    return meter.result()


@pytest.mark.parametrize("dtype", sorted(ITEMSIZE))
def test_numba_and_numpy_agree_on_random_bits(dtype, monkeypatch):
    pytest.importorskip("numba")
    data = np.random.default_rng(1).integers(0, 256, 50_000 * ITEMSIZE[dtype], dtype=np.uint8).tobytes()
    compiled = measure(dtype, data)
    without_numba(monkeypatch)
    plain = measure(dtype, data)
    exact = ("elements", "nan", "inf", "zeros", "minimum", "maximum", "histogram", "low_bits")
    for name in exact:
        assert getattr(compiled, name) == getattr(plain, name), name
    scale = max(abs(plain.minimum), abs(plain.maximum)) * plain.elements
    assert compiled.sketch == pytest.approx(plain.sketch, rel=1e-9, abs=1e-12 * scale)


@pytest.mark.parametrize("dtype", ["F16", "F32"])
def test_sketch_and_octaves_are_what_they_say(dtype):
    found = (np.random.default_rng(2).normal(size=999) * 3).astype(
        statistics.np.dtype(f"<f{ITEMSIZE[dtype]}")
    )
    found[5] = 0
    seen = measure(dtype, found.tobytes(), cuts=(7,))
    kinds = kernels.classes(0, 999).astype(int)
    wide = found.astype(np.float64)
    first = sum(np.where(kinds < 2, wide, -wide))
    assert seen.sketch[0] == pytest.approx(first, abs=1e-9)
    assert set(kinds.tolist()) == {0, 1, 2, 3}
    for octave, negative, positive in seen.histogram:
        inside = (np.abs(wide) >= 2.0**octave) & (np.abs(wide) < 2.0 ** (octave + 1))
        assert (negative, positive) == ((inside & (wide < 0)).sum(), (inside & (wide > 0)).sum())
    assert sum(n + p for _, n, p in seen.histogram) == 998 - (seen.zeros - 1)


def test_classes_do_not_follow_any_row_length():
    kinds = kernels.classes(0, 1 << 18).astype(int)
    for length in (32, 768, 1024, 4096):
        agree = float((kinds[length:] == kinds[:-length]).mean())
        assert 0.24 < agree < 0.26, length


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64", "F8_E4M3"])
@pytest.mark.parametrize("compiled", [True, False])
def test_row_norms_whatever_the_cut(dtype, compiled, monkeypatch):
    if not compiled:
        without_numba(monkeypatch)
    count, length = 50, 37
    data = (
        np.random.default_rng(3).integers(0, 60, count * length * ITEMSIZE[dtype], dtype=np.uint8).tobytes()
    )
    meter = RowMeter(dtype, length)
    kind = {"F16": "<u2", "BF16": "<u2", "F32": "<u4", "F64": "<f8"}.get(dtype, "u1")
    values = (
        meter._values(np.frombuffer(data, kind))
        if dtype in ("F32", "F64")
        else table(dtype)[np.frombuffer(data, kind)]
    )
    seen = measure(dtype, data, length, cuts=(3 * ITEMSIZE[dtype], 900)).rows
    norms = np.sqrt((values.reshape(count, length) ** 2).sum(axis=1))
    assert seen.count == count
    assert seen.median_norm == pytest.approx(float(np.median(norms)))
    assert seen.largest[0] == (int(np.argmax(norms)), pytest.approx(float(norms.max())))


def test_which_layers_are_final():
    for name in (
        "lm_head.weight",
        "classifier.weight",
        "fc.weight",
        "classifier.out_proj.weight",
        "head.weight",
    ):
        assert is_final_layer(name), name
    for name in ("encoder.layers.3.fc.weight", "lm_head.bias", "model.layers.0.self_attn.out_proj.weight"):
        assert not is_final_layer(name), name


def test_rows_are_outputs_of_matrices_and_convolutions():
    assert row_length((10, 32)) == 32 and row_length((4, 3, 5, 5)) == 75
    assert row_length((10,)) == row_length((10, 0)) == row_length((1, 8)) == row_length((1 << 19, 8)) == 0


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32"])
def test_rows_of_every_bit_pattern_are_those_of_numpy(dtype):
    """Subnormal, negative and non-finite elements: what the compiled loop adds is what the table says."""
    if dtype == "F32":
        bits = np.random.default_rng(1).integers(0, 1 << 32, 1 << 16, dtype=np.uint32)
        found = bits.view(np.float32).astype(np.float64)
    else:
        bits = np.arange(1 << 16, dtype=np.uint16)
        found = table(dtype)[bits]
    rows = len(bits) // 16
    sums, squares, expected, others = (np.zeros(rows) for _ in range(4))
    compiled = kernels.kernels()
    (compiled.rows_f16 if dtype == "F16" else compiled.rows_wide)(bits, 0, 16, sums, squares)
    plain_rows(found, 0, 16, expected, others)
    kept = np.where(np.isfinite(found), np.abs(found), 0).reshape(rows, 16).sum(axis=1)
    assert np.all(np.abs(sums - expected) <= 1e-6 * kept + 1e-40)
    assert np.all(np.abs(squares - others) <= 1e-5 * others + 1e-38)


def hidden(found, payload, mask):
    """The classic way: payload bytes in the lowest byte of consecutive weights."""
    bits = found.view(mask)
    bits[: len(payload)] = (bits[: len(payload)] & ~mask(255)) | np.frombuffer(payload, np.uint8)
    return found


def test_text_in_the_lowest_bytes_is_seen_and_what_training_leaves_is_not():
    generator = np.random.default_rng(4)
    payload = Path(low_bits.__file__).read_bytes() * 8
    for scale in (1e-4, 0.02, 1.0):
        found = (generator.normal(size=1 << 18) * scale).astype("<f4")
        assert measure("F32", found.tobytes()).low_bits < 1.1
        assert measure("F32", hidden(found, payload, np.uint32).tobytes()).low_bits > 1.5
    half = (generator.normal(size=1 << 18) * 0.02).astype("<f2")
    assert measure("F16", half.tobytes()).low_bits < 1.1
    encrypted = generator.integers(0, 256, 1 << 16, dtype=np.uint8).tobytes()
    found = (generator.normal(size=1 << 18) * 0.02).astype("<f4")
    assert measure("F32", hidden(found, encrypted, np.uint32).tobytes()).low_bits < 1.1  # as documented


def test_bits_that_carry_nothing_are_not_judged():
    upcast = (np.random.default_rng(5).normal(size=1 << 16)).astype("<f2").astype("<f4")
    assert measure("F32", upcast.tobytes()).low_bits is None
    assert measure("F32", np.ones(1 << 16, "<f4").tobytes()).low_bits is None
    assert measure("F32", np.zeros(1 << 16, "<f4").tobytes()).low_bits is None
    assert measure("I32", np.arange(1 << 16, dtype="<i4").tobytes()).low_bits is None


def test_counts_beyond_their_width_are_carried_over(monkeypatch):
    monkeypatch.setattr(statistics, "_FLUSH", 1000)
    found = np.arange(5000, dtype="<u2") % 7
    seen = measure("U16", found.tobytes(), cuts=(100, 3000, 3002, 9000))
    assert seen.elements == 5000
    assert seen.zeros == int((found == 0).sum())
    assert math.isclose(seen.mean, float(found.mean()))


def test_compiled_code_is_kept_only_where_nobody_else_can_write(tmp_path, monkeypatch):
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(tmp_path / "home"))
    folder = kernels._cache_folder()
    assert folder == tmp_path / "home/cache/numba"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert kernels._cache_folder() is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(tmp_path / "file"))
    assert kernels._cache_folder() is None
