"""A publisher's signature on the whole road: admitted when it holds, refused after a takeover."""

from __future__ import annotations

from pathlib import Path

import model_signing
import pytest
import torch
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from safetensors.torch import save

from registry_gate.client import load_verified
from registry_gate.decision import Verdict
from registry_gate.policy import load_policy
from registry_gate.signing.trust import public_pem
from registry_gate.testing.hub import LoopbackHub
from tests.e2e.conftest import make_gate


def test_what_the_publisher_signed_is_admitted_and_a_takeover_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    model, private = tmp_path / "model", tmp_path / "key.pem"
    model.mkdir()
    (model / "model.safetensors").write_bytes(save({"weight": torch.arange(6.0).reshape(2, 3)}))
    (model / "README.md").write_text("a model\n")
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    signing = model_signing.signing.Config().use_elliptic_key_signer(private_key=private)
    signing.sign(model, model / "model.sig")
    provenance = load_policy("default").provenance.model_dump(mode="json")
    provenance["publishers"] = [
        {"name": "acme", "models": ["acme/*"], "key": public_pem(key.public_key()), "required": True}
    ]
    required = [name for name in load_policy("default").required_checks if name != "model-structure"]
    with LoopbackHub() as hub:
        hub.add_repo("acme/signed", model)
        gate = make_gate(tmp_path / "gate", hub.url, provenance=provenance, required_checks=required)
        monkeypatch.setenv("REGISTRY_GATE_HOME", str(gate.settings.home))
        first = gate.admit("acme/signed")
        loaded = load_verified("acme/signed", into="directory")
        (model / "model.safetensors").write_bytes(save({"weight": torch.zeros(2, 3)}))
        hub.add_repo("acme/signed", model)
        second = gate.admit("acme/signed")
    told = next(check.measurements for check in first.checks if check.name == "publisher-signature")
    assert first.verdict is Verdict.ADMIT, first.reasons
    assert (told["publisher"], told["files-signed"]) == ("acme", 2)
    assert "model.sig" not in {path.name for path in loaded.iterdir()}
    assert any(path == "model.sig" for path, _ in first.left_behind)
    assert second.verdict is Verdict.REJECT
    assert {reason.code for reason in second.reasons} >= {"publisher-signature-invalid"}
