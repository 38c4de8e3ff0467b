"""Policies that cannot decide, and policies under which a canary passes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from registry_gate.operate.doctor.canaries import PROBES
from registry_gate.policy import load_policy, policies_folder
from registry_gate.self_test import ProbeState
from registry_gate.signing.trust import trust_policy
from registry_gate.testing.sample_release import SampleGate
from tests.operate.doctor.conftest import Try


def written(folder: Path, base: str = "default", **changes: object) -> Path:
    document = yaml.safe_load((policies_folder() / f"{base}.yaml").read_text())
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(document | {"name": "mine"} | changes))
    return path


def accepted(home: SampleGate, path: Path) -> Path:
    trust_policy(home.settings, load_policy(path).digest())
    return path


def test_a_policy_of_ones_own_passes_once_it_is_trusted(
    home: SampleGate, attempt: Try, tmp_path: Path
) -> None:
    path = written(tmp_path)
    found = attempt(home.settings, "policy", policy=path)
    assert (found.state, "trust-policy" in found.todo) == (ProbeState.FAILED, True)
    assert attempt(home.settings, "policy", policy=accepted(home, path)).state is ProbeState.OK


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"required_checks": ["repo-name", "no-such-check"]}, "no-such-check"),
        ({"required_checks": []}, "required checks is empty"),
        ({"rules": {"no-such-rule": {"disposition": "allow"}}}, "no-such-rule"),
        ({"thresholds": {}}, "backdoor-score-no-samples"),
        ({"pickle_allow_list": {"dated": "2026-01-01", "globals": {}}}, "pickle allow-list is empty"),
        (
            {"protected": {"dated": "2026-01-01", "owners": [], "reuploaders": [], "names": []}},
            "protected names is empty",
        ),
    ],
)
def test_a_policy_that_cannot_decide_is_found(
    changes: dict[str, object], told: str, home: SampleGate, attempt: Try, tmp_path: Path
) -> None:
    found = attempt(home.settings, "policy", policy=accepted(home, written(tmp_path, **changes)))
    assert (found.state, told in found.measured) == (ProbeState.FAILED, True), found


@pytest.mark.parametrize("text", ["", "{", "version: 1\nversion: 1\n", "- a\n", "name: x\n"])
def test_a_broken_policy_is_found_by_its_probe_and_ends_no_other(
    text: str, home: SampleGate, attempt: Try, tmp_path: Path
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    found = attempt(home.settings, "policy", policy=path)
    assert (found.state, found.measured.partition(":")[0]) == (ProbeState.FAILED, "bad-policy")
    for code in ("canary-pickle", "canary-name", "sandbox-available", "sandbox-network"):
        other = attempt(home.settings, code, policy=path)
        assert (other.state, other.todo) == (ProbeState.COULD_NOT_TELL, "mend policy first"), code


def test_an_expired_waiver_is_told(home: SampleGate, attempt: Try, tmp_path: Path) -> None:
    waiver = {
        "rule": "custom-code", "endpoint": "https://huggingface.co", "model": "a/b", "commit": "a" * 40,
        "owner": "ana", "reason": "looked at it closely", "expires": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    found = attempt(home.settings, "policy", policy=accepted(home, written(tmp_path, waivers=[waiver])))
    assert (found.state, "custom-code" in found.todo) == (ProbeState.OK, True)


def test_the_shipped_policies_are_whole(home: SampleGate, attempt: Try) -> None:
    assert attempt(home.settings, "policies-shipped").state is ProbeState.OK


@pytest.mark.parametrize(
    ("code", "policy"),
    [
        *((probe.code, "default") for probe in PROBES),
        ("canary-pickle", "strict"),
        ("canary-name", "strict"),
        ("canary-ordinary", "strict"),
    ],
)
def test_every_canary_is_refused_for_what_it_is(
    code: str, policy: str, home: SampleGate, attempt: Try
) -> None:
    found = attempt(home.settings, code, policy=policy)
    assert found.state is ProbeState.OK, found
    assert not home.settings.work.exists()


@pytest.mark.parametrize(
    ("code", "rules"),
    [
        ("canary-safetensors", ("safetensors-overlap",)),
        ("canary-code", ("custom-code",)),
    ],
)
def test_a_policy_that_lets_a_canary_in_is_found(
    code: str, rules: tuple[str, ...], home: SampleGate, attempt: Try, tmp_path: Path
) -> None:
    allowed = {rule: {"disposition": "allow", "because": "a test"} for rule in rules}
    found = attempt(home.settings, code, policy=written(tmp_path, rules=allowed))
    assert found.state is ProbeState.FAILED, found


def test_a_policy_that_refuses_what_is_ordinary_is_found(
    home: SampleGate, attempt: Try, tmp_path: Path
) -> None:
    limits = load_policy().limits.model_dump() | {"max_total_bytes": 10}
    path = written(tmp_path, limits=limits)
    assert attempt(home.settings, "canary-ordinary", policy=path).state is ProbeState.FAILED
