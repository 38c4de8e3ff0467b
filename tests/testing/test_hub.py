"""The loopback hub against the real client, real git and plain sockets."""

import hashlib
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from registry_gate.testing import Failure, LoopbackHub, RepoMetadata, Tamper
from registry_gate.testing.repository import lfs_pointer

FILES = {
    "config.json": b"{}",
    "sub/inner/notes.md": b"notes\n",
    "sub-file.txt": b"sorts between",
    "model.safetensors": os.urandom(50_000),
    "big.txt": b"x" * 1_500_000,
}


@pytest.fixture
def hub():
    with LoopbackHub() as running:
        yield running


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token=False)


def test_model_info(hub, api):
    commit = hub.add_repo(
        "org/model", FILES, metadata=RepoMetadata(licence="mit", scan={"big.txt": "unsafe"})
    )
    info = api.model_info("org/model", files_metadata=True, securityStatus=True)
    assert (info.id, info.sha, info.author) == ("org/model", commit, "org")
    assert info.card_data.license == "mit"
    assert info.security_repo_status == {
        "scansDone": True,
        "filesWithIssues": [{"path": "big.txt", "level": "unsafe"}],
    }
    siblings = {item.rfilename: item for item in info.siblings}
    assert set(siblings) == set(FILES)
    assert siblings["model.safetensors"].lfs.sha256 == hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    assert siblings["big.txt"].lfs is not None and siblings["config.json"].lfs is None


def test_tree_is_paged_and_expanded(api, hub):
    with LoopbackHub(page_size=2) as paged:
        paged.add_repo("org/model", FILES, metadata=RepoMetadata(scan={"config.json": "safe"}))
        entries = list(
            HfApi(endpoint=paged.url, token=False).list_repo_tree("org/model", recursive=True, expand=True)
        )
    assert {entry.path for entry in entries} == set(FILES) | {"sub", "sub/inner"}
    config = next(entry for entry in entries if entry.path == "config.json")
    assert config.security.safe and config.last_commit.title == "Commit 1"


def test_paths_info_refs_commits_organisation(hub, api):
    first = hub.add_repo("org/model", FILES)
    second = hub.add_repo("org/model", {"a": b"1"})
    hub.add_repo("org/model", {"a": b"2"}, revision="dev")
    hub.add_organisation("org", verified=True)
    assert [item.path for item in api.get_paths_info("org/model", ["a", "absent"])] == ["a"]
    assert [item.commit_id for item in api.list_repo_commits("org/model")] == [second, first]
    assert {item.name for item in api.list_repo_refs("org/model").branches} == {"main", "dev"}
    assert api.get_organization_overview("org").is_verified is True


def test_snapshot_download_of_a_pinned_commit(hub, tmp_path):
    first = hub.add_repo("org/model", FILES)
    hub.add_repo("org/model", {"config.json": b"[]"})
    for revision, expected in ((first, FILES), ("main", {"config.json": b"[]"})):
        place = tmp_path / revision
        snapshot_download(
            "org/model",
            revision=revision,
            endpoint=hub.url,
            local_dir=place,
            cache_dir=tmp_path / "c",
            token=False,
        )
        got = {
            path.relative_to(place).as_posix(): path.read_bytes()
            for path in place.rglob("*")
            if path.is_file() and ".cache" not in path.parts
        }
        assert got == expected


def test_client_verifies_what_the_hub_states(hub, api, tmp_path):
    hub.add_repo("org/model", FILES)
    options = {"endpoint": hub.url, "local_dir": tmp_path / "m", "token": False}
    snapshot_download("org/model", **options)
    assert not api.verify_repo_checksums("org/model", local_dir=tmp_path / "m").mismatches


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("org/absent", "a"), RepositoryNotFoundError),
        (("org/model", "absent"), EntryNotFoundError),
        (("org/gated", "a"), GatedRepoError),
        (("org/private", "a"), RepositoryNotFoundError),
    ],
)
def test_errors_are_typed_by_the_client(hub, tmp_path, arguments, error):
    hub.add_repo("org/model", {"a": b"1"})
    hub.add_repo("org/gated", {"a": b"1"}, metadata=RepoMetadata(gated="auto"))
    hub.add_repo("org/private", {"a": b"1"}, metadata=RepoMetadata(private=True))
    with pytest.raises(error):
        hf_hub_download(*arguments, endpoint=hub.url, cache_dir=tmp_path, token=False)


