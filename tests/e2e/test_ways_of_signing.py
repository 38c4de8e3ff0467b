"""``admit`` with an identity instead of a key, and with a key that a passphrase guards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from registry_gate import load_verified
from registry_gate.decision import Verdict
from registry_gate.errors import UsageError
from registry_gate.log.admission_log import AdmissionLog
from registry_gate.settings import Settings, SigningSettings
from registry_gate.signing.identities import TrustedIdentity
from registry_gate.signing.keys import init_keyless
from registry_gate.signing.trust import effective_trust, save_trust
from registry_gate.testing.hub import LoopbackHub
from registry_gate.testing.private_sigstore import PrivateSigstore
from tests.e2e.conftest import Gate, make_gate

WHO = "https://ci.acme.example/gate@refs/heads/main"


def keyless(gate: Gate, sigstore: PrivateSigstore, folder: Path) -> Gate:
    """The same gate with a home that never had a signing key."""
    settings: Settings = gate.settings.model_copy(
        update={"home": folder / "keyless", "trust": folder / "keyless/trust.json"}
    )
    trust = init_keyless(settings, (gate.policy.digest(),))
    identity = TrustedIdentity(identity=WHO, issuer=sigstore.issuer)
    update = {"identities": (identity,), "sigstore_root": sigstore.trusted_root()}
    save_trust(settings.trust, trust.model_copy(update=update))
    (folder / "config.json").write_text(sigstore.trust_config())
    (folder / "token").write_text(sigstore.token(WHO))
    signing = SigningSettings(
        sign_with="sigstore", sigstore_config=folder / "config.json", sigstore_token_file=folder / "token"
    )
    registry = f"sqlite:///{settings.home}/registry/mlflow.db"
    return replace(gate, settings=settings.model_copy(update={"signing": signing, "registry_uri": registry}))


def test_a_model_is_admitted_by_identity_and_loads_when_the_services_are_gone(
    hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PrivateSigstore() as sigstore:
        gate = keyless(make_gate(tmp_path, hub.url), sigstore, tmp_path)
        report = gate.admit("acme-ml/tiny")
    assert report.verdict is Verdict.ADMIT
    assert report.release is not None
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(gate.settings.home))
    assert load_verified("acme-ml/tiny", into="state_dict")
    assert [path.name for path in gate.settings.keys.iterdir()] == ["log-key.pem"]
    assert len(AdmissionLog(gate.settings.log, effective_trust(gate.settings)).entries()) >= 2


def test_a_gate_whose_trust_names_no_identity_fetches_nothing(hub: LoopbackHub, tmp_path: Path) -> None:
    gate = make_gate(tmp_path, hub.url)
    signing = SigningSettings(sign_with="sigstore")
    gate = replace(gate, settings=gate.settings.model_copy(update={"signing": signing}))
    before = len(hub.requests)
    with pytest.raises(UsageError) as caught:
        gate.admit("acme-ml/tiny")
    assert caught.value.code == "signer-not-trusted"
    assert len(hub.requests) == before
