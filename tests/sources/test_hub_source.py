import hashlib
import os
import re
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from registry_gate.candidate import Candidate, SourceKind
from registry_gate.errors import FetchError, Refused, ToolError, UsageError
from registry_gate.sources import HubSource
from registry_gate.testing import Failure, LoopbackHub, RepoMetadata

FILES = {
    "config.json": b'{"model_type": "bert"}',
    "README.md": b"# a model\n",
    "1_Pooling/config.json": b"{}",
    "empty.txt": b"",
    "model.safetensors": bytes(range(256)) * 9000,
    "pytorch_model.bin": os.urandom(70_000),
}


def test_happy_path_pins_lists_and_fetches(hub, source, policy, tmp_path):
    metadata = RepoMetadata(licence="mit", base_models=("google/base",), scan={"config.json": "safe"})
    commit = hub.add_repo("org/model", FILES, metadata=metadata)
    hub.add_organisation("org", verified=True)
    seen = []
    gate = source()
    listing = gate.resolve(policy)
    snapshot = gate.fetch(listing, tmp_path / "in", policy, lambda *step: seen.append(step))

    assert listing.commit == commit and re.fullmatch("[0-9a-f]{40}", commit)
    assert listing.resolved_id == "org/model"
    assert [file.path for file in listing.files] == sorted(FILES)
    assert listing.metadata.owner_verified is True
    assert listing.metadata.licence == "mit"
    assert listing.metadata.base_models == ("google/base",)
    assert listing.metadata.commits == 1
    assert listing.metadata.scans_done is True
    scans = {file.path: file.hub_scan for file in listing.files}
    assert scans["config.json"] == "safe" and scans["README.md"] is None
    assert snapshot.listing_digest == listing.digest()
    assert {file.path: file.sha256 for file in snapshot.files} == {
        path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()
    }
    for path, data in FILES.items():
        assert (snapshot.root / path).read_bytes() == data
    assert stat.S_IMODE(snapshot.root.stat().st_mode) == 0o700
    assert stat.S_IMODE((snapshot.root / "config.json").stat().st_mode) == 0o600
    assert seen[-1] == ("download", listing.total_size, listing.total_size)
    assert [step[1] for step in seen] == sorted(step[1] for step in seen)


def test_revision_is_resolved_once_and_later_commits_do_not_move_it(hub, source, policy, tmp_path):
    first = hub.add_repo("org/model", {"a.txt": b"one"})
    listing = source().resolve(policy)
    second = hub.add_repo("org/model", {"a.txt": b"two", "b.txt": b"new"})
    snapshot = source().fetch(listing, tmp_path / "in", policy)
    assert listing.commit == first != second
    assert (snapshot.root / "a.txt").read_bytes() == b"one"
    assert source(revision=second).resolve(policy).commit == second
    assert source(revision=first).resolve(policy).commit == first


def test_branch_with_a_slash_is_found(hub, source, policy):
    hub.add_repo("org/model", {"a.txt": b"one"})
    other = hub.add_repo("org/model", {"a.txt": b"two"}, revision="refs/pr/1")
    assert source(revision="refs/pr/1").resolve(policy).commit == other


def test_names_with_odd_but_safe_characters_arrive(hub, source, policy, tmp_path):
    files = {"a b+c#d?e%41&.txt": b"1", "ünï/日本.txt": b"2"}
    hub.add_repo("org/model", files)
    gate = source()
    snapshot = gate.fetch(gate.resolve(policy), tmp_path / "in", policy)
    assert {file.path: (snapshot.root / file.path).read_bytes() for file in snapshot.files} == files


def test_paged_tree_is_read_to_its_end(source, policy, tmp_path):
    with LoopbackHub(page_size=3) as hub:
        files = {f"shard-{number:02}.txt": b"%d" % number for number in range(20)}
        hub.add_repo("org/model", files)
        gate = source(endpoint=hub.url)
        listing = gate.resolve(policy)
        snapshot = gate.fetch(listing, tmp_path / "in", policy)
        assert sum("cursor=" in seen.target for seen in hub.requests) == 6
    assert {file.path for file in snapshot.files} == set(files)


def test_next_page_elsewhere_is_not_followed(hub, source, policy):
    with LoopbackHub(page_size=1) as paged, LoopbackHub() as other:
        paged.add_repo("org/model", {"a": b"1", "b": b"2"})
        paged.next_pages_at(other.url)
        with pytest.raises(FetchError) as caught:
            source(endpoint=paged.url, token="hf_secret").resolve(policy)
        assert caught.value.code == "redirected-elsewhere"
        assert other.requests == ()


