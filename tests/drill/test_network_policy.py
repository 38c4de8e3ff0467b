"""NetworkPolicies as the API's reference has them, and the shipped ones."""

from __future__ import annotations

from typing import Any

import pytest

from registry_gate.drill import cluster
from registry_gate.drill.deployed import load_all
from registry_gate.drill.network_policy import Destination, allows_egress
from registry_gate.errors import ToolError
from tests.deploy.policy_engines import ROOT

MODELS = {"kubernetes.io/metadata.name": "models"}
SERVER = {"app.kubernetes.io/name": "model-server"}
OUT = Destination("203.0.113.9", 443)
SHIPPED = load_all(ROOT / "deploy/kubernetes/base/network-policy.yaml")


def policy(*egress: Any, selector: Any = None, types: tuple[str, ...] = ("Egress",)) -> Any:
    spec = {"podSelector": selector or {}, "policyTypes": list(types), "egress": list(egress)}
    return {"kind": "NetworkPolicy", "spec": spec}


def test_a_pod_that_no_policy_selects_may_go_anywhere() -> None:
    assert allows_egress([], MODELS, SERVER, OUT)
    assert allows_egress([policy(selector={"matchLabels": {"app": "other"}})], MODELS, SERVER, OUT)
    assert allows_egress([policy(types=("Ingress",))], MODELS, SERVER, OUT)


def test_a_selected_pod_may_go_only_where_a_rule_says() -> None:
    assert not allows_egress([policy()], MODELS, SERVER, OUT)
    assert allows_egress([policy({})], MODELS, SERVER, OUT), "an empty rule allows everything"
    block = {"to": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.128/25"]}}]}
    assert allows_egress([policy(block)], MODELS, SERVER, OUT)
    assert not allows_egress([policy(block)], MODELS, SERVER, Destination("203.0.113.200", 443))
    assert not allows_egress([policy(block)], MODELS, SERVER, Destination("2001:db8::9", 443))


def test_policies_add_up() -> None:
    allowing = policy({"ports": [{"port": 443}]})
    assert allows_egress([policy(), allowing], MODELS, SERVER, OUT)
    assert not allows_egress([policy(), allowing], MODELS, SERVER, Destination("203.0.113.9", 444))


@pytest.mark.parametrize(
    ("port", "allowed"),
    [
        ({}, True),
        ({"port": 443}, True),
        ({"port": 400, "endPort": 450}, True),
        ({"port": 400, "endPort": 442}, False),
        ({"port": 443, "protocol": "UDP"}, False),
    ],
)
def test_ports(port: Any, allowed: bool) -> None:
    assert allows_egress([policy({"ports": [port]})], MODELS, SERVER, OUT) is allowed


def test_a_pod_selector_without_a_namespace_is_of_the_same_namespace() -> None:
    rule = policy({"to": [{"podSelector": {"matchLabels": {"app": "db"}}}]})
    here = Destination("10.0.0.1", 5432, namespace=MODELS, pod={"app": "db"})
    there = Destination("10.0.0.1", 5432, namespace={"kubernetes.io/metadata.name": "x"}, pod={"app": "db"})
    assert allows_egress([rule], MODELS, SERVER, here)
    assert not allows_egress([rule], MODELS, SERVER, there)
    assert not allows_egress([rule], MODELS, SERVER, OUT)


@pytest.mark.parametrize(
    "rule",
    [
        {"to": [{"namespaceSelector": {"matchExpressions": []}}]},
        {"ports": [{"port": "https"}]},
        {"toServices": []},
    ],
)
def test_what_is_not_understood_is_not_skipped(rule: Any) -> None:
    inside = Destination("10.0.0.1", 443, namespace=MODELS, pod=SERVER)
    with pytest.raises(ToolError) as caught:
        allows_egress([policy(rule)], MODELS, SERVER, inside)
    assert caught.value.code == "bad-deployment"


def test_the_shipped_policies_leave_the_registry_and_dns() -> None:
    assert not allows_egress(SHIPPED, MODELS, SERVER, OUT)
    assert not allows_egress(SHIPPED, MODELS, {"app": "somebody-else"}, OUT)
    assert allows_egress(SHIPPED, MODELS, SERVER, cluster.TO_THE_REGISTRY)
    dns = Destination(
        "10.0.0.2",
        53,
        "UDP",
        namespace={"kubernetes.io/metadata.name": "kube-system"},
        pod={"k8s-app": "kube-dns"},
    )
    assert allows_egress(SHIPPED, MODELS, SERVER, dns)
    assert not allows_egress(SHIPPED, MODELS, {"app": "somebody-else"}, dns)
