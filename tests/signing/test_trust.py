from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry_gate.errors import UsageError
from registry_gate.signing.identities import TrustedCertificate, TrustedIdentity
from registry_gate.signing.trust import (
    Trust,
    TrustedKey,
    effective_trust,
    load_trust,
    narrowed,
    save_trust,
    trust_policy,
)
from registry_gate.testing.sample_release import SampleGate, sample_gate

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.fixture
def fresh(tmp_path: Path) -> SampleGate:
    return sample_gate(tmp_path / "home")


def administered(gate: SampleGate, ceiling: Trust) -> None:
    save_trust(gate.settings.administrator_trust, ceiling)


def test_without_an_administrator_the_users_own_trust_holds(fresh: SampleGate) -> None:
    assert effective_trust(fresh.settings) == fresh.trust


def test_without_an_administrator_an_argument_replaces_it(fresh: SampleGate, gate: SampleGate) -> None:
    assert effective_trust(fresh.settings, gate.trust) == gate.trust
    assert effective_trust(fresh.settings, gate.settings.trust) == gate.trust
    assert effective_trust(fresh.settings, str(gate.settings.trust)) == gate.trust


def test_the_administrators_trust_holds_where_the_user_has_none(fresh: SampleGate) -> None:
    administered(fresh, fresh.trust)
    fresh.settings.trust.unlink()
    assert effective_trust(fresh.settings) == fresh.trust


def test_a_user_can_narrow_the_administrators_trust(fresh: SampleGate, gate: SampleGate) -> None:
    ceiling = Trust(
        verifier=fresh.trust.verifier, keys=(*fresh.trust.keys, *gate.trust.keys), policies=(ONE, TWO)
    )
    administered(fresh, ceiling)
    wanted = Trust(verifier=fresh.trust.verifier, keys=fresh.trust.keys, policies=(ONE,))
    assert effective_trust(fresh.settings, wanted) == wanted


def test_a_user_cannot_widen_the_administrators_trust(fresh: SampleGate, gate: SampleGate) -> None:
    ceiling = Trust(verifier=fresh.trust.verifier, keys=fresh.trust.keys, policies=(ONE,))
    administered(fresh, ceiling)
    wanted = Trust(
        verifier=fresh.trust.verifier, keys=(*fresh.trust.keys, *gate.trust.keys), policies=(ONE, TWO)
    )
    save_trust(fresh.settings.trust, wanted)
    assert effective_trust(fresh.settings) == ceiling
    assert effective_trust(fresh.settings, wanted) == ceiling


def test_the_same_key_id_with_another_key_is_not_the_same_key(fresh: SampleGate, gate: SampleGate) -> None:
    forged = fresh.trust.keys[0].model_copy(update={"public_key": gate.trust.keys[0].public_key})
    wanted = fresh.trust.model_copy(update={"keys": (forged,)})
    assert narrowed(fresh.trust, wanted).keys == ()


def test_an_administrators_file_that_cannot_be_used_stops_everything(fresh: SampleGate) -> None:
    for content in (None, b"{}"):
        fresh.settings.administrator_trust.unlink(missing_ok=True)
        if content is None:
            fresh.settings.administrator_trust.symlink_to("/nonexistent/trust.json")
        else:
            fresh.settings.administrator_trust.write_bytes(content)
        with pytest.raises(UsageError):
            effective_trust(fresh.settings, fresh.trust)


def test_another_verifier_is_a_conflict(fresh: SampleGate, gate: SampleGate) -> None:
    administered(fresh, fresh.trust)
    with pytest.raises(UsageError) as caught:
        effective_trust(fresh.settings, gate.trust)
    assert caught.value.code == "trust-conflict"


def test_a_policy_is_accepted_once(fresh: SampleGate) -> None:
    trust_policy(fresh.settings, ONE)
    trust_policy(fresh.settings, ONE)
    assert load_trust(fresh.settings.trust).policies == (*fresh.trust.policies, ONE)


@pytest.mark.parametrize("digest", ["", "1" * 64, "sha256:" + "g" * 64, ONE + "1", ONE + "\n"])
def test_what_is_no_digest_is_not_accepted(digest: str, fresh: SampleGate) -> None:
    with pytest.raises(UsageError) as caught:
        trust_policy(fresh.settings, digest)
    assert caught.value.code == "bad-policy-digest"
    assert load_trust(fresh.settings.trust) == fresh.trust


def test_a_missing_trust_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_trust(tmp_path / "none.json")
    assert caught.value.code == "no-trust"


def test_a_broken_trust_file_is_refused(fresh: SampleGate, gate: SampleGate, tmp_path: Path) -> None:
    good = json.loads(fresh.settings.trust.read_text())
    swapped = {**good, "keys": [{**good["keys"][0], "public_key": gate.trust.keys[0].public_key}]}
    unnormal = {**good, "keys": [{**good["keys"][0], "public_key": good["keys"][0]["public_key"] + "\n"}]}
    broken = [
        b"",
        b"{}",
        b"\xff",
        json.dumps({**good, "version": 2}).encode(),
        json.dumps({**good, "more": 1}).encode(),
        json.dumps({**good, "verifier": ""}).encode(),
        json.dumps({**good, "policies": ["sha256:no"]}).encode(),
        json.dumps(swapped).encode(),
        json.dumps(unnormal).encode(),
        json.dumps(good).encode() + b" " * 2_000_000 + b"x",
    ]
    path = tmp_path / "trust.json"
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(UsageError) as caught:
            load_trust(path)
        assert caught.value.code == "bad-trust", content[:80]


def test_signers_of_every_kind_are_only_narrowed() -> None:
    """A user's file can leave out, and can neither add nor bend, what the administrator accepts."""
    mine = TrustedIdentity(identity="gate@acme.example", issuer="https://idp.example")
    more = TrustedIdentity(identity="gate@acme.example", issuer="https://other.example")
    stamped = TrustedCertificate(name="URI:urn:a", roots="pem", timestamp_roots="tsa")
    bare = TrustedCertificate(name="URI:urn:a", roots="pem")
    log = TrustedKey(key_id="0" * 64, public_key="x")
    ceiling = Trust(
        verifier="v",
        keys=(),
        policies=(),
        identities=(mine,),
        sigstore_root="{}",
        certificates=(stamped,),
        log_keys=(log,),
    )
    assert narrowed(ceiling, ceiling) == ceiling
    wider = ceiling.model_copy(
        update={"identities": (mine, more), "certificates": (bare, stamped), "log_keys": (log, log)}
    )
    assert narrowed(ceiling, wider) == ceiling
    other = narrowed(ceiling, wider.model_copy(update={"sigstore_root": "public", "certificates": (bare,)}))
    assert (other.identities, other.sigstore_root, other.certificates) == ((), None, ())
    assert narrowed(ceiling, wider.model_copy(update={"log_keys": ()})).log_keys == ()


def test_a_trust_file_of_before_identities_is_read(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_text('{"version": 1, "verifier": "v", "keys": [], "policies": []}')
    trust = load_trust(path)
    assert (trust.identities, trust.sigstore_root, trust.certificates, trust.log_keys) == ((), None, (), ())
