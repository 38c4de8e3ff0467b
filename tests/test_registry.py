"""The registry against a real embedded MLflow store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from registry_gate.errors import ToolError, VerificationError
from registry_gate.registry import Registry, local_path
from registry_gate.signing.verify import verify_release
from registry_gate.testing.sample_release import SampleGate, sample_gate


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> SampleGate:
    return sample_gate(tmp_path_factory.mktemp("gate") / "home")


@pytest.fixture(scope="module")
def registry(gate: SampleGate) -> Registry:
    return Registry(gate.settings.registry_uri)


def publish(registry: Registry, gate: SampleGate, folder: Path, model_id: str, sequence: int = 1) -> int:
    release = gate.release(folder, model_id, sequence=sequence)
    return registry.create_version(release, registry.upload(release)).version


def test_the_whole_road(registry: Registry, gate: SampleGate, tmp_path: Path) -> None:
    release = gate.release(tmp_path, "acme/road", sequence=7)
    assert registry.version_for("acme--road", "approved") is None
    upload = registry.upload(release)
    assert registry.version_for("acme--road", "approved") is None, "an upload is not a version"
    read_back = registry.download(upload.source_uri, tmp_path / "back")
    verify_release(read_back, gate.trust, expect_id="acme/road")
    version = registry.create_version(release, upload)
    assert (version.version, version.sequence, version.commit) == (1, 7, "a" * 40)
    assert registry.version_for("acme--road", "approved") is None, "a version has no alias yet"
    registry.set_alias("acme--road", "approved", version.version)
    assert registry.version_for("acme--road", "approved") == version
    assert registry.version_for("acme--road", 1) == version
    assert (version.source_uri, version.run_id) == (upload.source_uri, upload.run_id)


def test_the_store_is_where_the_settings_say(registry: Registry, gate: SampleGate, tmp_path: Path) -> None:
    upload = registry.upload(gate.release(tmp_path, "acme/where"))
    folder = local_path(upload.source_uri)
    assert folder is not None
    assert gate.settings.artifact_root is not None
    assert folder.is_relative_to(gate.settings.artifact_root)
    assert sorted(path.name for path in folder.iterdir()) == ["attestations", "model"]


def test_versions_come_newest_first(registry: Registry, gate: SampleGate, tmp_path: Path) -> None:
    numbers = [publish(registry, gate, tmp_path / str(n), "acme/many", n) for n in (1, 2, 3)]
    assert numbers == [1, 2, 3]
    assert [item.version for item in registry.versions("acme--many")] == [3, 2, 1]
    assert registry.versions("acme--none") == ()


@pytest.mark.parametrize("alias", ["nothing", 1, 99])
def test_what_is_not_there_is_none(alias: str | int, registry: Registry) -> None:
    assert registry.version_for("acme--absent", alias) is None


def test_an_alias_can_be_moved(registry: Registry, gate: SampleGate, tmp_path: Path) -> None:
    for number in (1, 2):
        version = publish(registry, gate, tmp_path / str(number), "acme/moved", number)
        registry.set_alias("acme--moved", "approved", version)
        found = registry.version_for("acme--moved", "approved")
        assert found is not None
        assert found.version == number


def test_a_download_is_a_copy(registry: Registry, gate: SampleGate, tmp_path: Path) -> None:
    upload = registry.upload(gate.release(tmp_path, "acme/copy"))
    copied = registry.download(upload.source_uri, tmp_path / "copy")
    stored = local_path(upload.source_uri)
    assert stored is not None
    (stored / "model/config.json").write_bytes(b"changed later")
    verify_release(copied, gate.trust)
    assert copied.stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_store_is_not_followed(registry: Registry, gate: SampleGate, tmp_path: Path) -> None:
    upload = registry.upload(gate.release(tmp_path, "acme/link"))
    stored = local_path(upload.source_uri)
    assert stored is not None
    (stored / "model/config.json").unlink()
    (stored / "model/config.json").symlink_to("/etc/hostname")
    copied = registry.download(upload.source_uri, tmp_path / "copy")
    with pytest.raises(VerificationError) as caught:
        verify_release(copied, gate.trust)
    assert caught.value.code == "link"


def test_a_source_that_is_gone_is_refused(registry: Registry, gate: SampleGate, tmp_path: Path) -> None:
    upload = registry.upload(gate.release(tmp_path, "acme/gone"))
    stored = local_path(upload.source_uri)
    assert stored is not None
    shutil.rmtree(stored)
    with pytest.raises(VerificationError) as caught:
        registry.download(upload.source_uri, tmp_path / "copy")
    assert caught.value.code == "missing-file"


def test_a_store_that_fails_is_a_tool_error(tmp_path: Path) -> None:
    database = tmp_path / "registry" / "mlflow.db"
    database.parent.mkdir()
    database.write_bytes(b"this is no database" * 100)
    with pytest.raises(ToolError) as caught:
        Registry(f"sqlite:///{database}").version_for("acme--x", "approved")
    assert (caught.value.code, caught.value.exit_code) == ("registry-failed", 1)


def test_the_environment_is_left_as_it_was(
    registry: Registry, gate: SampleGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nonexistent/other.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "somebody-elses")
    before = dict(os.environ)
    registry.upload(gate.release(tmp_path, "acme/env"))
    assert dict(os.environ) == before


FIRST_USE = """
import sys
from pathlib import Path
from registry_gate.registry import Registry
from registry_gate.testing.sample_release import SampleGate
from registry_gate import settings
from registry_gate.signing.keys import load_signer
from registry_gate.signing.trust import load_trust
from registry_gate.testing.sample_release import sample_policy
loaded = settings.load(sys.argv[1])
gate = SampleGate(loaded, load_signer(loaded), load_trust(loaded.trust), sample_policy())
registry = Registry(loaded.registry_uri)
release = gate.release(Path(sys.argv[2]), sys.argv[3])
print(registry.create_version(release, registry.upload(release)).version)
"""


def test_two_first_uses_at_once_make_one_store_quietly_and_nothing_else(tmp_path: Path) -> None:
    """Two processes start on a store that is not there yet; nothing is written to the working folder."""
    gate = sample_gate(tmp_path / "home")
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_USE, str(gate.settings.home), str(tmp_path / name), "acme/first"],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    answers = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], answers
    assert sorted(out.strip() for out, _ in answers) == ["1", "2"]
    assert [error for _, error in answers] == ["", ""]
    assert list(cwd.iterdir()) == []
    assert len(Registry(gate.settings.registry_uri).versions("acme--first")) == 2


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/x/y", "/x/y"),
        ("file:///x/y%20z", "/x/y z"),
        ("file://localhost/x", "/x"),
        ("file://elsewhere/x", None),
        ("mlflow-artifacts:/1/r/artifacts", None),
        ("s3://bucket/x", None),
        ("file://[", None),
        ("file:x/y", None),
        ("x/y", None),
        ("", None),
    ],
)
def test_local_sources(uri: str, path: str | None) -> None:
    assert local_path(uri) == (None if path is None else Path(path))
