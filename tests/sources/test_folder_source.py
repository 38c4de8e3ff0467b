import contextlib
import os
import socket

import pytest

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.errors import FetchError, Refused, UsageError
from registry_gate.sources import FolderSource
from registry_gate.sources import folder as folder_module

FILES = {"config.json": b"{}", "deep/er/weights.bin": os.urandom(3_000_000), "empty": b""}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "model"
    for path, data in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


@pytest.fixture
def source(folder):
    return FolderSource(Candidate(kind=SourceKind.FOLDER, endpoint="", id="ours/model"), folder)


def test_identity_is_the_content(source, folder, policy, tmp_path):
    listing = source.resolve(policy)
    assert listing.commit.startswith("sha256:") and len(listing.commit) == 71
    assert listing.resolved_id == "ours/model" and listing.metadata is None
    assert [file.path for file in listing.files] == sorted(FILES)
    assert all(file.sha256 and file.blob_id is None for file in listing.files)
    folder.rename(tmp_path / "moved")
    moved = FolderSource(source.candidate, tmp_path / "moved").resolve(policy)
    assert moved == listing


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "config.json").write_bytes(b"[]"),
        lambda root: (root / "config.json").rename(root / "other.json"),
        lambda root: (root / "new.txt").write_bytes(b""),
        lambda root: (root / "empty").unlink(),
    ],
)
def test_any_change_is_another_identity_and_refused_by_fetch(source, folder, policy, tmp_path, change):
    listing = source.resolve(policy)
    change(folder)
    assert source.resolve(policy).commit != listing.commit
    with pytest.raises(Refused) as caught:
        source.fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "bytes-differ-from-listing"


def test_same_size_other_bytes_between_listing_and_copy(source, folder, policy, tmp_path):
    listing = source.resolve(policy)
    data = bytearray(FILES["deep/er/weights.bin"])
    data[-1] ^= 1
    (folder / "deep/er/weights.bin").write_bytes(data)
    with pytest.raises(Refused) as caught:
        source.fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "bytes-differ-from-listing"
    assert list((tmp_path / "in").iterdir()) == []


