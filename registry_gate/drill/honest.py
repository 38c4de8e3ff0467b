"""The other half of the proof: the honest model meets every control, and none may stop it."""

from __future__ import annotations

from registry_gate.candidate import registered_name
from registry_gate.decision import Verdict
from registry_gate.drill import cluster, exhibits, processes
from registry_gate.drill.attack import Answer, Attack, answer
from registry_gate.drill.catalogue import StageEntry
from registry_gate.drill.code_stages import ask_audit, honest_code_base
from registry_gate.drill.document import Reading
from registry_gate.drill.gate_stages import ask_gate
from registry_gate.drill.registry_stages import ask_index, ask_registry_audit
from registry_gate.drill.world import World
from registry_gate.errors import ToolError

ROAD = StageEntry(
    id="honest",
    title="an honest model",
    story="A tiny text classifier of an owner of some years, in safetensors.",
    consequence="none: whatever stops it is a false alarm",
    controls=(
        "audit", "name", "provenance", "pickle", "conversion", "behaviour", "signature", "index",
        "registry-audit", "guard", "admission-policy", "egress", "falco",
    ),
    techniques=(),
)  # fmt: skip


def walk(world: World, without: frozenset[str]) -> tuple[Reading, ...]:
    """Let the honest model meet the controls.

    Raises:
        ToolError: ``honest-refused``: the gate does not admit it, so that nothing means anything.
    """
    examined = world.honest
    if examined.report.verdict is not Verdict.ADMIT or examined.report.release is None:
        reasons = ", ".join(reason.code for reason in examined.report.reasons)
        raise ToolError(
            "honest-refused",
            f"the gate does not admit the drill's honest model: {examined.report.verdict.value} ({reasons})",
            why="a gate that refuses everything would catch every stage, and that would prove nothing",
        )
    attack = Attack(ROAD, without)
    pin = f"{registered_name(exhibits.HONEST)}@{examined.report.release.manifest_digest}"
    attack.ask("audit", lambda: ask_audit(world, honest_code_base(world)))
    ask_gate(world, attack, examined)
    attack.ask("index", lambda: ask_index(world, exhibits.HONEST))
    attack.ask("registry-audit", lambda: ask_registry_audit(world))
    attack.ask("guard", lambda: _guarded_pull(world))
    deployment = cluster.serving_deployment(pin)
    attack.ask("admission-policy", lambda: cluster.ask_policies(deployment, cluster.current_list(world)))
    attack.ask("egress", lambda: cluster.ask_egress(cluster.TO_THE_REGISTRY))
    event = cluster.connection_event("registry-gate pull", 5000, container="registry-gate-pull")
    attack.ask("falco", lambda: cluster.ask_falco(event))
    return tuple(attack.readings)


def _guarded_pull(world: World) -> Answer:
    """A guarded process of its own pulls the Release: signature, index and guard let it pass."""
    destination = world.folder / "pulled"
    ended = processes.client(world, "pull", exhibits.HONEST, str(destination), REGISTRY_GATE_GUARD="1")
    return answer(ended.refused, "pulled by a guarded process")
