"""Programs that are started: those that fetch models from a public hub."""

from __future__ import annotations

import re
from collections.abc import Callable

_TOOLS = re.compile(
    r"(?:^|[\s;&|(/'\"])(?:huggingface-cli|hf)\s+(?:download|snapshot)"
    r"|(?:^|[\s;&|(/])(?:ollama|modelscope)\s+(?:pull|run|download)\b"
    r"|\bspacy\s+download\b|\bkaggle\s+models\b"
)
_HOSTS = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^/@\s'\"]*@)?|git@|(?<![\w.-]))((?:[\w-]+\.)+[a-z]{2,})(?=[/:\s'\"?]|$)"
)
_FETCHERS = re.compile(r"(?:^|[\s;&|(/'\"])(?:git|curl|wget|aria2c|axel|pip3?|uv|http|https|xh)(?=\s)")


def words_of(given: object) -> str:
    """A command line as one text, whatever way it was given."""
    if isinstance(given, bytes):
        return given.decode("utf-8", "replace")
    if isinstance(given, str):
        return given
    if isinstance(given, list | tuple):
        return " ".join(words_of(item) for item in given)
    return str(given) if hasattr(given, "__fspath__") else ""


def fetches(command: str, is_hub: Callable[[str], bool]) -> bool:
    """Whether a command line fetches from a hub: a hub's own tool, or a fetcher and a hub's host."""
    text = command[:20_000]
    if _TOOLS.search(text):
        return True
    if not _FETCHERS.search(text):
        return False
    return any(is_hub(host) for host in _HOSTS.findall(text))
