"""The bill of materials: valid CycloneDX, the same bytes each time, claims marked as claims."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_gate.candidate import Candidate, HubMetadata, SourceKind
from registry_gate.evidence import Evidence
from registry_gate.report import bom
from tests.report.rich_evidence import HOSTILE, NOW, POWER, evidence_of

_VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def rendered(evidence: Evidence) -> dict[str, Any]:
    text = bom.render(evidence, NOW)
    assert _VALIDATOR.validate_str(text) is None
    document: dict[str, Any] = json.loads(text)
    return document


def properties(of: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in of["properties"]}


def test_it_says_what_is_inside_and_where_it_comes_from() -> None:
    document = rendered(evidence_of())
    model = document["metadata"]["component"]
    assert model["purl"] == "pkg:huggingface/acme/tiny-vit@" + "a" * 40
    assert model["version"] == "a" * 40
    assert model["licenses"] == [{"expression": "Apache-2.0"}]
    assert "pytorch_model.bin -> model.safetensors" in model["pedigree"]["notes"]
    files = {item["name"]: item for item in document["components"]}
    assert files["model.safetensors"]["hashes"] == [{"alg": "SHA-256", "content": "2" * 64}]
    assert properties(files["model.safetensors"])["registry-gate:source"] == "pytorch_model.bin"
    assert document["metadata"]["timestamp"] == "2026-11-25T09:30:00+00:00"
    assert properties(document["metadata"])["registry-gate:evidence-digest"] == evidence_of().digest()


def test_the_model_card_holds_numbers_and_their_limits() -> None:
    card = rendered(evidence_of())["metadata"]["component"]["modelCard"]
    assert card["modelParameters"]["task"] == "image-classification"
    assert card["modelParameters"]["architectureFamily"] == "vit"
    assert card["modelParameters"]["modelArchitecture"] == "ViTForImageClassification"
    metrics = {
        (item["type"], item.get("slice")): item["value"]
        for item in card["quantitativeAnalysis"]["performanceMetrics"]
    }
    assert metrics["registry-gate:mm-bd:p-value", None] == "0.004"
    assert metrics["registry-gate:mm-bd:statistic", "class 9"] == "9.5"
    limits = card["considerations"]["technicalLimitations"]
    assert f"mm-bd: {POWER}" in limits
    assert "bounded-pattern: unavailable: no probe data was given" in limits
    told = properties(card)
    assert (told["registry-gate:tensors"], told["registry-gate:parameters"]) == ("6", "384")
    assert (told["registry-gate:tensors:F16"], told["registry-gate:tensors:F32"]) == ("5", "1")


def test_what_only_the_uploader_says_is_marked_so() -> None:
    model = rendered(evidence_of())["metadata"]["component"]
    (dataset,) = model["modelCard"]["modelParameters"]["datasets"]
    assert dataset["name"] == "cifar10"
    assert "not verified" in dataset["description"]
    (base,) = model["pedigree"]["ancestors"]
    assert base["name"] == "acme/base"
    assert "not verified" in base["description"]


def test_the_same_evidence_gives_the_same_bytes() -> None:
    assert bom.render(evidence_of(), NOW) == bom.render(evidence_of(), NOW)
    other = evidence_of(registered_name="other")
    assert rendered(other)["serialNumber"] != rendered(evidence_of())["serialNumber"]


def test_a_folder_has_no_hub_in_its_bill() -> None:
    model = rendered(
        evidence_of(candidate=Candidate(kind=SourceKind.FOLDER, endpoint="", id="acme/tiny-vit"))
    )["metadata"]["component"]
    assert model["purl"].startswith("pkg:generic/acme/tiny-vit@")
    assert "externalReferences" not in model


def test_without_a_behaviour_examination_it_says_so() -> None:
    card = rendered(evidence_of(behaviour=None, results=()))["metadata"]["component"]["modelCard"]
    assert card["considerations"]["technicalLimitations"] == ["No behavioural test was made."]
    assert "licenses" not in rendered(evidence_of(results=()))["metadata"]["component"]


def test_nothing_staged_has_no_bill() -> None:
    with pytest.raises(ValueError, match="staged"):
        bom.render(evidence_of(staged=None), NOW)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), max_size=3)
)
def test_hostile_text_stays_valid(texts: list[str]) -> None:
    listing = evidence_of().listing
    assert listing is not None
    tags = tuple(f"dataset:{text}" for text in [*texts, HOSTILE])
    metadata = HubMetadata(licence="x", base_models=(*texts, HOSTILE), tags=tags)
    evidence = evidence_of(listing=listing.model_copy(update={"metadata": metadata}))
    text = bom.render(evidence, NOW)
    assert text.isascii()
    assert _VALIDATOR.validate_str(text) is None
