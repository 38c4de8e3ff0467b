"""Text from a candidate, made fit for a record: encodable, short, without control characters."""

from __future__ import annotations


def shorten(text: str, limit: int = 200) -> str:
    """Cut text to a limit of characters, with an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shown(text: str, limit: int = 200) -> str:
    """Cut text and escape whatever cannot be printed (control characters, lone surrogates)."""
    cut = shorten(text, limit)
    if cut.isprintable():
        return cut
    escaped = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)
    return shorten("".join(escaped), limit)
