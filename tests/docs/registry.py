"""A registry in the state in which platform teams find theirs: one version of every kind."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from mlflow import MlflowClient

from registry_gate.testing.sample_release import an_hour_ago
from tests.enforce.house import NEW, House, new_house


def lived_in(folder: Path, empty_registry: Path) -> House:
    """What was admitted by the gate, and what others have done to the registry since."""
    house = new_house(folder, empty_registry)
    for commit in ("a" * 40, NEW):
        house.admit("acme/tiny", commit)
        house.admit("acme/poisoned", commit)
    edited = house.admit("acme/edited")
    (Path(edited.receipt.source_uri) / "model/config.json").write_text("{}")
    house.revoke("acme/poisoned", "trained on poisoned data")
    _stale(house, folder)
    _unsigned(house, folder)
    return house


def _stale(house: House, folder: Path) -> None:
    long_ago = an_hour_ago() - timedelta(days=400)
    release = house.gate.release(folder / "old", "acme/old", sequence=99, issued_at=long_ago)
    version = house.registry.create_version(release, house.registry.upload(release))
    house.registry.set_alias(version.name, "approved", version.version)


def _unsigned(house: House, folder: Path) -> None:
    """Somebody registers a model by hand, and points the alias at it."""
    elsewhere = folder / "by-hand"
    elsewhere.mkdir()
    (elsewhere / "model.safetensors").write_bytes(b"\0" * 64)
    mlflow = MlflowClient(tracking_uri=house.registry.uri, registry_uri=house.registry.uri)
    mlflow.create_registered_model("acme--byhand")
    mlflow.create_model_version("acme--byhand", source=str(elsewhere))
    house.registry.set_alias("acme--byhand", "approved", 1)
