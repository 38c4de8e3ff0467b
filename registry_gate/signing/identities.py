"""Who may sign besides a pinned key: an identity with its issuer, or a name under a company's root."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import Field, StringConstraints

from registry_gate.candidate import Sha256
from registry_gate.record import Record

if TYPE_CHECKING:
    from registry_gate.signing.trust import TrustedKey

PUBLIC_SIGSTORE = "public"
"""Stands for the trusted root of the public Sigstore instance that the installed library carries."""

_Text = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]

_NAME = r"^(URI|email|DNS|subject):[^\x00-\x1f\x7f]+$"


class Method(StrEnum):
    """The three ways of signing."""

    KEY = "key"
    SIGSTORE = "sigstore"
    CERTIFICATE = "certificate"


class TrustedIdentity(Record):
    """A keyless signer: compared to the letter, and never one half without the other.

    ``identity`` is an e-mail address or a URI (for CI, the workflow's), ``issuer`` the URL of the identity
    provider that vouched for it.
    """

    identity: _Text
    issuer: Annotated[str, StringConstraints(max_length=1000, pattern=r"^https?://[^\x00-\x20\x7f]+$")]


class TrustedCertificate(Record):
    """A signer with a certificate of a company's own: the one name accepted, and the roots that vouch for it.

    ``name`` is ``URI:...``, ``email:...`` or ``DNS:...`` for a subject alternative name, ``subject:...`` for
    the whole subject in RFC 4514 form. ``roots`` are certificates in PEM, ``timestamp_roots`` those of a time
    stamp authority (RFC 3161): without one, a signature is good only while the certificate is.
    """

    name: Annotated[str, StringConstraints(max_length=1000, pattern=_NAME)]
    roots: Annotated[str, StringConstraints(min_length=1, max_length=100_000)]
    timestamp_roots: Annotated[str, StringConstraints(max_length=100_000)] = ""


class Signatory(Record):
    """Who signed, once that is proven. ``issuer`` and ``certificate`` (its sha256) where there is one."""

    method: Method
    name: str = Field(min_length=1)
    issuer: str = ""
    certificate: Sha256 | None = None

    def __str__(self) -> str:
        """One line for people, records and comparison: the key id, or the identity with its issuer."""
        if self.method is Method.KEY:
            return self.name
        return f"{self.name} ({'issuer' if self.method is Method.SIGSTORE else 'root'} {self.issuer})"


class AcceptedSigners(Protocol):
    """Whoever may sign something: a trust file's signers, or a list of publishers."""

    @property
    def keys(self) -> tuple[TrustedKey, ...]:
        """Pinned public keys."""

    @property
    def identities(self) -> tuple[TrustedIdentity, ...]:
        """Keyless signers."""

    @property
    def sigstore_root(self) -> str | None:
        """``public``, the JSON of a Sigstore trusted root, or None where no identity is accepted."""

    @property
    def certificates(self) -> tuple[TrustedCertificate, ...]:
        """Signers with certificates of a company's own."""
