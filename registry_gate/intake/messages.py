"""What passes between the gate and the confined reader of publishers' signatures."""

from __future__ import annotations

from pydantic import AwareDatetime

from registry_gate.evidence import PublisherSignature
from registry_gate.record import Record
from registry_gate.signing.oms import Publishers


class ExpectedPublisher(Record):
    """A publisher the policy expects here: its name, the digest of the policy's entry, what proves it."""

    name: str
    entry: str
    accepted: Publishers


class SignatureRequest(Record):
    """Signature files to read, paths relative to ``root``, and the publishers the policy expects here."""

    root: str
    paths: tuple[str, ...]
    publishers: tuple[ExpectedPublisher, ...]
    now: AwareDatetime


class SignatureAnswer(Record):
    """One statement for each path asked for, in the order asked."""

    signatures: tuple[PublisherSignature, ...]
