"""STRIP beside a served model, with the threshold that was fixed at admission.

    from registry_gate.runtime import StripGuard

    guard = StripGuard.from_file("strip.json", logits, overlays)
    for seen in guard.judge(images):
        if seen.flagged: ...

The threshold file is written by ``registry-gate admit`` or ``detect`` with ``--strip-threshold FILE``. STRIP
judges inputs and sees only triggers that survive being overlaid: read the file's power note before relying on
the guard.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, ValidationError

from registry_gate.errors import UsageError
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.record import Record

if TYPE_CHECKING:
    import torch

    from registry_gate.backdoor.margin import Logits

_MOST_BYTES = 1 << 16


class StripThreshold(Record):
    """The boundary that admission fitted: an input of lower mean entropy (bits) under overlays is flagged.

    ``model_digest`` is of the signed manifest at admission, of the weights as given in ``detect``.
    ``inputs`` clean images gave the normal law of ``clean_mean_bits`` and ``clean_std_bits``, each under
    ``overlays`` overlays; ``false_rejection_rate`` of clean inputs fall under the threshold by that law.
    """

    format: Literal["registry-gate/strip-threshold/1"] = "registry-gate/strip-threshold/1"
    model_digest: str = Field(pattern="^sha256:[0-9a-f]{64}$")
    threshold_bits: float
    clean_mean_bits: float
    clean_std_bits: float = Field(ge=0)
    false_rejection_rate: float = Field(gt=0, lt=1)
    overlays: int = Field(gt=0, le=10_000)
    inputs: int = Field(ge=2)
    power_note: str


class Judged(Record):
    """One input: its mean entropy under overlays in bits, and whether that lies under the threshold."""

    entropy_bits: float
    flagged: bool


class StripGuard:
    """Judges inputs of one model as they come, by the threshold fixed at admission.

    Args:
        logits: the served model, from images (N, channels, height, width) in [0, 1] to logits (N, classes).
        overlays: ten or more clean images (M, channels, height, width) in [0, 1], like those at admission.
        threshold: of the same model.
        seed: of the overlays drawn; the same inputs in the same order are judged alike.

    Raises:
        UsageError: ``bad-strip-overlays``: too few, or not four dimensions.
    """

    def __init__(
        self, logits: Logits, overlays: torch.Tensor, threshold: StripThreshold, *, seed: int = 0
    ) -> None:
        import torch

        if overlays.ndim != 4 or len(overlays) < 10:
            raise UsageError(
                "bad-strip-overlays",
                f"overlays of shape {tuple(overlays.shape)}",
                todo="give ten or more clean images (M, channels, height, width) in [0, 1]",
            )
        self.threshold = threshold
        self._logits, self._overlays = logits, overlays
        self._draws = torch.Generator().manual_seed(seed)

    @classmethod
    def from_file(cls, path: str | Path, logits: Logits, overlays: torch.Tensor, *, seed: int = 0) -> Self:
        """The guard of a threshold file.

        Raises:
            UsageError: ``bad-strip-threshold``: the file is not one; ``bad-strip-overlays``.
        """
        return cls(logits, overlays, read_threshold(Path(path)), seed=seed)

    def judge(self, images: torch.Tensor) -> tuple[Judged, ...]:
        """Entropy and verdict of each of the images (N, channels, height, width) in [0, 1]."""
        from registry_gate.backdoor import strip

        seen = strip.overlaid(
            self._logits,
            images,
            self._overlays.to(images.device),
            generator=self._draws,
            count=self.threshold.overlays,
        )
        limit = self.threshold.threshold_bits
        return tuple(Judged(entropy_bits=value, flagged=value < limit) for value in seen.entropies)


def read_threshold(path: Path) -> StripThreshold:
    """Read a threshold file.

    Raises:
        UsageError: ``bad-strip-threshold``.
    """
    try:
        data = path.read_bytes()
        if len(data) > _MOST_BYTES:
            raise ValueError(f"larger than {_MOST_BYTES} bytes")
        return StripThreshold.from_json(data)
    except (OSError, ValidationError, ValueError) as error:
        raise UsageError(
            "bad-strip-threshold",
            f"{path} is no threshold file: {str(error)[:200]}",
            todo="write one with registry-gate detect --strip-threshold FILE --probe-data CLEAN",
        ) from error


def threshold_of(tests: Iterable[BehaviourMeasurement], model_digest: str) -> StripThreshold:
    """The threshold that an examination fitted.

    Args:
        tests: the behaviour measurements; STRIP's must be among them and have measured.
        model_digest: of the weights examined.

    Raises:
        UsageError: ``no-strip-threshold``: STRIP did not measure; the message says why.
    """
    found = next((test for test in tests if test.test == "strip"), None)
    if found is None or found.status != "measured":
        raise UsageError(
            "no-strip-threshold",
            f"STRIP fitted no threshold: {found.reason if found else 'it did not run'}",
            todo="give --probe-data and --defense strip or all",
        )
    told = found.details
    return StripThreshold.model_validate(
        {
            "model_digest": model_digest,
            "threshold_bits": told["entropy_boundary_bits"],
            "clean_mean_bits": told["clean_entropy_mean_bits"],
            "clean_std_bits": told["clean_entropy_std_bits"],
            "false_rejection_rate": told["false_rejection_rate"],
            "overlays": told["overlays"],
            "inputs": told["inputs"],
            "power_note": found.power_note,
        }
    )
