"""What the signer does with a request: read key and trust by itself, judge, sign."""

from __future__ import annotations

import os

from pydantic import ValidationError

from registry_gate.errors import Error, ToolError
from registry_gate.settings import ADMINISTRATOR_TRUST, Settings
from registry_gate.signer.protocol import MAX_REQUEST, Answer, Request, refusal_of
from registry_gate.signing.authority import Authority
from registry_gate.signing.keys import load_signer
from registry_gate.signing.seal import KeySealer, Sealer
from registry_gate.signing.trust import Trust, effective_trust, load_trust, narrowed


def answer(data: bytes) -> bytes:
    """Carry out one request; every refusal is an answer, and whatever else goes wrong ends the process."""
    try:
        request = _read(data)
        authority = Authority(_sealer(request), _trust(request.settings))
        if request.order is None:
            authority.sealer.check(authority.trust)
            return Answer().canonical()
        signed = authority.carry_out(request.order)
    except Error as error:
        return Answer(refusal=refusal_of(error)).canonical()
    return Answer(signed=signed).canonical()


def _read(data: bytes) -> Request:
    try:
        if len(data) > MAX_REQUEST:
            raise ValueError(f"more than {MAX_REQUEST} bytes")
        return Request.from_json(data)
    except (ValidationError, ValueError) as error:
        detail = str(error).splitlines()[0]
        raise ToolError("signer-request", f"the signer does not understand the request: {detail}") from error


def _trust(settings: Settings) -> Trust:
    """The trust in force, read here: what the gate believes does not count. The real ceiling holds always."""
    trust = effective_trust(settings)
    if os.path.lexists(ADMINISTRATOR_TRUST):
        return narrowed(load_trust(ADMINISTRATOR_TRUST), trust)
    return trust


def _sealer(request: Request) -> Sealer:
    passphrase = request.passphrase.encode() if request.passphrase is not None else None
    signing = request.settings.signing
    if signing.sign_with == "sigstore":
        from registry_gate.signing.keyless import open_keyless

        return open_keyless(signing)
    if signing.sign_with == "certificate":
        from registry_gate.signing.company import open_certificate

        return open_certificate(signing, passphrase)
    return KeySealer(load_signer(request.settings, passphrase))
