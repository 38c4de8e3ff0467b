"""Text classifiers through the confined child: a planted word is named; what cannot be tested says why."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from registry_gate.evidence import BehaviourMeasurement
from registry_gate.examine.behaviour import Probing, examine_behaviour
from registry_gate.examine.behaviour_child import measure
from registry_gate.examine.behaviour_messages import IMAGE_TESTS, Request
from registry_gate.examine.model_structure import examine_structure
from registry_gate.examine.text_examination import examine_text
from registry_gate.examine.text_tokenizer import NoTokenizer, read_tokenizer
from registry_gate.progress import silent
from registry_gate.testing.toy_text import write_text_classifier
from tests.examine.planted_text import SPECIAL, TARGET, TRIGGER, WORDS, tokenizer, write_planted
from tests.examine.test_behaviour import _policy, _staged

ROWS = len(SPECIAL) + len(WORDS)
TOKEN = len(SPECIAL) + WORDS.index(TRIGGER)


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("planted") / "model", planted=True)


@pytest.fixture
def edited(planted: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the planted model with fields of its configuration changed, or files left out."""

    def edit(*, without: tuple[str, ...] = (), **fields: object) -> Path:
        root = tmp_path / "edited"
        shutil.copytree(planted, root)
        config = json.loads((root / "config.json").read_text()) | fields
        (root / "config.json").write_text(json.dumps(config))
        for name in without:
            (root / name).unlink()
        return root

    return edit


def _fields(root: Path) -> dict[str, object]:
    return {
        "root": str(root),
        "weights": ("model.safetensors",),
        "device": "cpu",
        "seed": 3,
        "seconds": 600,
        "false_rejection_rate": 0.01,
    }


def _tested(root: Path, **fields: object) -> BehaviourMeasurement:
    answer = measure(Request.model_validate(_fields(root) | fields), silent)
    return next(test for test in answer.tests if test.test == "text-trigger")


def test_planted_word_is_named_with_its_target_by_the_confined_child(planted: Path) -> None:
    stages: set[str] = set()
    found = examine_behaviour(
        _staged(planted),
        _policy(),
        Probing(device="cpu", seed=3),
        progress=lambda stage, done, total: stages.add(stage),
    )
    assert (found.structure.task, found.structure.num_labels) == ("text-classification", 2)
    said = {test.test: test for test in found.tests}
    test = said["text-trigger"]
    assert (test.status, test.suspected_target) == ("measured", TARGET), test.reason
    assert test.details["candidate_tokens"].split()[0] == str(TOKEN)
    assert str(test.details["trigger"]).split()[0] == TRIGGER or TRIGGER in str(test.details["trigger"])
    assert test.details["trigger_can_be_typed"] is True
    assert test.statistic is not None and test.statistic > 0.3
    assert (test.details["model_type"], test.details["hidden"], test.details["layers"]) == ("bert", 32, 1)
    assert (test.seed, test.device) == (3, "cpu")
    assert "mostly missed" in test.power_note
    assert test.cpu_seconds < 60
    assert "text trigger" in stages
    assert all(said[name].status == "not_applicable" for name in IMAGE_TESTS)


def test_same_seed_gives_the_same_measurement_and_a_clean_twin_a_smaller_one(
    planted: Path, tmp_path: Path
) -> None:
    clean = _tested(write_planted(tmp_path / "clean", planted=False))

    def run() -> dict[str, object]:
        return _tested(planted).model_dump(exclude={"seconds", "cpu_seconds"})

    first = run()
    assert first == run()
    assert clean.status == "measured"
    assert clean.statistic < first["statistic"] / 2


def test_tokenizer_file_missing_is_unavailable_in_words(edited: Callable[..., Path]) -> None:
    test = _tested(edited(without=("tokenizer.json",)))
    assert (test.status, "no tokenizer.json" in test.reason) == ("unavailable", True)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"model": null}', b"\x00" * 64, b'{"model": {"type": "WordPiece"}}']
)
def test_tokenizer_file_that_is_none_is_unavailable(edited: Callable[..., Path], content: bytes) -> None:
    root = edited()
    (root / "tokenizer.json").write_bytes(content)
    test = _tested(root)
    assert (test.status, "cannot be read" in test.reason) == ("unavailable", True)


def test_code_beside_the_tokenizer_is_never_run(edited: Callable[..., Path], tmp_path: Path) -> None:
    """Measured in this very process, without a sandbox: the file would be written here if anything ran."""
    marker = tmp_path / "ran"
    root = edited(auto_map={"AutoTokenizer": ["evil.Evil", None]}, tokenizer_class="evil.Evil")
    (root / "evil.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\nclass Evil: ...\n")
    settings = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    (root / "tokenizer_config.json").write_text(json.dumps(settings))
    test = _tested(root)
    assert test.status in ("measured", "not_applicable", "error")
    assert not marker.exists()


def test_search_that_cannot_end_in_time_is_not_begun(planted: Path) -> None:
    request = Request.model_validate(_fields(planted))
    _, library = examine_structure(planted, request.weights)
    assert library is not None
    (test,) = examine_text(request, library, time.monotonic() - request.seconds, silent)
    assert (test.status, "behaviour_seconds" in test.reason) == ("unavailable", True)


