"""The double's identity provider: it vouches for whoever asks, which is why it is a double."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

AUDIENCE = "sigstore"


class IdentityProvider:
    """Issues and checks tokens (ES256) under one issuer URL."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self._key = ec.generate_private_key(ec.SECP256R1())

    def token(self, identity: str, *, minutes: float = 60) -> str:
        """A token that says its bearer is ``identity`` for so many minutes from now."""
        now = datetime.now(UTC)
        claims = {
            "iss": self.issuer,
            "sub": identity,
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now - timedelta(seconds=5),
            "exp": now + timedelta(minutes=minutes),
        }
        return jwt.encode(claims, self._key, algorithm="ES256")

    def identity(self, token: str) -> str:
        """Whose token it is. Raises ``jwt.InvalidTokenError``."""
        claims = jwt.decode(
            token, self._key.public_key(), algorithms=["ES256"], audience=AUDIENCE, issuer=self.issuer
        )
        return str(claims["sub"])
