"""Run by test_killed.py in a process of its own: admit, killed at each named step, then run again.

Each admission runs in a fork, so that a kill is a real SIGKILL of a real process. What the first one imported
is imported here once before the others: most of an admission of six numbers is imports, and two dozen of them
have to fit a test. Prints one JSON object a step.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import save

from registry_gate import settings as settings_of
from registry_gate.admission import Request, admit
from registry_gate.candidate import registered_name
from registry_gate.client import verify
from registry_gate.errors import Error
from registry_gate.policy import load_policy
from registry_gate.publication import STEPS
from registry_gate.registry import Registry
from registry_gate.signing.keys import init_keys
from registry_gate.testing.hub import LoopbackHub

MODEL = "acme-ml/killed"


def in_fork(work: Callable[[], str]) -> str:
    """Run ``work`` in a fork and return what it said; ``killed`` if it was."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            said = work()
        except Error as error:
            said = error.code
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else said


def import_all(names: Iterable[str]) -> None:
    """Import what a fork said it had imported, so that the next ones need not."""
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)


def main(folder: Path, policy_file: str) -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    policy = load_policy(policy_file)
    settings = settings_of.load(folder / "home", administrator_trust=folder / "none.json")
    os.environ["REGISTRY_GATE_HOME"] = str(settings.home)
    init_keys(settings, (policy.digest(),))
    weights = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}
    with LoopbackHub() as hub:
        request = Request(MODEL, policy=policy, settings=settings, endpoint=hub.url)

        def commit(number: int) -> str:
            card = f"card number {number}\n".encode()
            return hub.add_repo(MODEL, {"model.safetensors": save(weights), "README.md": card})

        def admit_until(stop: str | None) -> str:
            def at(name: str) -> None:
                if name == stop:
                    os.kill(os.getpid(), signal.SIGKILL)

            report = admit(request, step=at)
            return f"{report.verdict.value} version {report.receipt.version if report.receipt else None}"

        def loaded() -> str:
            return verify(MODEL).commit

        def versions() -> str:
            return str(len(Registry(settings.registry_uri).versions(registered_name(MODEL))))

        before = commit(0)
        assert in_fork(loaded) == "not-in-registry"
        said, *imported = in_fork(lambda: "\n".join((admit_until(None), *sys.modules))).splitlines()
        assert said == "admit version 1"
        import_all(imported)
        for number, step in enumerate(STEPS, start=1):
            after = commit(number)
            outcome = {
                "step": step,
                "before": before,
                "after": after,
                "first": in_fork(functools.partial(admit_until, step)),
                "loaded_after_kill": in_fork(loaded),
                "second": in_fork(lambda: admit_until(None)),
                "loaded_after_second": in_fork(loaded),
                "versions": in_fork(versions),
                "leftovers": len(list(settings.work.glob("*+run-*"))),
            }
            sys.stdout.write(json.dumps(outcome) + "\n")
            sys.stdout.flush()
            before = after


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
