"""The tabletop and the six challenges: each challenge is solved with the tool it is made for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from examples.drill import tabletop
from examples.drill.challenges import CHALLENGES, make
from examples.drill.flags import captured
from registry_gate.drill.catalogue import catalogue
from tests.deploy.policy_engines import ROOT
from tests.docs.console import run_page


def run(*arguments: str, folder: Path, home: Path | None = None) -> str:
    environment = os.environ | {"REGISTRY_GATE_HOME": str(home or folder / "nobody")}
    command = [sys.executable, "-m", "registry_gate", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 2), done.stderr
    return done.stdout + done.stderr


def first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found[1]


def one_letter(folder: Path) -> str:
    return first(r"the owner of '[^']+' looks like '([^'/]+)/?", run("name", *_names(folder), folder=folder))


def _names(folder: Path) -> list[str]:
    return (folder / "names.txt").read_text().split()


def what_it_calls(folder: Path) -> str:
    tree = run("scan", "pytorch_model.bin", "--explain-pickle", folder=folder)
    return first(r"v1 = ([\w.]+)\(", tree)


def the_other_pickle(folder: Path) -> str:
    report = json.loads(run("scan", "pytorch_model.bin", "--format", "json", folder=folder))
    (member,) = {
        item["location"]["member"]
        for item in report["findings"]
        if item["rule"] == "pickle-global-not-allowed"
    }
    return str(member)


def the_changed_file(folder: Path) -> str:
    return first(r"bytes-differ: '([^']+)'", run("verify", "./release", folder=folder, home=folder / "home"))


def the_loud_row(folder: Path) -> str:
    return first(r"row-outlier: '[^']+': row (\d+) of", run("triage", "model.safetensors", folder=folder))


def the_hour_of_the_trigger(folder: Path) -> str:
    said = run("drift", "predictions.jsonl", "--baseline", "baseline.json", folder=folder)
    label, start = re.findall(r'"(\w+)" was answered .* from number (\d+) on', said)[0]
    return f"{label}:{start}"


SOLVED_BY: dict[str, Callable[[Path], str]] = {
    "one-letter": one_letter,
    "what-it-calls": what_it_calls,
    "the-other-pickle": the_other_pickle,
    "the-changed-file": the_changed_file,
    "the-loud-row": the_loud_row,
    "the-hour-of-the-trigger": the_hour_of_the_trigger,
}


@pytest.fixture(scope="module")
def game(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ctf") / "game"
    make(folder, seed=7)
    return folder


@pytest.mark.parametrize("name", CHALLENGES)
def test_a_challenge_is_solved_with_its_tool_and_the_checker_agrees(game: Path, name: str) -> None:
    from examples.drill.flags import Flags

    flags = Flags.from_json((game / "flags.json").read_bytes())
    flag = SOLVED_BY[name](game / name)
    assert captured(flags, name, flag)
    assert captured(flags, name, f" flag{{{flag}}}\n")
    assert not captured(flags, name, f"{flag}x")
    others = [other for other in CHALLENGES if other != name]
    assert not any(captured(flags, other, flag) for other in others[:1])


def test_no_flag_stands_in_the_game_in_clear_but_where_it_is_to_be_found(game: Path) -> None:
    text = (game / "flags.json").read_text() + (game / "QUESTIONS.txt").read_text()
    for name, solve in (("one-letter", one_letter), ("what-it-calls", what_it_calls)):
        assert solve(game / name) not in text
    assert text.count("Flag:") == len(CHALLENGES) == 6


def test_another_seed_is_another_game_with_flags_that_hold(tmp_path: Path) -> None:
    first_game, again, other = (make(tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert first_game == again
    assert not set(first_game.hashes.values()) & set(other.hashes.values())
    for folder, flags in ((tmp_path / "a", first_game), (tmp_path / "c", other)):
        for name in ("the-hour-of-the-trigger", "the-loud-row"):
            assert captured(flags, name, SOLVED_BY[name](folder / name))


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("flags", "GAME", "one-letter", "nobody"), 2),
        (("flags", "GAME", "no-such-challenge", "x"), 1),
        (("flags", "GAME"), 1),
        (("flags", "/nonexistent", "one-letter", "x"), 1),
        (("challenges", "GAME"), 1),
        (("tabletop",), 1),
        (("tabletop", "players"), 0),
        (("tabletop", "score", "/nonexistent"), 1),
    ],
)
def test_the_programs_exit_as_they_say(game: Path, arguments: tuple[str, ...], status: int) -> None:
    program, *rest = arguments
    command = [
        sys.executable,
        "-m",
        f"examples.drill.{program}",
        *(str(game) if one == "GAME" else one for one in rest),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_tabletop_names_stages_and_controls_of_the_drill_in_time() -> None:
    exercise = tabletop.read()
    stages = [stage.id for stage in catalogue().stages]
    order = [stages.index(inject.stage) for inject in exercise.injects]
    assert order == sorted(set(order))
    times = [inject.at for inject in exercise.injects]
    assert times == sorted(set(times))
    assert times[-1] < exercise.minutes
    assert len(exercise.roles) >= 5
    assert all(inject.questions and inject.good and inject.controls for inject in exercise.injects)


def test_players_see_no_answers_and_the_facilitator_sees_all() -> None:
    exercise = tabletop.read()
    players, leads = (tabletop.sheet(exercise, facilitator=one) for one in (False, True))
    for inject in exercise.injects:
        assert inject.text.strip() in players
        for good in inject.good:
            assert good.does not in players
            assert good.does in leads
    assert "AML.T0018.000" in leads
    assert str(exercise.points) in leads


def test_points_are_added_and_too_many_are_refused(tmp_path: Path) -> None:
    exercise = tabletop.read()
    path = tmp_path / "answers.yaml"
    path.write_text(yaml.safe_dump({i.stage: [g.points for g in i.good] for i in exercise.injects}))
    assert f"{exercise.points} of {exercise.points}" in tabletop.score(exercise, path)
    path.write_text("backdoor: [4]\n")
    assert f"  4 of {exercise.points}" in tabletop.score(exercise, path)
    for bad in (
        "backdoor: [99]\n",
        "backdoor: [1, 1, 1, 1]\n",
        "no-such: [1]\n",
        "backdoor: [-1]\n",
        "- x\n",
        "x: [",
    ):
        path.write_text(bad)
        with pytest.raises(tabletop.UsageError):
            tabletop.score(exercise, path)


def test_every_command_of_the_readme_runs(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "REGISTRY_GATE_HOME": str(tmp_path / "home")}
    assert run_page(ROOT / "examples/drill/README.md", tmp_path, env) == 7
