"""The mutations of an index, family by family. A new one is a line in ``INDEX_FAMILIES``."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from tuf.api.metadata import MetaFile, Timestamp

from registry_gate.index.content import (
    IndexContent,
)
from registry_gate.index.keys import INDEX, ROOT, TIMESTAMP
from registry_gate.record import canonical_json
from registry_gate.signing.trust import Trust
from tests.tamper.index_ground import ROLES, SIGNED, IndexGround, IndexMutation, made, root_of, subsets
from tests.tamper.index_signed import lies, numbers, odd_contents, pinned, roots, withdrawals
from tests.tamper.mutation import edits

_SEED = 20261125
_FLIPS = 60
_PAST = datetime(2026, 1, 1, tzinfo=UTC)
_NOT_READ = frozenset({"/ added", "/signatures[0]/ added", "/signed/meta/ added"})
"""Where `tuf` drops what it does not know before it verifies, so that it is neither signed nor read."""


def bit_flips(ground: IndexGround) -> Iterator[IndexMutation]:
    """A bit at seeded places of every file; upper and lower case of a hexadecimal digit are the same."""
    chosen = random.Random(_SEED)
    for role in ROLES:
        data, name = ground.present.files[role], ground.present.name(role)
        for place in sorted({0, len(data) - 1, *(chosen.randrange(len(data)) for _ in range(_FLIPS))}):
            bit = chosen.randrange(8)
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            if changed.lower() != data.lower():
                yield IndexMutation(f"bit {bit} of byte {place} of {role}", {name: bytes(changed)})


def truncations(ground: IndexGround) -> Iterator[IndexMutation]:
    for role in ROLES:
        data, name = ground.present.files[role], ground.present.name(role)
        for cut in sorted({1, 2, 7, len(data) // 2, len(data) - 1, len(data), *range(10, len(data), 61)}):
            yield IndexMutation(f"{role} shorter by {cut}", {name: data[:-cut]})


def extensions(ground: IndexGround) -> Iterator[IndexMutation]:
    """A few bytes more, and data without end: reading stops at what was signed, or at a limit."""
    for role in ROLES:
        data, name = ground.present.files[role], ground.present.name(role)
        for tail in (b"\0", b"{}", b"\0" * 4096, b" " * 20_000_000, data):
            yield IndexMutation(f"{role} with {tail[:2]!r} x{len(tail)} behind", {name: data + tail})
            yield IndexMutation(f"{role} with {tail[:2]!r} x{len(tail)} before", {name: tail + data})


def not_metadata(ground: IndexGround) -> Iterator[IndexMutation]:
    """What breaks parsers, in every place: too deep, too large a number, no UTF-8, no object."""
    bodies = {
        "nothing but brackets": b"[" * 16_000,
        "deep objects": b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        "a list": b"[]",
        "null": b"null",
        "no UTF-8": b"\xff\xfe{}",
        "a byte order mark": b"\xef\xbb\xbf{}",
        "a number of 5,000 digits": b'{"signed":' + b"9" * 5_000 + b',"signatures":[]}',
        "not a number": b'{"signed":{"_type":"timestamp","version":NaN},"signatures":[]}',
        "a pickle": b"\x80\x04N.",
        "a page": b"<html>404</html>",
        "an unknown type": b'{"signed":{"_type":"mirrors"},"signatures":[]}',
        "signatures that are no list": b'{"signed":{"_type":"timestamp"},"signatures":{}}',
    }
    for (what, body), role in itertools.product(bodies.items(), ROLES):
        yield IndexMutation(f"{role} is {what}", {ground.present.name(role): body})


def edited(ground: IndexGround) -> Iterator[IndexMutation]:
    """Every field changed, dropped or added to, under the old signatures."""
    for role in ROLES:
        document = json.loads(ground.present.files[role])
        for where, changed in edits(document):
            if role == "timestamp" and where in _NOT_READ:
                continue
            yield IndexMutation(f"{role}{where}", {ground.present.name(role): canonical_json(changed)})


def other_signers(ground: IndexGround) -> Iterator[IndexMutation]:
    """Each role, and all together, signed by somebody who does not hold its key; the rest agrees."""
    wrong = dict(ground.wrong) | {"the root key": ground.signers[ROOT]}
    for (who, signer), roles in itertools.product(wrong.items(), subsets(SIGNED)):
        files = ground.next(sign=dict.fromkeys(roles, signer))
        yield IndexMutation(f"{' and '.join(roles)} signed by {who}", files)
    for role in SIGNED:
        other = ground.signers[TIMESTAMP if role != "timestamp" else INDEX]
        yield IndexMutation(f"{role} signed by another role's key", ground.next(sign={role: other}))
        yield IndexMutation(f"{role} signed by nobody", ground.next(sign={role: None}))
    yield from _signature_games(ground)


def _signature_games(ground: IndexGround) -> Iterator[IndexMutation]:
    """A true timestamp whose list of signatures is not what it was."""
    document = json.loads(ground.present.files["timestamp"])
    (one,) = document["signatures"]
    stranger = json.loads(ground.strangers.files["timestamp"])["signatures"][0]
    snapshot = json.loads(ground.present.files["snapshot"])["signatures"][0]
    games = {
        "none": [],
        "the stranger's": [stranger],
        "the snapshot's": [snapshot],
        "the stranger's under our key's name": [stranger | {"keyid": one["keyid"]}],
        "ours under the stranger's name": [one | {"keyid": stranger["keyid"]}],
        "ours twice": [one, one],
        "an empty one": [one | {"sig": ""}],
        "one of a single byte": [one | {"sig": "00"}],
        "one that is no text": [one | {"sig": 7}],
        "one that is not hexadecimal": [one | {"sig": "zz" * 70}],
    }
    for what, signatures in games.items():
        data = canonical_json(document | {"signatures": signatures})
        yield IndexMutation(f"signatures of the timestamp: {what}", {"timestamp.json": data})


def replays(ground: IndexGround) -> Iterator[IndexMutation]:
    """Every older state, whole and in part, to who saw the newest, or asks for it in the trust file."""
    newest = ground.present.number

    def asks(trust: Trust) -> Trust:
        return pinned(trust, minimum_version=newest)

    for old in ground.states[:-1]:
        yield IndexMutation(f"state {old.number} again", old.named, "index-rolled-back", "present")
        yield IndexMutation(
            f"state {old.number} to a fresh reader who asks for {newest}",
            old.named,
            "index-rolled-back",
            trust=asks,
        )
        stamp = {"timestamp.json": old.files["timestamp"]}
        yield IndexMutation(f"the timestamp of state {old.number}", stamp, "index-rolled-back", "present")
        again = _refreshed(ground, old.files["snapshot"], old.number)
        yield IndexMutation(
            f"state {old.number} called the newest by a stolen timestamp key",
            old.named | again,
            "index-rolled-back",
            "present",
        )
        numbered = made(
            IndexContent.from_json(old.files["index"]), old.number, ground.signers, timestamp=9_999
        )
        yield IndexMutation(
            f"state {old.number} signed anew by stolen keys", numbered, "index-rolled-back", "present"
        )
    for version in range(1, newest * 10):
        lower = ground.next(timestamp=version)
        if version < _timestamp_version(ground):
            yield IndexMutation(
                f"a newer state under timestamp {version}", lower, "index-rolled-back", "present"
            )


def _refreshed(ground: IndexGround, snapshot: bytes, number: int) -> dict[str, bytes]:
    """What a stolen timestamp key can sign over an old snapshot."""
    from tuf.api.metadata import Metadata

    from registry_gate.index.metadata import signed_bytes

    newest = Timestamp(
        version=10_000,
        expires=datetime.now(UTC).replace(microsecond=0) + timedelta(days=1),
        snapshot_meta=MetaFile.from_data(number, snapshot, ["sha256"]),
    )
    return {"timestamp.json": signed_bytes(Metadata(newest), ground.signers[TIMESTAMP])}


def _timestamp_version(ground: IndexGround) -> int:
    found: int = json.loads(ground.present.files["timestamp"])["signed"]["version"]
    return found


def expired(ground: IndexGround) -> Iterator[IndexMutation]:
    """Each role past its day, to who never saw the index and to who saw it yesterday."""
    for roles, memory in itertools.product(subsets(SIGNED), ("nothing", "present")):
        for ago in (timedelta(seconds=1), timedelta(days=1), timedelta(days=4000)):
            ends = dict.fromkeys(roles, datetime.now(UTC).replace(microsecond=0) - ago)
            files = ground.next(expires=ends)
            yield IndexMutation(
                f"{' and '.join(roles)} ended {ago} ago, seen {memory}", files, "index-stale", memory
            )
    old = root_of(ground.signers, 2, ground.signers[ROOT], now=_PAST - timedelta(days=4000))
    yield IndexMutation("a newer root that has ended", {"2.root.json": old}, "index-stale")
    yield IndexMutation("a newer root that has ended, seen", {"2.root.json": old}, "index-stale", "present")


def removals(ground: IndexGround) -> Iterator[IndexMutation]:
    for roles in subsets(ROLES):
        yield IndexMutation(
            f"without {' and '.join(roles)}", {ground.present.name(role): None for role in roles}, "no-index"
        )
    gone = {"timestamp.json": None}
    yield IndexMutation("without timestamp, seen", gone, "no-index", "present")


def swaps(ground: IndexGround) -> Iterator[IndexMutation]:
    """Files of one role in the place of another."""
    present = ground.present
    for place, given in itertools.permutations(ROLES, 2):
        yield IndexMutation(f"{given} in the place of {place}", {present.name(place): present.files[given]})


def other_gates(ground: IndexGround) -> Iterator[IndexMutation]:
    """Any of a stranger's files in the place of ours: valid, and somebody else's."""
    for roles in subsets(ROLES):
        files = {ground.present.name(role): ground.strangers.files[role] for role in roles}
        yield IndexMutation(f"the stranger's {' and '.join(roles)}", files)
    yield IndexMutation("the stranger's index whole", ground.strangers.named)
    told = ground.next(ground.content.model_copy(update={"verifier": "https://elsewhere.example"}))
    yield IndexMutation("our keys, and the name of another gate", told)


def mixtures(ground: IndexGround) -> Iterator[IndexMutation]:
    """The files of three states in every combination that is none of the three."""
    states = (ground.states[1], ground.states[2], ground.present)
    parts = ROLES[1:]
    for choice in itertools.product(states, repeat=len(parts)):
        if len({state.number for state in choice}) == 1:
            continue
        chosen = dict(zip(parts, choice, strict=True))
        asked = {
            "timestamp": "timestamp.json",
            "snapshot": f"{chosen['timestamp'].number}.snapshot.json",
            "targets": f"{chosen['snapshot'].number}.targets.json",
            "index": chosen["targets"].name("index"),
        }
        files: dict[str, bytes | None] = {state.name(role): None for state in states for role in parts}
        files |= {asked[role]: chosen[role].files[role] for role in parts}
        said = "-".join(str(chosen[role].number) for role in parts)
        yield IndexMutation(f"timestamp, snapshot, targets, index of states {said}", files)


INDEX_FAMILIES: dict[str, Callable[[IndexGround], Iterator[IndexMutation]]] = {
    "bit flips": bit_flips,
    "truncations": truncations,
    "extensions": extensions,
    "not metadata": not_metadata,
    "edited": edited,
    "other signers": other_signers,
    "replays": replays,
    "expired": expired,
    "removals": removals,
    "swaps": swaps,
    "other gates": other_gates,
    "mixtures": mixtures,
    "numbers": numbers,
    "lies": lies,
    "odd contents": odd_contents,
    "withdrawals": withdrawals,
    "roots": roots,
}
