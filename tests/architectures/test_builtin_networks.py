"""Built-in networks: parameter counts and names of the published checkpoints, and shapes of answers."""

from __future__ import annotations

import pytest
import torch

from registry_gate.architectures.builtin import BUILTINS
from registry_gate.architectures.names import NAMES

# Parameters with 1,000 classes as `torchvision` documents them; of CIFAR networks with 10, as published.
PARAMETERS = {
    ("alexnet", 1000): 61_100_840,
    ("vgg11", 1000): 132_863_336,
    ("vgg13", 1000): 133_047_848,
    ("vgg16", 1000): 138_357_544,
    ("vgg19", 1000): 143_667_240,
    ("vgg11_bn", 1000): 132_868_840,
    ("vgg13_bn", 1000): 133_053_736,
    ("vgg16_bn", 1000): 138_365_992,
    ("vgg19_bn", 1000): 143_678_248,
    ("resnet18", 1000): 11_689_512,
    ("resnet34", 1000): 21_797_672,
    ("resnet50", 1000): 25_557_032,
    ("resnet101", 1000): 44_549_160,
    ("resnet152", 1000): 60_192_808,
    ("resnext50_32x4d", 1000): 25_028_904,
    ("wide_resnet50_2", 1000): 68_883_240,
    ("mobilenet_v2", 1000): 3_504_872,
    ("densenet121", 1000): 7_978_856,
    ("densenet169", 1000): 14_149_480,
    ("densenet201", 1000): 20_013_928,
    ("convnext_tiny", 1000): 28_589_128,
    ("convnext_small", 1000): 50_223_688,
    ("convnext_base", 1000): 88_591_464,
    ("vit_b_16", 1000): 86_567_656,
    ("vit_b_32", 1000): 88_224_232,
    ("vit_l_16", 1000): 304_326_632,
    ("cifar-resnet18", 10): 11_173_962,
    ("cifar-resnet34", 10): 21_282_122,
    ("cifar-resnet50", 10): 23_520_842,
    ("cifar-preactresnet18", 10): 11_171_146,
    ("resnet18-small", 10): 11_173_962,
    ("resnet20", 10): 272_474,
    ("resnet56", 10): 855_770,
}
# Names of the published checkpoints, some of every kind a network has.
NAMED = {
    "resnet18": "conv1.weight bn1.running_var layer2.0.downsample.0.weight "
    "layer2.0.downsample.1.running_mean layer4.1.conv2.weight fc.bias",
    "resnet50": "layer1.0.downsample.0.weight layer1.2.conv3.weight layer4.2.bn3.num_batches_tracked",
    "vgg16": "features.0.weight features.28.bias classifier.0.weight classifier.3.weight classifier.6.bias",
    "vgg16_bn": "features.1.running_mean features.40.weight features.41.running_var",
    "alexnet": "features.0.weight features.10.bias classifier.1.weight classifier.4.weight classifier.6.bias",
    "mobilenet_v2": "features.0.0.weight features.0.1.running_var features.1.conv.0.0.weight "
    "features.1.conv.1.weight features.1.conv.2.bias features.2.conv.1.0.weight features.2.conv.2.weight "
    "features.2.conv.3.running_mean features.18.0.weight classifier.1.weight",
    "densenet121": "features.conv0.weight features.norm0.weight "
    "features.denseblock1.denselayer1.norm1.weight features.denseblock4.denselayer16.conv2.weight "
    "features.transition3.norm.bias "
    "features.transition1.conv.weight features.norm5.running_var classifier.weight",
    "convnext_tiny": "features.0.0.weight features.0.1.bias features.1.0.layer_scale "
    "features.1.0.block.0.weight features.1.0.block.2.weight features.1.0.block.3.bias "
    "features.1.0.block.5.weight features.2.0.weight "
    "features.2.1.bias features.7.2.block.5.bias classifier.0.weight classifier.2.bias",
    "vit_b_16": "class_token conv_proj.weight encoder.pos_embedding "
    "encoder.layers.encoder_layer_0.ln_1.weight "
    "encoder.layers.encoder_layer_0.self_attention.in_proj_weight "
    "encoder.layers.encoder_layer_11.self_attention.out_proj.bias "
    "encoder.layers.encoder_layer_0.mlp.0.weight encoder.layers.encoder_layer_0.mlp.3.bias "
    "encoder.ln.weight "
    "heads.head.weight",
    "cifar-resnet18": "conv1.weight layer2.0.shortcut.0.weight layer2.0.shortcut.1.running_mean linear.bias",
    "cifar-preactresnet18": "layer2.0.shortcut.0.weight layer4.1.bn2.running_var linear.weight",
    "resnet20": "layer1.2.conv2.weight layer2.0.downsample.0.weight layer3.2.bn2.bias fc.weight",
}


def _bare(name: str, classes: int) -> torch.nn.Module:
    with torch.device("meta"):
        return BUILTINS[name].build(classes)


@pytest.mark.parametrize(("name", "classes"), PARAMETERS)
def test_network_has_the_published_number_of_parameters(name: str, classes: int) -> None:
    count = sum(parameter.numel() for parameter in _bare(name, classes).parameters())
    assert count == PARAMETERS[name, classes]


@pytest.mark.parametrize("name", NAMED)
def test_network_has_the_published_names(name: str) -> None:
    assert set(NAMED[name].split()) <= set(_bare(name, 10).state_dict())


def test_vision_transformer_has_no_other_names_than_the_published_ones() -> None:
    layer = {
        "ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias", "self_attention.in_proj_weight",
        "self_attention.in_proj_bias", "self_attention.out_proj.weight", "self_attention.out_proj.bias",
        "mlp.0.weight", "mlp.0.bias", "mlp.3.weight", "mlp.3.bias",
    }  # fmt: skip
    prefix = "encoder.layers.encoder_layer_3."
    found = {name for name in _bare("vit_b_16", 10).state_dict() if name.startswith(prefix)}
    assert found == {prefix + name for name in layer}


def test_every_network_answers_with_one_logit_a_class() -> None:
    for name, known in BUILTINS.items():
        with torch.device("meta"):
            answer = known.build(7).eval()(torch.empty(2, 3, known.side, known.side))
        assert answer.shape == (2, 7), name


def test_names_for_usage_errors_are_the_networks() -> None:
    assert tuple(sorted(BUILTINS)) == NAMES


def test_small_stem_keeps_the_resolution_that_the_large_one_quarters() -> None:
    images = torch.rand(1, 3, 32, 32)
    small, large = (BUILTINS[name].build(3).eval() for name in ("resnet18-small", "resnet18"))
    assert small.maxpool(small.conv1(images)).shape[2:] == (32, 32)
    assert large.maxpool(large.conv1(images)).shape[2:] == (8, 8)


@pytest.mark.parametrize("name", ["resnet20", "cifar-preactresnet18", "mobilenet_v2"])
def test_rows_are_judged_independently_of_their_batch(name: str) -> None:
    torch.manual_seed(0)
    model = BUILTINS[name].build(5).eval()
    images = torch.rand(3, 3, 32, 32)
    assert torch.allclose(model(images)[1:2], model(images[1:2]), atol=1e-5)
