"""TorchServe's ``config.properties``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from registry_gate.enforce.serving.rules import found
from registry_gate.enforce.serving.values import is_loopback, truthy, unknown_in
from registry_gate.finding import Confidence, Finding

_PAIR = re.compile(r"\s*([^=:\s]+)\s*[=:]?\s*(.*?)\s*$")
_DEFAULT_URLS = "file://.*|http(s)?://.*"
_MAX_QUEUE, _MAX_REQUEST, _MAX_BATCH = 10_000, 100 << 20, 4096
_KNOWN = re.compile(
    r"(inference|management|metrics)_address|grpc_.*|allowed_urls|use_env_allowed_urls|load_models|model_store|models|"
    r"disable_token_authorization|token_expiration_min|enable_envvars_config|cors_.*|install_py_dep_per_model|"
    r"job_queue_size|default_response_timeout|default_startup_timeout|unregister_model_timeout|max_request_size|"
    r"max_response_size|batch_size|max_batch_delay|number_of_.*|default_workers_per_model|netty_client_threads|"
    r"async_logging|blacklist_env_vars|decode_input_request|enable_.*|prefer_direct_buffer|default_service_handler|"
    r"keystore.*|private_key_file|certificate_file|vmargs|metrics_.*|model_.*|prometheus.*|limit_max_image_pixels|"
    r"disable_.*|cpp_.*|snapshot_store|service_envelope|workflow_store|io_.*|system_metrics_cmd|plugins_path"
)


def judge(text: str, file: str) -> Iterator[Finding]:
    """Findings of a properties file."""
    said = _properties(text)
    if not said:
        yield found("serving-not-understood", file, "", "it says nothing: the server's defaults are in force")
    for name, value in said.items():
        if not _KNOWN.fullmatch(name):
            yield found(
                "serving-not-understood", file, name, "no setting of TorchServe that this audit knows"
            )
        elif unknown_in(value):
            yield found("serving-not-understood", file, name, f"{value[:100]}: known at run time only")
    yield from _reach(said, file)
    yield from _models(said, file)
    yield from _limits(said, file)


def _properties(text: str) -> dict[str, str]:
    joined = re.sub(r"\\\r?\n[ \t]*", "", text)
    lines = (
        line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith(("#", "!"))
    )
    pairs = (_PAIR.fullmatch(line) for line in lines)
    return {pair[1]: pair[2] for pair in pairs if pair}


def _reach(said: dict[str, str], file: str) -> Iterator[Finding]:
    open_token = "disable_token_authorization" in said and truthy(said["disable_token_authorization"])
    inference = said.get("inference_address", "http://127.0.0.1:8080")
    if open_token and not is_loopback(inference):
        yield found(
            "serving-authentication-missing",
            file,
            "disable_token_authorization",
            f"no token is asked for at {inference}",
        )
    elif open_token:
        message = "no token is asked for, on this machine only"
        yield found(
            "serving-authentication-missing", file, "disable_token_authorization", message, Confidence.LOW
        )
    management = said.get("management_address", "http://127.0.0.1:8081")
    if not is_loopback(management):
        yield found("serving-management-open", file, "management_address", management)
    metrics = said.get("metrics_address", "http://127.0.0.1:8082")
    if not is_loopback(metrics):
        yield found("serving-metrics-open", file, "metrics_address", metrics)
    if "*" in said.get("cors_allowed_origin", ""):
        yield found("serving-cors-open", file, "cors_allowed_origin", said["cors_allowed_origin"])
    if truthy(said.get("enable_envvars_config", "false")):
        message = "every setting here can be replaced by an environment variable"
        yield found("serving-not-understood", file, "enable_envvars_config", message)


def _models(said: dict[str, str], file: str) -> Iterator[Finding]:
    urls = said.get("allowed_urls", _DEFAULT_URLS)
    if truthy(said.get("enable_model_api", "false")) or truthy(said.get("model_api_enabled", "false")):
        yield found(
            "serving-model-control-open", file, "enable_model_api", "models are registered over the network"
        )
        if ".*" in urls:
            yield found("serving-model-unpinned", file, "allowed_urls", f"models may come from {urls}")
    if truthy(said.get("install_py_dep_per_model", "false")):
        yield found(
            "serving-remote-code", file, "install_py_dep_per_model", "a model installs packages of its choice"
        )
    if said.get("load_models", "").strip().lower() == "all":
        yield found(
            "serving-model-unpinned", file, "load_models", "all: whatever lies in the model store is served"
        )
    remote = [name for name in re.split(r"[,\s]+", said.get("load_models", "")) if "://" in name]
    for name in remote:
        yield found("serving-model-unpinned", file, "load_models", name)
    if said.get("plugins_path"):
        yield found(
            "serving-remote-code", file, "plugins_path", f"{said['plugins_path']}: code beside the server"
        )


def _limits(said: dict[str, str], file: str) -> Iterator[Finding]:
    for name, most, rule in (
        ("job_queue_size", _MAX_QUEUE, "serving-queue-unbounded"),
        ("max_request_size", _MAX_REQUEST, "serving-input-unbounded"),
        ("batch_size", _MAX_BATCH, "serving-batch-unbounded"),
    ):
        if name in said and not _between(said[name], 1, most):
            yield found(rule, file, name, f"{said[name]}: not between 1 and {most}")
    if "default_response_timeout" in said and not _between(said["default_response_timeout"], 1, 3600):
        message = f"{said['default_response_timeout']}: not between 1 and 3600 seconds"
        yield found("serving-queue-without-timeout", file, "default_response_timeout", message)
    if "models" in said:
        yield from _per_model(said["models"], file)


def _per_model(text: str, file: str) -> Iterator[Finding]:
    try:
        models = json.loads(text)
        each = [(name, settings) for name, versions in models.items() for settings in versions.values()]
        for name, settings in each:
            if not _between(str(settings.get("batchSize", 1)), 1, _MAX_BATCH):
                yield found(
                    "serving-batch-unbounded", file, f"models.{name}.batchSize", str(settings["batchSize"])
                )
            if not _between(str(settings.get("responseTimeout", 120)), 1, 3600):
                message = str(settings["responseTimeout"])
                yield found("serving-queue-without-timeout", file, f"models.{name}.responseTimeout", message)
    except (ValueError, AttributeError, RecursionError) as error:
        yield found(
            "serving-not-understood", file, "models", f"it is not the JSON expected: {str(error)[:100]}"
        )


def _between(text: str, least: int, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most
