"""A hub that lies, redirects, breaks off: what is refused, what is retried, and who sees the token."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_gate.checks import listing as listing_check
from registry_gate.errors import FetchError, Refused
from registry_gate.origin import origin_of
from registry_gate.sources import Patience, connection
from registry_gate.testing import Failure, LoopbackHub, Tamper

SMALL = b"plain text, stored by git itself"
LARGE = os.urandom(300_000)
FILES = {"notes.txt": SMALL, "model.safetensors": LARGE}


@pytest.fixture
def listed(hub, source, policy):
    hub.add_repo("org/model", FILES)
    return source().resolve(policy)


@pytest.mark.parametrize("path", ["notes.txt", "model.safetensors"])
@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (Tamper(flip_at=0), "bytes-differ-from-listing"),
        (Tamper(flip_at=31), "bytes-differ-from-listing"),
        (Tamper(replace=b"something else"), "bytes-differ-from-listing"),
        (Tamper(drop=1), "bytes-differ-from-listing"),
        (Tamper(drop=1, announce=False), "bytes-differ-from-listing"),
        (Tamper(replace=b""), "bytes-differ-from-listing"),
        (Tamper(extra=b"!"), "stream-longer-than-stated"),
        (Tamper(extra=b"!" * 2_000_000, announce=False), "stream-longer-than-stated"),
    ],
)
def test_every_kind_of_other_bytes_is_refused(hub, source, policy, listed, tmp_path, path, tamper, code):
    hub.tamper("org/model", path, tamper)
    with pytest.raises(Refused) as caught:
        source().fetch(listed, tmp_path / "in", policy)
    assert caught.value.code == code
    assert path in caught.value.message
    assert list((tmp_path / "in").iterdir()) == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(sorted(FILES)), share=st.floats(0, 1, exclude_max=True))
def test_any_flipped_byte_is_refused(hub, source, policy, listed, path, share):
    hub.tamper("org/model", path, Tamper(flip_at=int(share * len(FILES[path]))))
    with tempfile.TemporaryDirectory() as place, pytest.raises(Refused) as caught:
        source().fetch(listed, Path(place) / "in", policy)
    hub.tamper("org/model", path, None)
    assert caught.value.code == "bytes-differ-from-listing"


def test_untampered_again_is_fetched(hub, source, policy, listed, tmp_path):
    hub.tamper("org/model", "notes.txt", Tamper(flip_at=0))
    with pytest.raises(Refused):
        source().fetch(listed, tmp_path / "in", policy)
    hub.tamper("org/model", "notes.txt", None)
    assert source().fetch(listed, tmp_path / "in", policy).files


def test_flipped_byte_deep_in_a_file_on_disk(hub, source, policy, tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom(2_000_000))
    hub.add_repo("org/model", {"weights.bin": path})
    listing = source().resolve(policy)
    hub.tamper("org/model", "weights.bin", Tamper(flip_at=1_999_999))
    with pytest.raises(Refused) as caught:
        source().fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "bytes-differ-from-listing"


def test_endless_stream_is_cut_not_stored(hub, source, policy, listed, tmp_path):
    hub.tamper("org/model", "notes.txt", Tamper(extra=b"x" * 20_000_000, announce=False))
    done = []
    with pytest.raises(Refused):
        source().fetch(listed, tmp_path / "in", policy, lambda _, bytes_done, __: done.append(bytes_done))
    assert max(done, default=0) <= listed.total_size


def test_compressed_answer_is_not_decoded(hub, source, policy, listed, tmp_path):
    hub.tamper("org/model", "notes.txt", Tamper(encoding="gzip"))
    with pytest.raises(FetchError) as caught:
        source().fetch(listed, tmp_path / "in", policy)
    assert caught.value.code == "unexpected-encoding"


@pytest.mark.parametrize(
    "fields",
    [
        {"oid": "0" * 40},
        {"size": 10, "lfs": {"oid": "0" * 64, "size": 10, "pointerSize": 120}},
        {"lfs": None},
    ],
)
def test_lfs_pointer_must_hash_to_the_blob_stated(hub, source, policy, tmp_path, fields):
    hub.add_repo("org/model", FILES)
    hub.restate("org/model", "model.safetensors", fields)
    listing = source().resolve(policy)
    with pytest.raises(Refused) as caught:
        source().fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "bytes-differ-from-listing"


@pytest.mark.parametrize(
    "fields",
    [
        {"size": -1},
        {"size": "10"},
        {"size": 5},
        {"oid": "not hex"},
        {"lfs": {"oid": "xyz", "size": len(LARGE), "pointerSize": 120}},
        {"path": 7},
        {"path": "bad \ud800 surrogate"},
        {"path": "a" * 10_000},
    ],
)
def test_tree_that_makes_no_sense_is_a_fetch_error(hub, source, policy, fields):
    hub.add_repo("org/model", FILES)
    hub.restate("org/model", "model.safetensors", fields)
    with pytest.raises(FetchError) as caught:
        source().resolve(policy)
    assert caught.value.code == "hub-answer-not-understood"


@pytest.mark.parametrize(
    "path",
    [
        "../escape.txt",
        "/etc/cron.d/x",
        "a/../../b",
        "C:/x",
        "a\\b",
        "a//b",
        "./a",
        "a\x00b",
        "a\nb",
        ".git/x",
    ],
)
def test_unsafe_path_is_seen_by_the_check_and_refused_by_fetch(hub, source, policy, tmp_path, path):
    hub.add_repo("org/model", {**FILES, path: b"evil"})
    gate = source()
    listing = gate.resolve(policy)
    with pytest.raises(Refused) as caught:
        gate.fetch(listing, tmp_path / "deep" / "in", policy)
    assert caught.value.code == "unsafe-path"
    assert "\n" not in caught.value.message and "\x00" not in caught.value.message
    assert not (tmp_path / "deep").exists()
    assert _rules(listing, policy) == {"unsafe-path"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Model.txt", "model.txt"),
        ("caf\u00e9.txt", "cafe\u0301.txt"),
        ("A/x.txt", "a/y.txt"),
        ("thing", "thing/inner.txt"),
        ("Thing", "thing/inner.txt"),
    ],
)
def test_collisions_are_seen_and_refused(hub, source, policy, tmp_path, first, second):
    hub.add_repo("org/model", {"a": b"0"})
    for path in (first, second):
        hub.add_tree_entry("org/model", {"type": "file", "path": path, "oid": "0" * 40, "size": 1})
    listing = source().resolve(policy)
    with pytest.raises(Refused) as caught:
        source().fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "path-collision"
    assert _rules(listing, policy) == {"path-collision"}


def test_same_path_twice_is_a_collision(hub, source, policy, tmp_path):
    hub.add_repo("org/model", {"a": b"0"})
    hub.add_tree_entry("org/model", {"type": "file", "path": "a", "oid": "0" * 40, "size": 1})
    listing = source().resolve(policy)
    assert _rules(listing, policy) == {"path-collision"}


@pytest.mark.parametrize("kind", ["symlink", "commit", "unknown"])
def test_entry_that_is_no_file_is_refused(hub, source, policy, kind):
    hub.add_repo("org/model", FILES)
    hub.add_tree_entry("org/model", {"type": kind, "path": "link", "oid": "0" * 40, "size": 11})
    with pytest.raises(Refused) as caught:
        source().resolve(policy)
    assert caught.value.code == "unsafe-entry"


def test_listed_file_that_cannot_be_fetched(hub, source, policy, tmp_path):
    hub.add_repo("org/model", FILES)
    hub.add_tree_entry("org/model", {"type": "file", "path": "ghost", "oid": "0" * 40, "size": 1})
    with pytest.raises(FetchError) as caught:
        source().fetch(source().resolve(policy), tmp_path / "in", policy)
    assert caught.value.code == "file-not-found"


def test_renamed_repository_is_recorded_and_refused(hub, source, policy, tmp_path):
    hub.add_repo("new/model", FILES)
    hub.rename_repo("org/model", "new/model")
    listing = source("org/model").resolve(policy)
    assert listing.resolved_id == "new/model"
    assert _rules(listing, policy) == {"redirected-id"}
    with pytest.raises(Refused) as caught:
        source("org/model").fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "redirected-id"


@pytest.mark.parametrize("said", ["other/model", "Org/model", "org/Model"])
def test_answer_under_another_id_is_refused_case_included(hub, source, policy, tmp_path, said):
    hub.add_repo("org/model", FILES)
    hub.answer_as("org/model", said)
    listing = source().resolve(policy)
    assert listing.resolved_id == said
    with pytest.raises(Refused) as caught:
        source().fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "redirected-id"


def test_files_may_come_from_a_cdn_that_never_sees_the_token(hub, source, policy, tmp_path):
    hub.add_token("hf_secret")
    hub.add_repo("org/model", FILES)
    with LoopbackHub() as cdn:
        cdn.add_repo("org/model", FILES)
        hub.redirect_files("org/model", cdn.url)
        gate = source(token="hf_secret")
        snapshot = gate.fetch(gate.resolve(policy), tmp_path / "in", policy)
        assert len(snapshot.files) == len(cdn.requests) == 2
        assert all("authorization" not in seen.headers for seen in cdn.requests)
        assert all("hf_secret" not in repr(seen) for seen in cdn.requests)
    assert all(seen.headers["authorization"] == "Bearer hf_secret" for seen in hub.requests)


def test_cdn_with_other_bytes_is_refused(hub, source, policy, listed, tmp_path):
    with LoopbackHub() as cdn:
        cdn.add_repo("org/model", FILES)
        cdn.tamper("org/model", "notes.txt", Tamper(flip_at=3))
        cdn_listing = source(endpoint=cdn.url).resolve(policy)
        assert cdn_listing.commit == listed.commit
        hub.redirect_files("org/model", cdn.url)
        with pytest.raises(Refused):
            source().fetch(listed, tmp_path / "in", policy)


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd?", "ftp://127.0.0.1", "http://169.254.169.254", "http://user:pw@127.0.0.1:9"],
)
def test_redirect_of_a_file_to_a_forbidden_place(hub, source, policy, listed, tmp_path, target):
    hub.redirect_files("org/model", target)
    with pytest.raises(FetchError) as caught:
        source().fetch(listed, tmp_path / "in", policy)
    assert caught.value.code == "redirected-elsewhere"


def test_api_never_speaks_from_another_origin(hub, source, policy):
    hub.add_repo("org/model", FILES)
    with LoopbackHub() as other:
        other.add_repo("org/model", {"planted": b"1"})
        hub.redirect_api("org/model", other.url)
        with pytest.raises(FetchError) as caught:
            source(token="hf_secret").resolve(policy)
        assert caught.value.code == "redirected-elsewhere"
        assert other.requests == ()


@pytest.mark.parametrize(
    ("home", "target", "followed"),
    [
        ("https://huggingface.co", "https://cdn.example", True),
        ("https://huggingface.co", "http://cdn.example", False),
        ("https://huggingface.co", "https://127.0.0.1", False),
        ("https://huggingface.co", "https://localhost", False),
        ("https://huggingface.co", "https://[::1]", False),
        ("https://huggingface.co", "https://10.1.2.3", False),
        ("https://huggingface.co", "https://169.254.169.254", False),
        ("http://mirror.example", "http://cdn.example", True),
        ("http://127.0.0.1:1", "http://cdn.example", False),
        ("http://127.0.0.1:1", "http://127.0.0.1:2", True),
    ],
)
def test_where_a_redirect_of_bytes_may_lead(home, target, followed):
    assert connection._may_lead(origin_of(home), origin_of(target)) is followed


def test_redirect_loop_ends(hub, source, policy, listed, tmp_path):
    hub.redirect_files("org/model", hub.url)
    with pytest.raises(FetchError) as caught:
        source().fetch(listed, tmp_path / "in", policy)
    assert caught.value.code == "fetch-refused"


def test_stored_token_is_never_picked_up(hub, source, policy, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_from_the_environment")
    hub.add_repo("org/model", FILES)
    gate = source()
    gate.fetch(gate.resolve(policy), tmp_path / "in", policy)
    assert all("authorization" not in seen.headers for seen in hub.requests)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_failures_are_retried(hub, source, policy, tmp_path, status):
    hub.add_repo("org/model", FILES)
    hub.fail(Failure(match="/api/models/org/model", status=status, retry_after="0"), times=2)
    hub.fail(Failure(match="/resolve/", status=status), times=3)
    gate = source()
    assert len(gate.fetch(gate.resolve(policy), tmp_path / "in", policy).files) == 2


def test_failure_that_stays_is_given_up(hub, source, policy):
    hub.add_repo("org/model", FILES)
    hub.fail(Failure(status=503), times=100)
    with pytest.raises(FetchError) as caught:
        source().resolve(policy)
    assert caught.value.code == "fetch-failed"
    assert len(hub.requests) == 4


def test_long_retry_after_is_capped(hub, source, policy):
    hub.add_repo("org/model", FILES)
    hub.fail(Failure(status=429, retry_after="86400"))
    assert source().resolve(policy).files


def test_cut_connection_resumes_where_it_broke(hub, source, policy, listed, tmp_path):
    hub.fail(Failure(match="model.safetensors", cut_after=100_000), times=2)
    snapshot = source().fetch(listed, tmp_path / "in", policy)
    assert (snapshot.root / "model.safetensors").read_bytes() == LARGE
    ranges = [
        seen.headers.get("range")
        for seen in hub.requests
        if "safetensors" in seen.target and "resolve" in seen.target
    ]
    assert len(ranges) == 3 and ranges[0] is None
    assert ranges[1] == "bytes=100000-" and ranges[2] == "bytes=200000-"


def test_cut_before_the_first_byte(hub, source, policy, listed, tmp_path):
    hub.fail(Failure(match="resolve", cut_after=0), times=3)
    assert len(source().fetch(listed, tmp_path / "in", policy).files) == 2


def test_resume_against_a_server_without_ranges_starts_again(hub, source, policy, listed, tmp_path):
    hub.ignore_ranges()
    hub.fail(Failure(match="model.safetensors", cut_after=100_000))
    done = []
    snapshot = source().fetch(listed, tmp_path / "in", policy, lambda _, now, __: done.append(now))
    assert (snapshot.root / "model.safetensors").read_bytes() == LARGE
    assert done[-1] == listed.total_size == max(done)


def test_cut_then_tampered_is_still_refused(hub, source, policy, listed, tmp_path):
    hub.fail(Failure(match="model.safetensors", cut_after=100_000))
    hub.tamper("org/model", "model.safetensors", Tamper(flip_at=250_000))
    with pytest.raises(Refused):
        source().fetch(listed, tmp_path / "in", policy)


def test_stalled_server_is_left_and_resumed(hub, source, policy, listed, tmp_path):
    hub.fail(Failure(match="model.safetensors", stall_after=50_000))
    impatient = Patience(attempts=4, base_seconds=0.01, cap_seconds=0.05, timeout_seconds=0.3)
    snapshot = source(patience=impatient).fetch(listed, tmp_path / "in", policy)
    assert (snapshot.root / "model.safetensors").read_bytes() == LARGE


def test_cut_api_answer_is_asked_again(hub, source, policy):
    hub.add_repo("org/model", FILES)
    hub.fail(Failure(match="/tree/", cut_after=20))
    assert len(source().resolve(policy).files) == 2


def test_one_refusal_calls_off_the_rest_and_is_the_one_reported(hub, source, policy, tmp_path):
    files = {f"{number:02}.txt": os.urandom(40_000) for number in range(30)}
    hub.add_repo("org/model", files)
    listing = source().resolve(policy)
    hub.tamper("org/model", "07.txt", Tamper(flip_at=9))
    with pytest.raises(Refused) as caught:
        source().fetch(listing, tmp_path / "in", policy)
    assert caught.value.code == "bytes-differ-from-listing"
    assert list((tmp_path / "in").iterdir()) == []


def test_tree_without_end_is_refused(source, policy, monkeypatch):
    from registry_gate.sources import hub as hub_module

    monkeypatch.setattr(hub_module, "_MAX_ENTRIES", 30)
    with LoopbackHub(page_size=5) as hub:
        hub.add_repo("org/model", {f"{number:03}.txt": b"" for number in range(100)})
        with pytest.raises(Refused) as caught:
            source(endpoint=hub.url).resolve(policy)
        assert caught.value.code == "over-limit"
        assert sum("/tree/" in seen.target for seen in hub.requests) < 10


def test_wrong_commit_for_a_pinned_revision(hub, source, policy):
    commit = hub.add_repo("org/model", FILES)
    asked = "0" * 40
    hub.add_ref("org/model", asked, commit)
    with pytest.raises(Refused) as caught:
        source(revision=asked).resolve(policy)
    assert caught.value.code == "wrong-commit"


def _rules(listing, policy):
    from datetime import UTC, datetime

    from registry_gate.evidence import Evidence

    evidence = Evidence(
        gate_version="0",
        observed_at=datetime.now(UTC),
        candidate=listing.candidate,
        registered_name="x",
        listing=listing,
    )
    return {finding.rule for finding in listing_check.run(evidence, policy).findings}
