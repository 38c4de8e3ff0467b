"""The inventory: each model once, with what the log and the registry say; valid, escaped, counted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from registry_gate.enforce.audit.audit import Rulebook
from registry_gate.enforce.audit.document import Standing
from registry_gate.enforce.audit.standing import Known, Ledger, read_ledger
from registry_gate.enforce.inventory import Inventory, inventory, verify_signature
from registry_gate.enforce.inventory_render import as_csv, as_cyclonedx, as_text
from registry_gate.log import AdmissionLog
from registry_gate.policy import load_policy
from registry_gate.testing.sample_release import SampleStore

NOW = datetime(2026, 11, 11, tzinfo=UTC)
KNOWN = Known(
    Standing.ADMITTED,
    "acme--tiny",
    "a" * 40,
    datetime(2026, 11, 1, tzinfo=UTC),
    "default",
    "https://hub.example",
)
SOURCE = """
from registry_gate import load_verified
from transformers import AutoModel
load_verified("acme/tiny")
AutoModel.from_pretrained("acme/tiny", revision="main")
AutoModel.from_pretrained("other/model")
AutoModel.from_pretrained(input())
"""


@pytest.fixture
def found(tmp_path: Path) -> Inventory:
    (tmp_path / "a.py").write_text(SOURCE)
    rules = Rulebook(Ledger("a log", {"acme/tiny": KNOWN}), load_policy("default").protected)
    return inventory([tmp_path], rules, now=NOW)


def test_each_model_once_with_what_is_known(found: Inventory) -> None:
    assert [model.id for model in found.models] == ["acme/tiny", "other/model"]
    tiny, other = found.models
    assert (tiny.commit, tiny.age_days, tiny.asked, tiny.source) == (
        "a" * 40,
        10,
        ("main",),
        "https://hub.example",
    )
    assert [place.on_road for place in tiny.places] == [True, False]
    assert (other.standing, other.tracked, other.commit) == (Standing.UNKNOWN, False, None)


def test_untracked_models_and_adoption_are_counted(found: Inventory) -> None:
    assert (found.untracked, found.loads, found.loads_on_road, found.unnamed_loads) == (1, 4, 1, 1)
    assert found.adoption == 0.25
    assert "1 untracked" in as_text(found)


def test_cyclonedx_is_strictly_valid(found: Inventory) -> None:
    text = as_cyclonedx(found)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]
    assert [one["type"] for one in components] == ["machine-learning-model"] * 2
    assert components[0]["version"] == "a" * 40


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    folder = tmp_path / "=cmd"
    folder.mkdir()
    (folder / "a.py").write_text(SOURCE)
    rules = Rulebook(Ledger(), load_policy("default").protected)
    shown = inventory([folder], rules, now=NOW)
    odd = shown.models[0].model_copy(
        update={"asked": ("=HYPERLINK(1)",), "id": "@x", "owner": "-1", "licence": "+1"}
    )
    rows = list(csv.reader(io.StringIO(as_csv(shown.model_copy(update={"models": (odd,)})))))
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows[1:] for cell in row)


def test_nothing_loaded_is_no_adoption(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    shown = inventory([tmp_path], Rulebook(Ledger(), load_policy("default").protected), now=NOW)
    assert shown.adoption is None
    as_cyclonedx(shown)


def test_log_and_registry_of_a_real_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_store: Callable[[Path], SampleStore]
) -> None:
    store = new_store(tmp_path / "home")
    gate = store.gate
    store.admit(tmp_path / "work", "acme/tiny")
    evidence = gate.evidence(tmp_path / "again", "acme/tiny", {"config.json": b"{}"}, "b" * 40)
    from registry_gate.decision import decide

    log = AdmissionLog(gate.settings.log, gate.trust, gate.signer)
    log.append_decision(evidence, decide(evidence, gate.policy, NOW))
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(gate.settings.home))
    (tmp_path / "a.py").write_text(SOURCE)
    rules = Rulebook(read_ledger(gate.settings), load_policy("default").protected)
    shown = inventory([tmp_path / "a.py"], rules, verify_signature)
    tiny = shown.models[0]
    assert (tiny.id, tiny.standing, tiny.commit, tiny.signature) == (
        "acme/tiny",
        Standing.ADMITTED,
        "a" * 40,  # the other was decided on, and neither signed nor listed
        "verified",
    )
    assert tiny.expires_at is not None
