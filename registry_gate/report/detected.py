"""What ``detect`` says of one model: the document that its reports render."""

from __future__ import annotations

from registry_gate.decision import Verdict
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.finding import Finding, Status
from registry_gate.record import Record


class Detection(Record):
    """What one defence says of one model.

    ``status`` is the deciding check's; where it did not look the verdict is ``review`` and ``reason`` says
    why. ``score`` lies in [0, 1]; ``statistic`` and ``per_class`` are the defence's own (of ``all``: logits
    of the fused score). ``tests`` hold all that was measured. ``model_digest`` is of the weights as given.
    """

    defense: str
    verdict: Verdict
    status: Status
    reason: str
    score: float | None
    p_value: float | None
    statistic: float | None
    suspected_target: int | None
    per_class: tuple[float, ...]
    findings: tuple[Finding, ...]
    model: str
    model_digest: str
    library_class: str | None
    profile: str
    seed: int
    device: str | None
    seconds: float
    power_note: str
    policy: str
    gate_version: str
    tests: tuple[BehaviourMeasurement, ...]

    @property
    def flagged(self) -> bool:
        """Whether the verdict is anything but ``admit``."""
        return self.verdict is not Verdict.ADMIT
