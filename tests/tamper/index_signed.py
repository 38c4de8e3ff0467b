"""Mutations of an index that its right keys signed: untrue, in the wrong order, or against the Release."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from tuf.api.metadata import MetaFile, Snapshot, TargetFile, Targets, Timestamp

from registry_gate.index.content import (
    NAME,
    Floor,
    Listed,
    RevokedRelease,
    RevokedSequences,
    RevokedSigner,
)
from registry_gate.index.edits import with_floor, with_revoked
from registry_gate.index.keys import INDEX, ROOT, TIMESTAMP
from registry_gate.record import canonical_json
from registry_gate.signing.trust import Trust
from tests.tamper.index_ground import SIGNED, IndexGround, IndexMutation, root_of
from tests.tamper.mutation import edits


def pinned(trust: Trust, **changes: object) -> Trust:
    assert trust.index is not None
    return trust.model_copy(update={"index": trust.index.model_copy(update=changes)})


def numbers(ground: IndexGround) -> Iterator[IndexMutation]:
    """Version numbers that are huge, that do not belong together, or are no numbers."""
    for version in (0, -1, -(2**63)):
        for role in SIGNED:
            yield IndexMutation(
                f"{role} of version {version}", ground.next(edit={role: _set_version(version)})
            )
    for version in (2**31, 2**63, 2**64, 10**30):
        for role in ("targets", "snapshot"):
            yield IndexMutation(
                f"{role} of version {version}, called another",
                ground.next(edit={role: _set_version(version)}),
                "index-rolled-back",
            )
    for role, wrong in itertools.product(("targets", "snapshot"), (1, 2**40)):
        yield IndexMutation(
            f"{role} of version {wrong} under another's name",
            ground.next(edit={role: _set_version(wrong)}),
            "index-rolled-back",
        )
    yield IndexMutation(
        "the truth, after a huge version number was seen", {}, "index-rolled-back", "fast-forward"
    )
    newer = ground.next()
    yield IndexMutation(
        "a newer state, after a huge version number was seen", newer, "index-rolled-back", "fast-forward"
    )
    data = ground.content.model_copy(update={"number": 1}).canonical()
    yield IndexMutation(
        "an index that calls itself older than its metadata", ground.next(data), "index-rolled-back",
        trust=lambda trust: pinned(trust, minimum_version=ground.present.number),
    )  # fmt: skip


def _set_version(version: int) -> Callable[[Targets | Snapshot | Timestamp], None]:
    def change(signed: Targets | Snapshot | Timestamp) -> None:
        signed.version = version

    return change


def lies(ground: IndexGround) -> Iterator[IndexMutation]:
    """Signed by the right keys, and not true: lengths, digests and names of what follows."""

    def snapshot_meta(**changes: object) -> Callable[[Timestamp], None]:
        return lambda signed: _set(signed.snapshot_meta, changes)

    def targets_meta(**changes: object) -> Callable[[Snapshot], None]:
        return lambda signed: _set(signed.meta["targets.json"], changes)

    def target(**changes: object) -> Callable[[Targets], None]:
        return lambda signed: _set(signed.targets[NAME], changes)

    def renamed(signed: Targets) -> None:
        signed.targets = {"other.json": signed.targets[NAME]}

    def nothing(signed: Targets) -> None:
        signed.targets = {}

    def no_targets(signed: Snapshot) -> None:
        signed.meta = {"other.json": signed.meta["targets.json"]}

    wrong_digest, other = {"sha256": "0" * 64}, ground.next()
    for role, of in (("timestamp", snapshot_meta), ("snapshot", targets_meta), ("targets", target)):
        for length in (1, 10**6):
            yield IndexMutation(
                f"{role} lies about a length of {length}", ground.next(edit={role: of(length=length)})
            )
        absent = "no-index" if role == "targets" else "index-untrusted"  # its name holds the digest
        yield IndexMutation(
            f"{role} lies about a digest", ground.next(edit={role: of(hashes=wrong_digest)}), absent
        )
    yield IndexMutation("targets that name another file", ground.next(edit={"targets": renamed}))
    yield IndexMutation("targets that name nothing", ground.next(edit={"targets": nothing}))
    yield IndexMutation("a snapshot without targets", ground.next(edit={"snapshot": no_targets}))
    yield IndexMutation(
        "a target of another's content", other | {next(iter(other)): ground.states[0].files["index"]}
    )


def _set(item: MetaFile | TargetFile, changes: dict[str, object]) -> None:
    for name, value in changes.items():
        setattr(item, name, value)


def odd_contents(ground: IndexGround) -> Iterator[IndexMutation]:
    """Validly signed, and no index of this version: what a later gate, or a broken one, could write."""
    document = json.loads(ground.present.files["index"])
    for where, changed in edits(document):
        if where.endswith((" dropped", "/ added")) and not _defaulted(where):
            yield IndexMutation(f"signed index{where}", ground.next(canonical_json(changed)))
    for version in (0, 2, "1", 1.0, None, True):
        data = canonical_json(document | {"version": version})
        if version is not True and version != 1.0:
            yield IndexMutation(f"signed index of version {version!r}", ground.next(data))
    shapes: dict[str, bytes] = {
        "indented": json.dumps(document, indent=1, sort_keys=True).encode(),
        "not sorted": json.dumps(dict(reversed(document.items())), separators=(",", ":")).encode(),
        "with a key twice": canonical_json(document)[:-1] + b',"version":1}',
        "with a new line": canonical_json(document) + b"\n",
        "empty": b"",
        "a list": b"[]",
        "no UTF-8": b"\xff",
        "nothing but brackets": b"[" * 100_000,
        "a number of 5,000 digits": b'{"hours":' + b"9" * 5_000 + b"}",
    }
    for what, data in shapes.items():
        yield IndexMutation(f"signed index {what}", ground.next(data))


def _defaulted(where: str) -> bool:
    """Fields that may be left out: an index that lists nothing, and those of entries."""
    return where.startswith(
        ("/listed dropped", "/revoked dropped", "/floors dropped", "/log dropped", "/version")
    )


def withdrawals(ground: IndexGround) -> Iterator[IndexMutation]:
    """What the gate itself can say against the Release: not listed, revoked, its key revoked, left behind."""
    content, now = ground.content, datetime.now(UTC)
    ours = next(item for item in content.listed if item.name == "acme--tiny")
    others = tuple(item for item in content.listed if item != ours)
    for kept in (*({"listed": part} for part in (others, others[:1], ())),):
        yield IndexMutation(
            f"not among {len(kept['listed'])} listed",
            ground.next(content.model_copy(update=kept)),
            "not-in-index",
        )
    for where, changed in edits(json.loads(ours.canonical())):
        if " changed" in where and not where.startswith("/listed_at"):
            entry = _listed(changed)
            if entry is not None:
                told = content.model_copy(update={"listed": (*others, entry)})
                yield IndexMutation(f"listed otherwise:{where}", ground.next(told), "not-in-index")
    digest, signer = ours.manifest_digest, ours.signed_by
    revoked = [
        (RevokedRelease(manifest_digest=digest, reason="r", revoked_at=now), "revoked"),
        (RevokedSequences(name=ours.name, first=5, last=5, reason="r", revoked_at=now), "revoked"),
        (RevokedSequences(first=1, last=2**40, reason="r", revoked_at=now), "revoked"),
        (RevokedSigner(signed_by=signer, reason="r", revoked_at=now), "key-revoked"),
        (RevokedSigner(signed_by=signer, since=5, reason="\x1b[31m\n" * 200, revoked_at=now), "key-revoked"),
    ]
    for number, (one, code) in enumerate(revoked):
        for memory, listed in itertools.product(("nothing", "present"), (content.listed, others)):
            told = with_revoked(content.model_copy(update={"listed": listed}), one)
            yield IndexMutation(
                f"revoked {number} by {one.kind}, seen {memory}, {len(listed)} listed",
                ground.next(told),
                code,
                memory,
            )
    for sequence in (6, 7, 2**40):
        raised = with_floor(content, ours.name, "approved", sequence)
        yield IndexMutation(f"floor at {sequence}", ground.next(raised), "superseded", by_alias=True)
        both = raised.model_copy(
            update={"floors": (*raised.floors, Floor(name=ours.name, alias="b", sequence=1))}
        )
        yield IndexMutation(
            f"floor at {sequence}, another's lower", ground.next(both), "superseded", by_alias=True
        )


def _listed(document: object) -> Listed | None:
    try:
        return Listed.from_json(canonical_json(document))
    except ValueError:
        return None


def roots(ground: IndexGround) -> Iterator[IndexMutation]:
    """A second root that is not the first one's successor, and trust files that name another beginning."""
    keys, ours = ground.signers, ground.signers[ROOT]
    stranger = ground.wrong["the stranger's root key"]
    for who, signer in ground.wrong.items():
        yield IndexMutation(f"second root signed by {who}", {"2.root.json": root_of(keys, 2, signer)})
    theirs = {ROOT: stranger, INDEX: keys[INDEX], TIMESTAMP: keys[TIMESTAMP]}
    second = {
        "signed by nobody": root_of(keys, 2),
        "that names a stranger, signed by the stranger only": root_of(theirs, 2, stranger),  # type: ignore[arg-type]
        "that names a stranger, signed by the old root only": root_of(theirs, 2, ours),  # type: ignore[arg-type]
        "that is the first once more": ground.present.files["root"],
        "of the stranger": ground.strangers.files["root"],
        "that is a timestamp": ground.present.files["timestamp"],
        "that is empty": b"",
    }
    for what, data in second.items():
        code = "index-rolled-back" if what == "that is the first once more" else "index-untrusted"
        yield IndexMutation(f"second root {what}", {"2.root.json": data}, code)
        yield IndexMutation(f"second root {what}, seen", {"2.root.json": data}, code, "present")
    for version in (1, 3, 2**62):
        data = root_of(keys, version, ours)
        yield IndexMutation(f"second root of version {version}", {"2.root.json": data}, "index-rolled-back")
    replaced = {role: ground.signers[role] for role in (ROOT, INDEX, TIMESTAMP)} | {
        INDEX: ground.wrong["a made-up key"], TIMESTAMP: ground.wrong["a made-up key"],
    }  # fmt: skip
    true = {"2.root.json": root_of(replaced, 2, ours)}  # type: ignore[arg-type]
    yield IndexMutation("keys replaced, and the old ones still sign", true)
    yield IndexMutation("keys replaced, and the old ones still sign, newer", true | ground.next())
    yield IndexMutation("no root in the trust file", {}, "no-index", trust=_without)
    other = f"sha256:{'0' * 64}"
    yield IndexMutation("another root in the trust file", {}, trust=lambda trust: pinned(trust, root=other))
    yield IndexMutation(
        "a root version that is not there", {}, "no-index", trust=lambda trust: pinned(trust, root_version=7)
    )
    for ahead in (1, 1000, 2**40):
        yield IndexMutation(
            f"a trust file that asks for {ahead} versions more", {}, "index-rolled-back",
            trust=lambda trust, ahead=ahead: pinned(trust, minimum_version=ground.present.number + ahead),  # type: ignore[misc]
        )  # fmt: skip


def _without(trust: Trust) -> Trust:
    return trust.model_copy(update={"index": None})
