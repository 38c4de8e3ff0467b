"""A gate whose log, index, registry and records were written by the gate's own admissions and revocations."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from registry_gate import archive
from registry_gate.decision import Decision, decide
from registry_gate.evidence import Evidence
from registry_gate.finding import CheckResult, Confidence, Finding, Severity, Status
from registry_gate.ledger import Ledger, open_ledger
from registry_gate.publication import Published, Publisher, no_step
from registry_gate.registry import Registry
from registry_gate.testing.sample_release import FILES, SampleGate, sample_gate
from registry_gate.withdrawal import named_release, revoke

OLD, NEW = "a" * 40, "b" * 40


@dataclass(frozen=True)
class House:
    """Everything but the examination and the signer's own process is what ``registry-gate admit`` runs."""

    gate: SampleGate
    ledger: Ledger
    registry: Registry
    work: Path

    def admit(self, model_id: str, commit: str = OLD) -> Published:
        """Decide, record, file away, sign, upload, list, move the alias."""
        number = str(len(self.ledger.log.entries()))
        said = json.dumps({"architectures": [f"{model_id} {commit}"]})  # the same files are revoked together
        files = FILES | {"config.json": said.encode()}
        evidence, decision = self._decided(model_id, commit, files, number)
        publisher = self._publisher(self.work / f"published-{number}")
        sequence = self._recorded(publisher, evidence, decision)
        return publisher.publish(evidence, decision, self.gate.policy, sequence)

    def refuse(self, model_id: str, commit: str = OLD) -> None:
        """A decision that is none of admission."""
        number = str(len(self.ledger.log.entries()))
        finding = Finding(
            rule="name-typosquat", severity=Severity.CRITICAL, confidence=Confidence.HIGH, message="x"
        )
        evidence, _ = self._decided(model_id, commit, FILES, number)
        found = CheckResult(name="repo-name", version=1, status=Status.FINDINGS, findings=(finding,))
        evidence = evidence.model_copy(update={"results": (*evidence.results[1:], found)})
        decision = decide(evidence, self.gate.policy, datetime.now(UTC))
        self._recorded(self._publisher(self.work), evidence, decision)

    def revoke(self, what: str, reason: str) -> None:
        """As ``registry-gate revoke`` does."""
        revoke(self.ledger, named_release(self.ledger, what, reason))

    def _decided(
        self, model_id: str, commit: str, files: dict[str, bytes], number: str
    ) -> tuple[Evidence, Decision]:
        evidence = self.gate.evidence(self.work / f"staged-{number}", model_id, files, commit)
        licence = CheckResult(
            name="licence",
            version=1,
            status=Status.NO_FINDINGS,
            measurements={"stated": "apache-2.0", "spdx": "Apache-2.0"},
        )
        evidence = evidence.model_copy(update={"results": (*evidence.results, licence)})
        return evidence, decide(evidence, self.gate.policy, datetime.now(UTC))

    def _recorded(self, publisher: Publisher, evidence: Evidence, decision: Decision) -> int:
        sequence = publisher.record(evidence, decision, "somebody")
        folder = archive.folder_of(self.gate.settings, sequence, evidence.registered_name)
        archive.file_away(folder, evidence, decision, self.gate.policy)
        return sequence

    def _publisher(self, workspace: Path) -> Publisher:
        return Publisher(
            signer=self.gate.authority,
            trust=self.gate.trust,
            ledger=self.ledger,
            registry=self.registry,
            alias=None,
            workspace=workspace,
            step=no_step,
        )


def new_house(folder: Path, empty_registry: Path) -> House:
    """A gate with nothing admitted, and a copy of an embedded registry, whose tables take seconds to make."""
    gate = sample_gate(folder / "home")
    shutil.copytree(empty_registry, gate.settings.home / "registry")
    ledger = open_ledger(gate.settings)
    return House(replace(gate, trust=ledger.trust), ledger, Registry(gate.settings.registry_uri), folder)


def furnished(folder: Path, empty_registry: Path) -> House:
    """One model of every standing.

    ``acme/good`` has two versions, the newer admitted; of ``acme/bad`` the newer is revoked; of ``acme/gone``
    the only one; ``acme/refused`` was refused.
    """
    house = new_house(folder, empty_registry)
    for model in ("acme/good", "acme/bad"):
        house.admit(model, OLD)
        house.admit(model, NEW)
    house.admit("acme/gone")
    house.refuse("acme/refused")
    house.revoke("acme/bad", "trained on poisoned data")
    house.revoke("acme/gone", "licence withdrawn")
    return house