def test_file_that_grew_is_cut(source, folder, policy, tmp_path):
    listing = source.resolve(policy)
    with (folder / "config.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(Refused) as caught:
        source.fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "stream-longer-than-stated"


def test_copy_is_private_and_equal(source, folder, policy, tmp_path):
    seen = []
    listing = source.resolve(policy)
    snapshot = source.fetch(listing, tmp_path / "in", policy, lambda *step: seen.append(step))
    assert {file.path: (snapshot.root / file.path).read_bytes() for file in snapshot.files} == FILES
    assert (snapshot.root / "config.json").stat().st_ino != (folder / "config.json").stat().st_ino
    assert snapshot.listing_digest == listing.digest()
    assert seen[-1] == ("download", listing.total_size, listing.total_size)


def test_hard_link_is_an_ordinary_file(source, folder, policy):
    os.link(folder / "config.json", folder / "again.json")
    assert "again.json" in {file.path for file in source.resolve(policy).files}


def _link_file(root):
    (root / "link").symlink_to("/etc/passwd")


def _link_folder(root):
    (root / "link").symlink_to(root / "deep")


def _dangling(root):
    (root / "link").symlink_to("nowhere")


def _pipe(root):
    os.mkfifo(root / "link")


def _socket(root):
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(root):  # socket addresses are short
        listening.bind("link")


@pytest.mark.parametrize("put", [_link_file, _link_folder, _dangling, _pipe, _socket])
def test_what_is_no_file_is_refused(source, folder, policy, put):
    put(folder)
    with pytest.raises(Refused) as caught:
        source.resolve(policy)
    assert caught.value.code == "unsafe-entry"


@pytest.mark.parametrize("put", [_link_file, _pipe])
def test_file_replaced_by_something_else_after_listing(source, folder, policy, tmp_path, put):
    listing = source.resolve(policy)
    (folder / "config.json").unlink()
    put(folder)
    (folder / "link").rename(folder / "config.json")
    with pytest.raises(Refused) as caught:
        source.fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "unsafe-entry"


def test_pipe_put_there_after_the_walk_does_not_hold_the_gate_up(
    source, folder, policy, tmp_path, monkeypatch
):
    listing = source.resolve(policy)
    walked = list(folder_module._walk(folder))
    monkeypatch.setattr(folder_module, "_walk", lambda _: iter(walked))
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(Refused) as caught:
        source.fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "unsafe-entry"


def test_link_put_there_after_the_walk_is_not_followed(source, folder, policy, tmp_path, monkeypatch):
    listing = source.resolve(policy)
    walked = list(folder_module._walk(folder))
    monkeypatch.setattr(folder_module, "_walk", lambda _: iter(walked))
    (tmp_path / "same-bytes").write_bytes(FILES["config.json"])
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(tmp_path / "same-bytes")
    with pytest.raises(FetchError) as caught:
        source.fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "unreadable"


def test_name_that_is_not_utf8(source, folder, policy):
    (folder / os.fsdecode(b"bad\xff.txt")).write_bytes(b"")
    with pytest.raises(Refused) as caught:
        source.resolve(policy)
    assert caught.value.code == "unsafe-path"
    caught.value.diagnostics().encode()


@pytest.mark.parametrize("name", ["new\nline", "back\\slash", "bell\x07"])
def test_name_that_is_unsafe(source, folder, policy, name):
    (folder / name).write_bytes(b"")
    with pytest.raises(Refused) as caught:
        source.resolve(policy)
    assert caught.value.code == "unsafe-path"


@pytest.mark.parametrize("name", [".git", "deep/.git", ".cache/huggingface", ".GIT"])
def test_version_control_data_is_refused_with_advice(source, folder, policy, name):
    (folder / name).mkdir(parents=True)
    with pytest.raises(UsageError) as caught:
        source.resolve(policy)
    assert caught.value.code == "folder-has-vcs-data"
    assert "git archive" in caught.value.diagnostics()


def test_gitattributes_is_an_ordinary_file(source, folder, policy):
    (folder / ".gitattributes").write_bytes(b"*.bin filter=lfs\n")
    assert ".gitattributes" in {file.path for file in source.resolve(policy).files}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(source, folder, policy):
    (folder / "config.json").chmod(0)
    with pytest.raises(FetchError) as caught:
        source.resolve(policy)
    assert caught.value.code == "unreadable"


def test_case_collision_is_refused_by_fetch(source, folder, policy, tmp_path):
    (folder / "CONFIG.json").write_bytes(b"{}")
    with pytest.raises(Refused) as caught:
        source.fetch(source.resolve(policy), tmp_path / "in", policy)
    assert caught.value.code == "path-collision"


def test_limits_hold_before_hashing(source, folder, policy, monkeypatch):
    tight = policy.model_copy(update={"limits": policy.limits.model_copy(update={"max_total_bytes": 100})})
    monkeypatch.setattr(folder_module.FolderSource, "_hashed", lambda *_: pytest.fail("hashed"))
    with pytest.raises(Refused) as caught:
        source.resolve(tight)
    assert caught.value.code == "over-limit"


def test_empty_folder_lists_nothing_and_is_refused(policy, tmp_path):
    (tmp_path / "empty").mkdir()
    source = FolderSource(Candidate(kind=SourceKind.FOLDER, endpoint="", id="ours/model"), tmp_path / "empty")
    listing = source.resolve(policy)
    assert listing.files == ()
    with pytest.raises(Refused) as caught:
        source.fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "empty-repository"


def test_folder_that_is_not_there_or_not_allowed(source, folder, policy, tmp_path):
    with pytest.raises(UsageError) as caught:
        FolderSource(source.candidate, tmp_path / "absent").resolve(policy)
    assert caught.value.code == "no-such-folder"
    with pytest.raises(UsageError) as caught:
        source.resolve(policy.model_copy(update={"allow_folder_source": False}))
    assert caught.value.code == "folder-source-not-allowed"


def test_file_that_changes_while_it_is_hashed(source, folder, policy, monkeypatch):
    walked = dict(folder_module._walk(folder))
    stale = {**walked, "config.json": walked["config.json"] + 1}
    monkeypatch.setattr(folder_module, "_walk", lambda _: iter(stale.items()))
    with pytest.raises(Refused) as caught:
        source.resolve(policy)
    assert caught.value.code == "bytes-differ-from-listing"
