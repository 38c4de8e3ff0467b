"""Hosts of public hubs, for a process that has to decide in microseconds."""

from __future__ import annotations

HUB_HOSTS = (
    "huggingface.co",
    "hf.co",
    "hf-mirror.com",
    "modelscope.cn",
    "modelscope.ai",
    "tfhub.dev",
    "kaggle.com",
    "civitai.com",
    "ollama.com",
    "ollama.ai",
    "download.pytorch.org",
    "openaipublic.azureedge.net",
    "replicate.delivery",
)
"""Hosts, each with its subdomains, from which anybody's models come, or bytes that nobody here admitted."""


def is_hub_host(host: str | None, more: tuple[str, ...] = ()) -> bool:
    """True for a hub's host or a subdomain of one."""
    name = (host or "").lower().rstrip(".")
    return any(name == hub or name.endswith(f".{hub}") for hub in (*HUB_HOSTS, *more))
