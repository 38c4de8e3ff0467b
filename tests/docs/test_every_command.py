"""Each command of the command line has an example that a test runs, and a row in the README."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from registry_gate.cli.app import app
from tests.docs.console import examples

ROOT = Path(__file__).parents[2]
PAGES = {
    "deploy/README.md": "tests/deploy/test_readme.py",
    "docs/audit.md": "tests/docs/test_enforce_pages.py",
    "docs/checkpoints.md": "tests/docs/test_checkpoints_page.py",
    "docs/commands.md": "tests/docs/test_commands_page.py",
    "docs/detection-text.md": "tests/docs/test_detection_text_page.py",
    "docs/detection.md": "tests/docs/test_detection_page.py",
    "docs/doctor.md": "tests/docs/test_doctor_page.py",
    "docs/drill.md": "tests/drill/test_drill.py",
    "docs/guard.md": "tests/docs/test_enforce_pages.py",
    "docs/index.md": "tests/docs/test_index.py",
    "docs/loading.md": "tests/docs/test_loading.py",
    "docs/registry-audit.md": "tests/docs/test_registry_audit_page.py",
    "docs/reports.md": "tests/docs/test_reports_page.py",
    "docs/serving.md": "tests/docs/test_serving_page.py",
    "docs/signing.md": "tests/docs/test_signing_page.py",
}
"""Every page with console blocks, and the test that runs them."""


def commands(group: TyperGroup, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name)


def every_command() -> list[tuple[str, ...]]:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    found = list(commands(group))
    assert len(found) > 30
    return found


def shown(page: Path) -> Iterator[tuple[str, ...]]:
    """The words of every call of ours in a page's examples, also behind a pipe or in a substitution."""
    for example in examples(page):
        for call in re.findall(r"registry-gate ([^|;&)]*)", example.command.replace("\\\n", " ")):
            yield tuple(call.split())


@pytest.fixture(scope="module")
def exemplified() -> set[tuple[str, ...]]:
    calls = [call for page in PAGES for call in shown(ROOT / page)]
    return {call[:length] for call in calls for length in (1, 2)}


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_an_example_of_it_is_run(command: tuple[str, ...], exemplified: set[tuple[str, ...]]) -> None:
    assert command in exemplified, f"no page shows `registry-gate {' '.join(command)}`: write an example"


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_the_readme_has_a_row_for_it(command: tuple[str, ...]) -> None:
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `registry")]
    group, name = " ".join(("registry-gate", *command[:-1])), command[-1]
    named = [row.split(" | ")[0] for row in rows if row.startswith(f"| `{group} ")]
    assert any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", row) for row in named), command


def test_every_page_with_examples_is_in_the_table_and_really_run() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    with_examples = {str(page.relative_to(ROOT)) for page in pages if any(examples(page))}
    assert with_examples == set(PAGES)
    for page, test in PAGES.items():
        assert Path(page).name in (ROOT / test).read_text(), (page, test)
        assert _asserted_runs(ROOT / test) > 0, f"{test} does not assert how many examples it ran"


def _asserted_runs(test: Path) -> int:
    """How many ``assert run_page(...) == n`` (or ``>= n``, n > 0) a test file holds."""
    compared = [node.test for node in ast.walk(ast.parse(test.read_text())) if isinstance(node, ast.Assert)]
    return sum(
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Call)
        and getattr(test.left.func, "id", "") == "run_page"
        and isinstance(test.ops[0], ast.Eq | ast.GtE)
        and isinstance(test.comparators[0], ast.Constant)
        and int(str(test.comparators[0].value)) > 0
        for test in compared
    )
