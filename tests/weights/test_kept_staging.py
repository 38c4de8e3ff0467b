"""A staging that was killed: what it wrote is compared with the source again, and kept where it is right."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import load_file

from registry_gate.evidence import WeightSet
from registry_gate.weights import copying
from registry_gate.weights.stream import stage

from .torch_plans import plan_for, snapshot_of

STATES = {
    "plain": {f"w{n}": torch.randn(700, 900) for n in range(4)},
    "strided": {"a": torch.randn(600, 800).t(), "b": torch.randn(5)},
}


@pytest.fixture(params=STATES)
def made(request, tmp_path):
    """A source, what a staging of it wrote, and the bytes written since."""
    (tmp_path / "source").mkdir()
    source = tmp_path / "source" / "pytorch_model.bin"
    torch.save(STATES[request.param], source)
    snapshot, plan = snapshot_of(source.parent), plan_for(source)
    first = stage(snapshot, plan, tmp_path / "first")
    return snapshot, plan, first, STATES[request.param]


@pytest.fixture
def written(monkeypatch):
    """Counts the bytes that the copy writes into its target."""
    counted = []

    def pwrite(handle, data, at):
        counted.append(len(data))
        return os.pwrite(handle, data, at)

    monkeypatch.setattr(copying, "os", type("Os", (), {**vars(os), "pwrite": staticmethod(pwrite)}))
    return counted


def again(tmp_path, made, damage=None):
    snapshot, plan, first, state = made
    kept = tmp_path / "kept"
    (tmp_path / "first").rename(kept)
    if damage:
        damage(kept / "model.safetensors")
    staged = stage(snapshot, plan, tmp_path / "staged", kept=kept)
    assert (staged.files, staged.tensors) == (first.files, first.tensors), "the proof is the same"
    loaded = load_file(tmp_path / "staged" / "model.safetensors")
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_what_is_right_is_not_written_again(tmp_path, made, written):
    again(tmp_path, made)
    assert not written


def test_half_of_a_file_is_finished(tmp_path, made, written):
    again(tmp_path, made, lambda file: os.truncate(file, file.stat().st_size // 2))
    assert 0 < sum(written) <= made[2].files[0].size


@pytest.mark.parametrize("place", [0, 30, -1], ids=["length", "header", "last tensor"])
def test_one_changed_byte_is_written_over(tmp_path, made, written, place):
    def flip(file):
        data = bytearray(file.read_bytes())
        data[place] ^= 1
        file.write_bytes(data)

    again(tmp_path, made, flip)
    assert written


@pytest.mark.parametrize("kind", ["longer", "link", "hard link", "folder", "pipe"])
def test_what_cannot_be_ours_is_not_taken_up(tmp_path, made, kind):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("not to be written to")

    def replace(file):
        data = file.read_bytes()
        file.unlink()
        if kind == "longer":
            file.write_bytes(data + b"x")
        elif kind == "link":
            file.symlink_to(elsewhere)
        elif kind == "hard link":
            file.hardlink_to(elsewhere)
        elif kind == "folder":
            file.mkdir()
        else:
            os.mkfifo(file)

    again(tmp_path, made, replace)
    assert elsewhere.read_text() == "not to be written to"


def test_a_source_that_changed_is_refused_whatever_was_kept(tmp_path, made):
    from registry_gate.errors import Refused

    snapshot, plan, _, _ = made
    (tmp_path / "first").rename(tmp_path / "kept")
    with (snapshot.root / "pytorch_model.bin").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(Refused) as caught:
        stage(snapshot, plan, tmp_path / "staged", kept=tmp_path / "kept")
    assert caught.value.code == "bytes-changed"
    assert not (tmp_path / "staged").exists() and not (tmp_path / "staged.partial").exists()


def test_a_carried_file_is_taken_up_too(tmp_path, written):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "vocab.txt").write_bytes(b"word\n" * 1_000_000)
    snapshot, carried = snapshot_of(tmp_path / "source"), WeightSet(carried=("vocab.txt",))
    first = stage(snapshot, carried, tmp_path / "first")
    written.clear()
    (tmp_path / "first").rename(tmp_path / "kept")
    assert stage(snapshot, carried, tmp_path / "staged", kept=tmp_path / "kept").files == first.files
    assert not written
