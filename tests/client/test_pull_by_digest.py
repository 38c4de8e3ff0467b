"""``models:/name@sha256:...``: the version with that manifest, whatever aliases and tags say."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from registry_gate import errors, verify
from registry_gate.client.pull import pull
from registry_gate.testing.sample_release import FILES, SampleStore


def test_the_digest_finds_its_version_when_the_alias_has_moved_on(store: SampleStore, tmp_path: Path) -> None:
    first = store.admit(tmp_path / "first", "acme/pinned")
    digest = verify("acme/pinned").manifest_digest
    store.admit(tmp_path / "second", "acme/pinned", FILES | {"config.json": b"{}"}, sequence=2)
    assert verify("acme/pinned").manifest_digest != digest
    pulled = pull(f"models:/acme--pinned@{digest}", tmp_path / "copy")
    assert (pulled.manifest_digest, pulled.sequence) == (digest, 1)
    assert store.registry.versions("acme--pinned")[-1] == first


def test_a_digest_that_no_version_has_is_not_found(store: SampleStore, tmp_path: Path) -> None:
    store.admit(tmp_path / "made", "acme/absent")
    with pytest.raises(errors.FetchError) as caught:
        pull(f"models:/acme--absent@sha256:{'0' * 64}", tmp_path / "copy")
    assert caught.value.code == "not-in-registry"


def test_a_tag_that_lies_is_found_out(store: SampleStore, tmp_path: Path) -> None:
    version = store.admit(tmp_path / "made", "acme/tagged")
    client = MlflowClient(tracking_uri=store.registry.uri, registry_uri=store.registry.uri)
    client.set_model_version_tag(
        version.name, str(version.version), "registry_gate.manifest", f"sha256:{'0' * 64}"
    )
    with pytest.raises(errors.VerificationError) as caught:
        pull(f"models:/acme--tagged@sha256:{'0' * 64}", tmp_path / "copy")
    assert caught.value.code == "manifest-differs"
    assert not (tmp_path / "copy").exists()
