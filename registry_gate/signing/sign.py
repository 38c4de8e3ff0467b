"""From an admitting decision to a Release: ask the signer, check its answer, move the files."""

from __future__ import annotations

from pathlib import Path

from registry_gate.decision import Decision
from registry_gate.errors import ToolError, UsageError
from registry_gate.evidence import Evidence
from registry_gate.policy import Policy
from registry_gate.release import Release, Terms
from registry_gate.signing.attestations import open_attestations
from registry_gate.signing.draft import Draft, make_draft
from registry_gate.signing.order import Order, ReleaseSigner, Signed
from registry_gate.signing.trust import Trust
from registry_gate.signing.write import write_release


def sign_release(
    evidence: Evidence,
    decision: Decision,
    policy: Policy,
    *,
    terms: Terms,
    signer: ReleaseSigner,
    trust: Trust,
    destination: Path,
    approvals: tuple[str, ...] = (),
) -> Release:
    """Have a Release signed, then make its directory; the staged files are moved into it.

    The private key is the signer's alone. Killed before the last step, nothing is left that looks signed:
    ``destination`` is made only when the whole answer is there and agrees.

    Args:
        evidence: the whole record, with its check results; ``evidence.staged.root`` holds the files.
        decision: must say admit, and be what ``decide`` says of this evidence again at ``terms.issued_at``.
        policy: the policy of the decision; its digest must be in the signer's trust file.
        terms: sequence number and validity.
        signer: carries out the order, or refuses it.
        trust: names the verifier id to sign as; what comes back must be proven by it.
        destination: the new directory; must not exist.
        approvals: the signed approvals that the decision rests on; the signer verifies them itself.

    Raises:
        Refused: ``signer-refuses`` when the signer finds a reason not to.
        VerificationError: ``bad-manifest`` when a staged name may not stand in a Release.
        UsageError: ``release-exists``.
        ToolError: ``signer-answer``, ``release-not-written``, or what the signer raises.
    """
    if destination.exists():
        raise UsageError("release-exists", f"{destination} is there already")
    draft = make_draft(evidence, decision, terms, trust.verifier)
    digest = draft.manifest.digest()
    signed = signer.carry_out(
        Order(
            evidence=evidence,
            decision=decision,
            policy=policy,
            terms=terms,
            manifest_digest=digest,
            approvals=approvals,
        )
    )
    _check_answer(signed, draft, terms, trust)
    write_release(evidence.staged.root if evidence.staged else Path(), draft.manifest, signed, destination)
    return Release(
        root=destination,
        registered_name=evidence.registered_name,
        source=draft.source,
        terms=terms,
        manifest_digest=digest,
        policy_digest=decision.policy_digest,
        evidence_digest=decision.evidence_digest,
        signed_by=str(signed.signatory),
        files=len(draft.manifest.files),
        size=draft.manifest.total_size,
    )


def _check_answer(signed: Signed, draft: Draft, terms: Terms, trust: Trust) -> None:
    """The signer is trusted with the key, not with what ends up in the Release."""
    lines = [line.encode() for line in signed.statements]
    found = open_attestations(signed.model_sig.encode(), lines, trust, terms.issued_at)
    said = (found.model_signature, found.statements, found.signatory)
    if said != (draft.model_signature, draft.statements, signed.signatory):
        raise ToolError(
            "signer-answer",
            "the signer signed something else than it was asked to",
            why="a Release says what the gate found, to the byte",
            todo="run again; if it stays, the signer and the gate are of different versions",
        )
