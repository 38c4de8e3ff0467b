"""Run by test_killed.py in a process of its own: admit, killed at each named step, then run again.

The heavy libraries are imported once and each admission runs in a fork, so that a kill is a real SIGKILL of a
real process and ten of them still fit a test. Prints one JSON object a step.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import transformers  # noqa: F401 - imported before the forks
from sqlalchemy import create_engine  # noqa: F401

from registry_gate import settings as settings_of
from registry_gate.admission import Request, admit
from registry_gate.client import load_verified
from registry_gate.errors import Error
from registry_gate.policy import load_policy
from registry_gate.publication import STEPS
from registry_gate.registry import Registry
from registry_gate.signing.keys import init_keys


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


def main(folder: Path, endpoint: str, policy_file: str, model_id: str) -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    policy = load_policy(policy_file)
    for step in STEPS:
        settings = settings_of.load(folder / step, administrator_trust=folder / "none.json")
        init_keys(settings, (policy.digest(),))
        request = Request(model_id, policy=policy, settings=settings, endpoint=endpoint)
        os.environ["REGISTRY_GATE_HOME"] = str(settings.home)

        def admit_until(stop: str | None, request: Request = request) -> str:
            def at(name: str) -> None:
                if name == stop:
                    os.kill(os.getpid(), signal.SIGKILL)

            report = admit(request, step=at)
            return f"{report.verdict.value} version {report.receipt.version if report.receipt else None}"

        def load() -> str:
            return f"{len(load_verified(model_id, into='state_dict'))} tensors"

        def versions(uri: str = settings.registry_uri) -> str:
            return str(len(Registry(uri).versions(model_id.replace("/", "--"))))

        outcome = {
            "step": step,
            "first": in_fork(lambda: admit_until(step)),  # noqa: B023 - called at once
            "load_after_kill": in_fork(load),
            "second": in_fork(lambda: admit_until(None)),
            "load_after_second": in_fork(load),
            "versions": in_fork(versions),
            "leftovers": len(list(settings.work.glob("*.run-*"))),
        }
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    mlflow.set_tracking_uri("sqlite:////nonexistent/never-used.db")
    main(Path(sys.argv[1]), *sys.argv[2:])