def test_endpoints_of_less_ability_leave_evidence_out(hub, source, policy):
    hub.add_repo("org/model", {"a.txt": b"1"}, metadata=RepoMetadata(scans_done=None))
    hub.close_endpoint("commits")
    listing = source().resolve(policy)
    assert listing.metadata.owner_verified is None
    assert listing.metadata.commits is None
    assert listing.metadata.scans_done is None


def test_tree_is_read_plain_where_it_cannot_be_expanded(hub, source, policy):
    hub.add_repo("org/model", {"a.txt": b"1"})
    hub.fail(Failure(match="expand=true", status=400))
    listing = source().resolve(policy)
    assert [file.path for file in listing.files] == ["a.txt"]


@pytest.mark.parametrize(
    ("model_id", "revision", "code"),
    [("org/absent", None, "repository-not-found"), ("org/model", "v9", "revision-not-found")],
)
def test_absent_things_have_their_codes(hub, source, policy, model_id, revision, code):
    hub.add_repo("org/model", {"a.txt": b"1"})
    with pytest.raises(FetchError) as caught:
        source(model_id, revision).resolve(policy)
    assert caught.value.code == code
    assert caught.value.exit_code == 1


def test_gated_and_private_need_the_explicit_token(hub, source, policy, tmp_path):
    hub.add_token("hf_good")
    hub.add_repo("org/gated", {"a.txt": b"1"}, metadata=RepoMetadata(gated="manual"))
    hub.add_repo("org/private", {"a.txt": b"1"}, metadata=RepoMetadata(private=True))
    listing = source("org/gated").resolve(policy)
    assert listing.metadata.gated
    with pytest.raises(FetchError) as caught:
        source("org/gated").fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "repository-gated"
    with pytest.raises(FetchError) as caught:
        source("org/private").resolve(policy)
    assert caught.value.code == "repository-not-found"
    source("org/gated", token="hf_good").fetch(listing, tmp_path / "in", policy)
    assert source("org/private", token="hf_good").resolve(policy).metadata.private


def test_disabled_repository_says_so(hub, source, policy, tmp_path):
    hub.add_repo("org/model", {"a.txt": b"1"}, metadata=RepoMetadata(disabled=True))
    listing = source().resolve(policy)
    assert listing.metadata.disabled
    with pytest.raises(FetchError) as caught:
        source().fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "repository-disabled"


def test_offline_mode_is_honoured_and_named(hub, source, policy, monkeypatch):
    import huggingface_hub.constants

    hub.add_repo("org/model", {"a.txt": b"1"})
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FetchError) as caught:
        source().resolve(policy)
    assert caught.value.code == "hub-offline"
    assert hub.requests == ()


def test_nobody_listening_is_a_fetch_error(source, policy):
    with LoopbackHub() as gone:
        url = gone.url
    with pytest.raises(FetchError) as caught:
        source(endpoint=url).resolve(policy)
    assert caught.value.code == "fetch-failed"
    assert "not admitted" in caught.value.message


@pytest.mark.parametrize("endpoints", [("https://huggingface.co",), ()])
def test_unlisted_endpoint_is_never_asked(hub, source, policy, endpoints):
    hub.add_repo("org/model", {"a.txt": b"1"})
    narrow = policy.model_copy(update={"endpoints": endpoints})
    with pytest.raises(UsageError) as caught:
        source().resolve(narrow)
    assert caught.value.code == "endpoint-not-allowed"
    assert hub.requests == ()


def test_fetch_checks_the_endpoint_again(hub, source, policy, tmp_path):
    hub.add_repo("org/model", {"a.txt": b"1"})
    listing = source().resolve(policy)
    narrow = policy.model_copy(update={"endpoints": ("https://huggingface.co",)})
    with pytest.raises(UsageError):
        source().fetch(listing, tmp_path / "in", narrow)


def test_listing_of_another_candidate_is_not_fetched(hub, source, policy, tmp_path):
    hub.add_repo("org/model", {"a.txt": b"1"})
    listing = source().resolve(policy)
    with pytest.raises(UsageError) as caught:
        source("org/other").fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "other-listing"


def test_destination_must_be_empty_and_is_no_link(hub, source, policy, tmp_path):
    hub.add_repo("org/model", {"a.txt": b"1"})
    listing = source().resolve(policy)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old.txt").write_bytes(b"stale")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("full", "link"):
        with pytest.raises(UsageError) as caught:
            source().fetch(listing, tmp_path / name, policy)
        assert caught.value.code == "destination-not-empty"
    assert (tmp_path / "full" / "old.txt").read_bytes() == b"stale"


