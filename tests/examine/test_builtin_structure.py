"""A bare state dict fills a built-in network exactly, or is refused and told what would fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from registry_gate.architectures.builtin import BUILTINS
from registry_gate.examine.behaviour_messages import Architecture
from registry_gate.examine.builtin_classifier import fitted_to, load_builtin
from registry_gate.examine.builtin_structure import examine_builtin, fill, wrapping
from registry_gate.examine.probe_data import ProbeData

ARCH = Architecture(name="resnet20", classes=6)
Tensors = dict[str, torch.Tensor]


def _state(classes: int = 6) -> Tensors:
    torch.manual_seed(0)
    return dict(BUILTINS["resnet20"].build(classes).state_dict())


def _saved(root: Path, tensors: Tensors) -> tuple[Path, tuple[str, ...]]:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, root / "model.safetensors")
    return root, ("model.safetensors",)


def test_state_dict_of_the_network_fits_and_gives_its_answers(tmp_path: Path) -> None:
    root, weights = _saved(tmp_path, _state())
    structure, library = examine_builtin(root, weights, ARCH)
    assert library is not None
    assert (structure.status, structure.library_class, structure.num_labels) == ("measured", "resnet20", 6)
    assert not structure.missing + structure.unexpected + structure.mismatched
    torch.manual_seed(0)
    original, images = BUILTINS["resnet20"].build(6).eval(), torch.rand(2, 3, 32, 32)
    assert torch.equal(fill(root, weights, ARCH).eval()(images), original(images))


@pytest.mark.parametrize("prefix", ["module.", "state_dict.", "state_dict.module.", "net."])
def test_wrappers_that_every_name_carries_are_taken_off(tmp_path: Path, prefix: str) -> None:
    root, weights = _saved(tmp_path, {prefix + name: tensor for name, tensor in _state().items()})
    structure, _ = examine_builtin(root, weights, ARCH)
    assert not structure.missing + structure.unexpected + structure.mismatched
    assert prefix in structure.reason


def test_wrapper_that_only_some_names_carry_is_left_alone() -> None:
    assert wrapping(["module.a", "b"]) == ""
    assert wrapping([]) == ""


def test_counters_of_old_checkpoints_may_be_absent(tmp_path: Path) -> None:
    old = {name: t for name, t in _state().items() if not name.endswith("num_batches_tracked")}
    root, weights = _saved(tmp_path, old)
    assert not examine_builtin(root, weights, ARCH)[0].missing
    fill(root, weights, ARCH)


def _without(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name != "fc.bias"}


def _with_more(tensors: Tensors) -> Tensors:
    return tensors | {"fc.hidden": torch.zeros(3)}


def _reshaped(tensors: Tensors) -> Tensors:
    return tensors | {"fc.weight": torch.zeros(7, 64)}


@pytest.mark.parametrize(
    ("damage", "field"), [(_without, "missing"), (_with_more, "unexpected"), (_reshaped, "mismatched")]
)
def test_state_dict_that_does_not_fit_is_refused(
    tmp_path: Path, damage: Callable[[Tensors], Tensors], field: str
) -> None:
    root, weights = _saved(tmp_path, damage(_state()))
    structure, _ = examine_builtin(root, weights, ARCH)
    assert getattr(structure, field)
    with pytest.raises(ValueError, match="do not fill"):
        fill(root, weights, ARCH)


def test_refusal_names_the_network_that_would_fit(tmp_path: Path) -> None:
    root, weights = _saved(tmp_path, _state(11))
    structure, _ = examine_builtin(root, weights, Architecture(name="resnet56", classes=11))
    assert "resnet20 with 11 classes" in structure.reason


def test_unknown_network_and_broken_file_are_errors(tmp_path: Path) -> None:
    root, weights = _saved(tmp_path, _state())
    assert examine_builtin(root, weights, Architecture(name="mynet", classes=6))[1] is None
    (root / "model.safetensors").write_bytes(b"\x00" * 7)
    structure, library = examine_builtin(root, weights, ARCH)
    assert (structure.status, library) == ("error", None)


class _Bright(torch.nn.Module):
    """Two classes, by whether the normalised image is bright."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        level = images.mean(dim=(1, 2, 3))
        return torch.stack([-level, level], dim=1)


def test_normalisation_is_chosen_by_what_the_model_recognises(tmp_path: Path) -> None:
    root, weights = _saved(tmp_path, _state())
    bare = load_builtin(root, weights, ARCH, torch.device("cpu"))
    assert "ImageNet" in bare.note
    assert bare.last is not None
    assert bare.network is not None
    # Greys on either side of one half, which only the normalisation by one half tells apart.
    bright = replace(bare, network=_Bright())
    levels = torch.linspace(0.46, 0.54, 40)
    probe = ProbeData(levels.view(40, 1, 1, 1).expand(40, 3, 32, 32), (levels > 0.5).long())
    assert (
        fitted_to(bright, probe).note
        == "normalisation half: the model recognises 100% of the probe images under it"
    )


def test_side_that_the_network_cannot_read_is_refused(tmp_path: Path) -> None:
    root, weights = _saved(tmp_path, _state())
    assert (
        load_builtin(root, weights, ARCH.model_copy(update={"image": 48}), torch.device("cpu")).shape[1] == 48
    )
    with pytest.raises(ValueError, match="reads 224"):
        load_builtin(root, weights, Architecture(name="vit_b_16", classes=6, image=96), torch.device("cpu"))
