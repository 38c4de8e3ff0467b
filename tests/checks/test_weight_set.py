from datetime import UTC, datetime

import pytest

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.checks.weight_set import CHECK
from registry_gate.evidence import (
    CopyPlan,
    Evidence,
    Problem,
    Staged,
    TensorMeasurement,
    TensorSource,
    WeightSet,
)
from registry_gate.finding import Severity, Status
from registry_gate.policy import load_policy

POLICY = load_policy("default")
TENSOR = TensorSource(name="w", dtype="F32", shape=(2,), storage="0", offset=0, nbytes=8)
PLAN = CopyPlan(source="pytorch_model.bin", target="model.safetensors", tensors=(TENSOR,))
MEASURED = TensorMeasurement(
    name="w",
    file="model.safetensors",
    dtype="F32",
    shape=(2,),
    source_blake3="a" * 64,
    staged_blake3="a" * 64,
    elements=2,
    nan=0,
    inf=0,
    zeros=0,
)


def judge(**seen):
    return CHECK.run(
        Evidence(
            gate_version="0",
            observed_at=datetime(2026, 1, 1, tzinfo=UTC),
            candidate=Candidate(kind=SourceKind.FOLDER, endpoint="", id="a/b"),
            registered_name="a--b",
            **seen,
        ),
        POLICY,
    )


def test_one_set_is_fine_and_leftovers_are_recorded():
    chosen = WeightSet(
        plans=(PLAN,), carried=("config.json",), left_behind=(("tf_model.h5", "other weights"),)
    )
    result = judge(weight_set=chosen, staged=Staged(files=(), tensors=(MEASURED,)))
    assert result.status is Status.NO_FINDINGS
    assert result.measurements["left_behind"] == 1
    assert "tf_model.h5" in result.measurements["left_behind_first"]
    assert result.measurements["tensors"] == 1


def test_no_weights_is_high():
    result = judge(weight_set=WeightSet(problems=(Problem(code="no-weights", detail="nothing"),)))
    assert [(item.rule, item.severity) for item in result.findings] == [("no-weights", Severity.HIGH)]


def test_weights_that_cannot_be_staged_are_not_looked_at():
    result = judge(weight_set=WeightSet(problems=(Problem(code="not-convertible", detail="legacy"),)))
    assert result.status is Status.UNAVAILABLE
    assert "legacy" in result.reason


def test_an_empty_set_without_a_reason_is_not_fine_either():
    assert judge(weight_set=WeightSet()).status is Status.UNAVAILABLE


@pytest.mark.parametrize("code", ["bytes-changed", "bad-copy-plan"])
def test_a_refused_conversion_is_critical(code):
    result = judge(weight_set=WeightSet(plans=(PLAN,)), refusals=(Problem(code=code, detail="why"),))
    assert [(item.rule, item.severity) for item in result.findings] == [
        ("staging-refused", Severity.CRITICAL)
    ]


def test_a_tensor_that_differs_from_its_source_is_critical():
    changed = MEASURED.model_copy(update={"staged_blake3": "b" * 64})
    result = judge(weight_set=WeightSet(plans=(PLAN,)), staged=Staged(files=(), tensors=(changed,)))
    assert [(item.rule, item.severity) for item in result.findings] == [("copy-differs", Severity.CRITICAL)]


def test_nothing_read_did_not_look():
    assert judge().status is Status.NOT_RUN
