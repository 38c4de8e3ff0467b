"""Final rows and lowest bits, from real tensors through the real staging."""

import pytest
import torch

from registry_gate.checks import final_rows, low_bits
from registry_gate.finding import Status
from registry_gate.policy import load_policy
from registry_gate.weights.stream import stage
from tests.checks.test_weight_values import evidence
from tests.weights.torch_plans import plan_for, snapshot_of

POLICY = load_policy("default")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def judge(tmp_path, check, state):
    (tmp_path / "source").mkdir()
    torch.save(state, tmp_path / "source/pytorch_model.bin")
    chosen = plan_for(tmp_path / "source/pytorch_model.bin")
    staged = stage(snapshot_of(tmp_path / "source"), chosen, tmp_path / "staged")
    return check.run(evidence(staged, chosen), POLICY)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_planted_row_is_named(tmp_path, dtype):
    head = torch.randn(100, 256) * 0.05
    head[42] *= 4
    result = judge(tmp_path, final_rows.CHECK, {"classifier.weight": head.to(dtype)})
    assert [finding.rule for finding in result.findings] == ["row-outlier"]
    assert "row 42 of 100" in result.findings[0].message


@pytest.mark.parametrize(
    "head",
    [
        torch.nn.Linear(768, 1000).weight.detach(),
        torch.nn.Linear(768, 2).weight.detach() * 100,
        torch.zeros(10, 5),
        torch.ones(10, 5),
        torch.randn(5000, 64) * torch.linspace(0.5, 1.5, 5000)[:, None],
    ],
)
def test_ordinary_heads_are_not(tmp_path, head):
    assert judge(tmp_path, final_rows.CHECK, {"head.weight": head}).findings == ()


def test_no_final_layer_is_not_applicable(tmp_path):
    result = judge(tmp_path, final_rows.CHECK, {"layers.0.fc.weight": torch.randn(20, 20)})
    assert result.status is Status.NOT_APPLICABLE
    assert final_rows.CHECK.run(evidence(), POLICY).status is Status.NOT_RUN
    assert low_bits.CHECK.run(evidence(), POLICY).status is Status.NOT_RUN


def test_a_payload_in_the_lowest_bits_is_recorded(tmp_path):
    clean = torch.randn(512, 512)
    text = torch.frombuffer(bytearray(b"import os; os.system('id')  # " * 3000), dtype=torch.uint8)
    bits = clean.clone().view(torch.int32).flatten()
    bits[: len(text)] = (bits[: len(text)] & ~255) | text.int()
    state = {"clean": clean, "planted": bits.view(torch.float32).reshape(512, 512)}
    result = judge(tmp_path, low_bits.CHECK, state)
    assert [finding.location.tensor for finding in result.findings] == ["planted"]
    assert result.measurements["tensors"] == 2


def test_weights_of_ordinary_networks_have_even_bits(tmp_path):
    layers = [torch.nn.Embedding(2000, 128), *(torch.nn.Linear(128, 128) for _ in range(4))]
    model = torch.nn.Sequential(*layers, torch.nn.LayerNorm(128), torch.nn.Linear(128, 512))
    for step in range(2):  # as training leaves them
        model(torch.arange(64)[None] + step).square().mean().backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight.sub_(weight.grad, alpha=0.01)
    result = judge(tmp_path, low_bits.CHECK, model.state_dict())
    assert result.findings == ()
    assert result.measurements["tensors"] == 6
