"""Triton's server: the options of ``tritonserver``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from registry_gate.enforce.serving.rules import found
from registry_gate.enforce.serving.values import Options, is_loopback, truthy, unknown_in
from registry_gate.finding import Finding

_FLAGS = frozenset({"strict-readiness", "exit-on-error", "log-verbose-off"})
_REMOTE = ("s3://", "gs://", "as://", "http://", "https://", "hf://")
_HTTP = "http-restricted-api"
_GRPC = "grpc-restricted-protocol"


def is_command(command: list[str], image: str) -> bool:
    """Whether a command line, or else an image's name, is Triton's server."""
    text = " ".join(command)
    if re.search(r"(^|[\s/])tritonserver(\s|$)", text):
        return True
    return (not command or command[0].startswith("-")) and "tritonserver" in image


def judge_command(command: list[str], file: str, place: str) -> Iterator[Finding]:
    """Findings of a command line."""
    options = Options(command, _FLAGS)
    yield from _models(options, file, place)
    yield from _reach(options, file, place)
    if options.last("rate-limit") in (None, "off"):
        yield found(
            "serving-rate-limit-missing",
            file,
            place,
            "--rate-limit is off: limits in model configurations are not kept",
        )
    for name in ("backend-directory", "repoagent-directory"):
        if options.has(name) and not (options.last(name) or "").startswith("/opt/tritonserver"):
            yield found(
                "serving-remote-code",
                file,
                place,
                f"--{name} {options.last(name)}: native code from elsewhere",
            )


def _models(options: Options, file: str, place: str) -> Iterator[Finding]:
    mode = options.last("model-control-mode") or "none"
    if mode == "poll":
        yield found(
            "serving-model-control-open",
            file,
            place,
            "--model-control-mode poll: what is written to the repository is loaded",
        )
    elif mode == "explicit" and not _restricts(options, "model-repository"):
        message = (
            f"--model-control-mode explicit, and neither --{_HTTP} nor --{_GRPC} restricts model-repository"
        )
        yield found("serving-model-control-open", file, place, message)
    elif mode not in ("none", "explicit"):
        yield found("serving-not-understood", file, place, f"--model-control-mode {mode}")
    for repository in [*options.named.get("model-repository", []), *options.named.get("model-store", [])]:
        if unknown_in(repository):
            yield found(
                "serving-not-understood",
                file,
                place,
                f"--model-repository {repository}: known at run time only",
            )
        elif repository.startswith(_REMOTE):
            yield found(
                "serving-model-unpinned",
                file,
                place,
                f"--model-repository {repository}: whatever lies there is served",
            )


def _restricts(options: Options, api: str) -> bool:
    """Whether each protocol that is served asks for a key before this API: ``api[,api]:name=value``."""
    protocols = [(_HTTP, "allow-http"), (_GRPC, "allow-grpc")]
    return all(
        not truthy(options.last(switch) or "true")
        or any(_names(value, api) for value in options.named.get(option, []))
        for option, switch in protocols
    )


def _names(restriction: str, api: str) -> bool:
    apis, _, key = restriction.partition(":")
    name, _, value = key.partition("=")
    return api in apis.split(",") and bool(name) and bool(value)


def _reach(options: Options, file: str, place: str) -> Iterator[Finding]:
    for protocol, restriction in (("http", _HTTP), ("grpc", _GRPC)):
        address = options.last(f"{protocol}-address") or "0.0.0.0"  # noqa: S104 - Triton's own default
        served = truthy(options.last(f"allow-{protocol}") or "true")
        if (
            served
            and not is_loopback(address)
            and not any(_names(value, "inference") for value in options.named.get(restriction, []))
        ):
            message = f"{protocol} listens on {address}, and --{restriction} does not restrict inference"
            yield found("serving-authentication-missing", file, place, message)
    metrics = options.last("metrics-address") or options.last("http-address") or "0.0.0.0"  # noqa: S104
    if truthy(options.last("allow-metrics") or "true") and not is_loopback(metrics):
        yield found("serving-metrics-open", file, place, f"metrics are served on {metrics}")
    for trace in ("log-file", "trace-config"):
        if unknown_in(options.last(trace) or ""):
            yield found("serving-not-understood", file, place, f"--{trace}: known at run time only")
