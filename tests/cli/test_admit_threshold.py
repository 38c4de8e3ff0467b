"""``admit --strip-threshold``: asked for in vain it is refused at once; else it holds the admission's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_gate.cli.admit import _threshold
from registry_gate.cli.app import run
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.report.document import ReleaseSection, Report
from tests.report.rich_evidence import evidence_of, report_of


@pytest.mark.parametrize("more", [(), ("--probe-data", "{}", "--dry-run")], ids=["no probe data", "dry run"])
def test_what_can_give_no_threshold_is_1_before_any_work(
    more: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [part.format(tmp_path) for part in more]
    assert run(["admit", "acme/net", "--strip-threshold", str(tmp_path / "strip.json"), *asked]) == 1
    assert "no-strip-threshold" in capsys.readouterr().err
    assert not (tmp_path / "strip.json").exists()


_STRIP = BehaviourMeasurement(
    test="strip",
    version=2,
    status="measured",
    statistic=0.0,
    details={
        "entropy_boundary_bits": 0.4,
        "clean_entropy_mean_bits": 1.2,
        "clean_entropy_std_bits": 0.3,
        "false_rejection_rate": 0.01,
        "overlays": 100,
        "inputs": 30,
    },
    power_note="sees little",
)
_DIGEST = "sha256:" + "cd" * 32


def _report(*, released: bool, measured: bool) -> Report:
    release = ReleaseSection.model_construct(manifest_digest=_DIGEST)
    strip = _STRIP if measured else _STRIP.model_copy(update={"status": "unavailable", "reason": "too few"})
    changed = {"release": release if released else None, "behaviour": (strip,)}
    return report_of(evidence_of()).model_copy(update=changed)


def test_threshold_is_of_the_signed_manifest() -> None:
    found = _threshold(_report(released=True, measured=True))
    assert found is not None
    assert (found.model_digest, found.threshold_bits, found.inputs) == (_DIGEST, 0.4, 30)


@pytest.mark.parametrize(
    ("released", "measured", "said"), [(False, True, "nothing was admitted"), (True, False, "too few")]
)
def test_without_admission_or_measurement_there_is_a_word_and_no_file(
    released: bool, measured: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _threshold(_report(released=released, measured=measured)) is None
    assert said in capsys.readouterr().err
