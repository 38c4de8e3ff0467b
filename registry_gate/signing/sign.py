"""From an admitting decision to a Release: ask the signer, check its answer, move the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from registry_gate.decision import Decision
from registry_gate.errors import ToolError, UsageError
from registry_gate.evidence import Evidence
from registry_gate.policy import Policy
from registry_gate.release import Release, Terms
from registry_gate.signing.attestations import open_attestations
from registry_gate.signing.draft import Draft, make_draft
from registry_gate.signing.order import Order, ReleaseSigner, Signed, Standing
from registry_gate.signing.trust import Trust
from registry_gate.signing.verify_statements import VerifiedStatements
from registry_gate.signing.write import write_attestations, write_release


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
    order = _order(evidence, decision, policy, terms, draft, approvals=approvals)
    signed = _signed(order, draft, signer, trust)
    write_release(evidence.staged.root if evidence.staged else Path(), draft, signed, destination)
    return _released(order, draft, signed, destination)


@dataclass(frozen=True)
class Judgement:
    """A decision with all it rests on; ``approvals`` are signed lines, which the signer verifies itself."""

    evidence: Evidence
    decision: Decision
    policy: Policy
    approvals: tuple[str, ...] = ()


def sign_renewal(
    judged: Judgement,
    *,
    standing: VerifiedStatements,
    terms: Terms,
    signer: ReleaseSigner,
    trust: Trust,
    destination: Path,
) -> Release:
    """Have fresh statements signed over the files of an earlier Release.

    Args:
        judged: the stored record, judged again today; it must describe exactly the files that stand.
        standing: of the earlier Release; the signer verifies it again.
        terms: a new sequence number and validity.
        signer: as for :func:`sign_release`.
        trust: as for :func:`sign_release`.
        destination: holds the earlier Release's ``model``, verified, and nothing else.

    Raises:
        Refused: ``signer-refuses``.
        ToolError: ``signer-answer``, ``release-not-written``, or what the signer raises.
    """
    evidence, decision = judged.evidence, judged.decision
    draft = make_draft(evidence, decision, terms, trust.verifier, standing.bill_of_materials)
    order = _order(evidence, decision, judged.policy, terms, draft, _standing(standing), judged.approvals)
    signed = _signed(order, draft, signer, trust)
    write_attestations(signed, destination)
    return _released(order, draft, signed, destination)


def _order(
    evidence: Evidence,
    decision: Decision,
    policy: Policy,
    terms: Terms,
    draft: Draft,
    renews: Standing | None = None,
    approvals: tuple[str, ...] = (),
) -> Order:
    return Order(
        evidence=evidence,
        decision=decision,
        policy=policy,
        terms=terms,
        manifest_digest=draft.manifest.digest(),
        renews=renews,
        approvals=approvals,
    )


def _standing(found: VerifiedStatements) -> Standing:
    lines = found.statements.decode().removesuffix("\n").split("\n")
    return Standing(model_sig=found.model_sig.decode(), statements=tuple(lines))


def _signed(order: Order, draft: Draft, signer: ReleaseSigner, trust: Trust) -> Signed:
    signed = signer.carry_out(order)
    _check_answer(signed, draft, order.terms, trust)
    return signed


def _released(order: Order, draft: Draft, signed: Signed, destination: Path) -> Release:
    evidence, decision = order.evidence, order.decision
    return Release(
        root=destination,
        registered_name=evidence.registered_name,
        source=draft.source,
        terms=order.terms,
        manifest_digest=order.manifest_digest,
        files_digest=draft.manifest.files_digest(),
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
