"""The manifests under deploy/kubernetes: rendered, valid for several versions, admitted by our policies."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer import Context
from typer.main import get_command

from registry_gate.cli.app import app, run
from registry_gate.errors import VerificationError
from registry_gate.index.read import read_index
from registry_gate.registry import Registry
from registry_gate.testing.sample_release import sample_gate
from tests.deploy.kustomize import render
from tests.deploy.policy_engines import CONFIG_MAP, ROOT, Rego, admission_policy, load
from tests.enforce.house import House, new_house

HERE = ROOT / "deploy/kubernetes"
KUSTOMIZATIONS = sorted(path.parent for path in HERE.rglob("kustomization.yaml"))
VERSIONS = ("1.31", "1.33", "1.35", "1.37")
CUSTOM = {"kyverno.io/v1"}
WORKLOADS = {"Deployment", "Job", "CronJob"}


def pod_template(item: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = item["spec"]
    spec = spec["jobTemplate"]["spec"] if item["kind"] == "CronJob" else spec
    return spec["template"]  # type: ignore[no-any-return]


def pod_spec(item: dict[str, Any]) -> dict[str, Any]:
    return pod_template(item)["spec"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda path: str(path.relative_to(HERE)))
def test_every_object_fits_the_schema_of_every_version(folder: Path) -> None:
    for item in render(folder):
        if item["apiVersion"] in CUSTOM:
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=lambda path: str(path.relative_to(HERE)))
def test_kubectl_renders_the_same(folder: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("THIS MACHINE HAS NO KUBECTL: the renderer of the tests is not compared with it")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True)
    printed = list(yaml.safe_load_all(done.stdout))
    key = lambda item: (item["kind"], item["metadata"]["name"])  # noqa: E731
    assert sorted(printed, key=key) == sorted(render(folder), key=key)


@pytest.mark.parametrize("overlay", ["production", "gvisor"])
def test_the_deployment_passes_the_policies(overlay: str) -> None:
    (deployment,) = [item for item in render(HERE / "overlays" / overlay) if item["kind"] == "Deployment"]
    assert admission_policy().violations(deployment) == frozenset()
    assert Rego.load().violations(deployment) == frozenset()


def test_the_base_with_its_zeros_is_admitted_nowhere() -> None:
    (deployment,) = [item for item in render(HERE / "base") if item["kind"] == "Deployment"]
    assert admission_policy().violations(deployment) == {"model-not-admitted", "puller-image"}


def test_the_empty_list_has_the_name_the_policies_ask_for() -> None:
    listed = load(HERE / "enforcement/admitted.yaml")
    binding = load(HERE / "policies/validating-admission-policy/binding.yaml")["spec"]["paramRef"]
    assert listed["metadata"] == {"name": binding["name"], "namespace": binding["namespace"]}
    assert set(CONFIG_MAP) == {"data"}


def test_gvisor_changes_the_runtime_and_nothing_else() -> None:
    (plain,) = [item for item in render(HERE / "overlays/production") if item["kind"] == "Deployment"]
    (sandboxed,) = [item for item in render(HERE / "overlays/gvisor") if item["kind"] == "Deployment"]
    assert pod_spec(sandboxed).pop("runtimeClassName") == "gvisor"
    assert sandboxed == plain


@pytest.mark.parametrize("folder", ["base", "gate"])
def test_every_container_is_restricted_and_bounded(folder: str) -> None:
    for item in (item for item in render(HERE / folder) if item["kind"] in WORKLOADS):
        spec = pod_spec(item)
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])
            assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])


def test_the_gates_jobs_run_commands_that_exist_and_the_doctor_goes_first() -> None:
    """Each argument list is parsed by the real command line, up to where it would begin to work."""
    jobs = [pod_spec(item) for item in render(HERE / "gate") if item["kind"] in WORKLOADS]
    containers = [c for spec in jobs for c in [*spec.get("initContainers", []), *spec["containers"]]]
    assert len(containers) >= 3
    command = get_command(app)
    for container in containers:
        name, *rest = container["args"]
        subcommand = command.get_command(Context(command), name)  # type: ignore[attr-defined]
        assert subcommand is not None, name
        subcommand.make_context(name, list(rest))
    (admitting,) = [spec for spec in jobs if spec["containers"][0]["args"][0] == "admit"]
    (doctor,) = admitting["initContainers"]
    gate = admitting["containers"][0]
    assert doctor["args"][0] == "doctor"
    for same in ("image", "env", "volumeMounts", "securityContext"):
        assert doctor[same] == gate[same], same


def test_models_reach_the_registry_and_dns_and_nothing_else() -> None:
    policies = [item["spec"] for item in render(HERE / "base") if item["kind"] == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    peers = [peer for spec in policies for rule in spec.get("egress", []) for peer in rule["to"]]
    assert all("namespaceSelector" in peer and "podSelector" in peer for peer in peers)
    namespaces = {peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in peers}
    assert namespaces == {"registry", "kube-system"}
    ports = {
        (port["protocol"], port["port"])
        for spec in policies
        for rule in spec.get("egress", [])
        for port in rule["ports"]
    }
    assert ports == {("TCP", 5000), ("UDP", 53), ("TCP", 53)}


def test_the_gate_does_not_run_in_the_namespace_of_the_models() -> None:
    gate = {item["metadata"].get("namespace") for item in render(HERE / "gate")} - {None}
    models = {item["metadata"].get("namespace") for item in render(HERE / "base")} - {None}
    assert (gate, models) == ({"registry-gate"}, {"models"})


def scheduled() -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in render(HERE / "gate") if item["kind"] == "CronJob"}


def arguments(name: str) -> list[str]:
    (container,) = pod_spec(scheduled()[name])["containers"]
    assert "command" not in container, "the image's entry point is registry-gate"
    words: list[str] = container["args"]
    return words


def test_what_runs_on_schedule_is_the_three_chores() -> None:
    assert set(scheduled()) == {"refresh-index", "renew", "audit-registry"}
    for item in scheduled().values():
        assert item["spec"]["concurrencyPolicy"] == "Forbid", "two would wait for each other's volume"
        minute, hour, *every = item["spec"]["schedule"].split()
        assert every == ["*", "*", "*"]
        assert minute.isdigit()
        assert hour == "*" if item["metadata"]["name"] == "refresh-index" else hour.isdigit()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A gate with one model, admitted as `registry-gate admit` does."""
    folder = tmp_path_factory.mktemp("gate")
    template = sample_gate(folder / "template")
    Registry(template.settings.registry_uri).names()
    house = new_house(folder, template.settings.home / "registry")
    house.admit("acme/tiny")
    return house


