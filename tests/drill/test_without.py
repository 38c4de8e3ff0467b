"""Gate controls switched off for real, and a cluster without its engines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry_gate.decision import Verdict
from registry_gate.drill import cluster, exhibits
from registry_gate.drill.attack import Attack
from registry_gate.drill.catalogue import catalogue
from registry_gate.drill.document import Outcome
from registry_gate.drill.gate import GATE_CONTROLS, verdict_without
from registry_gate.drill.gate_stages import look_alike
from registry_gate.drill.matrix import Judged, replay, result_of
from registry_gate.drill.world import World, open_world
from registry_gate.enforce.admitted import AdmittedList
from registry_gate.errors import ToolError, UsageError

OFF = frozenset({"name", "pickle"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("world"), OFF) as made:
        yield made


def test_what_is_off_does_not_speak_and_the_rest_still_refuses(world: World) -> None:
    attack = Attack(catalogue().stage("look-alike"), OFF)
    look_alike(world, attack)
    outcomes = {one.control: one.outcome for one in attack.readings}
    assert outcomes == {
        "name": Outcome.OFF,
        "provenance": Outcome.STOPPED,
        "pickle": Outcome.OFF,
        "conversion": Outcome.STOPPED,
    }
    report = world.look_alike.report
    assert report.verdict is not Verdict.ADMIT
    assert not {"name-typosquat", "pickle-global-not-allowed"} & {reason.code for reason in report.reasons}
    assert not world.marker.exists()
    assert not list(world.settings.home.rglob("*.pem.partial"))


def test_the_replay_asks_the_decision_and_not_the_table(world: World) -> None:
    attack = Attack(catalogue().stage("look-alike"), OFF)
    look_alike(world, attack)
    examined = world.look_alike
    judged = Judged(examined.evidence, world.policy, examined.report.observed_at)
    assert result_of(attack, catalogue(), judged).stopped
    assert replay(attack, "conversion", judged).stopped_by == "provenance"
    both_off = Attack(attack.stage, OFF | {"conversion"}, attack.readings)
    assert replay(both_off, "provenance", judged).through
    now = examined.report.observed_at
    assert verdict_without(examined.evidence, world.policy, GATE_CONTROLS, now) is Verdict.ADMIT


def test_the_environment_of_programs_names_this_world_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_GATE_REGISTRY_URI", "http://registry.example")
    before = dict(os.environ)
    with world.as_client():
        assert os.environ["REGISTRY_GATE_HOME"] == str(world.settings.home)
        assert "REGISTRY_GATE_REGISTRY_URI" not in os.environ
    assert dict(os.environ) == before
    with pytest.raises(RuntimeError), world.as_client():
        raise RuntimeError
    assert dict(os.environ) == before


def test_an_engine_that_is_not_installed_is_said_and_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    listed = AdmittedList(made_at=exhibits.day_old().last_modified, models=())
    with pytest.raises(ToolError) as caught:
        cluster.ask_policies(cluster.serving_deployment("a@sha256:" + "0" * 64), listed)
    assert caught.value.code == "no-engine"
    with pytest.raises(ToolError):
        cluster.ask_falco(cluster.connection_event("x", 443))


def test_a_machine_with_an_administrators_trust_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "trust.json"
    file.write_text("{}")
    monkeypatch.setattr("registry_gate.drill.world.ADMINISTRATOR_TRUST", file)
    with pytest.raises(UsageError) as caught, open_world(tmp_path / "world"):
        pytest.fail("it began")
    assert caught.value.code == "administered"
    assert not (tmp_path / "world").exists()
