import hashlib
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from registry_gate.candidate import Snapshot, SnapshotFile
from registry_gate.errors import ToolError
from registry_gate.evidence import FileFacts, FileFormat, Problem, TensorSource
from registry_gate.examine import files as files_module
from registry_gate.examine.files import examine_file, examine_files, validated
from registry_gate.examine.reading import ReadAnswer
from registry_gate.examine.sandbox import MODES, available_sandboxes
from registry_gate.policy import load_policy

POLICY = load_policy("default")
FILE = SnapshotFile(path="model.bin", size=1000, sha256="0" * 64)
TENSOR = TensorSource(name="w", dtype="F32", shape=(2, 3), storage="0", offset=64, nbytes=24)
FACTS = FileFacts(
    path="model.bin", format=FileFormat.TORCH_ZIP, reader="torch-zip", understood=True, tensors=(TENSOR,)
)


def snapshot(root):
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return Snapshot(
        listing_digest="sha256:" + "0" * 64,
        root=root,
        files=tuple(
            SnapshotFile(
                path=path.relative_to(root).as_posix(),
                size=path.stat().st_size,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            )
            for path in paths
        ),
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_snapshot_is_described_in_either_sandbox(mode, tmp_path):
    if mode not in available_sandboxes():
        pytest.skip(f"THIS KERNEL LACKS {mode.upper()}: its confinement is NOT tested here")
    root = tmp_path / "snapshot"
    root.mkdir()
    torch.save({"w": torch.ones(3)}, root / "pytorch_model.bin")
    save_file({"v": torch.ones(2, 2)}, root / "model.safetensors")
    (root / "config.json").write_text('{"model_type": "bert"}')
    steps = []
    policy = POLICY.model_copy(update={"sandboxes": (mode,)})
    facts = examine_files(snapshot(root), policy, lambda *step: steps.append(step))
    assert facts.sandbox.mode == mode
    assert [file.path for file in facts.files] == ["config.json", "model.safetensors", "pytorch_model.bin"]
    assert all(file.understood for file in facts.files)
    assert facts.files[0].config.model_type == "bert"
    assert [tensor.shape for tensor in facts.files[2].tensors] == [(3,)]
    assert steps[-1] == ("read", 3, 3)


def test_a_bare_file_is_described_alone(tmp_path):
    torch.save({"w": torch.ones(3)}, tmp_path / "any.pt")
    (tmp_path / "secret.txt").write_text("x")
    facts = examine_file(tmp_path / "any.pt", POLICY)
    assert [(file.path, file.format) for file in facts.files] == [("any.pt", FileFormat.TORCH_ZIP)]


def test_a_file_that_kills_its_reader_hides_no_other(tmp_path, monkeypatch):
    """The child is the escape probe's kin: a real confined module that dies on a file of its own choosing."""
    for name in ("a.txt", "b.txt", "crash.txt", "d.txt", "hang.txt", "lie.txt"):
        (tmp_path / name).write_text("x")
    monkeypatch.setattr(files_module, "CHILD", "registry_gate.testing.failing_reader")
    monkeypatch.setattr(files_module, "_MIN_SECONDS", 2)
    limits = POLICY.limits.model_copy(update={"reader_seconds": 2})
    facts = examine_files(snapshot(tmp_path), POLICY.model_copy(update={"limits": limits}))
    assert [file.path for file in facts.files] == [file.path for file in snapshot(tmp_path).files]
    failed = {file.path: file.problems[0] for file in facts.files if not file.understood}
    assert {path: problem.code for path, problem in failed.items()} == dict.fromkeys(
        ("crash.txt", "hang.txt", "lie.txt"), "reader-failed"
    )
    assert "reader-crashed" in failed["crash.txt"].detail
    assert "reader-timeout" in failed["hang.txt"].detail
    assert "reader-answer" in failed["lie.txt"].detail
    assert set(facts.sandbox.guarantees)


def test_no_sandbox_is_no_decision(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ToolError) as caught:
        examine_files(snapshot(tmp_path), POLICY.model_copy(update={"sandboxes": ()}))
    assert caught.value.code == "no-sandbox"


def answer(*facts):
    return ReadAnswer(files=facts).canonical()


def refused(data, files=(FILE,)):
    with pytest.raises(ToolError) as caught:
        validated(data, list(files))
    assert caught.value.code == "reader-answer"
    return caught.value.message


def test_an_honest_answer_is_taken():
    assert validated(answer(FACTS), [FILE]) == [FACTS]


HOSTILE = {
    "reaches outside": {"offset": 980},
    "begins outside": {"offset": 10**30},
    "wrong count": {"nbytes": 23},
    "negative size": {"shape": (-2, -3)},
    "product overflows": {"shape": (1 << 61, 1 << 61)},
    "stride outside": {"stride": (1000, 1)},
    "negative stride": {"stride": (-3, 1)},
    "short stride": {"stride": (1,)},
    "many dimensions": {"shape": (1,) * 70 + (6,)},
    "long name": {"name": "n" * 2000},
    "unknown kind outside": {"dtype": "Q8", "nbytes": 5000},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_tensors_that_do_not_fit_their_file_are_refused(case):
    refused(answer(FACTS.model_copy(update={"tensors": (TENSOR.model_copy(update=HOSTILE[case]),)})))


def test_an_answer_about_other_files_is_refused():
    other = FACTS.model_copy(update={"path": "other.bin"})
    for facts in ((other,), (), (FACTS, FACTS), (FACTS, other)):
        assert "files asked for" in refused(answer(*facts))


def test_a_tensor_stated_twice_is_refused():
    refused(answer(FACTS.model_copy(update={"tensors": (TENSOR, TENSOR)})))


def test_silence_about_what_was_not_understood_is_refused():
    refused(answer(FACTS.model_copy(update={"understood": False})))
    said = FACTS.model_copy(
        update={"understood": False, "problems": (Problem(code="not-understood", detail="x"),)}
    )
    assert validated(answer(said), [FILE]) == [said]


def test_a_problem_code_that_is_no_rule_id_is_refused():
    refused(answer(FACTS.model_copy(update={"problems": (Problem(code="Not A Slug\x1b[2J", detail="x"),)})))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'{"files": 1}',
        b"{" * 100_000,
        b'{"files": [], "more": 1}',
        b"\xff\xfe",
        b'{"files": [{"path": "\\ud800"}]}',
    ],
)
def test_nonsense_is_refused(data):
    assert refused(data).isprintable()


def test_an_overlong_answer_is_refused(monkeypatch):
    monkeypatch.setattr(files_module, "MAX_ANSWER", 10)
    refused(answer(FACTS))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_change_to_an_answer_is_taken_or_refused_but_never_breaks_the_parent(data):
    """Values in the JSON are replaced by others; what passes still fits the file."""
    document = json.loads(answer(FACTS))
    strange = st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=5), st.just([])
    )
    target = document["files"][0]
    if data.draw(st.booleans()):
        target = target["tensors"][0]
    key = data.draw(st.sampled_from(sorted(target)))
    target[key] = data.draw(strange)
    try:
        facts = validated(json.dumps(document).encode(), [FILE])
    except ToolError as error:
        assert error.code == "reader-answer"
    else:
        for tensor in facts[0].tensors:
            assert tensor.offset + tensor.nbytes <= FILE.size
