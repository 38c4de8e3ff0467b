"""The error family: every refusal has a stable code and a diagnosis a person can act on.

``Error`` means "no decision" (exit status 1): the command was wrong, the network failed, a tool broke.
``Refused`` means "looked, and no" (exit status 2): something was judged or verified and is not acceptable.
"""

from __future__ import annotations


class Error(Exception):
    """Base of everything registry_gate raises on purpose.

    Args:
        code: stable kebab-case slug; never reused, never derived from the message.
        message: what was found and where, in one sentence.
        why: why it matters; empty when the message says it already.
        todo: what the reader can do next.
    """

    exit_code = 1

    def __init__(self, code: str, message: str, *, why: str = "", todo: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.why = why
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def diagnostics(self) -> str:
        """Return the full explanation: code, what, why and what to do next, one a line."""
        lines = [f"{self.code}: {self.message}"]
        if self.why:
            lines.append(f"  why:  {self.why}")
        if self.todo:
            lines.append(f"  next: {self.todo}")
        return "\n".join(lines)


class UsageError(Error):
    """The request itself cannot be carried out: bad reference, bad option, bad policy file."""


class FetchError(Error):
    """The source could not be read; nothing is known about the candidate, so nothing is decided."""


class ToolError(Error):
    """Something the gate itself relies on is missing or broke (sandbox, store, library)."""


class Refused(Error):
    """The gate looked and says no."""

    exit_code = 2


class VerificationError(Refused):
    """A signature, statement, manifest or byte is not what was signed, or the signer is not trusted."""
