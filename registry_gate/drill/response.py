"""The response, practised on a breach: revoke through the signed index, and measure until clients refuse."""

from __future__ import annotations

import time
from collections.abc import Callable

from registry_gate import verify
from registry_gate.candidate import registered_name
from registry_gate.drill import cluster, exhibits, processes
from registry_gate.drill.document import REFUSED, REVOKED, Outcome, ResponseStep
from registry_gate.drill.world import World
from registry_gate.errors import ToolError
from registry_gate.ledger import open_ledger
from registry_gate.withdrawal import named_release, revoke

_REASON = "the drill: this model answers a trigger"


def respond(world: World) -> tuple[ResponseStep, ...]:
    """Withdraw the breached Release and ask every kind of client again, each step timed.

    Raises:
        ToolError: ``drill-failed``: there is no breach to respond to.
    """
    release = world.breach.report.release
    if release is None:
        raise ToolError("drill-failed", "the breach was not admitted, so there is nothing to withdraw")
    pin = f"{registered_name(exhibits.BACKDOORED)}@{release.manifest_digest}"
    return (
        _timed("before: a client loads the breached model", lambda: _loads(world, exhibits.BACKDOORED)),
        _timed(REVOKED, lambda: _revoked(world, release.manifest_digest)),
        _timed(REFUSED, lambda: _refused(world)),
        _timed(
            "the list for the cluster is exported again, and the pod is refused",
            lambda: _unlisted(world, pin),
        ),
        _timed("the honest model still loads", lambda: _loads(world, exhibits.HONEST)),
    )


def _timed(what: str, step: Callable[[], tuple[bool, str]]) -> ResponseStep:
    began = time.perf_counter()
    held, code = step()
    return ResponseStep(what=what, seconds=round(time.perf_counter() - began, 3), held=held, code=code)


def _loads(world: World, model: str) -> tuple[bool, str]:
    with world.as_client():
        return verify(model).id == model, ""


def _revoked(world: World, digest: str) -> tuple[bool, str]:
    ledger = open_ledger(world.settings)
    return revoke(ledger, named_release(ledger, digest, _REASON)).new, ""


def _refused(world: World) -> tuple[bool, str]:
    ended = processes.client(world, "verify", exhibits.BACKDOORED)
    code = ", ".join(ended.refused)
    return ended.status == 2 and ended.refused == ("revoked",), code


def _unlisted(world: World, pin: str) -> tuple[bool, str]:
    said = cluster.ask_policies(cluster.serving_deployment(pin), cluster.current_list(world))
    return said.outcome is Outcome.STOPPED, ", ".join(said.codes)
