"""The private folder of one admission: alone for its name, left by nobody, and never another model's."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_gate import settings as settings_of
from registry_gate.errors import ToolError
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


def test_a_home_that_cannot_be_used_is_one_of_our_errors(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with (
        pytest.raises(ToolError) as caught,
        open_workspace(settings_of.load(tmp_path / "home"), "acme--a", silent),
    ):
        pass
    assert caught.value.code == "no-workspace"
