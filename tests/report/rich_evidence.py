"""One evidence record with something of everything in it, hostile text included, and the decision on it."""

from __future__ import annotations

from datetime import UTC, datetime

from registry_gate.candidate import Candidate, HubMetadata, Listing, SourceKind
from registry_gate.decision import Decision, decide
from registry_gate.evidence import (
    Behaviour,
    BehaviourMeasurement,
    ConfigFacts,
    CopyPlan,
    Evidence,
    Facts,
    FileFacts,
    FileFormat,
    SandboxReport,
    Staged,
    StagedFile,
    Structure,
    TensorMeasurement,
    WeightSet,
)
from registry_gate.finding import CheckResult, Confidence, Finding, Location, Severity, Status
from registry_gate.policy import load_policy
from registry_gate.report.document import Report, make_report

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
HOSTILE = '<script>alert("x")</script>&\'\x1b[31m\u202e=cmd|'
CANDIDATE = Candidate(kind=SourceKind.HUB, endpoint="https://huggingface.co", id="acme/tiny-vit")
SANDBOX = SandboxReport(mode="bubblewrap", guarantees=())
POWER = "sees patches that a bounded perturbation reproduces; sees nothing of triggers in meaning"


def evidence_of(**changes: object) -> Evidence:
    """The record; ``changes`` replace its fields."""
    evidence = Evidence(
        gate_version="0.1.0",
        observed_at=NOW,
        candidate=CANDIDATE,
        registered_name="acme--tiny-vit",
        listing=Listing(
            candidate=CANDIDATE,
            resolved_id=CANDIDATE.id,
            commit="a" * 40,
            files=(),
            metadata=HubMetadata(licence="apache-2.0", base_models=("acme/base",), tags=("dataset:cifar10",)),
        ),
        facts=Facts(files=_facts(), sandbox=SANDBOX),
        weight_set=WeightSet(
            plans=(CopyPlan(source="pytorch_model.bin", target="model.safetensors", tensors=()),),
            carried=("config.json",),
            left_behind=((f"{HOSTILE}.py", "code is never carried"),),
        ),
        staged=Staged(files=_files(), tensors=tuple(_tensor(number) for number in range(6))),
        behaviour=_behaviour(),
        results=_results(),
    )
    return evidence.model_copy(update=changes)


def decision_of(evidence: Evidence) -> Decision:
    return decide(evidence, load_policy("default"), NOW)


def report_of(evidence: Evidence | None = None, **changes: object) -> Report:
    seen = evidence or evidence_of()
    report = make_report("admit", seen, decision_of(seen), subject=CANDIDATE.id, seconds={"fetch": 1.25})
    return report.model_copy(update=changes)


def _facts() -> tuple[FileFacts, ...]:
    config = ConfigFacts(model_type="vit", architectures=("ViTForImageClassification",))
    return (
        FileFacts(path="config.json", format=FileFormat.JSON, reader="json", understood=True, config=config),
        FileFacts(path="pytorch_model.bin", format=FileFormat.TORCH_ZIP, reader="torch", understood=True),
    )


def _files() -> tuple[StagedFile, ...]:
    named = (("config.json", "config.json", "1"), ("model.safetensors", "pytorch_model.bin", "2"))
    return tuple(
        StagedFile(
            name=name,
            size=1000,
            sha256=digit * 64,
            chunk_size=4096,
            chunks=(digit * 64,),
            source=source,
            source_sha256="3" * 64,
        )
        for name, source, digit in named
    )


def _tensor(number: int) -> TensorMeasurement:
    return TensorMeasurement(
        name=f"encoder.layer.{number}.weight",
        file="model.safetensors",
        dtype="F16" if number else "F32",
        shape=(8, 8),
        source_blake3="4" * 64,
        staged_blake3="4" * 64,
        elements=64,
        nan=0,
        inf=0,
        zeros=number,
        minimum=-0.5 - number,
        maximum=0.25 * number + 0.1,
        mean=0.0,
        std=0.1 * (number + 1),
        histogram=((-3, 10 + number, 12), (-2, 14, 10), (-1, 6, 8)),
    )


def _behaviour() -> Behaviour:
    margins = (*(2.0 + 0.1 * index for index in range(9)), 9.5)
    tests = (
        BehaviourMeasurement(
            test="mm-bd",
            version=1,
            status="measured",
            statistic=9.5,
            score=0.97,
            p_value=0.004,
            threshold=0.05,
            suspected_target=9,
            per_class=margins,
            seed=0,
            device="cpu",
            seconds=3.5,
            power_note=POWER,
        ),
        BehaviourMeasurement(
            test="strip",
            version=1,
            status="measured",
            statistic=0.41,
            score=0.2,
            threshold=0.5,
            samples={
                "clean": tuple(1.0 + 0.02 * index for index in range(20)),
                "stamped": tuple(0.3 + 0.05 * index for index in range(20)),
            },
            details={"entropy_boundary_bits": 0.9},
            seed=0,
            device="cpu",
        ),
        BehaviourMeasurement(
            test="bounded-pattern", version=1, status="unavailable", reason="no probe data was given"
        ),
    )
    structure = Structure(
        status="measured",
        library_class="ViTForImageClassification",
        task="image-classification",
        num_labels=10,
    )
    return Behaviour(sandbox=SANDBOX, structure=structure, tests=tests)


def _results() -> tuple[CheckResult, ...]:
    done = [
        CheckResult(name=name, version=1, status=Status.NO_FINDINGS)
        for name in (*load_policy("default").required_checks, "backdoor-score")
    ]
    licence = CheckResult(
        name="licence",
        version=1,
        status=Status.NO_FINDINGS,
        measurements={"stated": "apache-2.0", "spdx": "Apache-2.0"},
    )
    outlier = CheckResult(
        name="mm-bd",
        version=1,
        status=Status.FINDINGS,
        measurements={"mm-bd-p-value": 0.05},
        findings=(
            Finding(
                rule="mm-bd-outlier",
                severity=Severity.MEDIUM,
                confidence=Confidence.MEDIUM,
                message="class 9 reaches a margin of 9.5",
                score=0.97,
            ),
        ),
    )
    hostile = CheckResult(
        name="custom-code",
        version=1,
        status=Status.FINDINGS,
        findings=(
            Finding(
                rule="custom-code-file",
                severity=Severity.HIGH,
                confidence=Confidence.HIGH,
                message=f"{HOSTILE} is Python",
                location=Location(file=f"{HOSTILE}.py", offset=12),
            ),
        ),
    )
    return (*(item for item in done if item.name != "custom-code"), hostile, licence, outlier)
