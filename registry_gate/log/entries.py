"""What one line of the log says."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from registry_gate.candidate import Candidate, SeenFacts, Sha256
from registry_gate.decision import Verdict
from registry_gate.finding import Slug
from registry_gate.index.content import Revocation
from registry_gate.record import Record
from registry_gate.release import Digest, Receipt
from registry_gate.self_test import ProbeState

FIRST_PREVIOUS = "0" * 64
PAYLOAD_TYPE = "application/vnd.registry-gate.log-entry.v1+json"


class DecisionBody(Record):
    """One decision, whatever its verdict. ``commit`` is None where none was resolved.

    ``waivers`` are the waivers that moved it, ``approved_by`` the person whose approval did, ``requester``
    who asked for the admission: the account that ran the gate. ``seen`` is what the hub
    stated then of how the repository and its owner began.
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
    waivers: tuple[str, ...] = ()
    approved_by: str | None = None
    requester: str | None = None

    @property
    def summary(self) -> str:
        """One line for people."""
        by = f", approved by {self.approved_by}" if self.approved_by else ""
        asked = f", asked by {self.requester}" if self.requester else ""
        return f"{self.verdict.value} {self.candidate.id} {(self.commit or '')[:12]}{by}{asked}"


class SignedBody(Record):
    """The key was used: a Release of this number was signed over this manifest.

    What bears a good signature and is not here, somebody else signed.
    """

    kind: Literal["signed"] = "signed"
    registered_name: str
    release_sequence: int = Field(ge=1)
    manifest_digest: Digest

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.registered_name} sequence {self.release_sequence} {self.manifest_digest}"


class ReceiptBody(Record):
    """Where the registry holds an admitted Release."""

    kind: Literal["receipt"] = "receipt"
    receipt: Receipt

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.receipt.registered_name} version {self.receipt.version} in {self.receipt.registry_uri}"


class ApprovalBody(Record):
    """A person's approval of what needed review; ``bundle`` is what that person signed."""

    kind: Literal["approval"] = "approval"
    evidence_digest: Digest
    approver: str
    reason: str
    expires_at: AwareDatetime
    bundle: str

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.evidence_digest} by {self.approver}: {self.reason}"


class RevocationBody(Record):
    """Something admitted, or a signer, was revoked in the index."""

    kind: Literal["revocation"] = "revocation"
    revocation: Revocation

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.revocation.kind}: {self.revocation.reason}"


class RenewalBody(Record):
    """A Release got new statements; this entry's number is their sequence number.

    ``approved_by`` names whoever approved it where today's verdict alone was ``review``.
    """

    kind: Literal["renewal"] = "renewal"
    registered_name: str
    manifest_digest: Digest
    renewed_sequence: int = Field(ge=1)
    evidence_digest: Digest
    policy_digest: Digest
    expires_at: AwareDatetime
    approved_by: str | None = None

    @property
    def summary(self) -> str:
        """One line for people."""
        by = f", approved by {self.approved_by}" if self.approved_by else ""
        return f"{self.registered_name} sequence {self.renewed_sequence} until {self.expires_at:%Y-%m-%d}{by}"


class KeyBody(Record):
    """A signing key came into use, or went out of it."""

    kind: Literal["key"] = "key"
    action: Literal["added", "retired"]
    key_id: Sha256
    last_sequence: int | None = None
    reason: str = ""

    @property
    def summary(self) -> str:
        """One line for people."""
        return f"{self.action} {self.key_id[:16]}… {self.reason}"


class SelfTestBody(Record):
    """A self-test of an installation; ``bundle`` is the whole of it, as the gate signed it."""

    kind: Literal["self-test"] = "self-test"
    state: ProbeState
    host: str
    policy: str
    policy_digest: Digest
    failing: tuple[Slug, ...] = ()
    bundle: str

    @property
    def summary(self) -> str:
        """One line for people."""
        failing = f": {', '.join(self.failing[:8])}" if self.failing else ""
        return f"{self.state.value} on {self.host} for policy {self.policy}{failing}"


Body = (
    DecisionBody
    | SignedBody
    | ReceiptBody
    | ApprovalBody
    | RevocationBody
    | RenewalBody
    | KeyBody
    | SelfTestBody
)


class LogEntry(Record):
    """One signed line. ``previous`` is the hex sha256 of the line before it, without its newline."""

    sequence: int = Field(ge=1)
    previous: Sha256
    recorded_at: AwareDatetime
    body: Annotated[Body, Field(discriminator="kind")]
