"""A policy that demands a self-test: nothing is fetched without one, and a real one opens the road."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from registry_gate.decision import Verdict
from registry_gate.errors import ToolError
from registry_gate.operate.doctor.run import chosen, record, self_test
from registry_gate.self_test import ProbeState
from registry_gate.testing.hub import LoopbackHub
from tests.e2e.conftest import Gate, make_gate

MODEL = "acme-ml/weights"


@pytest.fixture(scope="module")
def weights_hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.add_repo(MODEL, {"model.safetensors": save({"weight": torch.arange(6.0).reshape(2, 3)})})
        yield hub


@pytest.fixture
def demanding(weights_hub: LoopbackHub, tmp_path: Path) -> Gate:
    checks = ["repo-name", "listing", "source-bytes", "file-formats", "weight-set", "convertible"]
    return make_gate(tmp_path, weights_hub.url, self_test_days=7, required_checks=checks)


def test_nothing_is_fetched_without_a_pass_and_a_real_one_opens_the_road(
    demanding: Gate, weights_hub: LoopbackHub
) -> None:
    asked = len(weights_hub.requests)
    with pytest.raises(ToolError) as caught:
        demanding.admit(MODEL)
    assert (caught.value.code, len(weights_hub.requests)) == ("self-test-missing", asked)
    assert demanding.scan(MODEL).verdict is Verdict.ADMIT

    said = self_test(demanding.settings, str(demanding.policy_file))
    assert (said.state, said.bad) == (ProbeState.OK, ())
    record(demanding.settings, said)
    report = demanding.admit(MODEL)
    assert report.verdict is Verdict.ADMIT
    assert report.receipt is not None

    demanding.settings.keys.chmod(0o777)
    again = self_test(demanding.settings, str(demanding.policy_file), probes=chosen(["key-files"]))
    assert again.bad == ("key-files",)
    others = tuple(result for result in said.results if result.code != "key-files")
    record(demanding.settings, again.model_copy(update={"results": (*others, *again.results)}))
    asked = len(weights_hub.requests)
    with pytest.raises(ToolError) as caught:
        demanding.admit(MODEL)
    assert (caught.value.code, len(weights_hub.requests)) == ("self-test-failed", asked)
