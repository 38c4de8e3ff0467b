"""The one escaping function of the terminal renderer: candidate text is shown, never obeyed."""

from __future__ import annotations

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_MAX_SHOWN = 600


def for_terminal(text: str, limit: int = _MAX_SHOWN) -> str:
    """Text with control, format, surrogate and line-separator characters shown as escapes, cut at a limit."""
    shown = "".join(_shown(character) for character in text[: limit + 1])
    return shown if len(text) <= limit else shown[:limit] + "…"


def _shown(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN:
        return character.encode("unicode_escape").decode("ascii")
    return character
