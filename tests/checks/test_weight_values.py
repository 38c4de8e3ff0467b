import math
from datetime import UTC, datetime

import pytest
import torch

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.checks import weight_values
from registry_gate.checks.weight_values import CHECK
from registry_gate.evidence import Evidence, WeightSet
from registry_gate.finding import Severity, Status
from registry_gate.policy import load_policy
from registry_gate.weights.stream import stage
from tests.weights.torch_plans import plan_for, snapshot_of

POLICY = load_policy("default")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def evidence(staged=None, weight_set=None, **more):
    return Evidence(
        gate_version="0",
        observed_at=datetime(2026, 1, 1, tzinfo=UTC),
        candidate=Candidate(kind=SourceKind.FOLDER, endpoint="", id="a/b"),
        registered_name="a--b",
        staged=staged,
        weight_set=weight_set,
        **more,
    )


def judge(tmp_path, state):
    (tmp_path / "source").mkdir()
    torch.save(state, tmp_path / "source/pytorch_model.bin")
    chosen = plan_for(tmp_path / "source/pytorch_model.bin")
    staged = stage(snapshot_of(tmp_path / "source"), chosen, tmp_path / "staged")
    result = CHECK.run(evidence(staged, chosen), POLICY)
    assert result.measurements["tensors_judged"] == len(state)
    return result


def tiny(name):
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        CLIPTextConfig,
        CLIPTextModel,
        DistilBertConfig,
        DistilBertForSequenceClassification,
        GPT2Config,
        GPT2LMHeadModel,
        ResNetConfig,
        ResNetForImageClassification,
        RobertaConfig,
        RobertaModel,
        T5Config,
        T5ForConditionalGeneration,
    )

    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64}
    models = {
        "bert": lambda: BertForMaskedLM(BertConfig(vocab_size=100, **sizes)),
        "roberta": lambda: RobertaModel(RobertaConfig(vocab_size=100, type_vocab_size=1, **sizes)),
        "distilbert": lambda: DistilBertForSequenceClassification(
            DistilBertConfig(vocab_size=100, dim=32, n_layers=3, n_heads=2, hidden_dim=64)
        ),
        "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=100, n_embd=32, n_layer=3, n_head=2)),
        "t5": lambda: T5ForConditionalGeneration(
            T5Config(vocab_size=100, d_model=32, d_ff=64, num_layers=3, num_heads=2, d_kv=16)
        ),
        "resnet": lambda: ResNetForImageClassification(
            ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[2, 2], layer_type="basic")
        ),
        "clip": lambda: CLIPTextModel(CLIPTextConfig(vocab_size=100, **sizes)),
    }
    return models[name]()


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "gpt2", "t5", "resnet", "clip"])
def test_ordinary_transformers_have_no_findings(tmp_path, name):
    result = judge(tmp_path, tiny(name).state_dict())
    assert [finding.message for finding in result.findings] == []
    assert result.status is Status.NO_FINDINGS


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_ordinary_in_other_precisions(tmp_path, kind):
    assert judge(tmp_path, tiny("bert").to(kind).state_dict()).status is Status.NO_FINDINGS


def test_a_trained_batch_norm_network_has_no_findings(tmp_path):
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 8, 3),
        torch.nn.BatchNorm2d(8),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 12 * 12, 10),
    )
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        images, labels = torch.randn(32, 3, 16, 16) * 40, torch.randint(0, 10, (32,))
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimiser.step()
    assert judge(tmp_path, model.state_dict()).status is Status.NO_FINDINGS


def test_buffers_that_are_no_weights_are_ordinary(tmp_path):
    state = {
        "embeddings.position_ids": torch.arange(512)[None],
        "attn.bias": torch.tril(torch.ones(64, 64, dtype=torch.bool))[None, None],
        "attn.masked_bias": torch.tensor(-1e4),
        "attn.causal_mask": torch.full((16, 16), -math.inf).triu(1),
        "norm.weight": torch.ones(64),
        "norm.bias": torch.zeros(64),
        "linear.bias": torch.zeros(4096),
        "bn.num_batches_tracked": torch.tensor(0),
        "rotary.inv_freq": 1.0 / (10000 ** (torch.arange(0, 64, 2) / 64)),
    }
    assert judge(tmp_path, state).status is Status.NO_FINDINGS


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.complex64])
def test_one_value_that_is_not_finite_is_found(tmp_path, value, kind):
    state = {name: tensor.to(kind) for name, tensor in layers().items()}
    state["layer.1.weight"][3, 4] = value
    result = judge(tmp_path, state)
    found = [item for item in result.findings if item.rule == "non-finite-weights"]
    assert [item.location.tensor for item in found] == ["layer.1.weight"]
    assert found[0].severity is Severity.HIGH


def test_an_infinite_mask_is_excused_by_name_and_content_only(tmp_path):
    state = {
        "attn_mask": torch.full((8, 8), -math.inf),
        "weight": torch.full((8, 8), math.inf).triu(),
        "mask.weight": torch.tensor([[math.nan, 0.0], [0.0, -math.inf]]),
    }
    found = {item.location.tensor for item in judge(tmp_path, state).findings}
    assert found == {"attn_mask", "weight", "mask.weight"}