def test_revision_not_found_and_bare_names(hub, api):
    hub.add_repo("gpt2", {"a": b"1"})
    assert api.model_info("gpt2").id == "gpt2"
    with pytest.raises(RevisionNotFoundError):
        api.model_info("gpt2", revision="v2")


def test_token_opens_private_repositories(hub, tmp_path):
    hub.add_repo("org/private", {"a": b"1"}, metadata=RepoMetadata(private=True))
    hub.add_token("hf_good")
    path = hf_hub_download("org/private", "a", endpoint=hub.url, cache_dir=tmp_path, token="hf_good")
    assert Path(path).read_bytes() == b"1"


def test_client_alone_does_not_notice_a_flipped_byte(hub, tmp_path):
    """Why the gate compares bytes itself; the same tamper is refused by the hub source's tests."""
    hub.add_repo("org/model", {"a.txt": b"stated"})
    hub.tamper("org/model", "a.txt", Tamper(flip_at=0))
    path = hf_hub_download("org/model", "a.txt", endpoint=hub.url, cache_dir=tmp_path, token=False)
    assert Path(path).read_bytes() == bytes([ord("s") ^ 0xFF]) + b"tated"


def test_ranges_and_heads(hub):
    hub.add_repo("org/model", {"a.txt": b"0123456789"})
    url = f"{hub.url}/org/model/resolve/main/a.txt"

    def ask(method="GET", **headers):
        request = urllib.request.Request(url, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, dict(response.headers), response.read()

    status, headers, body = ask(Range="bytes=2-4")
    assert (status, headers["Content-Range"], body) == (206, "bytes 2-4/10", b"234")
    assert ask(Range="bytes=8-")[2] == b"89"
    status, headers, body = ask("HEAD")
    assert (status, headers["Content-Length"], body) == (200, "10", b"")
    assert headers["ETag"].strip('"') == hashlib.sha1(b"blob 10\x000123456789").hexdigest()
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(Range="bytes=10-")
    assert caught.value.code == 416
    caught.value.close()


def test_ids_are_git_s_own(hub, tmp_path):
    commit = hub.add_repo("org/model", FILES)
    repository = tmp_path / "repo"
    env = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        **{f"GIT_{who}_NAME": "Loopback Hub" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "hub@localhost" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_DATE": "1704067200 +0000" for who in ("AUTHOR", "COMMITTER")},
    }

    def git(*arguments):
        done = subprocess.run(
            ["git", "-C", str(repository), *arguments], env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    for path, data in FILES.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        lfs = path in ("model.safetensors", "big.txt")
        stored = lfs_pointer(hashlib.sha256(data).hexdigest(), len(data)) if lfs else data
        (repository / path).write_bytes(stored)
    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "Commit 1")
    assert git("rev-parse", "HEAD") == commit
    entries = HfApi(endpoint=hub.url, token=False).list_repo_tree("org/model", recursive=True)
    oids = {entry.path: getattr(entry, "blob_id", None) or entry.tree_id for entry in entries}
    assert oids["sub"] == git("rev-parse", "HEAD:sub")
    assert oids["model.safetensors"] == git("rev-parse", "HEAD:model.safetensors")


def test_failures_queue_up_and_are_spent(hub):
    hub.add_repo("org/model", {"a.txt": b"1"})
    hub.fail(Failure(match="a.txt", status=503, retry_after="7"))
    url = f"{hub.url}/org/model/resolve/main/a.txt"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url, timeout=5)
    assert (caught.value.code, caught.value.headers["Retry-After"]) == (503, "7")
    caught.value.close()
    with urllib.request.urlopen(url, timeout=5) as response:
        assert response.read() == b"1"


def test_file_on_disk_is_served_as_it_lies(hub, tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom(3_000_000))
    hub.add_repo("org/model", {"weights.bin": path})
    with urllib.request.urlopen(f"{hub.url}/org/model/resolve/main/weights.bin", timeout=5) as response:
        assert response.read() == path.read_bytes()


def test_url_needs_the_with_block():
    with pytest.raises(RuntimeError):
        _ = LoopbackHub().url


def test_run_as_a_program(tmp_path):
    (tmp_path / "org" / "model").mkdir(parents=True)
    (tmp_path / "org" / "model" / "config.json").write_bytes(b"{}")
    command = [sys.executable, "-W", "error", "-m", "registry_gate.testing.serve_hub", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            model_id, commit = process.stdout.readline().split()
            assert HfApi(endpoint=url, token=False).model_info(model_id).sha == commit
        finally:
            process.terminate()
