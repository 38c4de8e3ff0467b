from datetime import UTC, datetime

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.checks.convertible import CHECK
from registry_gate.decision import Verdict, decide
from registry_gate.evidence import CopyPlan, Evidence, Problem, TensorSource, WeightSet
from registry_gate.finding import Severity, Status
from registry_gate.policy import load_policy

POLICY = load_policy("default")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def evidence(weight_set):
    return Evidence(
        gate_version="0",
        observed_at=NOW,
        candidate=Candidate(kind=SourceKind.FOLDER, endpoint="", id="a/b"),
        registered_name="a--b",
        weight_set=weight_set,
    )


def test_every_reason_is_a_finding_with_its_file():
    problems = (
        Problem(code="not-convertible", detail="'w' is not contiguous", field="pytorch_model.bin"),
        Problem(code="not-convertible", detail="'v' is not contiguous", field="pytorch_model.bin"),
        Problem(code="no-weights", detail="judged elsewhere"),
    )
    result = CHECK.run(evidence(WeightSet(problems=problems)), POLICY)
    assert [item.message for item in result.findings] == ["'w' is not contiguous", "'v' is not contiguous"]
    assert {item.severity for item in result.findings} == {Severity.HIGH}
    assert {item.location.file for item in result.findings} == {"pytorch_model.bin"}


def test_what_cannot_be_converted_cannot_be_admitted():
    seen = evidence(WeightSet(problems=(Problem(code="not-convertible", detail="legacy"),)))
    seen = seen.model_copy(update={"results": (CHECK.run(seen, POLICY),)})
    assert decide(seen, POLICY, NOW).verdict is Verdict.REJECT


def test_a_plan_is_convertible():
    tensor = TensorSource(name="w", dtype="F32", shape=(2,), storage="0", offset=0, nbytes=8)
    plan = CopyPlan(source="pytorch_model.bin", target="model.safetensors", tensors=(tensor,))
    result = CHECK.run(evidence(WeightSet(plans=(plan,))), POLICY)
    assert result.status is Status.NO_FINDINGS
    assert result.measurements == {"tensors": 1}


def test_nothing_read_did_not_look():
    assert CHECK.run(evidence(None), POLICY).status is Status.NOT_RUN
