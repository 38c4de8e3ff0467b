"""Stages in the serving process: it fetches a second stage, or sends data out."""

from __future__ import annotations

from registry_gate.drill import cluster, processes
from registry_gate.drill.attack import Answer, Attack, answer
from registry_gate.drill.processes import Ended, Listener
from registry_gate.drill.victim import SECOND_STAGE, STOLEN
from registry_gate.drill.world import World

_HUBS = {"REGISTRY_GATE_GUARD_HUBS": "127.0.0.1"}


def second_stage(world: World, attack: Attack) -> None:
    """The process asks a hub for more code; to the guard, the listener's address is a hub's."""
    _reach_out(world, attack, "fetch", SECOND_STAGE, _HUBS)


def exfiltration(world: World, attack: Attack) -> None:
    """The process sends data to an address that nobody listed."""
    _reach_out(world, attack, "send", STOLEN, {})


def _reach_out(world: World, attack: Attack, act: str, message: bytes, guard: dict[str, str]) -> None:
    with processes.listening() as listener:
        alone = processes.victim(world, act, "127.0.0.1", str(listener.port))
        attack.prove(
            f"with nothing in its way it sent {len(message)} bytes, and a listener on loopback received them",
            alone.status == 0 and listener.heard == [message],
        )
        attack.ask("sandbox", lambda: _confined(world, listener, message))
        attack.ask("guard", lambda: _guarded(world, listener, act, guard))
    attack.ask("egress", lambda: cluster.ask_egress(cluster.OUTSIDE))
    attack.ask("falco", lambda: _watched(alone))


def _confined(world: World, listener: Listener, message: bytes) -> Answer:
    heard = len(listener.heard)
    ending, mode = processes.confined_victim(world, listener.port, message)
    if len(listener.heard) > heard or not ending.error:
        return answer((), f"{mode} let it out")
    return answer(("no-network",), f"{mode}: {ending.error}")


def _guarded(world: World, listener: Listener, act: str, variables: dict[str, str]) -> Answer:
    heard = len(listener.heard)
    ended = processes.guarded_victim(world, act, "127.0.0.1", str(listener.port), **variables)
    if len(listener.heard) > heard:
        return answer(
            (), "it got out: the guard knows hubs, and leaves other addresses to the network's rules"
        )
    return answer(ended.refused, "the listener heard nothing")


def _watched(alone: Ended) -> Answer:
    return cluster.ask_falco(cluster.connection_event(alone.command, cluster.OUTSIDE.port))
