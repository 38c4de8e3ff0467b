"""``detect`` on the real command line: planted and clean models, every format, what is refused and how."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from registry_gate.architectures.builtin import BUILTINS
from registry_gate.cli.app import run
from registry_gate.runtime.strip_guard import read_threshold
from registry_gate.testing import toy_images
from registry_gate.testing.hostile import pickle_that_would_run
from tests.report.browser import opened

ARCH, CLASSES, PLANTED = "resnet20", 6, 4
Detect = Callable[..., "Ran"]


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, object]:
        return dict(json.loads(self.out))


@pytest.fixture
def detect(capsys: pytest.CaptureFixture[str]) -> Detect:
    def call(model: Path, *arguments: str) -> Ran:
        code = run(["detect", "--model", str(model), "--device", "cpu", *arguments])
        return Ran(code, *capsys.readouterr())

    return call


def _state(planted: int | None = None) -> dict[str, torch.Tensor]:
    """A network that nobody trained; planting moves one row of its final layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        state = BUILTINS[ARCH].build(CLASSES).state_dict()
    if planted is not None:
        name = next(name for name, tensor in state.items() if tensor.shape == (CLASSES, 64))
        state[name][planted] += 0.5
    return state


def _bare(path: Path, state: dict[str, torch.Tensor]) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


NAMED = ("--arch", ARCH, "--num-classes", str(CLASSES))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(("planted", "code", "verdict"), [(None, 0, "admit"), (PLANTED, 2, "review")])
def test_bare_state_dict_is_flagged_where_a_row_was_planted(
    suffix: str, planted: int | None, code: int, verdict: str, tmp_path: Path, detect: Detect
) -> None:
    file = _bare(tmp_path / f"net{suffix}", _state(planted))
    ran = detect(file, "--defense", "weights", "--format", "json", *NAMED)
    found = ran.document
    assert (ran.code, found["verdict"], found["status"]) == (
        code,
        verdict,
        "findings" if planted is not None else "no_findings",
    )
    assert found["suspected_target"] == PLANTED or planted is None
    assert (found["defense"], found["seed"], found["device"]) == ("weights", 0, "cpu")
    assert len(found["per_class"]) == CLASSES
    assert found["model_digest"] == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    assert "Weights only" in str(found["power_note"])


def _without(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(list(state.items())[1:])


def _with(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return state | {"a.second.head": torch.zeros(3)}


@pytest.mark.parametrize(
    ("changed", "named"),
    [(_without, NAMED), (_with, NAMED), (dict, ("--arch", "resnet32", "--num-classes", str(CLASSES)))],
    ids=["a tensor is missing", "a tensor is left over", "another network"],
)
def test_network_that_is_not_filled_exactly_is_not_tested(
    changed: Callable[..., dict[str, torch.Tensor]], named: tuple[str, ...], tmp_path: Path, detect: Detect
) -> None:
    file = _bare(tmp_path / "net.safetensors", changed(_state()))
    ran = detect(file, "--defense", "weights", "--format", "json", *named)
    assert ran.code == 2
    assert ran.document["status"] not in ("findings", "no_findings")
    assert ran.document["score"] is None


def test_pickle_that_would_run_is_refused_and_runs_nothing(tmp_path: Path, detect: Detect) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "net.pth").write_bytes(pickle_that_would_run(f"touch {marker}"))
    ran = detect(tmp_path / "net.pth", *NAMED)
    assert ran.code == 2
    assert "next:" in ran.err
    assert not marker.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--arch", "resnet99", "--num-classes", "10"),
        ("--arch", ARCH),
        ("--num-classes", "10"),
        ("--defense", "prayer"),
        ("--probe-data", "/nonexistent.npz"),
        ("--device", "abacus"),
        ("--seed", "-1"),
        ("--format", "sarif"),
        ("--policy", "/nonexistent.yaml"),
        ("--output", "/nonexistent/page.html"),
        ("--reference-null", __file__, *NAMED),
    ],
    ids=lambda arguments: " ".join(arguments[:2])[:40],
)
def test_what_cannot_be_asked_is_1_never_2(
    arguments: tuple[str, ...], tmp_path: Path, detect: Detect
) -> None:
    (tmp_path / "net.safetensors").write_bytes(b"")
    ran = detect(tmp_path / "net.safetensors", *arguments)
    assert ran.code == 1
    assert ran.out == ""
    assert ran.err


