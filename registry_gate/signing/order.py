"""What passes between the gate and its signer: an order, with all to judge it by, and what came of it."""

from __future__ import annotations

from typing import Protocol

from registry_gate.decision import Decision
from registry_gate.evidence import Evidence
from registry_gate.policy import Policy
from registry_gate.record import Record
from registry_gate.release import Digest, Terms
from registry_gate.signing.identities import Signatory


class Standing(Record):
    """The attestations of an earlier Release that an order asks to renew, as they stand in the store."""

    model_sig: str
    statements: tuple[str, ...]


class Order(Record):
    """A request to sign one Release; no candidate byte is in it, and no path that leads to one.

    ``decision`` must be what ``decide`` says of ``evidence`` under ``policy`` at ``terms.issued_at``;
    ``manifest_digest`` that of the manifest which the signer makes of the evidence by itself. ``renews`` is
    verified by the signer, too, before it signs the same files again. ``approvals`` are
    signed lines, which the signer verifies by itself.
    """

    evidence: Evidence
    decision: Decision
    policy: Policy
    terms: Terms
    manifest_digest: Digest
    renews: Standing | None = None
    approvals: tuple[str, ...] = ()


class Signed(Record):
    """The signer's answer: ``model.sig``, the lines of ``statements.jsonl``, and who signed."""

    model_sig: str
    statements: tuple[str, ...]
    signatory: Signatory


class ReleaseSigner(Protocol):
    """Whoever carries out orders; the gate's own is a process apart."""

    def carry_out(self, order: Order) -> Signed:
        """Judge again, then sign; raises ``Refused`` with ``signer-refuses``."""
