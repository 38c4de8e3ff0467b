"""The signer's own judgement: every reason not to sign, then the statements it signs, made by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from registry_gate.candidate import registered_name
from registry_gate.decision import Approval, Verdict, decide
from registry_gate.errors import VerificationError
from registry_gate.signing.approval import open_approval
from registry_gate.signing.attestations import carry, prove_one_form
from registry_gate.signing.draft import Draft, make_draft, refuses
from registry_gate.signing.order import Order, Signed
from registry_gate.signing.seal import Sealer
from registry_gate.signing.trust import Trust


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
        raise refuses("deciding again on this evidence under this policy gives another decision")
    if evidence.out_of_scope or evidence.refusals:
        raise refuses("the evidence is of a partial or refused examination")
    if evidence.registered_name != registered_name(evidence.candidate.id):
        raise refuses("the registered name is not that of the candidate")
    if decision.policy_digest not in trust.policies:
        raise refuses(f"policy {policy.name!r} ({decision.policy_digest}) is not in the trust file")
    validity = terms.expires_at - terms.issued_at
    if not timedelta(0) < validity <= timedelta(days=policy.statement_days):
        raise refuses(f"the policy allows statements {policy.statement_days} days of validity")
    draft = make_draft(evidence, decision, terms, trust.verifier)
    if draft.manifest.digest() != order.manifest_digest:
        raise refuses("the digest asked for is not that of the files in the evidence")
    return draft


def _approvals(order: Order, trust: Trust) -> tuple[Approval, ...]:
    try:
        return tuple(open_approval(bundle.encode(), trust) for bundle in order.approvals)
    except VerificationError as error:
        raise refuses(f"an approval does not count: {error.message}") from error