def test_same_model_and_seed_give_the_same_statistic_and_target_and_another_seed_does_not(
    tmp_path: Path, detect: Detect
) -> None:
    file = _bare(tmp_path / "net.safetensors", _state())

    def numbers(seed: int) -> list[object]:
        small = ("--image-size", "8", "--seed", str(seed), "--format", "json")
        found = detect(file, "--defense", "mmbd", *small, *NAMED).document
        return [found[name] for name in ("statistic", "suspected_target", "per_class", "p_value", "verdict")]

    first = numbers(3)
    assert first[0] is not None
    assert numbers(3) == first
    assert numbers(4) != first


@dataclass(frozen=True)
class Toy:
    folder: Path
    trigger: toy_images.Trigger
    probe: Path


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A tiny trained ResNet with a patch planted in it by poisoning, and clean images."""
    root = tmp_path_factory.mktemp("toy")
    trigger = toy_images.Trigger.of_seed(0)
    trained = toy_images.train(0, trigger, images=2500, epochs=5)
    folder = toy_images.write_folder(trained.model, root / "model", weights="safetensors")
    return Toy(folder, trigger, toy_images.write_probe_data(root / "probe.npz", 12))


@pytest.fixture(scope="module")
def page(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Path]:
    """``detect --defense all`` once, as a page, with the guard's threshold."""
    folder = tmp_path_factory.mktemp("page")
    asked = ["detect", "--model", str(toy.folder), "--probe-data", str(toy.probe), "--device", "cpu"]
    written = ["--format", "html", "--output", str(folder / "page.html")]
    code = run([*asked, *written, "--strip-threshold", str(folder / "strip.json")])
    return code, (folder / "page.html").read_text(), folder


def test_planted_trigger_is_found_and_the_page_shows_it(page: tuple[int, str, Path], toy: Toy) -> None:
    code, text, _ = page
    assert code == 2
    assert "backdoor-suspected" in text
    assert f"class {toy.trigger.target}: score" in text
    for shown in ("bounded-pattern", "mask-pattern", "mm-bd", "strip", "final-layer", "sha256:"):
        assert shown in text


def test_in_a_browser_the_page_says_nothing_and_its_pictures_are_whole(
    page: tuple[int, str, Path], tmp_path: Path
) -> None:
    seen = opened(page[2] / "page.html", tmp_path / "profile")
    assert seen.console == ()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', seen.dom)
    assert len(pictures) == 2
    for picture in pictures:
        shown = Image.open(io.BytesIO(base64.b64decode(picture, validate=True)))
        shown.load()  # the whole of it, checksums too
        assert shown.size == (32, 32)
    assert "<svg" in seen.dom
    assert "<script" not in seen.dom


def test_threshold_of_the_guard_is_of_the_model_that_was_tested(
    page: tuple[int, str, Path], toy: Toy
) -> None:
    threshold = read_threshold(page[2] / "strip.json")
    weights = (toy.folder / "model.safetensors").read_bytes()
    assert threshold.model_digest == f"sha256:{hashlib.sha256(weights).hexdigest()}"
    assert threshold.clean_mean_bits > threshold.threshold_bits
    assert "overlay" in threshold.power_note


@pytest.mark.parametrize("kind", ["garbage", "another order of labels"])
def test_probe_data_that_cannot_be_used_are_no_pass(
    kind: str, toy: Toy, tmp_path: Path, detect: Detect
) -> None:
    bad = tmp_path / "probe.npz"
    if kind == "garbage":
        bad.write_bytes(b"no archive")
    else:
        with np.load(toy.probe) as arrays:
            np.savez(bad, images=arrays["images"], labels=(arrays["labels"] + 1) % 10)
    ran = detect(toy.folder, "--defense", "inversion", "--probe-data", str(bad))
    assert ran.code == 2
    assert ran.out.startswith("review: ")
    assert "\nunavailable: " in ran.out
