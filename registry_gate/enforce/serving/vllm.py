"""vLLM's OpenAI-compatible server: its command line or its configuration file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from registry_gate.enforce.serving.rules import found
from registry_gate.enforce.serving.values import Mapping, Options, is_loopback, truthy, unknown_in
from registry_gate.finding import Confidence, Finding

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FLAGS = frozenset(
    {
        "trust-remote-code", "enforce-eager", "allow-credentials", "enable-lora", "enable-prefix-caching",
        "enable-chunked-prefill", "disable-log-requests", "disable-log-stats", "enable-auto-tool-choice",
        "disable-fastapi-docs", "enable-request-id-headers", "enable-sleep-mode", "enable-log-requests",
        "no-enable-prefix-caching", "no-enable-chunked-prefill", "headless", "skip-tokenizer-init",
        "enable-server-load-tracking",
        "enable-profiler", "enable-ssl-refresh", "return-tokens-as-token-ids", "async-scheduling",
    }
)  # fmt: skip
_SAFE_FORMATS = frozenset({"safetensors", "fastsafetensors", "runai_streamer", "gguf", "dummy"})
_DANGEROUS_VARIABLES = {
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "serving-remote-code",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "serving-model-control-open",
    "VLLM_SERVER_DEV_MODE": "serving-debug-open",
    "VLLM_TORCH_PROFILER_DIR": "serving-debug-open",
}
_SETTINGS = frozenset(
    {
        "model", "served-model-name", "max-model-len", "tensor-parallel-size", "trust-remote-code", "api-key",
        "gpu-memory-utilization", "load-format", "max-num-seqs",
    }
)  # fmt: skip
_CODE_OPTIONS = (
    "tool-parser-plugin",
    "reasoning-parser-plugin",
    "logits-processors",
    "worker-extension-cls",
    "middleware",
)


def is_command(command: list[str], image: str) -> bool:
    """Whether a command line, or else an image's name, is vLLM's server."""
    text = " ".join(command)
    if "vllm.entrypoints" in text or re.search(r"(^|[\s/])vllm\s+serve\b", text):
        return True
    options_only = not command or command[0].startswith("-") or command[0] == "serve"
    return options_only and bool(re.search(r"(^|/)vllm([-/:@]|$)", image))


def is_settings(document: Mapping) -> bool:
    """Whether a YAML document is a vLLM configuration file: at least two of its options, and no kind."""
    names = {name.replace("_", "-") for name in document}
    return "kind" not in document and len(names & _SETTINGS) >= 2


def judge_settings(document: Mapping, file: str) -> Iterator[Finding]:
    """Findings of a configuration file for ``vllm serve --config``."""
    command: list[str] = []
    for name, value in document.items():
        if isinstance(value, bool):
            command += [f"--{name}={'true' if value else 'false'}"]
        elif isinstance(value, list):
            command += [f"--{name}={item}" for item in value]
        else:
            command += [f"--{name}={value}"]
    yield from _judge(Options(command, _FLAGS), {}, file, "")


def judge_command(
    command: list[str], environment: dict[str, str], file: str, place: str
) -> Iterator[Finding]:
    """Findings of a command line and its environment."""
    yield from _judge(Options(command, _FLAGS), environment, file, place)


def _judge(options: Options, environment: dict[str, str], file: str, place: str) -> Iterator[Finding]:
    yield from _model(options, environment, file, place)
    yield from _code(options, environment, file, place)
    yield from _reach(options, environment, file, place)
    if not options.has("max-model-len"):
        yield found(
            "serving-input-unbounded",
            file,
            place,
            "--max-model-len is not set: the model's own longest input",
        )
    if not options.has("max-num-seqs"):
        message = "--max-num-seqs is not set: how much runs at once is the version's default"
        yield found("serving-batch-unbounded", file, place, message, Confidence.MEDIUM)
    if options.has("config"):
        yield found(
            "serving-not-understood", file, place, f"--config {options.last('config')}: give that file too"
        )


def _model(options: Options, environment: dict[str, str], file: str, place: str) -> Iterator[Finding]:
    after = options.plain[options.plain.index("serve") + 1 :] if "serve" in options.plain else []
    model = options.last("model") or (after[0] if after else "")
    named = [("model", model, options.last("revision"))]
    named += [("tokenizer", options.last("tokenizer") or "", options.last("tokenizer-revision"))]
    named += [
        ("lora-modules", item.partition("=")[2], None) for item in options.named.get("lora-modules", [])
    ]
    for option, value, revision in named:
        if not value:
            if option == "model":
                yield found(
                    "serving-model-unpinned",
                    file,
                    place,
                    "no model is named: the version's default is fetched",
                )
        elif unknown_in(value):
            yield found("serving-not-understood", file, place, f"--{option} {value}: known at run time only")
        elif not value.startswith(("/", "./")) and not _COMMIT.fullmatch(revision or ""):
            said = f" at {revision!r}" if revision else ""
            yield found(
                "serving-model-unpinned",
                file,
                place,
                f"--{option} {value}{said} is fetched from a hub, at no commit",
            )
    if options.has("download-dir") and environment.get("HF_HUB_OFFLINE") != "1":
        yield found(
            "serving-model-unpinned",
            file,
            place,
            "--download-dir: something is to be downloaded",
            Confidence.MEDIUM,
        )


def _code(options: Options, environment: dict[str, str], file: str, place: str) -> Iterator[Finding]:
    if options.has("trust-remote-code") and truthy(options.last("trust-remote-code") or ""):
        yield found("serving-remote-code", file, place, "--trust-remote-code")
    for option in _CODE_OPTIONS:
        if options.has(option):
            yield found(
                "serving-remote-code",
                file,
                place,
                f"--{option} {options.last(option)}: code from outside vLLM",
            )
    load_format = options.last("load-format")
    if load_format is None or load_format.lower() not in _SAFE_FORMATS:
        said = f"--load-format {load_format}" if load_format else "--load-format is not set"
        yield found("serving-pickle-weights", file, place, f"{said}: without safetensors, pickles are read")
    if options.has("allowed-local-media-path"):
        yield found(
            "serving-debug-open",
            file,
            place,
            "--allowed-local-media-path: requests may read files of the server",
        )
    for name, rule in _DANGEROUS_VARIABLES.items():
        if name in environment and environment[name].lower() not in ("0", "false", ""):
            yield found(rule, file, place, f"{name}={environment[name]}")


def _reach(options: Options, environment: dict[str, str], file: str, place: str) -> Iterator[Finding]:
    host = options.last("host") or "0.0.0.0"  # noqa: S104 - vLLM's own default
    key = options.last("api-key") or environment.get("VLLM_API_KEY", "")
    if not key and not is_loopback(host):
        yield found(
            "serving-authentication-missing", file, place, f"it listens on {host}, and --api-key is not set"
        )
    if options.has("api-key") and not unknown_in(key):
        message = "--api-key is written out: everyone who reads this file, or the process list, has it"
        yield found("serving-authentication-pretended", file, place, message)
    origins = options.last("allowed-origins")
    if origins is None or "*" in origins:
        said = (
            "--allowed-origins is not set, which means *"
            if origins is None
            else f"--allowed-origins {origins}"
        )
        yield found("serving-cors-open", file, place, said)
