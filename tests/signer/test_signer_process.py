"""A gate that was taken over asks the signer for what it must not have."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from registry_gate.decision import Verdict
from registry_gate.errors import Error, Refused, ToolError
from registry_gate.examine import sandbox
from registry_gate.signer import process
from registry_gate.signer.answering import answer
from registry_gate.signer.process import SignerProcess
from registry_gate.signer.protocol import MAX_REQUEST, Answer, Request
from registry_gate.signing.keys import init_keys
from registry_gate.signing.order import Order
from registry_gate.signing.trust import save_trust
from registry_gate.signing.verify import verify_release
from registry_gate.testing.sample_release import SampleGate, sample_policy
from tests.signer.orders import order, release


def test_a_release_is_signed_by_a_process_that_alone_reads_the_key(
    own_gate: SampleGate, tmp_path: Path
) -> None:
    root = release(own_gate, tmp_path).root
    assert verify_release(root, own_gate.trust).signed_by == own_gate.signer.key.key_id


def asked(gate: SampleGate, made: Order) -> Answer:
    """Through the very code of the child, in this process: what crosses the pipe both ways is the same."""
    return Answer.from_json(answer(Request(settings=gate.settings, order=made).canonical()))


def forged(made: Order) -> Order:
    """An admission of what the checks did not even look at."""
    decision = made.decision.model_copy(update={"verdict": Verdict.ADMIT, "reasons": ()})
    return made.model_copy(
        update={"evidence": made.evidence.model_copy(update={"results": ()}), "decision": decision}
    )


LATER = datetime(2099, 1, 1, tzinfo=UTC)
FORGED = {
    "refused decision": forged,
    "review": lambda made: made.model_copy(
        update={"decision": made.decision.model_copy(update={"verdict": Verdict.REVIEW})}
    ),
    "other digest": lambda made: made.model_copy(update={"manifest_digest": "sha256:" + "0" * 64}),
    "other policy": lambda made: made.model_copy(update={"policy": sample_policy("lenient")}),
    "other policy digest": lambda made: made.model_copy(
        update={"decision": made.decision.model_copy(update={"policy_digest": "sha256:" + "0" * 64})}
    ),
    "other name": lambda made: made.model_copy(
        update={"evidence": made.evidence.model_copy(update={"registered_name": "acme--large"})}
    ),
    "longer validity": lambda made: made.model_copy(
        update={"terms": made.terms.model_copy(update={"expires_at": LATER})}
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_order_is_refused(name: str, gate: SampleGate, tmp_path: Path) -> None:
    said = asked(gate, FORGED[name](order(gate, tmp_path)))
    assert said.signed is None
    assert said.refusal is not None
    assert (said.refusal.family, said.refusal.code) == ("Refused", "signer-refuses")


def test_a_policy_that_only_the_gate_says_is_trusted_is_refused(gate: SampleGate, tmp_path: Path) -> None:
    """The signer reads the trust file itself; a decision that is right under one's own policy is no good."""
    policy = sample_policy("lenient").model_copy(update={"required_checks": ()})
    made = order(SampleGate(gate.settings, gate.signer, gate.trust, policy), tmp_path)
    said = asked(gate, made)
    assert said.refusal is not None
    assert "trust file" in said.refusal.message


@pytest.mark.parametrize("data", [b"", b"{", b"\xff" * 100, b"[" * 10_000, b"null", b'{"order": 1}'])
def test_garbage_is_answered_with_a_refusal(data: bytes) -> None:
    said = Answer.from_json(answer(data))
    assert said.refusal is not None
    assert said.refusal.code == "signer-request"


def test_an_order_beyond_the_limit_is_not_read() -> None:
    said = Answer.from_json(answer(b" " * (MAX_REQUEST + 1)))
    assert said.refusal is not None
    assert "more than" in said.refusal.message


