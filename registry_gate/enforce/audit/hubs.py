"""Public hubs by host, and what a text says of a model: an id, an address, a local path, nothing."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

from registry_gate.enforce.guard.hosts import is_hub_host

MODEL_SUFFIXES = (
    ".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".gguf", ".ggml", ".onnx", ".pkl", ".pickle",
    ".joblib", ".h5", ".hdf5", ".keras", ".tflite", ".pb", ".npz", ".mar", ".nemo", ".dill", ".skops",
    ".llamafile", ".mlmodel",
)  # fmt: skip

_PLACE = r"[A-Za-z0-9{][A-Za-z0-9._{}-]*"
_ID = re.compile(rf"({_PLACE})/({_PLACE})(?:[:@][\w.{{}}-]+)?")
_BARE = re.compile(r"[A-Za-z0-9{][A-Za-z0-9._{}-]{1,95}")
_LOCAL_OWNERS = re.compile(
    r"(?:\.*|models?|outputs?|out|checkpoints?|ckpts?|results?|data|datasets?|weights?|saved|saved_models?|artifacts?|runs?"
    r"|logs?|tmp|temp|build|dist|exps?|experiments?|assets?|resources?|src|app|api|lib|tests?|text|image|audio|video"
    r"|application|font|multipart|local|home|mnt|opt|var|usr|etc|root|workspace|cache|pretrained|trained|finetuned|storage"
    r"|files?|static|docs?|config|configs|conf|scripts?|library|bin|include|v1|v2|downloads?|[A-Za-z]:)",
    re.IGNORECASE,
)
_LOCAL_BARE = re.compile(
    r"(?:outputs?|out|models?|my[-_]?models?|checkpoints?|ckpt|results?|tmp|temp|saved[-_]?model|final[-_]?model"
    r"|best[-_]?model|checkpoint-\{?\d*\}?|runs?|artifacts?|export(?:ed)?|data)",
    re.IGNORECASE,
)
_PROVIDER = re.compile(
    r"(?:openai/(?:gpt-[345]|o[1345]\b|o[134]-|text-embedding|dall-e|tts|chatgpt|whisper-1)|anthropic/|azure(?:_ai)?/|gemini/|vertex_ai/"
    r"|bedrock/|groq/|cohere/command|cohere/(?:embed|rerank)|together_ai/|openrouter/|fireworks_ai/|perplexity/|ollama(?:_chat)?/|xai/grok|mistral/|deepseek/)"
)
_REVISION_URL = re.compile(r"/(?:resolve|blob|raw|tree)/([^/?#]+)")
_NOT_MODELS = (
    "datasets",
    "spaces",
    "docs",
    "api",
    "blog",
    "papers",
    "collections",
    "join",
    "login",
    "settings",
    "learn",
    "posts",
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SUFFIX_PATH = re.compile(
    r"\.(?:py|ya?ml|json|txt|csv|md|jsonl|parquet|tar|gz|zip|toml|ini|cfg|sh|npy)$", re.IGNORECASE
)


class Says(StrEnum):
    """What a text given as a model means."""

    HUB = "hub"
    URL = "url"
    LOCAL = "local"
    NOTHING = "nothing"


class Named(NamedTuple):
    """A text read as a model: the hub id it names, if any, and the revision within the text, if any."""

    says: Says
    model: str | None = None
    revision: str | None = None


def hub_address(text: str) -> Named | None:
    """What a hub's address, or one of the ``hf://`` and ``hf.co/`` forms, names; None for any other text."""
    if text.startswith(("hf://", "hf:/", "hf-mirror://")):
        return _of_path(text.partition(":")[2].strip("/"))
    bare = text.startswith(("hf.co/", "huggingface.co/", "www.huggingface.co/"))
    if not bare and "://" not in text and not text.startswith("git@"):
        return None
    whole = text.removeprefix("git+")
    if whole.startswith("git@"):
        whole = "ssh://" + whole.replace(":", "/", 1)
    try:
        parts = urlsplit(f"https://{whole}" if bare else whole)
        host = parts.hostname
    except ValueError:
        return None
    if not is_hub_host(host):
        return None
    found = _REVISION_URL.search(parts.path)
    named = _of_path(parts.path.strip("/"))
    return named._replace(revision=found[1]) if found else named


def _of_path(path: str) -> Named:
    parts = [part for part in path.split("/") if part]
    if not parts or parts[0] in _NOT_MODELS:
        return Named(Says.URL)
    if len(parts) == 1:
        return Named(Says.URL)
    name = parts[1].partition("@")[0].partition(":")[0].removesuffix(".git")
    model = f"{parts[0]}/{name}"
    return Named(Says.URL, model if _ID.fullmatch(model) else None)


def is_file_address(text: str) -> bool:
    """True for a hub's address of a file or a repository's tree, not of a page about it."""
    if text.startswith("hf://"):
        return True
    return hub_address(text) is not None and _REVISION_URL.search(text) is not None


def is_dataset_address(text: str) -> bool:
    """True for the address of a data set or a space."""
    return re.search(r"(?:://|@)?[^/]*/+(?:datasets|spaces)/", text) is not None


def read_name(text: str, *, legacy: bool = True) -> Named:
    """What a text given where a model is expected means.

    Args:
        text: the text; ``{}`` stands for a part that is not known.
        legacy: whether a name without owner counts as one of the hub's legacy names.
    """
    text = text.strip()
    address = hub_address(text)
    if address is not None:
        return address
    if _is_path(text):
        return Named(Says.LOCAL if text else Says.NOTHING)
    matched = _ID.fullmatch(text)
    if matched is not None:
        return _owned(matched)
    if "/" in text:
        return Named(Says.LOCAL)
    if not legacy or not _BARE.fullmatch(text):
        return Named(Says.NOTHING)
    return Named(Says.LOCAL) if _LOCAL_BARE.fullmatch(text) else Named(Says.HUB, text)


def _is_path(text: str) -> bool:
    """Whether a text can be nothing but a path or the address of something else; the empty text too."""
    if not text or "://" in text or text.startswith(("/", ".", "~", "\\", "$", "{}/")) or text.endswith("/"):
        return True
    return text.lower().endswith(MODEL_SUFFIXES) or _SUFFIX_PATH.search(text) is not None


def _owned(matched: re.Match[str]) -> Named:
    """``owner/name``: a hub's id, unless the owner is a folder's name or a provider of served models."""
    if _PROVIDER.match(matched[0]):
        return Named(Says.NOTHING)
    if _LOCAL_OWNERS.fullmatch(matched[1]):
        return Named(Says.LOCAL)
    return Named(Says.HUB, f"{matched[1]}/{matched[2]}")


def pinned(revision: str | None) -> bool:
    """True for a commit of 40 hexadecimal digits."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None
