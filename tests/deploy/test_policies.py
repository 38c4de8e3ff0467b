"""Three policies, one verdict: CEL (admission policy and Kyverno) and Rego over the same pods."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.deploy.policy_engines import (
    BROKEN,
    PODS,
    POLICIES,
    Rego,
    admission_policy,
    kyverno_policy,
    load,
    load_all,
)

COMPLIANT = sorted((PODS / "compliant").glob("*.yaml"))
OFFENDING = sorted((PODS / "offending").glob("*.yaml"))
KINDS = {
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "CronJob",
}
VERSIONS = ("1.33", "1.35", "1.37")
CEL = admission_policy()
KYVERNO = kyverno_policy()
REGO = Rego.load()


def both(manifest: Any) -> frozenset[str]:
    """What both engines find; they must find the same."""
    found = CEL.violations(manifest)
    assert REGO.violations(manifest) == found
    return found


def test_there_are_enough_pods_of_every_kind() -> None:
    assert len(COMPLIANT) >= 15
    assert len(OFFENDING) >= 80
    assert {load(path)["kind"] for path in COMPLIANT} == KINDS
    rules = {code for code, _ in CEL.validations}
    assert {path.stem.partition("--")[0] for path in OFFENDING} == rules


@pytest.mark.parametrize("path", COMPLIANT, ids=lambda path: path.stem)
def test_a_compliant_pod_passes_every_engine(path: Path) -> None:
    assert both(load(path)) == KYVERNO.violations(load(path)) == frozenset()


@pytest.mark.parametrize("path", OFFENDING, ids=lambda path: path.stem)
def test_an_offending_pod_is_refused_by_every_engine_for_its_defect(path: Path) -> None:
    manifest = load(path)
    found = both(manifest)
    assert path.stem.partition("--")[0] in found
    assert KYVERNO.violations(manifest) == found


@pytest.mark.parametrize("kind", sorted(KINDS - {"Pod"}))
def test_the_verdict_is_the_same_for_a_pod_in_a_workload(kind: str) -> None:
    names = (
        "model-not-pinned--empty",
        "seccomp--not-said",
        "puller-command--shell",
        "model-writable--server",
    )
    for path in (PODS / "offending" / f"{name}.yaml" for name in names):
        pod = load(path)
        body: Any = {"template": {"metadata": pod["metadata"], "spec": pod["spec"]}}
        body = {"jobTemplate": {"spec": body}} if kind == "CronJob" else body
        assert both({"kind": kind, "spec": body}) == CEL.violations(pod)


def test_kyverno_says_word_for_word_what_the_admission_policy_says() -> None:
    policy = load(POLICIES / "validating-admission-policy/policy.yaml")["spec"]
    (rule,) = load(POLICIES / "kyverno/cluster-policy.yaml")["spec"]["rules"]
    cel = rule["validate"]["cel"]
    assert cel["variables"] == policy["variables"]
    assert cel["expressions"] == policy["validations"]
    assert cel["paramKind"] == policy["paramKind"]
    binding = load(POLICIES / "validating-admission-policy/binding.yaml")["spec"]
    assert cel["paramRef"] == binding["paramRef"]
    (matched,) = rule["match"]["any"]
    assert matched["resources"]["namespaceSelector"] == binding["matchResources"]["namespaceSelector"]
    assert {kind.split("/")[-1] for kind in matched["resources"]["kinds"]} == {
        *KINDS,
        "ephemeralcontainers",
    }


def test_the_kyverno_policy_has_the_structure_of_a_cluster_policy() -> None:
    """Kyverno runs on no machine here: names and nesting are held to its documentation for validate.cel."""
    policy = load(POLICIES / "kyverno/cluster-policy.yaml")
    assert set(policy) == {"apiVersion", "kind", "metadata", "spec"}
    assert (policy["apiVersion"], policy["kind"]) == ("kyverno.io/v1", "ClusterPolicy")
    spec = policy["spec"]
    assert set(spec) == {"validationFailureAction", "failurePolicy", "background", "rules"}
    assert (spec["validationFailureAction"], spec["failurePolicy"]) == ("Enforce", "Fail")
    (rule,) = spec["rules"]
    assert set(rule) == {"name", "match", "validate"}
    assert set(rule["validate"]) == {"cel"}
    assert set(rule["validate"]["cel"]) == {"paramKind", "paramRef", "variables", "expressions"}
    (matched,) = rule["match"]["any"]
    assert set(matched["resources"]) == {"kinds", "operations", "namespaceSelector"}
    assert policy["metadata"]["annotations"]["pod-policies.kyverno.io/autogen-controllers"] == "none"


def test_every_workload_resource_is_matched_on_create_and_update() -> None:
    spec = load(POLICIES / "validating-admission-policy/policy.yaml")["spec"]
    assert spec["failurePolicy"] == "Fail"
    rules = spec["matchConstraints"]["resourceRules"]
    assert all(set(rule["operations"]) == {"CREATE", "UPDATE"} for rule in rules)
    matched = {resource for rule in rules for resource in rule["resources"]}
    assert matched == {f"{kind.lower()}s" for kind in KINDS} | {"pods/ephemeralcontainers"}
    binding = load(POLICIES / "validating-admission-policy/binding.yaml")["spec"]
    assert "Deny" in binding["validationActions"]
    assert binding["paramRef"]["parameterNotFoundAction"] == "Deny"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_admission_policy_fits_the_schema_of(version: str) -> None:
    for name in ("policy.yaml", "binding.yaml"):
        for document in load_all(POLICIES / "validating-admission-policy" / name):
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("path", COMPLIANT, ids=lambda path: path.stem)
def test_a_compliant_pod_fits_the_schema(path: Path) -> None:
    kubernetes_validate.validate(load(path), VERSIONS[-1], strict=True)


@pytest.mark.parametrize("listed", [{}, {"data": {}}, {"data": {"other": "acme--tiny@sha256:" + "1" * 64}}])
def test_without_a_list_nothing_is_admitted(listed: dict[str, Any]) -> None:
    pod = load(PODS / "compliant/pod.yaml")
    assert CEL.violations(pod, listed) == {"model-not-admitted", "puller-image"}
    for data in ({}, {"registry_gate_admitted": {}}):
        assert Rego.load(data).violations(pod) == {"model-not-admitted", "puller-image"}


def test_rego_reads_requests_and_reviews_and_leaves_other_kinds_alone() -> None:
    bad = load(PODS / "offending/seccomp--unconfined.yaml")
    good = load(PODS / "compliant/pod.yaml")
    for wrap in (lambda pod: {"request": {"object": pod}}, lambda pod: {"review": {"object": pod}}):
        assert REGO.violations(wrap(bad)) == {"seccomp"}
        assert REGO.violations(wrap(good)) == frozenset()
    assert REGO.violations({"kind": "ConfigMap", "data": {}}) == frozenset()


@pytest.mark.parametrize(
    "spec", [{}, {"containers": []}, {"containers": [{}]}, {"containers": None}, None, "text"]
)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_no_pod_at_all_is_refused(kind: str, spec: Any) -> None:
    manifest = {"kind": kind, "metadata": {}, "spec": spec}
    assert CEL.violations(manifest)
    assert REGO.violations(manifest)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for key, item in items for leaf in _leaves(item, (*path, key)))]


BASE = load(PODS / "compliant/pod.yaml")
PLACES = [path for path in _leaves(BASE) if len(path) > 1 or path in {("spec",), ("metadata",)}]
_DIGEST = "acme--tiny@sha256:" + "1" * 64
PIECES = st.one_of(
    st.sampled_from(["gone", True, False, 0, 65532, "", "model", "tmp", "/models", "/tmp", "ALL", "sh"]),
    st.sampled_from(
        ["registry-gate-pull", _DIGEST, f"models:/{_DIGEST}", "busybox", {}, [], [{"name": "x"}]]
    ),
    st.sampled_from([{"type": "Unconfined"}, {"drop": ["ALL"]}, {"runAsNonRoot": True}]),
)
EXTRA = st.one_of(
    st.sampled_from([("hostPID", True), ("initContainers", []), ("runAsUser", 0), ("runAsNonRoot", False)]),
    st.sampled_from([("volumes", [{"name": "model", "hostPath": {"path": "/"}}]), ("command", ["sh"])]),
    st.sampled_from([("ephemeralContainers", [{"name": "d", "image": "busybox"}]), ("privileged", True)]),
    st.sampled_from([("env", [{"name": "LD_PRELOAD", "value": "x"}]), ("envFrom", []), ("readOnly", True)]),
    st.sampled_from(
        [("subPath", "x"), ("emptyDir", {}), ("hostPath", {"path": "/"}), ("windowsOptions", {})]
    ),
    st.sampled_from([("seccompProfile", {"type": "Localhost"}), ("restartPolicy", "Always")]),
    st.sampled_from([("procMount", "Unmasked"), ("seLinuxOptions", {})]),
    st.just(("capabilities", {"drop": ["ALL"], "add": ["KILL"]})),
)


def edited(place: tuple[Any, ...], piece: Any, pod: Any) -> None:
    *above, last = place
    for key in above:
        pod = pod[key]
    if piece == "gone":
        del pod[last]
    else:
        pod[last] = piece


def added(place: tuple[Any, ...], extra: tuple[str, Any], pod: Any) -> None:
    for key in place:
        pod = pod[key]
    if isinstance(pod, dict):
        pod[extra[0]] = copy.deepcopy(extra[1])


@settings(max_examples=120, deadline=None)
@given(
    edits=st.lists(st.tuples(st.sampled_from(PLACES), PIECES), max_size=3),
    extras=st.lists(st.tuples(st.sampled_from([*PLACES, ("spec",)]), EXTRA), max_size=3),
)
def test_the_engines_agree_on_pods_nobody_wrote(edits: Any, extras: Any) -> None:
    pod = copy.deepcopy(BASE)
    for change, items in ((edited, edits), (added, extras)):
        for place, item in items:
            try:
                change(place, copy.deepcopy(item), pod)
            except (KeyError, IndexError, TypeError):
                continue  # an earlier edit took the place away
    try:
        kubernetes_validate.validate(pod, VERSIONS[-1])
    except kubernetes_validate.ValidationError:
        return  # an API server refuses it before any policy is asked
    cel, rego = CEL.violations(pod), REGO.violations(pod)
    assert bool(cel) == bool(rego), (cel, rego)
    if BROKEN not in cel:
        assert cel == rego


def test_the_messages_are_the_same_and_teach() -> None:
    policy = load(POLICIES / "validating-admission-policy/policy.yaml")["spec"]
    text = (POLICIES / "rego/registry_gate.rego").read_text(encoding="utf-8")
    for validation in policy["validations"]:
        code, _, message = validation["message"].partition(": ")
        assert f'"{code}": "{message}",' in text