@pytest.fixture
def at_home(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(house.gate.settings.home))
    return house


def test_the_scheduled_refresh_keeps_the_index_believed(
    at_home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = at_home.gate
    gate.index.refresh(now=datetime.now(UTC) - timedelta(days=30))
    with pytest.raises(VerificationError, match="index-stale"):
        read_index(gate.settings, gate.trust)
    assert run(arguments("refresh-index")) == 0
    assert "believed until" in capsys.readouterr().out
    read_index(gate.settings, gate.trust)


def test_the_scheduled_renewal_looks_at_everything(
    at_home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "trust-policy", "default"]) == 0, "as `keys init` does for a gate that is no sample"
    capsys.readouterr()
    assert run(arguments("renew")) == 0
    assert capsys.readouterr().out.startswith("not-due            acme--tiny@approved")


def test_the_scheduled_audit_fails_when_an_alias_leads_to_what_is_not_verified(
    at_home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments("audit-registry")) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "verified"
    at_home.revoke("acme/tiny", "for the test")
    assert run(arguments("audit-registry")) == 2
    assert json.loads(capsys.readouterr().out)["code"] == "revoked"


def test_of_the_gate_only_admissions_reach_beyond_registry_and_dns() -> None:
    objects = render(HERE / "gate")
    policies = {item["metadata"]["name"]: item["spec"] for item in objects if item["kind"] == "NetworkPolicy"}
    assert policies["gate"]["podSelector"] == {}
    assert not any("ipBlock" in peer for rule in policies["gate"]["egress"] for peer in rule["to"])
    wanted = policies["gate-hub"]["podSelector"]["matchLabels"]
    reaching = [
        item["metadata"]["name"]
        for item in objects
        if item["kind"] in WORKLOADS and wanted.items() <= pod_template(item)["metadata"]["labels"].items()
    ]
    assert reaching == ["admit-example"]


def test_the_operators_resource_names_what_a_release_holds_and_model_signing_verifies_it(
    tmp_path: Path,
) -> None:
    """The operator runs on no machine here; the library it wraps does, on a Release at the same places."""
    resource = load(HERE / "model-validation/model-validation.yaml")
    assert set(resource["spec"]) == {"model", "config"}
    gate = sample_gate(tmp_path / "home")
    release = gate.release(tmp_path / "made")
    mounted = Path("/models/model")
    model = release.root / Path(resource["spec"]["model"]["path"]).relative_to(mounted)
    signature = release.root / Path(resource["spec"]["model"]["signaturePath"]).relative_to(mounted)
    public = tmp_path / "gate.pub"
    public.write_text(gate.signer.key.public_key)
    from model_signing import verifying

    verifying.Config().use_elliptic_key_verifier(public_key=public).verify(model, signature)
    (release.root / "model/config.json").write_bytes(b"{}")
    with pytest.raises(ValueError, match="mismatch"):
        verifying.Config().use_elliptic_key_verifier(public_key=public).verify(model, signature)