def test_a_refusal_crosses_the_pipe_whole(own_gate: SampleGate, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        SignerProcess(own_gate.settings).carry_out(forged(order(own_gate, tmp_path)))
    assert caught.value.code == "signer-refuses"
    assert caught.value.todo


def test_a_key_that_others_can_read_is_not_used(own_gate: SampleGate, tmp_path: Path) -> None:
    (own_gate.settings.keys / "signing-key.pem").chmod(0o644)
    with pytest.raises(Error) as caught:
        SignerProcess(own_gate.settings).carry_out(order(own_gate, tmp_path))
    assert caught.value.code == "key-readable-by-others"


PASSPHRASE = "correct horse battery staple"


@pytest.mark.parametrize(
    ("given", "code"),
    [(PASSPHRASE, None), (None, "passphrase-needed"), ("wrong horse battery staple", "wrong-passphrase")],
)
def test_an_encrypted_key_opens_with_its_passphrase_only(
    given: str | None, code: str | None, gate: SampleGate, tmp_path: Path
) -> None:
    settings = gate.settings.model_copy(
        update={"home": tmp_path / "encrypted", "trust": tmp_path / "encrypted/trust.json"}
    )
    init_keys(settings, (gate.policy.digest(),), PASSPHRASE.encode())
    assert b"ENCRYPTED" in (settings.keys / "signing-key.pem").read_bytes()
    request = Request(settings=settings, order=order(gate, tmp_path), passphrase=given)
    assert PASSPHRASE not in repr(request)
    said = Answer.from_json(answer(request.canonical()))
    assert (said.refusal.code if said.refusal else None) == code
    assert (said.signed is None) == (code is not None)


def test_a_signer_that_is_killed_leaves_nothing_half_signed(
    own_gate: SampleGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL before the answer: no Release folder, and the staged files where they were."""
    monkeypatch.setattr(sandbox, "_BOOT", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ToolError) as caught:
        release(own_gate, tmp_path)
    assert caught.value.code == "signer-failed"
    assert not (tmp_path / "release").exists()
    assert (tmp_path / "staged/config.json").exists()


@pytest.mark.parametrize("said", [b"", b"{}", b"null", b'{"signed": {}}', b"\xff"])
def test_an_answer_that_is_none_signs_nothing(
    said: bytes, own_gate: SampleGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_confined", lambda request, settings: said)
    with pytest.raises(ToolError) as caught:
        release(own_gate, tmp_path)
    assert caught.value.code == "signer-failed"
    assert not (tmp_path / "release").exists()
    assert (tmp_path / "staged/config.json").exists()


def test_an_answer_about_other_bytes_is_not_written(
    own_gate: SampleGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signer that signs, validly, an order it was given earlier."""
    other = order(own_gate, tmp_path / "other")
    other = other.model_copy(update={"terms": other.terms.model_copy(update={"sequence": 7})})
    said = answer(Request(settings=own_gate.settings, order=other).canonical())
    monkeypatch.setattr(process, "_confined", lambda request, settings: said)
    with pytest.raises(ToolError) as caught:
        release(own_gate, tmp_path)
    assert caught.value.code == "signer-answer"
    assert not (tmp_path / "release").exists()


def test_the_confined_signer_sees_no_other_file_of_the_user(own_gate: SampleGate, tmp_path: Path) -> None:
    """A trust file that is not among those opened to the child cannot be read by it, so it does not sign."""
    elsewhere = tmp_path / "elsewhere.json"
    save_trust(elsewhere, own_gate.trust)
    other = own_gate.settings.model_copy(update={"trust": elsewhere})
    assert SignerProcess(other).carry_out(order(own_gate, tmp_path)).signatory.name
    request = Request(settings=other, order=order(own_gate, tmp_path)).canonical()
    said = Answer.from_json(process._confined(request, own_gate.settings))
    assert said.signed is None
    assert said.refusal is not None
    assert said.refusal.code in ("bad-trust", "no-trust")


def test_whether_it_could_sign_is_asked_before_anything_is_fetched(gate: SampleGate, tmp_path: Path) -> None:
    settings = gate.settings.model_copy(
        update={"home": tmp_path / "asked", "trust": tmp_path / "asked/trust.json"}
    )
    init_keys(settings, (gate.policy.digest(),), PASSPHRASE.encode())
    SignerProcess(settings, PASSPHRASE).check()
    with pytest.raises(Error) as caught:
        SignerProcess(settings, "wrong horse battery staple").check()
    assert caught.value.code == "wrong-passphrase"
    save_trust(settings.trust, gate.trust)
    with pytest.raises(Refused):
        SignerProcess(settings, PASSPHRASE).check()
