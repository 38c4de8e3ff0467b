"""Signing with a company's certificate, with and without a time stamp authority."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from registry_gate.errors import Error, VerificationError
from registry_gate.signing.verify import verify_release
from registry_gate.testing.company_pki import NAME, CompanyPki, company_pki
from registry_gate.testing.private_sigstore import PrivateSigstore
from registry_gate.testing.sample_release import SampleGate, sample_gate
from tests.signer.orders import release, with_certificate
from tests.signer.test_keyless import CLI


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> CompanyPki:
    return company_pki(tmp_path_factory.mktemp("pki"), days=(-1, 20))


@pytest.fixture(scope="module")
def signed(pki: CompanyPki, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleGate]:
    folder = tmp_path_factory.mktemp("signed")
    gate = with_certificate(sample_gate(folder / "home"), pki)
    return release(gate, folder).root, gate


def test_a_release_by_certificate_verifies_and_says_who(signed: tuple[Path, SampleGate]) -> None:
    root, gate = signed
    assert verify_release(root, gate.trust).signed_by.startswith(f"{NAME} (root ")


def test_the_public_tool_verifies_a_release_by_certificate(
    signed: tuple[Path, SampleGate], pki: CompanyPki
) -> None:
    root, _ = signed
    command = [CLI, "verify", "certificate", str(root / "model"), "--certificate_chain", str(pki.root)]
    command += ["--signature", str(root / "attestations/model.sig")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "succeeded" in done.stdout) == (0, True), done.stderr


def code(root: Path, gate: SampleGate, now: datetime) -> str | None:
    try:
        verify_release(root, gate.trust, now=now)
    except VerificationError as error:
        return error.code
    return None


def test_without_a_time_stamp_a_signature_dies_with_its_certificate(signed: tuple[Path, SampleGate]) -> None:
    root, gate = signed
    now = datetime.now(UTC)
    assert code(root, gate, now + timedelta(days=19)) is None
    assert code(root, gate, now + timedelta(days=21)) == "certificate-expired"


@pytest.fixture
def stamped(own_gate: SampleGate, sigstore: PrivateSigstore, pki: CompanyPki) -> SampleGate:
    root = sigstore.tsa.root.certificate.public_bytes(Encoding.PEM).decode()
    return with_certificate(own_gate, pki, f"{sigstore.url}/api/v1/timestamp", root)


def test_with_a_time_stamp_it_outlives_its_certificate(stamped: SampleGate, tmp_path: Path) -> None:
    root = release(stamped, tmp_path).root
    now = datetime.now(UTC)
    assert code(root, stamped, now + timedelta(days=25)) is None
    assert code(root, stamped, now + timedelta(days=31)) == "expired"


def test_a_time_stamp_that_is_wanted_and_absent_is_refused(
    signed: tuple[Path, SampleGate], stamped: SampleGate
) -> None:
    assert code(signed[0], stamped, datetime.now(UTC)) == "no-timestamp"


def test_a_verdict_dated_otherwise_than_it_was_stamped_is_refused(
    stamped: SampleGate, sigstore: PrivateSigstore, tmp_path: Path
) -> None:
    sigstore.tsa.clock = datetime.now(UTC) + timedelta(days=3)
    try:
        root = release(stamped, tmp_path).root
    finally:
        sigstore.tsa.clock = None
    assert code(root, stamped, datetime.now(UTC)) == "wrong-time"


@pytest.mark.parametrize("part", ["certificate", "certificate_key", "certificate_chain"])
def test_what_does_not_belong_together_signs_nothing(
    part: str, own_gate: SampleGate, pki: CompanyPki, tmp_path: Path
) -> None:
    other = company_pki(tmp_path / "other")
    gate = with_certificate(own_gate, pki)
    files = {
        "certificate": other.leaf,
        "certificate_key": other.leaf_key,
        "certificate_chain": other.intermediate,
    }
    signing = gate.settings.signing.model_copy(update={part: files[part]})
    gate = SampleGate(
        gate.settings.model_copy(update={"signing": signing}), gate.signer, gate.trust, gate.policy
    )
    with pytest.raises(Error) as caught:
        release(gate, tmp_path)
    assert caught.value.code in ("bad-certificate", "untrusted-certificate")
    assert not (tmp_path / "release").exists()