def test_nothing_is_left_behind_by_a_failure(hub, source, policy, tmp_path):
    hub.add_repo("org/model", FILES)
    listing = source().resolve(policy)
    hub.fail(Failure(match="resolve", status=404), times=1)
    with pytest.raises(FetchError):
        source().fetch(listing, tmp_path / "in", policy)
    assert list((tmp_path / "in").iterdir()) == []


def test_limits_refuse_before_the_first_byte(hub, source, policy, tmp_path):
    hub.add_repo("org/model", FILES)
    listing = source().resolve(policy)
    asked = len(hub.requests)
    for field, value in (("max_files", 5), ("max_file_bytes", 1000), ("max_total_bytes", 100_000)):
        tight = policy.model_copy(update={"limits": policy.limits.model_copy(update={field: value})})
        with pytest.raises(Refused) as caught:
            source().fetch(listing, tmp_path / "in", tight)
        assert caught.value.code == "over-limit"
    assert len(hub.requests) == asked


def test_empty_repository_is_refused(hub, source, policy, tmp_path):
    hub.add_repo("org/model", {})
    listing = source().resolve(policy)
    assert listing.files == ()
    with pytest.raises(Refused) as caught:
        source().fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "empty-repository"


def test_neither_cache_nor_environment_is_touched(hub, source, policy, tmp_path, monkeypatch):
    import huggingface_hub.constants

    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    hub.add_repo("org/model", FILES)
    before = dict(os.environ)
    gate = source()
    gate.fetch(gate.resolve(policy), tmp_path / "in", policy)
    assert dict(os.environ) == before
    assert list(cache.iterdir()) == []


def test_several_fetches_at_once_do_not_disturb_each_other(hub, source, policy, tmp_path):
    hub.add_repo("org/model", FILES)
    hub.add_repo("org/other", {f"{number}.txt": b"%d" % number for number in range(40)})
    listings = [source(name).resolve(policy) for name in ("org/model", "org/other", "org/model")]
    hub.fail(Failure(match="/resolve/", status=503), times=3)

    def fetch(number):
        listing = listings[number]
        return source(listing.candidate.id).fetch(listing, tmp_path / str(number), policy)

    with ThreadPoolExecutor(max_workers=3) as pool:
        snapshots = list(pool.map(fetch, range(3)))
    for listing, snapshot in zip(listings, snapshots, strict=True):
        assert [file.path for file in snapshot.files] == [file.path for file in listing.files]
        assert all((snapshot.root / file.path).stat().st_size == file.size for file in snapshot.files)
    assert snapshots[0].files == snapshots[2].files


def test_full_disk_judges_nothing(hub, source, policy, tmp_path, monkeypatch):
    hub.add_repo("org/model", FILES)
    listing = source().resolve(policy)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(ToolError) as caught:
        source().fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "cannot-write" and caught.value.exit_code == 1


def test_the_beginnings_are_read_to_the_first_commit(policy):
    made = datetime(2020, 1, 2, tzinfo=UTC)
    with LoopbackHub(page_size=2) as hub:
        hub.add_user("ann", created_at=made)
        first = hub.add_repo("ann/model", {"a.txt": b"0"})
        for number in range(1, 6):
            commit = hub.add_repo("ann/model", {"a.txt": b"%d" % number})
        candidate = Candidate(kind=SourceKind.HUB, endpoint=hub.url, id="ann/model")
        metadata = HubSource(candidate).resolve(policy).metadata
        hub.delete_repo("ann/model")
        hub.add_user("ann")
        hub.add_repo("ann/model", {"a.txt": b"other"})
        later = HubSource(candidate).resolve(policy).metadata
    assert metadata.commits == 6
    assert metadata.owner_verified is None
    seen = metadata.beginnings
    assert seen.first_commit == first != commit
    assert (seen.first_author, seen.owner_created_at) == ("loopback", made)
    assert seen.repository_id != later.beginnings.repository_id
    assert seen.owner_id != later.beginnings.owner_id
    assert later.beginnings.owner_created_at is None


def test_an_endpoint_that_states_no_beginnings_is_read_without_them(policy):
    with LoopbackHub() as hub:
        hub.add_repo("org/model", {"a.txt": b"0"})
        hub.close_endpoint("commits")
        hub.close_endpoint("users")
        candidate = Candidate(kind=SourceKind.HUB, endpoint=hub.url, id="org/model")
        seen = HubSource(candidate).resolve(policy).metadata.beginnings
    assert (seen.first_commit, seen.owner_id) == (None, None)
    assert seen.created_at is not None
