"""The attestations of a Release in their one form, proven: who sealed them, and every payload that counts.

A key seals every statement: it costs nothing. A certificate's chain is long, and a keyless signature is an
entry in a log that everybody keeps for ever, so with those ``model.sig`` and the verdict are sealed and
nothing else. Nothing is lost: the verdict names every other statement by the digest of its payload, and a
carried statement counts only because the sealed verdict names it. What one cannot do is show a single
carried statement alone.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime

from registry_gate.signing.bundle import IN_TOTO, read_bundle, unique_json
from registry_gate.signing.dsse import unseal
from registry_gate.signing.identities import Method, Signatory
from registry_gate.signing.proven import Proven, prove
from registry_gate.signing.refusal import refusal, shown
from registry_gate.signing.sigstore_check import Window
from registry_gate.signing.trust import Trust


@dataclass(frozen=True)
class Attestations:
    """Payloads of ``model.sig`` and of the statements, the verdict last; one signatory sealed them all.

    Where only the verdict is sealed, the others are worth what the verdict says of them: compare their
    digests with it. ``window`` is when the verdict must have been sealed, None where nothing says.
    """

    model_signature: bytes
    statements: tuple[bytes, ...]
    signatory: Signatory
    window: Window | None


def open_attestations(model_sig: bytes, lines: list[bytes], trust: Trust, now: datetime) -> Attestations:
    """Prove the seals of a Release.

    Raises:
        VerificationError: ``bad-bundle``, ``bad-statement`` for two signatories, or what
            :func:`registry_gate.signing.proven.prove` raises.
    """
    if not lines:
        raise refusal("bad-statement", "there is no statement")
    signature = prove_one_form(model_sig, trust, now)
    each = signature.signatory.method is Method.KEY
    sealed = [prove_one_form(line, trust, now) for line in (lines if each else lines[-1:])]
    if any(item.signatory != signature.signatory for item in sealed):
        raise refusal("bad-statement", "the statements were signed by different signers")
    payloads = [item.payload for item in sealed]
    if not each:
        payloads = [*(carried(line) for line in lines[:-1]), *payloads]
    return Attestations(signature.payload, tuple(payloads), signature.signatory, sealed[-1].window)


def prove_one_form(bundle: bytes, trust: Trust, now: datetime | None = None) -> Proven:
    """Verify a bundle, which must be in the one form that the gate writes for its way of signing.

    Raises:
        VerificationError: ``bad-bundle``, or what :func:`registry_gate.signing.proven.prove` raises.
    """
    method = read_bundle(bundle).verification_material.method
    if method is Method.KEY:
        opened = unseal(bundle, trust)
        return Proven(opened.payload, Signatory(method=Method.KEY, name=opened.key.key_id))
    if one_form(unique_json(bundle)) != bundle:
        raise refusal("bad-bundle", "the signature bundle is not in the one form the gate writes")
    return prove(bundle, trust, now=now)


def carry(payload: bytes) -> bytes:
    """A statement without a seal: a DSSE envelope with no signature in it, on one line."""
    text = base64.b64encode(payload).decode()
    return one_form({"payload": text, "payloadType": IN_TOTO, "signatures": []})


def carried(line: bytes) -> bytes:
    """The payload of a line that ``carry`` wrote; whoever calls must find it named by a sealed verdict.

    Raises:
        VerificationError: ``bad-bundle``.
    """
    try:
        payload = base64.b64decode(json.loads(line)["payload"], validate=True)
        same = carry(payload) == line
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise refusal("bad-bundle", f"a line is no statement: {shown(str(error))}") from error
    if not same:
        raise refusal("bad-bundle", "a statement beside the verdict is not in the one form the gate writes")
    return payload


def one_form(value: object) -> bytes:
    """The one JSON form of what is not signed with a bare key."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
