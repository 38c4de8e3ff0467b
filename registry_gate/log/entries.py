"""What one line of the log says."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from registry_gate.candidate import Candidate, SeenFacts, Sha256
from registry_gate.decision import Verdict
from registry_gate.record import Record
from registry_gate.release import Digest, Receipt

FIRST_PREVIOUS = "0" * 64
PAYLOAD_TYPE = "application/vnd.registry-gate.log-entry.v1+json"


class DecisionBody(Record):
    """One decision, whatever its verdict. ``commit`` is None where none was resolved.

    ``seen`` is what the hub stated then of how the repository and its owner began.
    """

    kind: Literal["decision"] = "decision"
    verdict: Verdict
    candidate: Candidate
    registered_name: str
    commit: str | None
    policy_name: str
    policy_digest: Digest
    evidence_digest: Digest
    manifest_digest: Digest | None = None
    reasons: tuple[str, ...] = ()
    seen: SeenFacts | None = None


class ReceiptBody(Record):
    """Where the registry holds an admitted Release."""

    kind: Literal["receipt"] = "receipt"
    receipt: Receipt


class RenewalBody(Record):
    """A Release got new statements; this entry's number is their sequence number."""

    kind: Literal["renewal"] = "renewal"
    registered_name: str
    manifest_digest: Digest
    renewed_sequence: int = Field(ge=1)
    evidence_digest: Digest
    policy_digest: Digest
    expires_at: AwareDatetime


Body = DecisionBody | ReceiptBody | RenewalBody


class LogEntry(Record):
    """One signed line. ``previous`` is the hex sha256 of the line before it, without its newline."""

    sequence: int = Field(ge=1)
    previous: Sha256
    recorded_at: AwareDatetime
    body: Annotated[Body, Field(discriminator="kind")]
