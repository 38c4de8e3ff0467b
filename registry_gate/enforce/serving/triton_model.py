"""Triton's model configuration, parsed as protobuf text format against the server's own message type."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

from registry_gate.enforce.serving.rules import found
from registry_gate.finding import Confidence, Finding

if TYPE_CHECKING:
    from google.protobuf.message import Message

_DESCRIPTOR = "triton_model_config.textproto"
_CODE_BACKENDS = frozenset({"python", "dali", "custom"})
_CODE_PARAMETERS = ("EXECUTION_ENV_PATH",)
_MAX_BATCH = 4096
_PRETENCES = (
    "auth",
    "token",
    "api_key",
    "apikey",
    "secret",
    "password",
    "guard",
    "redact",
    "mask",
    "scrub",
    "rate_limit",
)


@cache
def _model_config() -> type[Message]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

    described = descriptor_pb2.FileDescriptorProto()
    text_format.Parse((resources.files(__package__) / _DESCRIPTOR).read_text(encoding="utf-8"), described)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    found_type = pool.FindMessageTypeByName("inference.ModelConfig")
    return cast("type[Message]", message_factory.GetMessageClass(found_type))


def judge(text: str, file: str) -> Iterator[Finding]:
    """Findings of a ``config.pbtxt``; one with unknown or misspelt fields is judged by none of them."""
    from google.protobuf import text_format

    config: Any = _model_config()()
    try:
        text_format.Parse(text, config)
    except (text_format.ParseError, RecursionError, ValueError) as error:
        message = f"it is no model configuration: {str(error).splitlines()[0][:200]}"
        yield found("serving-not-understood", file, "", message)
        return
    if not config.ListFields():
        yield found("serving-not-understood", file, "", "it is empty: the server would make everything up")
        return
    yield from _sizes(config, file)
    yield from _queues(config, file)
    yield from _code(config, file)
    yield from _protection(config, file)


def _sizes(config: Any, file: str) -> Iterator[Finding]:
    if not config.input:
        yield found(
            "serving-input-unbounded",
            file,
            "input",
            "no input is described: the server takes what the model file says",
        )
    for entry in config.input:
        place = f"input[{entry.name}].dims"
        shape = [*entry.dims, *entry.reshape.shape]
        if not entry.dims:
            yield found("serving-input-unbounded", file, place, "it has no dimensions")
        elif any(size < 0 for size in shape):
            yield found(
                "serving-input-unbounded", file, place, f"dims {list(entry.dims)}: a dimension has any length"
            )
        if entry.allow_ragged_batch:
            message = "allow_ragged_batch: each request of a batch may have another length"
            yield found("serving-input-unbounded", file, place, message, Confidence.MEDIUM)
    if config.max_batch_size > _MAX_BATCH:
        yield found("serving-batch-unbounded", file, "max_batch_size", f"it is {config.max_batch_size}")
    elif config.max_batch_size < 0:
        yield found("serving-not-understood", file, "max_batch_size", f"it is {config.max_batch_size}")
    elif config.max_batch_size == 0 and config.HasField("dynamic_batching"):
        message = "it is 0 or missing, and batching is dynamic: the server guesses a size"
        yield found("serving-batch-unbounded", file, "max_batch_size", message)
    elif config.max_batch_size == 0 and not config.input:
        yield found("serving-batch-unbounded", file, "max_batch_size", "it is missing: the server guesses")


def _queues(config: Any, file: str) -> Iterator[Finding]:
    if config.HasField("ensemble_scheduling"):
        if not config.ensemble_scheduling.max_inflight_requests:
            yield found(
                "serving-queue-unbounded", file, "ensemble_scheduling.max_inflight_requests", "it is not set"
            )
        return
    if not config.HasField("dynamic_batching"):
        scheduler = "sequence_batching" if config.HasField("sequence_batching") else "dynamic_batching"
        message = "only dynamic_batching.default_queue_policy bounds a queue, and there is none"
        yield found("serving-queue-unbounded", file, scheduler, message)
        yield found("serving-queue-without-timeout", file, scheduler, message)
    else:
        batching = config.dynamic_batching
        policies = {"default_queue_policy": batching.default_queue_policy}
        policies |= {
            f"priority_queue_policy[{key}]": value for key, value in batching.priority_queue_policy.items()
        }
        for name, policy in policies.items():
            yield from _queue(policy, file, f"dynamic_batching.{name}")
    if not any(group.rate_limiter.resources for group in config.instance_group):
        yield found(
            "serving-rate-limit-missing",
            file,
            "instance_group.rate_limiter",
            "no instance group needs a resource",
        )


def _queue(policy: Any, file: str, place: str) -> Iterator[Finding]:
    if policy.max_queue_size == 0:
        yield found(
            "serving-queue-unbounded",
            file,
            f"{place}.max_queue_size",
            "it is 0 or missing, which means no limit",
        )
    delays = policy.DESCRIPTOR.fields_by_name["timeout_action"].enum_type.values_by_name["DELAY"].number
    if policy.default_timeout_microseconds == 0:
        message = "it is 0 or missing, which means never"
        yield found("serving-queue-without-timeout", file, f"{place}.default_timeout_microseconds", message)
    elif policy.timeout_action == delays:
        message = "DELAY: what has waited too long goes on waiting"
        yield found("serving-queue-without-timeout", file, f"{place}.timeout_action", message)


def _code(config: Any, file: str) -> Iterator[Finding]:
    if config.backend.lower() in _CODE_BACKENDS or config.platform.lower() in _CODE_BACKENDS:
        said = config.backend or config.platform
        yield found("serving-remote-code", file, "backend", f"{said}: code of the model repository is run")
    if config.backend.lower() == "pytorch" or config.platform.lower() == "pytorch_libtorch":
        message = "TorchScript archives hold pickles and code, which the gate does not admit"
        yield found("serving-pickle-weights", file, "backend", message)
    for library in config.model_operations.op_library_filename:
        yield found("serving-remote-code", file, "model_operations", f"{library}: a native library is loaded")
    for name in _CODE_PARAMETERS:
        if name in config.parameters:
            yield found(
                "serving-remote-code",
                file,
                f"parameters[{name}]",
                "another Python environment is unpacked and run",
            )
    if any(agent.name for agent in config.model_repository_agents.agents):
        yield found(
            "serving-remote-code",
            file,
            "model_repository_agents",
            "an agent rewrites the model before it is loaded",
        )
    if config.version_policy.HasField("all") or config.version_policy.latest.num_versions:
        yield found(
            "serving-model-unpinned",
            file,
            "version_policy",
            "not one version: what is newest, or all, are served",
        )


def _protection(config: Any, file: str) -> Iterator[Finding]:
    for name in config.parameters:
        if any(word in name.lower() for word in _PRETENCES):
            message = (
                "Triton does nothing with it; what protects is --http-restricted-api or a proxy in front"
            )
            yield found("serving-authentication-pretended", file, f"parameters[{name}]", message)
