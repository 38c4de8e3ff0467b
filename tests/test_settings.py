from __future__ import annotations

from pathlib import Path

import pytest

from registry_gate import settings as settings_module
from registry_gate.errors import UsageError

VARIABLES = ("REGISTRY_GATE_HOME", "REGISTRY_GATE_REGISTRY_URI", "REGISTRY_GATE_TRUST")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_everything_lies_under_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    loaded = settings_module.load()
    home = tmp_path / ".registry-gate"
    assert loaded.home == home
    assert loaded.registry_uri == f"sqlite:///{home}/registry/mlflow.db"
    assert loaded.artifact_root == home / "registry" / "artifacts"
    places = (loaded.keys, loaded.log, loaded.trust, loaded.reports, loaded.work)
    assert all(place.is_relative_to(home) for place in places)
    assert loaded.administrator_trust == Path("/etc/registry-gate/trust.json")
    assert not home.exists(), "reading the settings makes nothing"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(tmp_path / "env"))
    monkeypatch.setenv("REGISTRY_GATE_REGISTRY_URI", "http://127.0.0.1:5000/")
    monkeypatch.setenv("REGISTRY_GATE_TRUST", str(tmp_path / "t.json"))
    loaded = settings_module.load()
    assert (loaded.home, loaded.registry_uri) == (tmp_path / "env", "http://127.0.0.1:5000")
    assert loaded.trust == tmp_path / "t.json"
    assert loaded.artifact_root is None


def test_arguments_come_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REGISTRY_GATE_HOME", str(tmp_path / "env"))
    monkeypatch.setenv("REGISTRY_GATE_REGISTRY_URI", "http://127.0.0.1:5000")
    loaded = settings_module.load(tmp_path / "mine", registry_uri="https://registry.example")
    assert (loaded.home, loaded.registry_uri) == (tmp_path / "mine", "https://registry.example")


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings_module.load("here").home == tmp_path / "here"


@pytest.mark.parametrize(
    "uri",
    [
        "mlruns",
        "./mlruns",
        "file:///tmp/mlruns",
        "/tmp/mlruns",
        "sqlite:///mlflow.db",
        "sqlite://",
        "databricks",
        "ftp://example.org",
        "https://user:secret@registry.example",
        "http://user@registry.example",
        "http://user:secret@registry.example:port",
        "http://",
        "http://registry.example:99999",
        "http://registry.example/?a=b",
        "postgresql://user:secret@db.example/mlflow",
        "mysql+pymysql://db.example/mlflow",
        "sqlite+pysqlite:////tmp/mlflow.db",
        "sqlite:////tmp/mlflow.db?timeout=5",
        "sqlite:////tmp/a%41/mlflow.db",
        "sqlite:////tmp",
        "sqlite:////",
        "",
    ],
)
def test_a_registry_uri_with_a_pitfall_is_refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not uri:
        assert settings_module.load("/x").registry_uri.startswith("sqlite:////x/")
        return
    with pytest.raises(UsageError) as caught:
        settings_module.load("/x", registry_uri=uri)
    assert caught.value.code == "bad-registry-uri"
    assert "secret" not in caught.value.diagnostics()
