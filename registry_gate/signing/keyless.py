"""Keyless signing: a token proves who signs, a certificate binds that to a key that lives for one call.

Two log entries a Release, whatever the number of statements (see ``attestations``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from registry_gate.errors import FetchError, UsageError
from registry_gate.settings import SigningSettings
from registry_gate.signing.attestations import one_form
from registry_gate.signing.bundle import unique_json
from registry_gate.signing.draft import refuses
from registry_gate.signing.refusal import shown
from registry_gate.signing.trust import Trust

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import Signer

_VARIABLE = "REGISTRY_GATE_SIGSTORE_TOKEN"
_MAX_TOKEN = 64 * 1024


class SigstoreSealer:
    """Seals with one short-lived certificate, asked for at the first seal."""

    seals_each = False

    def __init__(self, config: ClientTrustConfig, token: IdentityToken) -> None:
        self._config = config
        self._token = token
        self._signer: Signer | None = None

    def check(self, trust: Trust) -> None:
        """Refuse before a log entry is made for an identity that the trust file does not hold."""
        who = (self._token.identity, self._token.federated_issuer)
        if not any((trusted.identity, trusted.issuer) == who for trusted in trust.identities):
            raise refuses(f"{shown(who[0])} of {shown(who[1])} is not in the trust file")

    def seal(self, payload: bytes) -> bytes:
        """A bundle with certificate, log entry and time stamp.

        Raises:
            FetchError: ``sigstore-failed``.
        """
        from sigstore.dsse import Statement

        try:
            bundle = self._open().sign_dsse(Statement(payload))
        except Exception as error:  # the library lets errors of four services through as they come
            raise FetchError(
                "sigstore-failed",
                f"the Sigstore services did not sign: {type(error).__name__} {shown(str(error))}",
                todo="check that the services answer and that the token is not older than a few minutes",
            ) from error
        return one_form(unique_json(bundle.to_json().encode()))

    def _open(self) -> Signer:
        from sigstore.sign import SigningContext

        if self._signer is None:
            context = SigningContext.from_trust_config(self._config)
            with context.signer(self._token) as signer:
                self._signer = signer
        return self._signer


def open_keyless(signing: SigningSettings) -> SigstoreSealer:
    """Find the trust configuration and the token.

    Raises:
        UsageError: ``bad-trust-config``, ``no-identity-token``, ``bad-identity-token``.
        FetchError: ``sigstore-failed`` where the public instance's configuration cannot be fetched.
    """
    from sigstore.oidc import IdentityError, IdentityToken

    try:
        return SigstoreSealer(_config(signing), IdentityToken(_token(signing)))
    except IdentityError as error:
        raise UsageError(
            "bad-identity-token",
            f"the identity token cannot be used: {shown(str(error))}",
            todo="fetch a new one: they live for minutes, and must be made for the audience 'sigstore'",
        ) from error


def _config(signing: SigningSettings) -> ClientTrustConfig:
    from sigstore.errors import Error as SigstoreError
    from sigstore.models import ClientTrustConfig

    if signing.sigstore_config is None:
        try:
            return ClientTrustConfig.production()
        except SigstoreError as error:
            raise FetchError("sigstore-failed", f"no trust configuration: {shown(str(error))}") from error
    try:
        return ClientTrustConfig.from_json(signing.sigstore_config.read_text(encoding="utf-8"))
    except (OSError, ValueError, SigstoreError) as error:
        raise UsageError(
            "bad-trust-config", f"{signing.sigstore_config} is no ClientTrustConfig: {shown(str(error))}"
        ) from error


def _token(signing: SigningSettings) -> str:
    """From a file, the environment, or the CI system that this runs in; nobody is asked to open a browser."""
    from sigstore.oidc import IdentityError, detect_credential

    try:
        if signing.sigstore_token_file is not None:
            with signing.sigstore_token_file.open(encoding="utf-8") as file:
                return file.read(_MAX_TOKEN).strip()
        found = os.environ.get(_VARIABLE) or detect_credential()
    except (OSError, ValueError, IdentityError) as error:
        raise UsageError("no-identity-token", f"no identity token: {shown(str(error))}") from error
    if not found:
        raise UsageError(
            "no-identity-token",
            "there is no identity token to sign with",
            why="keyless signing says who signed by a token of an identity provider",
            todo="run in a CI job that may ask for one, or set REGISTRY_GATE_SIGSTORE_TOKEN_FILE",
        )
    return str(found)
