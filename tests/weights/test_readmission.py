from datetime import UTC, datetime

import torch

from registry_gate.candidate import Candidate, HubMetadata, Listing, SourceKind
from registry_gate.evidence import (
    ConfigFacts,
    Evidence,
    Facts,
    FileFacts,
    FileFormat,
    GlobalUse,
    PickleFacts,
    SandboxReport,
    Staged,
)
from registry_gate.weights.readmission import KINDS, as_problems, compare

from .test_drift import measured


def evidence(
    tensors=(), author="acme", licence="mit", formats=(FileFormat.SAFETENSORS,), imports=(), labels=2, **more
):
    candidate = Candidate(
        kind=SourceKind.HUB, endpoint="https://hub.example", id=more.get("id", "acme/model")
    )
    pickles = (PickleFacts(globals=tuple(GlobalUse(module=m, name=n) for m, n in imports)),)
    files = tuple(
        FileFacts(path=f"f{n}", format=format_, reader="x", understood=True, pickles=pickles)
        for n, format_ in enumerate(formats)
    )
    config = FileFacts(
        path="config.json",
        format=FileFormat.JSON,
        reader="x",
        understood=True,
        config=ConfigFacts(architectures=("BertModel",), num_labels=labels),
    )
    return Evidence(
        gate_version="0",
        observed_at=datetime(2026, 1, 1, tzinfo=UTC),
        candidate=candidate,
        registered_name="acme--model",
        listing=Listing(
            candidate=candidate,
            resolved_id="acme/model",
            commit="0" * 40,
            files=(),
            metadata=HubMetadata(author=author, licence=licence),
        ),
        facts=Facts(files=(*files, config), sandbox=SandboxReport(mode="none", guarantees=())),
        staged=Staged(files=(), tensors=tuple(tensors)) if tensors else None,
    )


WEIGHTS = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))


def kinds(earlier, later):
    found = compare(earlier, later)
    assert {item.kind for item in found} <= set(KINDS)
    return [item.kind for item in found]


def test_nothing_changed_and_fine_tuning_is_no_change():
    before = evidence([measured(WEIGHTS)])
    noise = 1e-3 * torch.randn(64, 64, generator=torch.Generator().manual_seed(1))
    assert compare(before, before) == ()
    assert compare(before, evidence([measured(WEIGHTS * (1 + noise))])) == ()


def test_every_kind_of_change_is_named():
    before = evidence([measured(WEIGHTS)])
    assert kinds(before, evidence([measured(WEIGHTS + 1)]))[0] == "weights"
    assert kinds(before, evidence([measured(WEIGHTS)], author="mallory")) == ["author"]
    assert kinds(before, evidence([measured(WEIGHTS)], licence=None)) == ["licence"]
    assert kinds(before, evidence([measured(WEIGHTS)], labels=3)) == ["structure"]
    assert kinds(before, evidence([measured(WEIGHTS)], id="acme/other")) == ["source"]
    pickled = (FileFormat.SAFETENSORS, FileFormat.PICKLE)
    assert kinds(before, evidence([measured(WEIGHTS)], formats=pickled)) == ["format"]
    assert kinds(evidence(formats=pickled), evidence()) == []
    assert kinds(before, evidence([measured(WEIGHTS)], imports=[("os", "system")])) == ["global"]


def test_many_changes_are_cut_and_counted_and_become_problems():
    before = evidence([measured(WEIGHTS, f"t{n}") for n in range(30)])
    found = compare(before, evidence([measured(WEIGHTS + 1, f"t{n}") for n in range(30)]))
    assert len(found) == 21
    assert "30 tensors" in found[-1].detail
    assert {item.code for item in as_problems(found)} == {"changed-weights"}
