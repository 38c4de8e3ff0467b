"""The codes with which verification refuses, and what each means and asks for."""

from __future__ import annotations

from registry_gate.errors import VerificationError

_MAX_SHOWN = 200

_MEANING: dict[str, tuple[str, str]] = {
    "no-signature": (
        "nothing here was signed by the gate; being in a registry proves nothing",
        "admit the model with `registry-gate admit`, or check that the alias points at an admitted version",
    ),
    "bad-bundle": (
        "a signature that is not exactly in the form the gate writes may have been edited",
        "fetch the Release again; if it stays, admit the model again",
    ),
    "bad-signature": (
        "the statement is not what the key signed",
        "treat the stored copy as tampered with; fetch it from another place or admit the model again",
    ),
    "untrusted-key": (
        "anyone can sign with a key of their own",
        "if this signer is yours, add its public key to the trust file; otherwise do not load the model",
    ),
    "untrusted-identity": (
        "anyone can sign keylessly with an identity of their own; the issuer is half of who it is",
        "if this signer is yours, add identity and issuer with `registry-gate keys trust-identity`",
    ),
    "untrusted-certificate": (
        "a certificate counts only under the pinned roots, for signing, and by its exact name",
        "if this signer is yours, add it with `registry-gate keys trust-certificate`",
    ),
    "certificate-expired": (
        "nothing proves that the signature was made while the certificate was valid",
        "sign with the renewed certificate, or pin a time stamp authority for the next ones",
    ),
    "no-timestamp": (
        "the trust file wants the time of signing proven by a pinned authority",
        "sign again with the authority's address in the settings",
    ),
    "bad-statement": (
        "the set of signed statements is incomplete, repeated or not of this Release",
        "fetch the Release again; if it stays, admit the model again",
    ),
    "bad-manifest": (
        "a manifest that breaks the naming rules could lead a reader outside the folder",
        "do not load the model; admit it again",
    ),
    "unknown-algorithm": (
        "digests say something only by an algorithm that is known to be sound; nothing is guessed",
        "if a newer gate signed it, update registry-gate here; otherwise do not load the model",
    ),
    "wrong-name": (
        "a valid signature over another model does not speak for this one",
        "check where the registry's alias points; someone may have moved it",
    ),
    "wrong-policy": (
        "the verdict was given under a policy that this trust file does not accept",
        "admit the model under an accepted policy, or accept this one with `registry-gate keys trust-policy`",
    ),
    "wrong-verifier": (
        "the verdict was given by another gate than the trust file names",
        "use the trust file of the gate that admitted the model",
    ),
    "wrong-verdict": ("only PASSED admits", "admit the model again"),
    "expired": ("old verdicts do not know what was learnt since", "admit the model again"),
    "not-yet-valid": (
        "a verdict from the future is forged or made by a wrong clock",
        "check this machine's clock and the gate's",
    ),
    "wrong-time": (
        "a verdict dated otherwise than it was sealed could outlive its own expiry",
        "check the gate's clock, then admit the model again",
    ),
    "unexpected-file": (
        "a file that nobody signed can change what the model does when loaded",
        "remove it, or fetch the Release again",
    ),
    "missing-file": ("a Release is whole or not loaded", "fetch the Release again"),
    "bytes-differ": (
        "the file is not the one the gate examined",
        "treat the stored copy as tampered with; fetch it from another place or admit the model again",
    ),
    "manifest-differs": (
        "a tag of the registry said it was the version asked for; its signed statements say it is another",
        "check who can change tags in the registry, and the digest you asked for",
    ),
    "link": (
        "a link can be pointed elsewhere between the check and the use",
        "store the Release as plain files",
    ),
}

_MEANING |= {
    "no-index": (
        "a signature alone does not say whether the Release was withdrawn or its key stolen",
        "set REGISTRY_GATE_INDEX and get the gate's trust file; at the gate: `registry-gate index init-root`",
    ),
    "index-untrusted": (
        "an index that is not signed by the keys of its root says what its author likes",
        "check REGISTRY_GATE_INDEX; if the root was replaced, get the new trust file from your administrator",
    ),
    "index-stale": (
        "an old index does not know what was revoked since",
        "have `registry-gate index refresh` run where the gate is, and check this machine's clock",
    ),
    "index-rolled-back": (
        "someone shows an index older than the one already seen; revocations may be missing from it",
        "find out who changed the index; restore the newest one and run `registry-gate index refresh`",
    ),
    "not-in-index": (
        "the key signed this, but the gate never listed it: that is how a stolen key looks",
        "do not load the model; tell whoever runs the gate, or admit the model again",
    ),
    "revoked": (
        "the gate withdrew what it had admitted",
        "use another version; the index says why it was revoked",
    ),
    "key-revoked": (
        "the key that signed this is known to others, or was taken out of service",
        "have the model admitted again: the gate signs with another key now",
    ),
    "key-retired": (
        "a retired key serves for reading history only",
        "have the model admitted again: the gate signs with another key now",
    ),
    "superseded": (
        "the alias points at an older Release than the gate left it at; someone may have moved it back",
        "ask for the older version by its number if you want it, or have the gate move the alias",
    ),
}

CODES = frozenset(_MEANING)


def refusal(code: str, message: str) -> VerificationError:
    """The error for a code of the table above."""
    why, todo = _MEANING[code]
    return VerificationError(code, message, why=why, todo=todo)


def shown(text: object) -> str:
    """Hostile text, escaped and cut, for a message."""
    escaped = ascii(text)
    return escaped if len(escaped) <= _MAX_SHOWN else f"{escaped[:_MAX_SHOWN]}..."
