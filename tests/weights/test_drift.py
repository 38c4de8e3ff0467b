"""The four edits are seen and the noise of fine-tuning is not, over many shapes and kinds."""

import pytest
import torch
from blake3 import blake3

from benchmarks.drift import SHAPES
from registry_gate.errors import UsageError
from registry_gate.evidence import TensorMeasurement
from registry_gate.weights.drift import KINDS as DRIFT_KINDS
from registry_gate.weights.drift import divergence, drift
from registry_gate.weights.fingerprint import fingerprint, read_fingerprint, write_fingerprint
from registry_gate.weights.statistics import TensorMeter

from .torch_plans import KINDS


def measured(tensor, name="t", file="model.safetensors"):
    data = tensor.contiguous().view(torch.uint8).numpy().tobytes()
    digest = blake3(data).hexdigest()
    meter = TensorMeter(KINDS[tensor.dtype])
    meter.update(memoryview(data))
    return TensorMeasurement(
        name=name,
        file=file,
        dtype=KINDS[tensor.dtype],
        shape=tuple(tensor.shape),
        source_blake3=digest,
        staged_blake3=digest,
        **vars(meter.result()),
    )


def printed(tensor):
    return fingerprint([measured(tensor)])


def weights(shape, seed, mean, dtype):
    generator = torch.Generator().manual_seed(seed)
    spread = 0.05 if mean else 0.02
    base = (torch.randn(shape, generator=generator) * spread + mean).to(dtype)
    return base, generator


# Float8 cannot hold weights about 1 that differ by a twentieth: only those about 0 are asked of it.
CASES = [(dtype, 0.0) for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn)]
CASES += [(dtype, 1.0) for dtype in (torch.float32, torch.float16, torch.bfloat16)]


def test_there_are_as_many_shapes_as_asked_for():
    assert len(set(SHAPES)) >= 20


@pytest.mark.parametrize(("dtype", "mean"), CASES)
def test_four_edits_are_seen_in_every_shape(dtype, mean):
    for seed, shape in enumerate(SHAPES):
        base, generator = weights(shape, seed, mean, dtype)
        reference, wide = printed(base), base.float()
        planted = wide.clone().flatten()
        planted[len(planted) // 3] = wide.abs().max() * 3
        order = torch.randperm(wide.numel(), generator=generator)
        edits = {
            "shift": wide + 0.5 * wide.std(),
            "rescale": wide * 1.25,
            "shuffle": wide.flatten()[order].reshape(shape),
            "planted": planted.reshape(shape),
        }
        for name, edited in edits.items():
            found = drift(reference, printed(edited.to(dtype)))
            assert found, (name, shape)
            assert {item.kind for item in found} <= set(DRIFT_KINDS)


@pytest.mark.parametrize(("dtype", "mean"), CASES)
def test_the_noise_of_fine_tuning_is_not(dtype, mean):
    for seed, shape in enumerate(SHAPES):
        base, generator = weights(shape, seed, mean, dtype)
        reference, wide = printed(base), base.float()
        noise = 1e-3 * torch.randn(shape, generator=generator)
        for changed in (wide * (1 + noise), wide + wide.std() * noise, wide):
            assert drift(reference, printed(changed.to(dtype))) == (), shape


def test_rows_that_change_places_are_seen():
    base, _ = weights((64, 4096), 1, 0.0, torch.float16)
    swapped = base.clone()
    swapped[[3, 4]] = base[[4, 3]]
    assert {item.kind for item in drift(printed(base), printed(swapped))} == {"sketch"}


def test_one_planted_value_does_not_move_the_histogram():
    """The fault of histograms over each tensor's own range."""
    base, _ = weights((256, 256), 1, 0.0, torch.float32)
    planted = base.clone()
    planted[3, 4] = 99.0
    before, after = printed(base), printed(planted)
    assert divergence(before.tensors[0], after.tensors[0]) < 1e-3
    assert "extreme" in {item.kind for item in drift(before, after)}


def test_nan_tensors_added_removed_and_reshaped_are_changes():
    base, _ = weights((30, 30), 1, 0.0, torch.float32)
    spoilt = base.clone()
    spoilt[0, 0] = float("nan")
    assert {item.kind for item in drift(printed(base), printed(spoilt))} >= {"non-finite"}
    assert [item.kind for item in drift(printed(base), printed(base.reshape(900)))] == ["shape"]
    assert "dtype" in {item.kind for item in drift(printed(base), printed(base.half()))}
    two = fingerprint([measured(base), measured(base, "u")])
    assert [(item.kind, item.tensor) for item in drift(printed(base), two)] == [("added", "u")]
    assert [(item.kind, item.tensor) for item in drift(two, printed(base))] == [("removed", "u")]
    assert drift(printed(base), printed(base * 0))
    assert drift(printed(base * 0), printed(base))
    assert drift(printed(base), printed(base * float("inf")))


def test_modules_with_equal_names_are_kept_apart():
    tensors = [measured(torch.ones(3), file=name) for name in ("a.safetensors", "2_Dense/a.safetensors")]
    assert [item.name for item in fingerprint(tensors).tensors] == ["2_Dense/t", "t"]


def test_a_fingerprint_survives_the_disk_and_nonsense_is_refused(tmp_path):
    found = printed(torch.randn(7, 8))
    write_fingerprint(found, tmp_path / "print.json")
    assert read_fingerprint(tmp_path / "print.json") == found
    twice = found.model_copy(update={"tensors": found.tensors * 2})
    (tmp_path / "twice.json").write_bytes(twice.canonical())
    (tmp_path / "other.json").write_text('{"version": 2, "tensors": []}')
    (tmp_path / "text.json").write_text("hello")
    for name in ("twice.json", "other.json", "text.json", "absent.json"):
        with pytest.raises(UsageError) as caught:
            read_fingerprint(tmp_path / name)
        assert caught.value.code == "bad-fingerprint"
    with pytest.raises(UsageError):
        write_fingerprint(found, tmp_path / "no/such/folder.json")
