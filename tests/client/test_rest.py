"""The client against a real MLflow server, without MLflow on the client's side."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path

import pytest

from registry_gate import errors, load_verified, verify
from registry_gate.client.rest import RestRegistry
from registry_gate.index.content import RevokedRelease
from registry_gate.index.edits import with_revoked
from registry_gate.registry import Registry
from registry_gate.release import BOM_FILE
from registry_gate.testing.sample_release import FILES, SampleGate, SampleStore, sample_gate
from tests.client.mlflow_server import ADMIN, BOB, Server, free_port


@pytest.fixture(autouse=True)
def _served_user(as_admin: None) -> None:
    """Everything here asks the server."""


def stored(server: Server, name: str) -> Path:
    """The one stored file of this name: the attacker's hand on the server's disk."""
    return max(server.artifacts.rglob(name), key=lambda path: path.stat().st_ctime_ns)


def test_an_admitted_model_is_loaded_from_a_server(served: SampleStore, tmp_path: Path) -> None:
    names = {**FILES, "ünïcode name.txt": b"x", "empty.txt": b"", "c+d e.txt": b"y"}
    version = served.admit(tmp_path, "acme/served", names)
    assert version.source_uri.startswith("mlflow-artifacts:/")
    for ref in ("acme/served", "models:/acme--served@approved", f"models:/acme--served/{version.version}"):
        assert verify(ref).id == "acme/served"
    model = load_verified("acme/served", into="directory")
    found = {str(path.relative_to(model)): path.read_bytes() for path in model.rglob("*") if path.is_file()}
    assert found.pop(BOM_FILE)
    assert found == names


@pytest.mark.parametrize("name", ["a#b.txt", "a%2fb.txt", "a?b.txt"])
def test_names_that_the_server_would_change_are_not_uploaded(
    name: str, served: SampleStore, tmp_path: Path
) -> None:
    with pytest.raises(errors.ToolError) as caught:
        served.admit(tmp_path, "acme/names", {name: b"x"})
    assert caught.value.code == "name-not-storable"


def test_no_mlflow_is_needed_to_load_from_a_server(served: SampleStore, tmp_path: Path) -> None:
    served.admit(tmp_path, "acme/without")
    script = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('mlflow', 'torch', 'requests'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from registry_gate import load_verified, verify\n"
        "print(verify('acme/without').id, load_verified('acme/without', into='directory').is_dir())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.stdout.strip() == "acme/without True", done.stderr


def refused(ref: str, scratch: Path) -> str:
    with pytest.raises(errors.Error) as caught:
        load_verified(ref, into="directory")
    assert list(scratch.iterdir()) == []
    return caught.value.code


def test_changes_on_the_servers_disk_are_refused(
    served: SampleStore, server: Server, tmp_path: Path, scratch: Path
) -> None:
    served.admit(tmp_path, "acme/changed")
    path = stored(server, "model.safetensors")
    original = path.read_bytes()
    path.write_bytes(original[:-1] + b"\x00")
    assert refused("acme/changed", scratch) == "bytes-differ"
    path.write_bytes(original + b"more")
    assert refused("acme/changed", scratch) == "bytes-differ"
    path.write_bytes(original[:-10])
    assert refused("acme/changed", scratch) == "bytes-differ"
    path.write_bytes(original)
    extra = path.with_name("extra.py")
    extra.write_bytes(b"import os")
    assert refused("acme/changed", scratch) == "unexpected-file"
    extra.unlink()
    assert verify("acme/changed").id == "acme/changed"
    path.unlink()
    assert refused("acme/changed", scratch) == "missing-file"
    shutil.rmtree(path.parent.parent / "attestations")
    assert refused("acme/changed", scratch) == "no-signature"


def test_what_the_server_does_not_have(served: SampleStore, scratch: Path) -> None:
    assert refused("acme/never", scratch) == "not-in-registry"
    assert refused("models:/acme--served@nope", scratch) == "not-in-registry"


def test_the_gate_itself_reads_back_from_a_server(served: SampleStore, tmp_path: Path) -> None:
    release = served.gate.release(tmp_path, "acme/readback")
    upload = served.registry.upload(release)
    copied = served.registry.download(upload.source_uri, tmp_path / "back")
    assert verify(copied).manifest_digest == release.manifest_digest


def test_no_server_is_a_fetch_error(monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    monkeypatch.setenv("REGISTRY_GATE_REGISTRY_URI", f"http://127.0.0.1:{free_port()}")
    assert refused("acme/served", scratch) == "registry-unreachable"


class Stranger(BaseHTTPRequestHandler):
    """A server that records who asks, wants a password, sends clients away, or answers nonsense."""

    seen: list[tuple[str, str | None]] = []
    location: str | None = None
    answer = b"{}"

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        if self.location:
            self.send_response(302)
            self.send_header("Location", self.location)
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(0 if self.location else len(self.answer)))
        self.end_headers()
        if not self.location:
            self.wfile.write(self.answer)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def strangers() -> Iterator[list[tuple[str, type[Stranger]]]]:
    running = []
    for _ in range(2):
        handler = type("OneStranger", (Stranger,), {"seen": []})
        server = HTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((server, thread, handler))
    yield [(f"http://127.0.0.1:{server.server_port}", handler) for server, _, handler in running]
    for server, thread, _ in running:
        server.shutdown()
        thread.join()
        server.server_close()


def test_credentials_go_to_the_registry_and_follow_no_redirect(
    strangers: list[tuple[str, type[Stranger]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here, asked), (elsewhere, other) = strangers
    asked.location = f"{elsewhere}/steal"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    with pytest.raises(errors.FetchError) as caught:
        RestRegistry(here).version_for("acme--x", "approved")
    assert caught.value.code == "registry-unreachable"
    assert asked.seen[0][1] == "Basic " + base64.b64encode(b"ann:s3cret").decode()
    assert other.seen == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b"{}",
        b'{"model_version": 3}',
        b'{"model_version": {"source": 5}}',
        b"[" * 99999,
    ],
)
def test_a_server_that_answers_nonsense_is_one_of_our_errors(
    answer: bytes, strangers: list[tuple[str, type[Stranger]]], monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    uri, handler = strangers[0]
    handler.answer = answer
    monkeypatch.setenv("REGISTRY_GATE_REGISTRY_URI", uri)
    assert refused("acme/x", scratch) in {
        "registry-unreachable",
        "registry-unreadable",
        "not-in-registry",
        "no-such-release",
    }


def test_a_release_of_another_gate_on_the_same_server_is_refused(
    served: SampleStore, tmp_path: Path, scratch: Path
) -> None:
    other: SampleGate = sample_gate(tmp_path / "other")
    SampleStore(other, served.registry).admit(tmp_path / "made", "acme/foreign")
    assert refused("acme/foreign", scratch) == "untrusted-key"


def test_a_version_is_found_by_the_digest_of_its_manifest(
    served: SampleStore, server: Server, tmp_path: Path
) -> None:
    first = served.admit(tmp_path / "first", "acme/by-digest")
    digest = verify("acme/by-digest").manifest_digest
    served.admit(tmp_path / "second", "acme/by-digest", FILES | {"config.json": b"{}"}, sequence=2)
    registry = RestRegistry(server.uri)
    found = registry.version_with("acme--by-digest", digest)
    assert found is not None
    assert found.version == str(first.version)
    assert verify(f"models:/acme--by-digest@{digest}").sequence == 1
    assert registry.version_with("acme--by-digest", f"sha256:{'0' * 64}") is None
    assert registry.version_with("acme--none", digest) is None


def test_the_index_is_published_on_the_server_and_read_with_plain_gets(
    server: Server, tmp_path: Path
) -> None:
    """A machine with the trust file, a reader's password and nothing else of the gate is told what counts."""
    gate = sample_gate(tmp_path / "gate")
    store = SampleStore(gate, Registry(server.uri))
    version = store.admit(tmp_path, "acme/indexed")
    assert gate.trust.index is not None
    address = str(gate.trust.index.address)
    assert address.startswith(f"{server.uri}/api/2.0/mlflow-artifacts/")
    timestamp = f"{address.removeprefix(server.uri)}/timestamp.json"
    assert server.ask(BOB, "PUT", timestamp, b"{}") == 403, "who reads it does not write it"
    assert server.ask(BOB, "DELETE", timestamp) == 403
    script = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('mlflow', 'torch', 'requests'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "from registry_gate import errors, verify\n"
        "try: print(verify(sys.argv[1]).id)\n"
        "except errors.Error as error: print(error.code)\n"
    )
    trust = tmp_path / "trust.json"
    shutil.copy(gate.settings.trust, trust)
    env = {
        "PATH": os.environ["PATH"],
        "REGISTRY_GATE_HOME": str(tmp_path / "elsewhere"),
        "REGISTRY_GATE_TRUST": str(trust),
        "REGISTRY_GATE_REGISTRY_URI": server.uri,
    }

    def loaded(ref: str = "acme/indexed", user: tuple[str, str] = BOB) -> str:
        credentials = dict(zip(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"), user, strict=True))
        command = [sys.executable, "-c", script, ref]
        done = subprocess.run(command, capture_output=True, text=True, env=env | credentials)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert loaded() == "acme/indexed"
    assert loaded(user=("bob", "a wrong password")) == "registry-unreachable"
    folder = f"{tmp_path}/release"
    assert loaded(folder) == "acme/indexed", "the Release lies here, and the index on the server"
    assert loaded(folder, user=("bob", "a wrong password")) == "index-unreachable"
    entry = RevokedRelease(
        manifest_digest=str(version.manifest_digest), reason="test", revoked_at=datetime.now(UTC)
    )
    gate.index.change(lambda content: with_revoked(content, entry))
    assert loaded() == "revoked"
    assert server.ask(ADMIN, "DELETE", timestamp) == 200
    assert loaded() == "no-index"


def test_the_server_says_its_version_and_the_time(as_admin: None, server: Server) -> None:
    greeting = RestRegistry(server.uri).greet()
    assert greeting.version == metadata.version("mlflow")
    assert greeting.date is not None
    assert abs((greeting.date - greeting.asked).total_seconds()) < 30
