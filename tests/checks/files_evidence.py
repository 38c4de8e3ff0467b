"""Evidence with facts made by hand, for the checks that judge files."""

from datetime import UTC, datetime

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.evidence import (
    Evidence,
    Facts,
    FileFacts,
    FileFormat,
    GlobalUse,
    PickleFacts,
    SandboxReport,
)


def evidence_of(*files: FileFacts) -> Evidence:
    return Evidence(
        gate_version="0",
        observed_at=datetime(2026, 1, 1, tzinfo=UTC),
        candidate=Candidate(kind=SourceKind.HUB, endpoint="https://huggingface.co", id="org/model"),
        registered_name="org--model",
        facts=Facts(files=files, sandbox=SandboxReport(mode="test", guarantees=())),
    )


def without_facts() -> Evidence:
    return evidence_of().model_copy(update={"facts": None})


def facts_of(path="model.bin", format_=FileFormat.TORCH_ZIP, understood=True, **more) -> FileFacts:
    return FileFacts(path=path, format=format_, reader="test", understood=understood, **more)


def pickle_of(*names: tuple[str, str], complete=True, use="import") -> PickleFacts:
    uses = tuple(GlobalUse(module=module, name=name, use=use, offset=7) for module, name in names)
    return PickleFacts(globals=uses, complete=complete, opcodes=9, protocol=2)
