"""The two messages of the signer's conversation, both bounded and both validated by whoever receives them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from registry_gate.errors import Error, FetchError, Refused, ToolError, UsageError, VerificationError
from registry_gate.record import Record
from registry_gate.settings import Settings
from registry_gate.signing.order import Order, Signed

MAX_REQUEST = 128 << 20
MAX_ANSWER = 128 << 20

_FAMILY: dict[str, type[Error]] = {
    kind.__name__: kind for kind in (UsageError, FetchError, ToolError, Refused, VerificationError)
}


class Request(Record):
    """An order and where the signer finds its own key and trust file.

    ``order`` None only asks whether the signer could sign. ``passphrase`` is text, or None.
    """

    settings: Settings
    order: Order | None
    passphrase: str | None = Field(default=None, repr=False, max_length=4096)


class Refusal(Record):
    """An error that crosses the pipe: its family, code and words."""

    family: Literal["UsageError", "FetchError", "ToolError", "Refused", "VerificationError"]
    code: str = Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")
    message: str = Field(max_length=4000)
    why: str = Field(default="", max_length=4000)
    todo: str = Field(default="", max_length=4000)

    def error(self) -> Error:
        """The error, to be raised on this side."""
        return _FAMILY[self.family](self.code, self.message, why=self.why, todo=self.todo)


class Answer(Record):
    """What came of an order: one of the two, or neither where nothing was ordered and all is well."""

    signed: Signed | None = None
    refusal: Refusal | None = None


def refusal_of(error: Error) -> Refusal:
    """An error as it crosses the pipe; of a family that the other side does not know, the nearest above."""
    family = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _FAMILY), "ToolError")
    words = {"message": error.message[:4000], "why": error.why[:4000], "todo": error.todo[:4000]}
    return Refusal.model_validate({"family": family, "code": error.code, **words})
