from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from registry_gate.errors import VerificationError
from registry_gate.signing.dsse import IN_TOTO, pae, parse_canonical, seal, unseal
from registry_gate.testing.sample_release import SampleGate


def test_the_pre_authentication_encoding_is_that_of_the_specification() -> None:
    # the example of DSSE's protocol.md
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@settings(max_examples=30, deadline=None)
@given(payload=st.binary(max_size=300))
def test_what_is_sealed_unseals(payload: bytes, gate: SampleGate) -> None:
    opened = unseal(seal(payload, gate.signer), gate.trust)
    assert (opened.payload, opened.key) == (payload, gate.signer.key)


def test_the_signature_is_ecdsa_over_the_encoding(gate: SampleGate) -> None:
    bundle = json.loads(seal(b"{}", gate.signer))
    key = serialization.load_pem_public_key((gate.settings.keys / "signing-key.pub.pem").read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
    key.verify(signature, pae(IN_TOTO, b"{}"), ec.ECDSA(hashes.SHA256()))


def test_a_payload_of_another_type_is_not_taken_for_a_statement(gate: SampleGate) -> None:
    sealed = seal(b"{}", gate.signer, "application/vnd.registry-gate.log-entry.v1+json")
    with pytest.raises(VerificationError) as caught:
        unseal(sealed, gate.trust)
    assert caught.value.code == "bad-bundle"


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_nothing_but_a_bundle_is_read_as_one(data: bytes, gate: SampleGate) -> None:
    with pytest.raises(VerificationError) as caught:
        unseal(data, gate.trust)
    assert caught.value.code == "bad-bundle"


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 50_000, b"null", b"[]", b'"x"', b"1e999"])
def test_strange_json_is_refused(data: bytes, gate: SampleGate) -> None:
    with pytest.raises(VerificationError) as caught:
        unseal(data, gate.trust)
    assert caught.value.code == "bad-bundle"


@pytest.mark.parametrize(
    "data", [b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a":1}\n', b'{"a":1e0}', b"[" * 100_000]
)
def test_json_in_another_than_the_canonical_form_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|canonical|Expecting"):
        parse_canonical(data)