def layers(count=5, size=64):
    return {f"layer.{index}.weight": torch.randn(size, size) * 0.02 for index in range(count)}


@pytest.mark.parametrize("value", [99.0, -99.0, 1e30])
def test_one_planted_value_is_an_outlier(tmp_path, value):
    state = layers()
    state["layer.2.weight"][7, 7] = value
    findings = judge(tmp_path, state).findings
    assert [(item.rule, item.severity, item.location.tensor) for item in findings] == [
        ("magnitude-outlier", Severity.MEDIUM, "layer.2.weight")
    ]


def test_one_planted_value_is_found_without_siblings_too(tmp_path):
    weight = torch.randn(256, 256) * 0.02
    weight[0, 0] = 99
    findings = judge(tmp_path, {"classifier.weight": weight}).findings
    assert [(item.rule, item.severity) for item in findings] == [("magnitude-outlier", Severity.MEDIUM)]


def test_a_scaled_layer_is_recorded(tmp_path):
    state = layers()
    state["layer.4.weight"] *= 1000
    findings = judge(tmp_path, state).findings
    assert [(item.rule, item.severity, item.location.tensor) for item in findings] == [
        ("magnitude-outlier", Severity.LOW, "layer.4.weight")
    ]


def test_outlier_features_of_real_transformers_are_ordinary(tmp_path):
    """Trained models hold values some hundred deviations out; they are not planted."""
    state = layers()
    state["layer.3.weight"][:, 5] *= 8
    state["layer.3.weight"][9, 5] = 2.0
    assert judge(tmp_path, state).status is Status.NO_FINDINGS


def test_dead_and_constant_matrices_are_recorded_low(tmp_path):
    state = layers() | {"head.weight": torch.zeros(8, 8), "gate.weight": torch.full((8, 8), 0.5)}
    found = {item.location.tensor: (item.rule, item.severity) for item in judge(tmp_path, state).findings}
    assert found == {
        "head.weight": ("dead-tensor", Severity.LOW),
        "gate.weight": ("constant-tensor", Severity.LOW),
    }


def test_findings_are_cut_and_hostile_names_shown_short(tmp_path):
    state = {f"w{index}\x1b[2J{'x' * 300}": torch.full((4, 4), math.nan) for index in range(40)}
    findings = judge(tmp_path, state).findings
    assert len(findings) == 20
    assert "20 more such" in findings[-1].message
    assert all("\x1b" not in item.message and len(item.message) < 500 for item in findings)


def test_a_tensor_that_was_not_measured_is_found(tmp_path):
    (tmp_path / "source").mkdir()
    torch.save(layers(), tmp_path / "source/pytorch_model.bin")
    chosen = plan_for(tmp_path / "source/pytorch_model.bin")
    staged = stage(snapshot_of(tmp_path / "source"), chosen, tmp_path / "staged")
    shorter = staged.tensors[0].model_copy(update={"elements": 1})
    renamed = staged.tensors[0].model_copy(update={"name": "other"})
    for tensors in (
        staged.tensors[1:],
        (*staged.tensors, staged.tensors[0]),
        (shorter, *staged.tensors[1:]),
        (renamed, *staged.tensors[1:]),
        (),
    ):
        result = CHECK.run(evidence(staged.model_copy(update={"tensors": tensors}), chosen), POLICY)
        assert ("tensors-not-judged", Severity.HIGH) in [
            (item.rule, item.severity) for item in result.findings
        ]


def test_zero_tensors_are_not_fine(tmp_path):
    (tmp_path / "source").mkdir()
    staged = stage(snapshot_of(tmp_path / "source"), WeightSet(), tmp_path / "staged")
    result = CHECK.run(evidence(staged, WeightSet()), POLICY)
    assert [item.rule for item in result.findings] == ["tensors-not-judged"]


def test_nothing_staged_did_not_look():
    assert CHECK.run(evidence(), POLICY).status is Status.NOT_RUN


def test_the_policy_sets_the_limits(tmp_path):
    state = layers()
    state["layer.2.weight"][7, 7] = 2.0
    assert judge(tmp_path, state).status is Status.NO_FINDINGS
    (tmp_path / "more").mkdir()
    thresholds = POLICY.thresholds | {"magnitude-spread": 20.0, "magnitude-siblings": 5.0}
    chosen = plan_for(tmp_path / "source/pytorch_model.bin")
    staged = stage(snapshot_of(tmp_path / "source"), chosen, tmp_path / "more")
    result = CHECK.run(evidence(staged, chosen), POLICY.model_copy(update={"thresholds": thresholds}))
    assert [item.rule for item in result.findings] == ["magnitude-outlier"]


def test_every_rule_says_what_to_do():
    assert all(len(rule.help) > 40 for rule in weight_values.CHECK.rules)
