"""The private folder of one admission: alone for its name, left by nobody, and never another model's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from registry_gate import settings as settings_of
from registry_gate.errors import ToolError
from registry_gate.leftovers import FETCHED, STAGED
from registry_gate.progress import silent
from registry_gate.workspace import open_workspace


def test_leftovers_of_a_killed_run_are_deleted_and_no_other_models(tmp_path: Path) -> None:
    settings = settings_of.load(tmp_path)
    with (
        open_workspace(settings, "acme--a.run-x", silent) as other,
        open_workspace(settings, "acme--b", silent),
    ):
        leftover = other.with_name("acme--a+run-0")
        leftover.mkdir()
        (other / "snapshot").mkdir()
        with open_workspace(settings, "acme--a", silent) as mine:
            assert mine.stat().st_mode & 0o777 == 0o700
            assert not leftover.exists()
            assert (other / "snapshot").exists(), "an id may hold '.run-'"
    assert not list(settings.work.glob("*+run-*"))


def test_what_a_killed_run_left_is_gathered_for_the_next_of_its_name(tmp_path: Path) -> None:
    settings = settings_of.load(tmp_path)
    for number, (place, size) in enumerate(
        [("snapshot/a", 5), ("kept/snapshot/a", 9), ("staged.partial/b", 3)]
    ):
        left = settings.work / f"acme--a+run-{number}" / place
        left.parent.mkdir(parents=True)
        left.write_bytes(bytes(size))
    (settings.work / "acme--a+run-0" / "snapshot" / "link").symlink_to(tmp_path)
    with open_workspace(settings, "acme--a", silent) as mine:
        assert (mine / FETCHED / "a").stat().st_size == 9, "the one that got further"
        assert (mine / STAGED / "b").stat().st_size == 3
        assert not (mine / FETCHED / "link").is_symlink()
        assert list(settings.work.glob("*+run-*")) == [mine]
    assert not list(settings.work.glob("*+run-*"))


def test_what_nobody_comes_back_for_is_deleted_after_a_week(tmp_path: Path) -> None:
    settings = settings_of.load(tmp_path)
    with open_workspace(settings, "acme--running", silent) as running:
        fresh, old = settings.work / "acme--b+run-0", settings.work / "acme--c+run-0"
        for folder in (fresh, old):
            folder.mkdir()
        for folder in (old, running):
            os.utime(folder, (0, 0))
        with open_workspace(settings, "acme--a", silent):
            assert fresh.exists() and not old.exists()
            assert running.exists(), "its lock is held"


def test_a_home_that_cannot_be_used_is_one_of_our_errors(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with (
        pytest.raises(ToolError) as caught,
        open_workspace(settings_of.load(tmp_path / "home"), "acme--a", silent),
    ):
        pass
    assert caught.value.code == "no-workspace"
