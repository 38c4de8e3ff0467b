"""Stages of somebody who can write to the registry: planted weights, unsigned or signed with a stolen key."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from registry_gate import verify
from registry_gate.candidate import registered_name
from registry_gate.client.find import stored_release
from registry_gate.decision import decide
from registry_gate.drill import cluster, exhibits
from registry_gate.drill.attack import Answer, Attack, answer
from registry_gate.drill.world import World
from registry_gate.errors import Refused, ToolError, VerificationError
from registry_gate.registry import local_path
from registry_gate.registry_audit import audit
from registry_gate.release import Release, Source, Terms
from registry_gate.settings import DEFAULT_ALIAS
from registry_gate.signing.authority import Authority
from registry_gate.signing.keys import load_signer
from registry_gate.signing.seal import KeySealer
from registry_gate.signing.sign import sign_release
from registry_gate.signing.verify import check_files, read_statements
from registry_gate.testing.sample_release import stage

_NAME = registered_name(exhibits.HONEST)
_PLANTED = b"weights that nobody examined"
_FROM_THE_INDEX = frozenset({"not-in-index", "revoked", "key-revoked", "superseded", "index-stale"})


def planted_version(world: World, attack: Attack) -> None:
    """Other weights, unsigned, as a new version under the alias."""
    _ = world.honest
    _attacked_registry(world, attack, _unsigned(world))


def stolen_key(world: World, attack: Attack) -> None:
    """Other weights with perfect statements, signed with the gate's own key."""
    _attacked_registry(world, attack, _signed_by_a_thief(world))


def _attacked_registry(world: World, attack: Attack, release: Release) -> None:
    listed = cluster.current_list(world)
    pod = cluster.serving_deployment(f"{_NAME}@{release.manifest_digest}")
    questions: dict[str, Callable[[], Answer]] = {
        "admission-policy": lambda: cluster.ask_policies(pod, listed),
        "signature": lambda: _signature(world),
        "index": lambda: ask_index(world, exhibits.HONEST),
        "registry-audit": lambda: _audited(world),
    }
    with _planted(world, release) as version:
        attack.prove(
            f"the alias leads to version {version}, which holds the planted weights",
            world.current(exhibits.HONEST).version == version,
        )
        for control in attack.stage.controls:
            attack.ask(control, questions[control])


@contextmanager
def _planted(world: World, release: Release) -> Iterator[int]:
    """The version under the alias while the block runs; afterwards the alias is where the gate left it."""
    registry, before = world.registry, world.current(exhibits.HONEST)
    version = registry.create_version(release, registry.upload(release))
    registry.set_alias(_NAME, DEFAULT_ALIAS, version.version)
    try:
        yield version.version
    finally:
        registry.set_alias(_NAME, DEFAULT_ALIAS, before.version)


def _unsigned(world: World) -> Release:
    """A folder that looks like a Release from outside, with other weights and no statements."""
    release = world.honest.report.release
    place = local_path(world.current(exhibits.HONEST).source_uri)
    if release is None or place is None:
        raise ToolError(
            "drill-failed", "the honest model was not admitted, so nothing can be put in its place"
        )
    folder = world.folder / "planted"
    shutil.copytree(place, folder)
    shutil.rmtree(folder / "attestations")
    weights = next((folder / "model").glob("*.safetensors"))
    weights.chmod(0o600)
    weights.write_bytes(_PLANTED)
    return _tags_of_the_honest(world).model_copy(
        update={"root": folder, "manifest_digest": "sha256:" + _digest(_PLANTED)}
    )


def _tags_of_the_honest(world: World) -> Release:
    """The honest Release's own record, which the attacker's version is tagged with."""
    with world.as_client():
        said = dict(verify(exhibits.HONEST))
    source = {name: said[name] for name in Source.model_fields}
    terms = {name: said[name] for name in Terms.model_fields}
    same = {name: said[name] for name in Release.model_fields if name in said}
    return Release.model_validate(same | {"registered_name": said["name"], "source": source, "terms": terms})


def _signed_by_a_thief(world: World) -> Release:
    """Signed as the gate signs, from the record of a true admission, with a copy of its key."""
    folder = world.folder / "thief"
    thiefs = {"model.safetensors": _PLANTED, "config.json": b"{}"}
    evidence = world.honest.evidence.model_copy(update={"staged": stage(folder / "staged", thiefs)})
    now = datetime.now(UTC)
    return sign_release(
        evidence,
        decide(evidence, world.policy, now),
        world.policy,
        terms=Terms(sequence=900, issued_at=now, expires_at=now + timedelta(days=30)),
        signer=Authority(KeySealer(load_signer(world.settings)), world.trust),
        trust=world.trust,
        destination=folder / "release",
    )


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def _signature(world: World) -> Answer:
    """Signature, statements and every byte, held against the trust file; the index is not asked."""
    version = world.current(exhibits.HONEST)
    try:
        with stored_release(version.source_uri, world.settings.registry_uri) as source:
            found = read_statements(source, world.trust, expect_name=_NAME, expect_id=exhibits.HONEST)
            check_files(source, found.manifest)
    except VerificationError as error:
        return answer((error.code,), error.message)
    return answer((), f"a good signature by {found.verified.signed_by[:16]}…")


def ask_index(world: World, model: str) -> Answer:
    """The whole client; caught by the index where the index is what refuses."""
    try:
        with world.as_client():
            verify(model)
    except Refused as error:
        return answer((error.code,) if error.code in _FROM_THE_INDEX else (), error.message)
    return answer((), "listed, and not revoked")


def _audited(world: World) -> Answer:
    alarming = [row for row in audit(world.settings, world.trust) if row.alarming and row.name == _NAME]
    codes = tuple(dict.fromkeys(f"{row.state.value}: {row.code}" for row in alarming))
    return answer(
        codes, alarming[0].message if alarming else "every alias leads to what verifies", alarm=True
    )


def ask_registry_audit(world: World) -> Answer:
    """The audit of every version, for the honest model."""
    return _audited(world)
