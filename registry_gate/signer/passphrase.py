"""The passphrase of the key that signs Releases, from where the settings say."""

from __future__ import annotations

from registry_gate.settings import SigningSettings
from registry_gate.signing.passphrase import new_passphrase, passphrase_from


def read_passphrase(signing: SigningSettings, *, ask: str | None = None) -> str | None:
    """The passphrase of the signing key; as :func:`registry_gate.signing.passphrase.passphrase_from`."""
    return passphrase_from(signing.passphrase_source, ask=ask)


def choose_passphrase(signing: SigningSettings, *, ask: bool) -> str | None:
    """The passphrase for a new signing key; as :func:`registry_gate.signing.passphrase.new_passphrase`."""
    return new_passphrase(signing.passphrase_source, ask=ask, purpose="signing key")
