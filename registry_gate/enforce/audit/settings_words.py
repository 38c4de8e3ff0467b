"""Names with values, wherever they stand: environment variables, YAML and JSON keys, TOML fields."""

from __future__ import annotations

import re

from registry_gate.enforce.audit.hubs import Says, hub_address, is_dataset_address, is_file_address, read_name
from registry_gate.enforce.audit.sighting import NOTHING, Seen, Sighting
from registry_gate.finding import Severity

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_REQUIREMENT = re.compile(r"^[\w.-]+(?:\[[\w, .-]*\])?\s*@\s+")
_OFF = frozenset({"0", "false", "no", "off"})
_ON = frozenset({"1", "true", "yes", "on"})
_OFFLINE = frozenset({"hf_hub_offline", "transformers_offline", "hf_datasets_offline", "diffusers_offline"})
_ENDPOINTS = frozenset(
    {
        "hf_endpoint",
        "hf_mirror",
        "huggingface_endpoint",
        "huggingface_co_resolve_endpoint",
        "hf_inference_endpoint",
        "modelscope_domain",
    }
)
_TRANSFER = frozenset({"hf_hub_enable_hf_transfer", "hf_xet_high_performance", "vllm_use_modelscope"})
_TOKENS = frozenset(
    {
        "hf_token",
        "hugging_face_hub_token",
        "huggingface_hub_token",
        "huggingface_token",
        "hf_api_token",
        "huggingfacehub_api_token",
    }
)
_MODEL_KEY = re.compile(
    r"(?:^|_)(?:models?|model_?ids?|model_names?|model_name_or_path|pretrained_model_name_or_path|pretrained_model|pretrained"
    r"|base_?models?|model_path|model_uri|model_url|model_?repo|model_dir|model_file|repo_?ids?|hf_?repo|hf_?model|hf_?id|hub_?id|hub_model"
    r"|checkpoint|backbone|encoder|text_encoder|embedder|embeddings?|reranker|re_?ranker|tokenizer|vae|unet|storage_uri|llm|adapter|lora|peft|generator"
    r"|classifier|draft_model|speculative_model|teacher|student|reward_model|ref_model|served_model|init_from|weights|cross_encoder|summarizer|detector)"
    r"(?:_?(?:id|name|path|repo|repository|uri|url|checkpoint|tag|source|ref))?s?$"
)
_MODEL_PARENT = re.compile(
    r"(?:^|_)(?:models?|llm|embeddings?|embedder|reranker|tokenizer|encoder|backbone|base_model|model_spec|adapter|predictor)s?$"
)
_LEAF = frozenset(
    {
        "repository",
        "repo",
        "name",
        "id",
        "path",
        "uri",
        "url",
        "hf_id",
        "source",
        "ref",
        "slug",
        "default",
        "value",
        "pretrained",
        "key",
    }
)
_NOT_KEY = re.compile(
    r"(?:served_model_name|model_type|model_class|model_format|image|architecture|description|title|summary|help|license|homepage|author|output|push_to|dataset|hub_model_id)"
)
_LEGACY = re.compile(
    r"(?:bert-base|bert-large|distilbert-|distilgpt2|roberta-|xlm-roberta|gpt2(?:-|$)|t5-(?:small|base|large)|albert-|all-MiniLM|all-mpnet|paraphrase-|multi-qa|electra-)"
)


def plain_key(key: str) -> str:
    """``trustRemoteCode``, ``TRUST-REMOTE-CODE`` and ``trust_remote_code`` are one key."""
    return _CAMEL.sub("_", key).replace("-", "_").replace(".", "_").lower()


def judge_environment(name: str, value: str, line: int) -> Seen:
    """An environment variable that is set."""
    key, text = plain_key(name), value.strip().strip("'\"")
    if key in _OFFLINE and text.lower() in _OFF:
        return _one("hub-endpoint", line, name, f"{name}={text} lets libraries reach the hub")
    if key in _ENDPOINTS and text:
        return _one("hub-endpoint", line, name, text[:200])
    if key in _TRANSFER and text.lower() in _ON:
        return _one("hub-setting", line, name)
    if key in _TOKENS and text:
        return _one("hub-setting", line, name, "a token of the hub")
    if key == "torch_force_no_weights_only_load" and text.lower() in _ON:
        return _one("unverified-pickle", line, name, "torch.load unpickles anything")
    return judge_setting((name,), text, line)


def judge_setting(keys: tuple[str, ...], value: str, line: int) -> Seen:
    """A setting with a scalar value.

    Args:
        keys: the keys from the document's root to it; numbers of list entries left out.
        value: the value as text.
        line: where it stands.
    """
    plain = tuple(plain_key(key) for key in keys[-3:])
    leaf, text = (plain[-1] if plain else ""), value.strip()
    switched = _switch(leaf, text.lower(), line, keys[-1] if keys else "")
    if switched is not None:
        return switched
    text = _REQUIREMENT.sub("", text)
    if not text or len(text) > 400 or any(char.isspace() for char in text):
        return NOTHING
    address = hub_address(text)
    if address is not None:
        return _of_address(plain, text, address.model, line)
    if not _about_a_model(plain):
        return NOTHING
    found = read_name(text)
    if found.says is Says.HUB and found.model and ("/" in found.model or _LEGACY.match(found.model)):
        return Seen((Sighting("hub-reference", line, keys[-1], text[:200], found.model),))
    return NOTHING


def _switch(leaf: str, text: str, line: int, name: str) -> Seen | None:
    if leaf.endswith("trust_remote_code") and text in _ON:
        return _one("remote-code", line, name)
    if leaf.endswith("use_safetensors") and text in _OFF:
        return _one("unsafe-format", line, name)
    return None


def _of_address(plain: tuple[str, ...], text: str, model: str | None, line: int) -> Seen:
    file = is_file_address(text)
    severity = Severity.LOW if is_dataset_address(text) or text.startswith("hf://datasets/") else None
    if file or text.startswith("git+"):
        rule = "model-dependency" if text.endswith(".whl") or text.startswith("git+") else "hub-download"
        return Seen((Sighting(rule, line, plain[-1] if plain else "", text[:200], model, severity=severity),))
    if model and _about_a_model(plain):
        return Seen((Sighting("hub-reference", line, plain[-1], text[:200], model, severity=severity),))
    return NOTHING


def _about_a_model(plain: tuple[str, ...]) -> bool:
    if not plain or _NOT_KEY.search(plain[-1]):
        return False
    leaf = plain[-1]
    if _MODEL_KEY.search(leaf):
        return True
    return leaf in _LEAF and any(_MODEL_PARENT.search(parent) for parent in plain[-2:-1])


def _one(rule: str, line: int, subject: str, detail: str = "") -> Seen:
    return Seen((Sighting(rule, line, subject, detail),))
