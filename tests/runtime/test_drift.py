"""Drift statistics against scipy's own tests, and their false alarms on data that did not drift."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import scipy.stats

from registry_gate.cli.app import run
from registry_gate.errors import UsageError
from registry_gate.runtime.drift import (
    ALPHA,
    Baseline,
    baseline_of,
    compare,
    find_surges,
    measure,
    read_baseline,
)
from registry_gate.runtime.predictions import Prediction

MODEL = "sha256:" + "1" * 64
BASELINE = Baseline(model=MODEL, counts={"a": 500, "b": 300, "c": 200})


def predictions(labels: list[str], model: str = MODEL) -> list[Prediction]:
    now = datetime.now(UTC)
    return [
        Prediction(
            at=now, model=model, input_hmac="0" * 64, input_size=1, output_sha256="0" * 64, label=label
        )
        for label in labels
    ]


def draw(generator: random.Random, count: int) -> list[str]:
    return generator.choices("abc", weights=(5, 3, 2), k=count)


def test_the_statistic_is_scipys() -> None:
    seen = Counter({"a": 40, "b": 30, "c": 60, "d": 3})
    statistic, p_value, _ = compare({**BASELINE.counts, "d": 0}, seen)
    table = [[500, 300, 200, 0], [40, 30, 60, 3]]
    expected = scipy.stats.chi2_contingency(table, correction=False)
    assert statistic == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue)


def test_psi_is_zero_for_the_same_and_symmetric() -> None:
    assert compare({"a": 100, "b": 100}, Counter(a=100, b=100))[2] == pytest.approx(0)
    there, back = (
        compare({"a": 90, "b": 10}, Counter(a=50, b=50))[2],
        compare({"a": 50, "b": 50}, Counter(a=90, b=10))[2],
    )
    assert there == pytest.approx(back)
    assert there > 0.2


def test_false_alarms_are_as_rare_as_promised() -> None:
    """200 honest logs of 1,000 predictions, baseline and log both drawn: at most a handful may alarm."""
    generator = random.Random(7)
    alarms = 0
    for _ in range(200):
        baseline = Baseline(model=MODEL, counts=dict(Counter(draw(generator, 1000))))
        alarms += bool(measure(predictions(draw(generator, 1000)), baseline).findings)
    assert alarms <= 3  # about 0.4 expected at ALPHA for each of two tests
    assert ALPHA == 0.001


def test_a_burst_of_the_target_class_is_found_where_the_whole_hides_it() -> None:
    generator = random.Random(3)
    labels = draw(generator, 3000) + ["c"] * 60 + draw(generator, 3000)
    found = measure(predictions(labels), BASELINE)
    assert {finding.rule for finding in found.findings} == {"drift-target-surge"}
    assert {surge.label for surge in found.surges} == {"c"}
    assert any(surge.start <= 3000 < surge.start + surge.size for surge in found.surges)


def test_a_class_never_seen_before_is_found() -> None:
    labels = draw(random.Random(1), 500) + ["new"] * 100
    assert "drift-target-surge" in {
        finding.rule for finding in measure(predictions(labels), BASELINE).findings
    }


def test_another_distribution_is_found() -> None:
    found = measure(predictions(random.Random(1).choices("abc", k=1000, weights=(1, 1, 6))), BASELINE)
    assert "drift-class-frequency" in {finding.rule for finding in found.findings}


def test_another_model_is_a_finding_even_if_nothing_else_can_be_said() -> None:
    found = measure(predictions(["a"], "sha256:" + "2" * 64), BASELINE)
    assert [finding.rule for finding in found.findings] == ["drift-other-model"]


@pytest.mark.parametrize("count", [0, 1, 99])
def test_too_few_is_no_answer(count: int) -> None:
    with pytest.raises(UsageError) as caught:
        measure(predictions(["a"] * count), BASELINE)
    assert caught.value.code == "too-few-predictions"


def test_a_small_baseline_does_not_cry_wolf() -> None:
    small = Baseline(model=MODEL, counts={"a": 3, "b": 2, "c": 1})
    assert find_surges(draw(random.Random(5), 1000), small, 200) == ()


@pytest.mark.parametrize("text", ["", "{}", '{"version":1,"model":"x","counts":{}}', '{"counts": {"a": -1}}'])
def test_a_bad_baseline(tmp_path: Path, text: str) -> None:
    (tmp_path / "baseline.json").write_text(text)
    with pytest.raises(UsageError) as caught:
        read_baseline(tmp_path / "baseline.json")
    assert caught.value.code == "bad-baseline"


def test_a_baseline_of_two_models_is_none() -> None:
    with pytest.raises(UsageError) as caught:
        baseline_of([*predictions(["a"] * 100), *predictions(["a"] * 100, "sha256:" + "2" * 64)])
    assert caught.value.code == "mixed-models"


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, baseline = tmp_path / "p.jsonl", tmp_path / "baseline.json"
    ordinary = predictions(draw(random.Random(2), 1000))
    log.write_bytes(b"".join(item.canonical() + b"\n" for item in ordinary))
    assert run(["drift", str(log), "--write-baseline", str(baseline)]) == 0
    assert run(["drift", str(log), "--baseline", str(baseline)]) == 0
    assert "no drift found" in capsys.readouterr().out
    surge = predictions(["a\x1b[2J"] * 80)
    log.write_bytes(log.read_bytes() + b"".join(item.canonical() + b"\n" for item in surge) + b"half")
    assert run(["drift", str(log), "--baseline", str(baseline), "--format", "json"]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["unreadable"] == 1
    assert said["surges"]
    assert run(["drift", str(log), "--baseline", str(baseline)]) == 2
    assert "\x1b" not in capsys.readouterr().out
    assert run(["predictions", str(log), "--label", "a\x1b[2J", "--limit", "3"]) == 2
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 3
    assert "\x1b" not in printed
    assert run(["predictions", str(log), "--input-hash", "ff"]) == 0
    assert run(["drift", str(log)]) == 1
