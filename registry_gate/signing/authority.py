"""The signer's own judgement: every reason not to sign, then the statements it signs, made by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from registry_gate.candidate import registered_name
from registry_gate.decision import Approval, Verdict, decide
from registry_gate.errors import VerificationError
from registry_gate.evidence import Evidence
from registry_gate.policy import Policy
from registry_gate.signing.approval import open_approval
from registry_gate.signing.attestations import carry, prove_one_form
from registry_gate.signing.draft import Draft, make_draft, refuses
from registry_gate.signing.order import Order, Signed
from registry_gate.signing.seal import Sealer
from registry_gate.signing.self_test import open_self_test
from registry_gate.signing.trust import Trust
from registry_gate.signing.verify_statements import VerifiedStatements, verify_statements


@dataclass(frozen=True)
class Authority:
    """Carries out orders with one way of sealing, under one trust file: the inside of the signer."""

    sealer: Sealer
    trust: Trust

    def carry_out(self, order: Order) -> Signed:
        """Decide again, make the statements, seal them, and hold the seals against the trust file.

        Raises:
            Refused: ``signer-refuses``.
            VerificationError: ``bad-manifest``.
            UsageError, ToolError: what the way of sealing raises.
        """
        draft = authorised(order, self.trust)
        self.sealer.check(self.trust)
        model_sig = self.sealer.seal(draft.model_signature)
        *others, verdict = draft.statements
        seal = self.sealer.seal if self.sealer.seals_each else carry
        lines = [*(seal(data) for data in others), self.sealer.seal(verdict)]
        # What was just sealed must be what verifiers with this trust file accept.
        proven = [prove_one_form(bundle, self.trust) for bundle in (model_sig, lines[-1])]
        return Signed(
            model_sig=model_sig.decode(),
            statements=tuple(line.decode() for line in lines),
            signatory=proven[-1].signatory,
        )


def authorised(order: Order, trust: Trust) -> Draft:
    """The statements of an order that may be signed under this trust file. Pure.

    Raises:
        Refused: ``signer-refuses``, saying what does not hold.
        VerificationError: ``bad-manifest``.
    """
    evidence, decision, policy, terms = order.evidence, order.decision, order.policy, order.terms
    if decision.verdict is not Verdict.ADMIT:
        raise refuses(f"the decision is {decision.verdict.value}")
    again = decide(evidence, policy, terms.issued_at, _approvals(order, trust))
    if again != decision.model_copy(update={"decided_at": terms.issued_at}):
        codes = ", ".join(dict.fromkeys(reason.code for reason in again.reasons)) or "no reasons"
        raise refuses(
            "deciding again on this evidence under this policy gives another decision: "
            f"{again.verdict.value} ({codes})"
        )
    if evidence.out_of_scope or evidence.refusals:
        raise refuses("the evidence is of a partial or refused examination")
    if evidence.registered_name != registered_name(evidence.candidate.id):
        raise refuses("the registered name is not that of the candidate")
    if decision.policy_digest not in trust.policies:
        raise refuses(f"policy {policy.name!r} ({decision.policy_digest}) is not in the trust file")
    if terms.issued_at - evidence.observed_at > timedelta(days=policy.evidence_days):
        raise refuses(f"the policy allows evidence {policy.evidence_days} days of age")
    validity = terms.expires_at - terms.issued_at
    if not timedelta(0) < validity <= timedelta(days=policy.statement_days):
        raise refuses(f"the policy allows statements {policy.statement_days} days of validity")
    _check_self_test(evidence, policy, trust)
    standing = _standing(order, trust) if order.renews else None
    bill = standing.bill_of_materials if standing else None
    draft = make_draft(evidence, decision, terms, trust.verifier, bill)
    if standing and draft.manifest != standing.manifest:
        raise refuses("the evidence is not of the files that are to be signed again")
    if draft.manifest.digest() != order.manifest_digest:
        raise refuses("the digest asked for is not that of the files in the evidence")
    return draft


def _check_self_test(evidence: Evidence, policy: Policy, trust: Trust) -> None:
    """What ``decide`` went by must be what the gate signed, and of the policy and version that are used."""
    recorded = evidence.self_test
    if policy.self_test_days is None or recorded is None:
        return  # what is demanded and missing, deciding again has found
    try:
        said = open_self_test(recorded.bundle, trust).said
    except VerificationError as error:
        raise refuses(f"the self-test does not count: {error.message}") from error
    if said != recorded.said:
        raise refuses("the self-test in the evidence is not the one that was signed")
    if (said.policy_digest, said.gate_version) != (policy.digest(), evidence.gate_version):
        raise refuses("the self-test was made for another policy, or with another version of the gate")


def _standing(order: Order, trust: Trust) -> VerifiedStatements:
    """What an order asks to renew, verified here: it must still hold, and be of the same source."""
    renews, evidence = order.renews, order.evidence
    if renews is None:
        raise refuses("the order renews nothing")
    try:
        found = verify_statements(
            b"".join(line.encode() + b"\n" for line in renews.statements),
            renews.model_sig.encode(),
            trust,
            expect_name=evidence.registered_name,
            expect_id=evidence.candidate.id,
            now=order.terms.issued_at,
        )
    except VerificationError as error:
        raise refuses(f"what is to be renewed does not verify: {error.code}: {error.message}") from error
    if found.verified.sequence >= order.terms.sequence:
        raise refuses("what is to be renewed has a later number")
    return found


def _approvals(order: Order, trust: Trust) -> tuple[Approval, ...]:
    try:
        return tuple(open_approval(bundle.encode(), trust) for bundle in order.approvals)
    except VerificationError as error:
        raise refuses(f"an approval does not count: {error.message}") from error
