"""The run-time guard: a threshold file from an examination flags inputs that carry a strong trigger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from registry_gate.errors import UsageError
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.runtime import StripGuard
from registry_gate.runtime.strip_guard import read_threshold, threshold_of

DIGEST = "sha256:" + "ab" * 32
DETAILS = {
    "entropy_boundary_bits": 0.4,
    "clean_entropy_mean_bits": 1.2,
    "clean_entropy_std_bits": 0.3,
    "false_rejection_rate": 0.01,
    "overlays": 50,
    "inputs": 30,
}


def _strip(status: str = "measured", **changes: object) -> BehaviourMeasurement:
    return BehaviourMeasurement.model_validate(
        {
            "test": "strip",
            "version": 2,
            "status": status,
            "details": DETAILS | changes,
            "power_note": "sees little",
        },
        strict=False,
    )


def _logits(images: torch.Tensor) -> torch.Tensor:
    """Four classes by their quarter's brightness; a white corner pixel carries class 0 through overlays."""
    quarters = images.mean(dim=1).flatten(1).view(len(images), 4, -1).mean(dim=2)
    white = (images[:, 0, 0, 0] > 0.95).float()
    return 6 * quarters + 50 * white.unsqueeze(1) * torch.tensor([1.0, 0, 0, 0])


def _guard(path: Path, seed: int = 0) -> StripGuard:
    overlays = 0.6 * torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    path.write_bytes(threshold_of([_strip()], DIGEST).canonical())
    return StripGuard.from_file(path, _logits, overlays, seed=seed)


def _images(count: int = 6) -> torch.Tensor:
    return 0.3 * torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(2))


def test_inputs_that_carry_a_trigger_are_flagged_and_clean_ones_are_not(tmp_path: Path) -> None:
    guard = _guard(tmp_path / "strip.json")
    assert not any(seen.flagged for seen in guard.judge(_images()))
    carrying = _images()
    carrying[:, :, 0, 0] = 1.0
    assert all(seen.flagged and seen.entropy_bits < 0.4 for seen in guard.judge(carrying))


def test_same_seed_and_inputs_give_the_same_entropies(tmp_path: Path) -> None:
    first, second = (_guard(tmp_path / "strip.json").judge(_images()) for _ in range(2))
    assert first == second
    assert _guard(tmp_path / "strip.json", seed=9).judge(_images()) != first


def test_an_examination_without_strip_gives_no_threshold() -> None:
    with pytest.raises(UsageError, match="did not run"):
        threshold_of([], DIGEST)
    with pytest.raises(UsageError, match="no pattern"):
        threshold_of([_strip("unavailable").model_copy(update={"reason": "no pattern"})], DIGEST)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other/1"},
        {"model_digest": "md5:1"},
        {"overlays": 0},
        {"threshold_bits": "low"},
        {"more": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_threshold_file_that_was_changed_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    document = threshold_of([_strip()], DIGEST).model_dump(mode="json") | change
    (tmp_path / "strip.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="no threshold file"):
        read_threshold(tmp_path / "strip.json")


@pytest.mark.parametrize("data", [b"", b"[]", b"{" * 70_000], ids=["empty", "list", "deep and large"])
def test_file_that_is_no_threshold_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "strip.json").write_bytes(data)
    with pytest.raises(UsageError, match="no threshold file"):
        read_threshold(tmp_path / "strip.json")


def test_few_overlays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="overlays"):
        StripGuard(_logits, torch.rand(3, 3, 8, 8), threshold_of([_strip()], DIGEST))
