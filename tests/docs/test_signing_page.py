"""The examples of ``docs/signing.md``, in a folder that holds what the page names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registry_gate.testing.company_pki import company_pki
from registry_gate.testing.private_sigstore import PrivateSigstore
from tests.docs.console import run_page

PAGE = Path(__file__).parents[2] / "docs/signing.md"


def test_the_page_shows_what_the_commands_print(tmp_path: Path) -> None:
    (tmp_path / "passphrase.txt").write_text("correct horse battery staple\n")
    company_pki(tmp_path / "pki")
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "publisher.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (tmp_path / "publisher.pub.pem").write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    (tmp_path / "model/weights.bin").write_bytes(b"\0" * 8)
    (tmp_path / "sigstore").mkdir()
    with PrivateSigstore() as sigstore:
        (tmp_path / "sigstore/trust-config.json").write_text(sigstore.trust_config())
        (tmp_path / "sigstore/issuer").write_text(sigstore.issuer)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {"PATH": path, "HOME": str(tmp_path), "REGISTRY_GATE_HOME": str(tmp_path / "home")}
        assert run_page(PAGE, tmp_path, env) == 10
