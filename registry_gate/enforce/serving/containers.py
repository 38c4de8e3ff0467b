"""The containers of manifests and compose files, and the model server each one starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from registry_gate.enforce.serving import triton_server, vllm
from registry_gate.enforce.serving.values import Mapping, filled, mapping, sequence, unwrapped, words
from registry_gate.finding import Finding

_SPECS = ("containers", "initContainers", "ephemeralContainers")
_MAX_DEPTH = 40


@dataclass(frozen=True)
class Container:
    """A container's image, whole command line and environment, and where in the document it is."""

    place: str
    image: str = ""
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def containers_of(document: Mapping) -> Iterator[Container]:
    """Every container, however deep: pods of all workloads, KServe's runtimes, compose services."""
    services = mapping(document.get("services"))
    for name, service in services.items():
        yield _container(mapping(service), f"services.{name}")
    yield from _below(document, "", 0)


def _below(value: object, place: str, depth: int) -> Iterator[Container]:
    if depth > _MAX_DEPTH:
        return
    for key, item in mapping(value).items():
        here = f"{place}.{key}" if place else key
        if key in _SPECS:
            for number, container in enumerate(sequence(item)):
                yield _container(mapping(container), f"{here}[{number}]")
        elif isinstance(item, dict):
            yield from _below(item, here, depth + 1)
        elif isinstance(item, list):
            for number, element in enumerate(item):
                yield from _below(element, f"{here}[{number}]", depth + 1)


def _container(said: Mapping, place: str) -> Container:
    environment = _environment(said)
    command = [*words(said.get("entrypoint")), *words(said.get("command"))]
    arguments = words(said.get("args"))
    inner = unwrapped(command + arguments)
    return Container(place, str(said.get("image", "")), tuple(filled(inner, environment)), environment)


def _environment(said: Mapping) -> dict[str, str]:
    listed = said.get("env", said.get("environment"))
    if isinstance(listed, dict):
        return {str(name): str(value) for name, value in listed.items()}
    known = {}
    for item in sequence(listed):
        if isinstance(item, str):
            name, _, value = item.partition("=")
            known[name] = value
        elif "value" in mapping(item):
            known[str(mapping(item).get("name"))] = str(mapping(item)["value"])
        elif mapping(item).get("valueFrom"):
            known[str(mapping(item).get("name"))] = f"$({mapping(item).get('name')})"
    return known


def judge_command(container: Container, file: str) -> Iterator[Finding] | None:
    """Findings of the model server that a container starts; None where it starts none that is known."""
    command = list(container.command)
    if vllm.is_command(command, container.image):
        return vllm.judge_command(command, container.environment, file, container.place)
    if triton_server.is_command(command, container.image):
        return triton_server.judge_command(command, file, container.place)
    return None
