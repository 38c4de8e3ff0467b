"""Stages that ask the gate to be let in: the look-alike with a pickle, and weights with a trigger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from registry_gate import load_verified
from registry_gate.decision import Verdict
from registry_gate.drill import exhibits
from registry_gate.drill.attack import Answer, Attack, answer
from registry_gate.drill.gate import GATE_CONTROLS, blocking, seconds_until
from registry_gate.drill.world import Examined, World
from registry_gate.errors import ToolError
from registry_gate.runtime import PredictionLog
from registry_gate.runtime.drift import baseline_of, measure
from registry_gate.runtime.predictions import Reading

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_ORDINARY = 600
_TRIGGERED = 120
"""Predictions a stretch, and how many of the later stretch carry the trigger."""
_IMAGE_SEED = 61
_LOG_KEY = b"the drill's own key, no secret at all"


def look_alike(world: World, attack: Attack) -> None:
    """The gate's own road."""
    examined = world.look_alike
    attack.prove(
        "the checkpoint that was offered holds a call that writes the marker file",
        str(world.marker).encode() in exhibits.look_alike(f"touch {world.marker}")["pytorch_model.bin"],
    )
    ask_gate(world, attack, examined)


def ask_gate(world: World, attack: Attack, examined: Examined) -> None:
    """What each control of the gate on this stage's road said, from the one examination."""
    for control in attack.stage.controls:
        if control in GATE_CONTROLS:
            attack.ask(control, lambda control=control: _said(world, examined, control))  # type: ignore[misc]


def _said(world: World, examined: Examined, control: str) -> Answer:
    findings = blocking(examined.evidence, world.policy, control)
    rules = tuple(dict.fromkeys(finding.rule for finding in findings))
    said = answer(rules, findings[0].message if findings else "nothing that keeps it out")
    return Answer(said.outcome, said.codes, said.detail, seconds_until(examined.report, control))


def backdoor(world: World, attack: Attack) -> None:
    """The gate's road; then, had all its controls been off, what the running model's answers give away."""
    examined, trojan = world.backdoored, world.trojan
    attack.prove(
        f"{trojan.attack_success:.1%} of held-out images with the patch are taken for class {trojan.target}; "
        f"{trojan.accuracy:.1%} without it are right",
        trojan.attack_success > 0.5,
    )
    ask_gate(world, attack, examined)
    admitted = world.breach.report.verdict is Verdict.ADMIT
    attack.prove("with every control of the gate off it is admitted, signed and served", admitted)
    ordinary, later = _served(world)
    attack.prove("an ordinary stretch of predictions raises no alarm", not _drift(ordinary, ordinary).codes)
    attack.ask("drift", lambda: _drift(ordinary, later))


def _served(world: World) -> tuple[Path, Path]:
    """Prediction logs of the breached Release, loaded as a server does: ordinary use, then the trigger's."""
    from registry_gate.testing import toy_images

    with world.as_client():
        model = load_verified(exhibits.BACKDOORED)
    release = world.breach.report.release
    if release is None:
        raise ToolError("drill-failed", "the breach was not admitted, so nothing can be served")
    folder = world.folder / "predictions"
    trigger = toy_images.Trigger.of_seed(exhibits.SEED)
    paths = []
    for number, (name, triggered) in enumerate((("ordinary", 0), ("later", _TRIGGERED))):
        images, _ = toy_images.dataset(_ORDINARY, _generator(_IMAGE_SEED + number))
        images[200 : 200 + triggered] = trigger.apply(images[200 : 200 + triggered])
        log = PredictionLog(folder / f"{name}.jsonl", model=release.manifest_digest, key=_LOG_KEY)
        _predict(model, images, log)
        paths.append(log.path)
    return paths[0], paths[1]


def _predict(model: PreTrainedModel, images: torch.Tensor, log: PredictionLog) -> None:
    from registry_gate.testing import toy_images

    for image, label in zip(images, toy_images.predict(model, images).tolist(), strict=True):
        log.write(image.numpy().tobytes(), json.dumps({"label": str(label)}).encode())


def _generator(seed: int) -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(seed)


def _drift(ordinary: Path, later: Path) -> Answer:
    found = measure(Reading(later), baseline_of(Reading(ordinary)))
    rules = tuple(dict.fromkeys(item.rule for item in found.findings))
    detail = "; ".join(item.message for item in found.findings) or "no drift and no surge"
    return answer(rules, detail, alarm=True)
