"""Orders to sign, right and forged, and gates that sign keylessly or with a certificate."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from registry_gate.decision import decide
from registry_gate.release import Release, Terms
from registry_gate.settings import SigningSettings
from registry_gate.signer.process import SignerProcess
from registry_gate.signing.draft import make_draft
from registry_gate.signing.identities import TrustedCertificate, TrustedIdentity
from registry_gate.signing.order import Order
from registry_gate.signing.sign import sign_release
from registry_gate.signing.trust import save_trust
from registry_gate.testing.company_pki import NAME, CompanyPki
from registry_gate.testing.private_sigstore import PrivateSigstore
from registry_gate.testing.sample_release import FILES, SampleGate, an_hour_ago

WHO = "gate@acme.example"


def order(gate: SampleGate, folder: Path, **changes: object) -> Order:
    """An order that is in order, but for ``changes``."""
    issued = an_hour_ago()
    evidence = gate.evidence(folder / "staged", "acme/tiny", FILES, "a" * 40)
    terms = Terms(sequence=1, issued_at=issued, expires_at=issued + timedelta(days=30))
    decision = decide(evidence, gate.policy, issued)
    digest = make_draft(evidence, decision, terms, gate.trust.verifier).manifest.digest()
    made = Order(
        evidence=evidence, decision=decision, policy=gate.policy, terms=terms, manifest_digest=digest
    )
    return made.model_copy(update=changes)


def release(gate: SampleGate, folder: Path, issued: datetime | None = None) -> Release:
    """Sign through the process, as the settings say."""
    made = order(gate, folder)
    terms = made.terms
    if issued is not None:
        terms = Terms(sequence=1, issued_at=issued, expires_at=issued + timedelta(days=30))
    return sign_release(
        made.evidence,
        decide(made.evidence, made.policy, terms.issued_at),
        made.policy,
        terms=terms,
        signer=SignerProcess(gate.settings),
        trust=gate.trust,
        destination=folder / "release",
    )


def keyless(gate: SampleGate, sigstore: PrivateSigstore, folder: Path, who: str = WHO) -> SampleGate:
    """The gate, signing with a token for ``who``, and trusting :data:`WHO` alone."""
    config, token = folder / "trust-config.json", folder / "token.jwt"
    config.write_text(sigstore.trust_config())
    token.write_text(sigstore.token(who))
    signing = SigningSettings(sign_with="sigstore", sigstore_config=config, sigstore_token_file=token)
    identity = TrustedIdentity(identity=WHO, issuer=sigstore.issuer)
    trust = {"identities": (identity,), "sigstore_root": sigstore.trusted_root(), "keys": ()}
    return _changed(gate, signing, trust)


def with_certificate(
    gate: SampleGate, pki: CompanyPki, url: str | None = None, roots: str = ""
) -> SampleGate:
    """The gate, signing with the company's certificate, and trusting that alone."""
    signing = SigningSettings(
        sign_with="certificate",
        certificate=pki.leaf,
        certificate_chain=pki.intermediate,
        certificate_key=pki.leaf_key,
        timestamp_url=url,
    )
    accepted = TrustedCertificate(name=NAME, roots=pki.root.read_text(), timestamp_roots=roots)
    return _changed(gate, signing, {"certificates": (accepted,), "keys": ()})


def _changed(gate: SampleGate, signing: SigningSettings, update: dict[str, object]) -> SampleGate:
    settings = gate.settings.model_copy(update={"signing": signing})
    trust = gate.trust.model_copy(update=update)
    save_trust(settings.trust, trust)
    return replace(gate, settings=settings, trust=trust)
