"""The pytest option ``--registry-gate-guard``: tests that load round the road fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("registry-gate").addoption(
        "--registry-gate-guard",
        action="store_true",
        help="refuse model loads that go round registry-gate, in this process and those it starts",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Install the guard before any test module is imported."""
    if config.getoption("--registry-gate-guard"):
        import os

        from registry_gate.enforce.guard import install_if_wanted
        from registry_gate.enforce.guard.terms import VARIABLE

        os.environ.setdefault(VARIABLE, "1")
        install_if_wanted()
