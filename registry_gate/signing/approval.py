"""A person's signed word that a candidate in review may pass, bound to the evidence that was looked at."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from registry_gate.decision import Approval
from registry_gate.errors import UsageError
from registry_gate.signing.dsse import parse_canonical, seal, unseal
from registry_gate.signing.key_files import make_key_file, read_key
from registry_gate.signing.keys import KeySigner, checked_passphrase
from registry_gate.signing.refusal import refusal, shown
from registry_gate.signing.trust import Approver, Trust

PAYLOAD_TYPE = "application/vnd.registry-gate.approval.v1+json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_PURPOSE = "approver's key"


def sign_approval(approval: Approval, signer: KeySigner) -> bytes:
    """One line that says it, signed."""
    return seal(approval.canonical(), signer, PAYLOAD_TYPE)


def open_approval(bundle: bytes, trust: Trust) -> Approval:
    """Verify an approval against the approvers of the trust file.

    Raises:
        VerificationError: ``bad-bundle``, ``bad-signature``, ``untrusted-key``, ``bad-statement``.
    """
    keys = tuple(approver.key for approver in trust.approvers)
    opened = unseal(bundle, trust.model_copy(update={"keys": keys, "retired_keys": ()}), PAYLOAD_TYPE)
    try:
        parse_canonical(opened.payload)
        approval = Approval.from_json(opened.payload)
    except (ValidationError, ValueError) as error:
        raise refusal("bad-statement", "it is signed but is no approval") from error
    if Approver(name=approval.approver, key=opened.key) not in trust.approvers:
        raise refusal("untrusted-key", f"its key is not that of approver {shown(approval.approver)}")
    return approval


def make_approver(folder: Path, name: str, passphrase: bytes | None = None) -> Approver:
    """Make the key of an approver, or read the one that is there; returns what a trust file says of it.

    Raises:
        UsageError: ``bad-approver-name``, ``weak-passphrase``, and what ``make_key_file`` raises.
    """
    if not _NAME.fullmatch(name):
        raise UsageError("bad-approver-name", f"{name[:100]!r} is no account name or e-mail address")
    key = make_key_file(folder / f"{name}.pem", _PURPOSE, checked_passphrase(passphrase))
    return Approver(name=name, key=KeySigner(key).key)


def load_approver(path: Path, passphrase: bytes | None = None) -> KeySigner:
    """Read an approver's private key; raises what ``read_key`` raises."""
    return KeySigner(read_key(path, _PURPOSE, passphrase))
