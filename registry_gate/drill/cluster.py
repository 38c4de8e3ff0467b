"""The cluster's controls, asked with the very files under ``deploy/``: admission policies, egress, Falco."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from typing import Any

import yaml

from registry_gate.drill.attack import Answer, answer
from registry_gate.drill.deployed import deploy_folder, load, load_all
from registry_gate.drill.falco import Event, Rules
from registry_gate.drill.network_policy import Destination, allows_egress
from registry_gate.drill.world import World
from registry_gate.enforce.admitted import AdmittedList, admitted_list, as_config_map
from registry_gate.errors import ToolError
from registry_gate.index.read import read_index

STRANGER = "203.0.113.9"
"""An address that documentation may use (RFC 5737): in clusters it stands for the loopback listener here."""

GATE_IMAGE = "registry.example/registry-gate@sha256:" + "a" * 64
NAMESPACE = "models"
_SERVER_IMAGE = "registry.example/model-server"


def _need(package: str) -> None:
    if find_spec(package) is None:
        raise ToolError(
            "no-engine",
            f"the package {package!r} is not installed",
            todo="pip install 'registry-gate[drill]'",
        )


def current_list(world: World) -> AdmittedList:
    """What ``registry-gate export-admitted`` would write now."""
    now = datetime.now(UTC).replace(microsecond=0)
    content, uri = read_index(world.settings, world.trust), world.settings.registry_uri
    return admitted_list(world.log, content, world.trust, uri, (GATE_IMAGE,), now)


def ask_policies(manifest: Any, listed: AdmittedList) -> Answer:
    """Every engine's verdict on a manifest; only what all three refuse counts as refused.

    Raises:
        ToolError: ``no-engine``: one of them is not installed here.
    """
    _need("celpy")
    _need("regopy")
    from registry_gate.drill import policy_engines as engines

    params = yaml.safe_load(as_config_map(listed))
    models = [model.pin for model in listed.models]
    data = {"registry_gate_admitted": {"models": models, "gate_images": list(listed.gate_images)}}
    found = {
        "CEL": engines.admission_policy().violations(manifest, params),
        "Kyverno": engines.kyverno_policy().violations(manifest, params),
        "Rego": engines.Rego.load(data).violations(manifest),
    }
    agreed = frozenset.intersection(*found.values())
    said = ", ".join(f"{engine} {len(codes)}" for engine, codes in found.items())
    return answer(tuple(sorted(agreed)), f"rules broken: {said}")


def serving_deployment(pin: str) -> Any:
    """The shipped Deployment, pinned to ``<name>@sha256:<digest>``, pulled by the gate's listed image."""
    manifest = copy.deepcopy(load(deploy_folder() / "kubernetes/base/deployment.yaml"))
    template = manifest["spec"]["template"]
    template["metadata"]["annotations"]["registry-gate.dev/model"] = pin
    (puller,) = template["spec"]["initContainers"]
    puller["args"][1] = f"models:/{pin}"
    puller["image"] = GATE_IMAGE
    return manifest


OUTSIDE = Destination(STRANGER, 443)
"""Anybody's address outside the cluster."""

TO_THE_REGISTRY = Destination(
    "10.0.0.10",
    5000,
    namespace={"kubernetes.io/metadata.name": "registry"},
    pod={"app.kubernetes.io/name": "mlflow"},
)
"""The one place that a model server's pod may ask."""


def ask_egress(to: Destination) -> Answer:
    """Whether the shipped NetworkPolicies let a model server's pod open a connection."""
    if allows_egress(_policies(), {"kubernetes.io/metadata.name": NAMESPACE}, _server_labels(), to):
        return answer((), f"egress to {to.address}:{to.port} is allowed")
    return answer(("egress-denied",), f"no rule allows {to.address}:{to.port}")


def ask_falco(event: Event) -> Answer:
    """The alarms of the shipped rules over one event.

    Raises:
        ToolError: ``no-engine``.
    """
    _need("lark")
    alarms = _falco().alarms(event)
    return answer(tuple(sorted(alarms)), "over the event of the connection just seen", alarm=True)


def connection_event(command: str, port: int, container: str = "server") -> Event:
    """What the kernel would report of a connection just seen, in a pod and to the stranger's address."""
    return {
        "evt.type": "connect",
        "container.id": "3f2a9c0d1e2f",
        "container.name": container,
        "container.image.repository": _SERVER_IMAGE,
        "k8s.ns.name": NAMESPACE,
        "k8s.pod.name": "model-server-7d9f",
        "proc.name": "python3.11",
        "proc.pname": "containerd-shim",
        "proc.cmdline": command,
        "user.uid": 65532,
        "fd.typechar": "4",
        "fd.sip": STRANGER,
        "fd.sport": port,
        "fd.name": f"10.1.2.3:51312->{STRANGER}:{port}",
    }


@cache
def _falco() -> Rules:
    return Rules.read(deploy_folder() / "falco/registry-gate.yaml")


@cache
def _policies() -> list[Any]:
    return load_all(deploy_folder() / "kubernetes/base/network-policy.yaml")


def _server_labels() -> dict[str, str]:
    template = load(deploy_folder() / "kubernetes/base/deployment.yaml")["spec"]["template"]
    labels: dict[str, str] = template["metadata"]["labels"]
    return labels
