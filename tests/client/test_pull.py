from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from registry_gate import errors, verify
from registry_gate.client.pull import pull
from registry_gate.testing.sample_release import SampleStore


def test_a_pulled_release_is_whole_read_only_and_verifies(store: SampleStore, tmp_path: Path) -> None:
    store.admit(tmp_path / "made", "acme/pulled")
    destination = tmp_path / "new" / "copy"
    verified = pull("acme/pulled", destination)
    assert verify(destination) == verified
    assert sorted(path.name for path in destination.iterdir()) == ["attestations", "model"]
    files = [path for path in destination.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o444}
    assert [path.name for path in destination.parent.iterdir()] == ["copy"]


def test_an_empty_folder_is_filled(store: SampleStore, tmp_path: Path) -> None:
    folder = store.folder(store.admit(tmp_path / "made", "acme/empty"))
    (tmp_path / "copy").mkdir()
    assert pull(folder, tmp_path / "copy").id == "acme/empty"


def test_what_is_there_is_not_touched(store: SampleStore, tmp_path: Path) -> None:
    folder = store.folder(store.admit(tmp_path / "made", "acme/kept"))
    full, file, link = tmp_path / "full", tmp_path / "file", tmp_path / "link"
    full.mkdir()
    (full / "mine").write_text("mine")
    file.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    for destination in (full, file, link):
        with pytest.raises(errors.UsageError) as caught:
            pull(folder, destination)
        assert caught.value.code == "destination-not-empty"
    assert (full / "mine").read_text() == file.read_text() == "mine"


@pytest.mark.parametrize("place", ["file/below", "x" * 300])
def test_a_place_that_cannot_be_made_is_one_of_our_errors(
    place: str, store: SampleStore, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(errors.ToolError) as caught:
        pull("acme/anything", tmp_path / place)
    assert caught.value.code == "copy-failed"


def test_a_refused_release_leaves_nothing(store: SampleStore, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(store.folder(store.admit(tmp_path / "made", "acme/refused")), folder)
    (folder / "model/tokenizer/vocab.txt").write_bytes(b"changed")
    (tmp_path / "place").mkdir()
    with pytest.raises(errors.VerificationError) as caught:
        pull(folder, tmp_path / "place" / "copy")
    assert caught.value.code == "bytes-differ"
    assert list((tmp_path / "place").iterdir()) == []
