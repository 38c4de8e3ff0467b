"""What a tensor may be called."""

from __future__ import annotations

_MAX_NAME = 512


def name_problem(name: str) -> str | None:
    """Say why a text is no sane tensor name; None when it is one.

    Names become keys of a safetensors header, terminal output and report lines, so they are printable and
    short; ``__metadata__`` is safetensors' own key.
    """
    if not name:
        return "is empty"
    if name == "__metadata__":
        return "is reserved by safetensors"
    if len(name) > _MAX_NAME:
        return f"is longer than {_MAX_NAME} characters"
    return None if name.isprintable() else "holds characters that cannot be printed"
