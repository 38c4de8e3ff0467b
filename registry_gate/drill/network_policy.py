"""NetworkPolicies (networking.k8s.io/v1), evaluated for one question: may this pod open that connection?

Written from the API's reference: policies that select a pod for egress isolate it, and then only what one of
their rules allows may leave. What is used under ``deploy/`` is understood; anything else raises, because a
field that is skipped would read as "nothing is said about it".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from registry_gate.errors import ToolError

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Destination:
    """Where a connection goes: an address, and the labels of namespace and pod where it is in the cluster."""

    address: str
    port: int
    protocol: str = "TCP"
    namespace: Labels | None = None
    pod: Labels | None = None


def allows_egress(policies: Iterable[Any], namespace: Labels, pod: Labels, to: Destination) -> bool:
    """Whether a pod may open a connection.

    Args:
        policies: NetworkPolicy documents of the pod's namespace.
        namespace: labels of the pod's namespace.
        pod: the pod's labels.
        to: where the connection goes.

    Raises:
        ToolError: ``bad-deployment``: a policy says something that is not understood here.
    """
    isolating = [
        policy["spec"]
        for policy in policies
        if policy.get("kind") == "NetworkPolicy"
        and "Egress" in policy["spec"].get("policyTypes", ())
        and _selects(policy["spec"]["podSelector"], pod)
    ]
    if not isolating:
        return True
    rules = (rule for spec in isolating for rule in spec.get("egress") or ())
    return any(_allowed_by(rule, namespace, to) for rule in rules)


def _allowed_by(rule: Mapping[str, Any], namespace: Labels, to: Destination) -> bool:
    _understood(rule, {"to", "ports"})
    peers, ports = rule.get("to"), rule.get("ports")
    to_a_peer = not peers or any(_is_peer(peer, namespace, to) for peer in peers)
    return to_a_peer and (not ports or any(_is_port(port, to) for port in ports))


def _is_peer(peer: Mapping[str, Any], namespace: Labels, to: Destination) -> bool:
    _understood(peer, {"ipBlock", "namespaceSelector", "podSelector"})
    if "ipBlock" in peer:
        return _in_block(peer["ipBlock"], to.address)
    if to.namespace is None or to.pod is None:
        return False  # selectors select pods of the cluster, and this is none
    if "namespaceSelector" in peer:
        in_namespace = _selects(peer["namespaceSelector"], to.namespace)
    else:
        in_namespace = to.namespace == namespace
    return in_namespace and _selects(peer.get("podSelector", {}), to.pod)


def _in_block(block: Mapping[str, Any], address: str) -> bool:
    _understood(block, {"cidr", "except"})
    place = ipaddress.ip_address(address)
    if place not in ipaddress.ip_network(block["cidr"]):
        return False
    return not any(place in ipaddress.ip_network(part) for part in block.get("except", ()))


def _is_port(port: Mapping[str, Any], to: Destination) -> bool:
    _understood(port, {"protocol", "port", "endPort"})
    if port.get("protocol", "TCP") != to.protocol:
        return False
    first = port.get("port")
    if first is None:
        return True
    if not isinstance(first, int):
        raise _not_understood(f"the named port {first!r}")
    return first <= to.port <= int(port.get("endPort", first))


def _selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    _understood(selector, {"matchLabels"})
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def _understood(document: Mapping[str, Any], known: set[str]) -> None:
    if unknown := set(document) - known:
        raise _not_understood(", ".join(sorted(unknown)))


def _not_understood(what: str) -> ToolError:
    return ToolError(
        "bad-deployment",
        f"a NetworkPolicy says {what}, which this evaluator does not understand",
        why="a rule that is skipped would read as if it were not there",
    )