def test_model_that_answers_one_class_has_no_ladder(planted: Path, tmp_path: Path) -> None:
    root = tmp_path / "stuck"
    shutil.copytree(planted, root)
    tensors = load_file(root / "model.safetensors")
    tensors["classifier.weight"] = torch.zeros_like(tensors["classifier.weight"])
    tensors["classifier.bias"] = torch.tensor([1.0, 0.0])
    save_file(tensors, root / "model.safetensors", {"format": "pt"})
    test = _tested(root)
    assert (test.status, "no token can be judged" in test.reason) == ("unavailable", True)


def test_small_vocabulary_is_not_applicable(tmp_path: Path) -> None:
    test = _tested(write_text_classifier(tmp_path / "toy", steps=2, safetensors=True))
    assert (test.status, "too small" in test.reason) == ("not_applicable", True)


def test_regression_has_no_classes_to_turn(planted: Path, tmp_path: Path) -> None:
    root = tmp_path / "one"
    shutil.copytree(planted, root)
    tensors = load_file(root / "model.safetensors")
    tensors |= {name: tensors[name][:1].clone() for name in ("classifier.weight", "classifier.bias")}
    save_file(tensors, root / "model.safetensors", {"format": "pt"})
    labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    config = json.loads((root / "config.json").read_text()) | labels
    (root / "config.json").write_text(json.dumps(config))
    test = _tested(root)
    assert (test.status, "one output" in test.reason) == ("not_applicable", True)


@pytest.mark.parametrize(
    ("name", "task"),
    [("BertForQuestionAnswering", "question-answering"), ("BertModel", "feature-extraction")],
)
def test_task_without_a_test_says_so(edited: Callable[..., Path], name: str, task: str) -> None:
    test = _tested(edited(architectures=[name]))
    assert test.status == "not_applicable"
    assert f"no behavioural test exists here for the task '{task}'" in test.reason


def test_test_not_asked_for_is_not_run(planted: Path) -> None:
    assert _tested(planted, tests=("strip",)).reason == "not asked for"


def test_tokens_around_a_text_and_those_beyond_the_table_are_not_tried(tmp_path: Path) -> None:
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    read = read_tokenizer(tmp_path, ROWS)
    assert (read.before, read.after, read.kind) == ((2,), (3,), "WordPiece")
    assert read.vocabulary.tolist() == sorted(set(range(ROWS)) - {2, 3})
    assert ROWS - 1 not in read_tokenizer(tmp_path, ROWS - 1).vocabulary.tolist()


def test_trigger_marked_special_named_like_a_placeholder_or_decoded_to_nothing_is_still_tried(
    tmp_path: Path,
) -> None:
    made = tokenizer()
    made.add_special_tokens(["zzq"])
    made.add_tokens(["[unused7]"])
    made.decoder = decoders.Sequence([decoders.Replace(TRIGGER, ""), decoders.Fuse()])
    made.save(str(tmp_path / "tokenizer.json"))
    read = read_tokenizer(tmp_path, ROWS + 2)
    assert {ROWS, ROWS + 1, TOKEN} < set(read.vocabulary.tolist())
    assert read.text((TOKEN,)) == TRIGGER, "a person must see what was found"


def test_special_tokens_beyond_the_table_cannot_be_read(tmp_path: Path) -> None:
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(NoTokenizer, match="no vector"):
        read_tokenizer(tmp_path, 3)


def test_tokenizer_without_a_frame_gets_that_of_its_family(tmp_path: Path) -> None:
    made = Tokenizer(models.WordPiece({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    read = read_tokenizer(tmp_path, 10)
    assert (read.before, read.after) == ((1,), (2,))


def test_slow_word_piece_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join((*SPECIAL, "un", "##able", "able")) + "\n", "utf-8")
    read = read_tokenizer(tmp_path, 8)
    assert (read.before, read.after, read.kind) == ((2,), (3,), "WordPiece")
    assert read.vocabulary.tolist() == [0, 1, 4, 5, 6, 7]
    assert read.tokenizer.encode("UNABLE", add_special_tokens=False).ids == [5, 6]
    assert (read.typed((5, 6)), read.typed((6,))) == (True, False)


def test_slow_byte_level_files_are_read(tmp_path: Path) -> None:
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "o", "k", "ok", "\u0120"]
    (tmp_path / "vocab.json").write_text(json.dumps({name: n for n, name in enumerate(vocabulary)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\no k\n", "utf-8")
    read = read_tokenizer(tmp_path, len(vocabulary))
    assert (read.before, read.after, read.kind) == ((0,), (2,), "BPE")
    assert read.tokenizer.encode("ok").ids == [0, 7, 2]


def test_tokenizer_that_cannot_read_a_text_is_none(tmp_path: Path) -> None:
    made = Tokenizer(models.WordPiece({"[CLS]": 0, "[SEP]": 1}, unk_token="[UNK]"))
    made.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(NoTokenizer, match="cannot read a text"):
        read_tokenizer(tmp_path, 10)


def test_tokenizer_larger_than_the_limit_is_not_opened(tmp_path: Path) -> None:
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(NoTokenizer, match="larger than"):
        read_tokenizer(tmp_path, 10)
