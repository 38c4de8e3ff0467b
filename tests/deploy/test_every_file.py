"""Every file under deploy/ and examples/ is run or held to rules by a test, and this list says by which."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.deploy.kustomize import render
from tests.deploy.policy_engines import ROOT

COVERED = {
    "deploy/README.md": "tests/deploy/test_readme.py",
    "deploy/container/*.Dockerfile": "tests/deploy/test_container.py",
    "deploy/container/*.py": "tests/deploy/test_container.py",
    "deploy/falco/*.yaml": "tests/deploy/test_falco.py",
    "deploy/kubernetes/model-validation/*.yaml": "tests/deploy/test_kubernetes.py",
    "deploy/kubernetes/policies/rego/*.rego": "tests/deploy/test_policies.py",
    "deploy/kubernetes/policies/*/*.yaml": "tests/deploy/test_policies.py",
    "examples/drill/*": "tests/drill/test_examples.py",
    "examples/ci/*": "tests/enforce/test_ci_files.py",
    "examples/demo*.py": "tests/e2e/test_demo.py",
    "examples/__init__.py": "tests/e2e/test_demo.py",
    "examples/serving/*": "tests/docs/test_serving_page.py",
}
"""Pattern of a path, and the test that runs it. Files of kustomizations are covered by being rendered."""


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "deploy", "examples"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).exists()]
    assert {path.parts[0] for path in found} == {"deploy", "examples"}, "nothing listed, nothing tested"
    return found


@cache
def rendered() -> set[Path]:
    """The files that some kustomization under deploy/kubernetes names, and the kustomizations themselves."""
    found: set[Path] = set()
    for path in (ROOT / "deploy/kubernetes").rglob("kustomization.yaml"):
        assert render(path.parent)
        text = path.read_text(encoding="utf-8")
        names = re.findall(r"^- (?:path: )?([\w./-]+\.yaml)$", text, re.MULTILINE)
        found |= {path.relative_to(ROOT), *((path.parent / name).relative_to(ROOT) for name in names)}
    return found


def reached(path: Path, test: Path) -> bool:
    """Whether a test names a file, or a page or example that the test names does; and has tests at all."""
    text = test.read_text(encoding="utf-8")
    assert re.search(r"^def test_", text, re.MULTILINE), f"{test} holds no test"
    pages = [page for page in (ROOT / "docs").glob("*.md") if page.name in text]
    modules = set((ROOT / "examples").rglob("*.py")) - {ROOT / path} if "examples." in text else set()
    module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    imported = (
        rf"\b{re.escape(module)}\b|from {re.escape('.'.join(path.parts[:-1]))} import [^\n]*\b{path.stem}\b"
    )
    texts = [text, *(other.read_text(encoding="utf-8") for other in (*pages, *modules))]
    return any(path.name in text or re.search(imported, text) for text in texts)


@pytest.mark.parametrize("path", files(), ids=str)
def test_a_test_covers(path: Path) -> None:
    tests = [test for pattern, test in COVERED.items() if path.match(pattern)]
    assert tests or path in rendered(), f"no test runs {path}: write one, and name it here"
    for test in tests:
        assert path in rendered() or reached(path, ROOT / test), f"{test} does not get to {path}"


def test_no_row_is_left_over() -> None:
    assert all(any(path.match(pattern) for path in files()) for pattern in COVERED)
