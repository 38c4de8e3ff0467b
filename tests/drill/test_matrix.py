"""The matrix and the verdict on made-up readings, and on the gate's decision over made-up evidence."""

from __future__ import annotations

import pytest

from registry_gate.checks import CHECKS
from registry_gate.checks.check import Stage
from registry_gate.drill.attack import Answer, Attack, answer
from registry_gate.drill.catalogue import catalogue
from registry_gate.drill.document import Outcome
from registry_gate.drill.gate import GATE_CONTROLS, control_of, policy_without
from registry_gate.drill.matrix import replay, result_of, weaknesses
from registry_gate.drill.run import PLAYS
from registry_gate.errors import ToolError, UsageError
from registry_gate.policy import Disposition, load_policy

EXFILTRATION = catalogue().stage("exfiltration")


def played(*said: tuple[str, Answer], without: frozenset[str] = frozenset()) -> Attack:
    attack = Attack(EXFILTRATION, without)
    for control, one in said:
        attack.ask(control, lambda one=one: one)
    return attack


STOP, ALARM, MISS = answer(("code",)), answer(("code",), alarm=True), answer(())


def test_every_stage_is_played_and_meets_two_places_at_least() -> None:
    known = catalogue()
    assert {stage.id for stage in known.stages} == set(PLAYS)
    places = {control.id: control.place for control in known.controls}
    for stage in known.stages:
        assert len({places[control] for control in stage.controls}) >= 2
        assert stage.techniques
    assert {control for stage in known.stages for control in stage.controls} == set(places)
    assert {name for stage in known.stages for name in stage.techniques} == {t.id for t in known.techniques}


def test_with_one_control_off_the_next_one_stops_it() -> None:
    attack = played(("sandbox", STOP), ("guard", MISS), ("egress", STOP), ("falco", ALARM))
    assert replay(attack, "sandbox", None).stopped_by == "egress"
    assert replay(attack, "egress", None).stopped_by == "sandbox"
    assert replay(attack, "falco", None).alarms == ()


def test_an_alarm_stops_nothing() -> None:
    attack = played(("sandbox", STOP), ("guard", MISS), ("falco", ALARM))
    found = replay(attack, "sandbox", None)
    assert found.through
    assert found.alarms == ("falco",)
    result = result_of(played(("guard", MISS), ("falco", ALARM)), catalogue(), None)
    assert not result.stopped
    assert weaknesses([result], [], []) == (
        "exfiltration: got through",
        "exfiltration: caught by 1 independent controls, 2 are asked for",
    )


def test_a_control_that_is_off_is_not_asked() -> None:
    attack = Attack(EXFILTRATION, frozenset({"sandbox"}))
    attack.ask("sandbox", lambda: pytest.fail("it was asked"))
    (reading,) = attack.readings
    assert reading.outcome is Outcome.OFF


def test_a_control_that_is_not_on_this_machine_counts_for_nothing() -> None:
    def missing() -> Answer:
        raise ToolError("no-engine", "not installed")

    attack = Attack(EXFILTRATION, frozenset())
    attack.ask("falco", missing)
    assert attack.readings[0].outcome is Outcome.UNAVAILABLE
    assert result_of(attack, catalogue(), None).independent == 0


def test_a_control_that_fails_ends_the_drill() -> None:
    def broken() -> Answer:
        raise ToolError("bad-deployment", "not YAML")

    with pytest.raises(ToolError):
        Attack(EXFILTRATION, frozenset()).ask("egress", broken)


def test_two_controls_at_one_place_count_once() -> None:
    known = catalogue()
    same = known.model_copy(
        update={"controls": tuple(item.model_copy(update={"place": "one"}) for item in known.controls)}
    )
    assert result_of(played(("sandbox", STOP), ("egress", STOP)), same, None).independent == 1


def test_an_attack_that_was_not_seen_to_be_real_and_a_false_alarm_are_weak() -> None:
    attack = played(("sandbox", STOP), ("egress", STOP))
    attack.prove("it was sent", seen=False)
    result = result_of(attack, catalogue(), None)
    weak = weaknesses([result], attack.readings[:1], [("a client is refused", False)])
    assert weak == (
        "exfiltration: not seen: it was sent",
        "honest: false alarm by sandbox",
        "response: did not hold: a client is refused",
    )


def test_every_check_belongs_to_one_control_of_the_gate() -> None:
    assert {control_of(check) for check in CHECKS} == GATE_CONTROLS
    for check in CHECKS:
        if check.stage is Stage.BEHAVIOUR and check.name != "model-structure":
            assert control_of(check) == "behaviour"


@pytest.mark.parametrize("control", sorted(GATE_CONTROLS))
def test_a_policy_without_a_control_asks_nothing_of_its_checks_and_all_of_the_others(control: str) -> None:
    policy = load_policy("strict")
    weak = policy_without(policy, {control})
    mine = {check.name for check in CHECKS if control_of(check) == control}
    assert set(policy.required_checks) - set(weak.required_checks) == mine & set(policy.required_checks)
    for check in CHECKS:
        for rule in check.rules:
            override = weak.rules.get(rule.id)
            if check.name in mine:
                assert override is not None and override.disposition is Disposition.ALLOW
            else:
                assert override == policy.rules.get(rule.id)
    for need in (*weak.tasks.values(), weak.other_tasks):
        assert not mine & set(need.required)
    assert weak.digest() != policy.digest()


def test_unknown_names_are_usage_errors_that_teach() -> None:
    for ask in (catalogue().stage, catalogue().control):
        with pytest.raises(UsageError) as caught:
            ask("no-such")
        assert "falco" in caught.value.todo or "backdoor" in caught.value.todo
