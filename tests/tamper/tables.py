"""The mutations, family by family. A new one is a line in ``FAMILIES``."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from registry_gate.record import canonical_json
from registry_gate.signing.dsse import seal
from tests.tamper.mutation import (
    MODEL_SIG,
    STATEMENTS,
    Ground,
    Mutation,
    bundle_with,
    edits,
    one,
    payload,
    put,
)

_FLIPS = 150
_SEED = 20261125
_BROKEN_BUNDLE = frozenset({"bad-bundle", "bad-signature", "untrusted-key"})


def is_model(name: str) -> bool:
    return name.startswith("model/")


def bit_flips(ground: Ground) -> Iterator[Mutation]:
    """A bit at seeded places of every file, first and last byte included."""
    chosen = random.Random(_SEED)
    for name in ground.names:
        data = ground.read(name)
        places = {0, len(data) - 1, *(chosen.randrange(len(data)) for _ in range(_FLIPS))}
        for place in sorted(places):
            bit = chosen.randrange(8)
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            codes = one("bytes-differ") if is_model(name) else _codes_at(data, place)
            yield Mutation(f"bit {bit} of byte {place} of {name}", put(name, bytes(changed)), codes)


def _codes_at(data: bytes, place: int) -> frozenset[str]:
    """What a flip in a bundle may do: the hint names a key, all else is either form or signature."""
    line = data.rfind(b"\n", 0, place) + 1
    hint = data.index(b'"hint":"', line) + 8
    if hint <= place < hint + 64:
        return frozenset({"untrusted-key", "bad-bundle"})
    return frozenset({"bad-bundle", "bad-signature"})


def truncations(ground: Ground) -> Iterator[Mutation]:
    for name in ground.names:
        data = ground.read(name)
        for cut in sorted({1, 2, 3, 7, 8, len(data) // 2, len(data) - 1, *range(10, len(data), 29)}):
            if not 0 < cut < len(data):
                continue
            left = data[:-cut]
            codes = frozenset({"bad-bundle"})
            if name == STATEMENTS and left.endswith(b"\n"):
                codes = one("bad-statement")
            yield Mutation(
                f"{name} shorter by {cut}", put(name, left), one("bytes-differ") if is_model(name) else codes
            )
        emptied = one("bytes-differ") if is_model(name) else one("no-signature")
        yield Mutation(f"{name} emptied", put(name, b""), emptied)


def extensions(ground: Ground) -> Iterator[Mutation]:
    tails = (b"\0", b"\n", b" ", b"\0" * 4096, b"PK\x05\x06" + b"\0" * 18, b"\x80\x04N.")
    for name, tail in itertools.product(ground.names, tails):
        data = ground.read(name)
        code = one("bytes-differ") if is_model(name) else one("bad-bundle")
        yield Mutation(f"{name} with {tail[:6]!r} x{len(tail)} behind", put(name, data + tail), code)
        front = one("bytes-differ") if is_model(name) else one("bad-bundle")
        yield Mutation(f"{name} with {tail[:6]!r} x{len(tail)} before", put(name, tail + data), front)


def swaps(ground: Ground) -> Iterator[Mutation]:
    """Two files in each other's place; and every piece of a weight file in another's."""
    for first, second in itertools.combinations(ground.names, 2):

        def change(root: Path, first: str = first, second: str = second) -> None:
            (root / first).rename(root / "aside")
            (root / second).rename(root / first)
            (root / "aside").rename(root / second)

        inside = is_model(first) and is_model(second)
        codes = one("bytes-differ") if inside else frozenset({"bad-bundle", "bad-statement"})
        yield Mutation(f"{first} and {second} swapped", change, codes)
    name = "model/model.safetensors"
    data = ground.read(name)
    pieces = [data[at : at + 16] for at in range(0, len(data), 16)]
    for first, second in itertools.combinations(range(len(pieces)), 2):
        moved = pieces.copy()
        moved[first], moved[second] = moved[second], moved[first]
        if b"".join(moved) == data:
            continue
        yield Mutation(
            f"weights: pieces {first} and {second} swapped", put(name, b"".join(moved)), one("bytes-differ")
        )


def renames(ground: Ground) -> Iterator[Mutation]:
    for name in ground.names:
        place = Path(name)
        for new in (
            str(place.with_name(place.name + "x")),
            str(place.with_name("." + place.name)),
            str(place.with_name(place.name.upper())),
            str(place.parent / "deeper" / place.name),
            place.name,
        ):

            def change(root: Path, name: str = name, new: str = new) -> None:
                (root / new).parent.mkdir(parents=True, exist_ok=True)
                (root / name).rename(root / new)

            code = one("unexpected-file") if is_model(name) else one("no-signature")
            yield Mutation(f"{name} renamed to {new}", change, code)

        def drop(root: Path, name: str = name) -> None:
            (root / name).unlink()

        lost = "missing-file" if is_model(name) else "no-signature"
        if name == "model/tokenizer/vocab.txt":
            lost = "unexpected-file"  # its folder is empty now
        yield Mutation(f"{name} removed", drop, one(lost))


def additions(ground: Ground) -> Iterator[Mutation]:
    """Files and folders that nobody signed, the twins of signed ones by case and Unicode among them."""
    names = (
        "modeling_x.py",
        "pytorch_model.bin",
        ".git/config",
        ".github/x",
        ".gitattributes",
        "CONFIG.JSON",
    )
    names += (
        "config.json ",
        "config.json\n",
        "config\uff0ejson",
        "con\ufb01g.json",
        "\uff43onfig.json",
        "config.json\u200b",
    )
    names += (
        "MODEL.safetensors",
        "model.safetensors.index.json",
        "model-00001.safetensors",
        "Tokenizer/vocab.txt",
    )
    names += (
        "tokenizer/Vocab.txt",
        "tokenizer/vocab.txt/",
        "tokenizer.json",
        "\x1b[31m",
        "a" * 200,
        "adapter_config.json",
    )
    for name, below in itertools.product(
        names, ("model/", "", "attestations/", "model/tokenizer/", "model/new/")
    ):
        if name.endswith("/"):
            continue
        yield Mutation(f"{below}{name!r} added", put(f"{below}{name}", b"{}"), one("unexpected-file"))
    for folder in ("model/empty", "empty", "attestations/empty", "model/tokenizer/empty", "model/a/b/c"):

        def make(root: Path, folder: str = folder) -> None:
            (root / folder).mkdir(parents=True)

        yield Mutation(f"empty folder {folder}", make, one("unexpected-file"))


def links(ground: Ground) -> Iterator[Mutation]:
    """Symbolic links, pipes and sockets. A hard link to the very bytes is a file like any other (below)."""
    for name in [*ground.names, "model", "attestations", "model/tokenizer"]:
        for kind in ("same bytes", "nowhere", "itself", "/dev/zero", "relative"):

            def change(root: Path, name: str = name, kind: str = kind) -> None:
                place, aside = root / name, root.parent / f"aside-{root.name}"
                place.rename(aside)
                target = {
                    "same bytes": aside,
                    "relative": Path(os.path.relpath(aside, place.parent)),
                    "itself": place,
                }
                place.symlink_to(target.get(kind, Path(kind if kind[0] == "/" else "nowhere")))

            yield Mutation(f"{name} is a link to {kind}", change, one("link"))
    for name in ground.names:

        def pipe(root: Path, name: str = name) -> None:
            (root / name).unlink()
            os.mkfifo(root / name)

        def folder(root: Path, name: str = name) -> None:
            (root / name).unlink()
            (root / name / "in").mkdir(parents=True)
            (root / name / "in" / "x").write_bytes(b"x")

        yield Mutation(f"{name} is a pipe", pipe, one("unexpected-file"))
        yield Mutation(f"{name} is a folder", folder, one("unexpected-file"))
    for target in ("/etc/passwd", "config.json", "/dev/zero", "..", "nowhere"):

        def extra(root: Path, target: str = target) -> None:
            (root / "model" / "more").symlink_to(target)

        yield Mutation(f"added link to {target}", extra, one("link"))

    def linked(root: Path) -> None:
        put("model/config.json", b'{"architectures": ["Evil"]}')(root)
        os.link(root / "model/config.json", root.parent / f"hard-{root.name}")

    yield Mutation("hard link to other bytes", linked, one("bytes-differ"))


def edited_payloads(ground: Ground) -> Iterator[Mutation]:
    """Every field of every statement changed, dropped, added to: under the old signature, and re-signed."""
    for place, line in _bundles(ground):
        for where, edited in edits(payload(line)):
            unsigned, resigned = (
                bundle_with(line, edited),
                seal(canonical_json(edited), ground.stranger.signer),
            )
            yield Mutation(f"{place}{where}", _replace(ground, place, unsigned), one("bad-signature"))
            yield Mutation(
                f"{place}{where}, re-signed", _replace(ground, place, resigned), one("untrusted-key")
            )


def misused_key(ground: Ground) -> Iterator[Mutation]:
    """A statement changed and signed by the gate's own key, but for the verdict, which names the others."""
    for place, line in _bundles(ground)[:-1]:
        for where, edited in edits(payload(line)):
            signed = seal(canonical_json(edited), ground.gate.signer)
            yield Mutation(f"{place}{where}, own key", _replace(ground, place, signed), one("bad-statement"))


def edited_bundles(ground: Ground) -> Iterator[Mutation]:
    """Every field of every envelope."""
    for place, line in _bundles(ground):
        for where, edited in edits(json.loads(line)):
            changed = json.dumps(edited, separators=(",", ":")).encode()
            yield Mutation(f"{place} envelope {where}", _replace(ground, place, changed), _BROKEN_BUNDLE)
        spaced = json.dumps(json.loads(line)).encode()
        yield Mutation(f"{place} spaced", _replace(ground, place, spaced), one("bad-bundle"))
        for nonsense in (
            b"{}",
            b"[]",
            b"null",
            b"0",
            b'""',
            b"[" * 5000,
            b"\xff\xfe",
            b"not json",
            line + line,
        ):
            made = Mutation(
                f"{place} is {nonsense[:8]!r} x{len(nonsense)}",
                _replace(ground, place, nonsense),
                one("bad-bundle"),
            )
            yield made


def statements(ground: Ground) -> Iterator[Mutation]:
    """Lines left out, given twice, in another order, or of other Releases, all validly signed."""
    lines = ground.lines()
    everything = range(len(lines))
    for index in everything:
        yield _lines(f"statement {index} left out", lines[:index] + lines[index + 1 :])
        yield _lines(f"statement {index} alone", [lines[index]])
        for at in (*everything, len(lines)):
            yield _lines(f"statement {index} again at {at}", [*lines[:at], lines[index], *lines[at:]])
    for order in itertools.islice(itertools.permutations(everything), 1, None):
        yield _lines(f"statements in order {order}", [lines[index] for index in order])
    for what, root in (("older", ground.older), ("newer", ground.newer), ("other", ground.other)):
        theirs = ground.lines(root)
        for mask in range(1, 2 ** len(lines) - 1):
            mixed = [theirs[i] if mask >> i & 1 else lines[i] for i in everything]
            # Some statements of two Releases say the very same; what says all the same is no mutation.
            if _said(mixed) not in (_said(lines), _said(theirs)):
                yield _lines(f"statements mixed with the {what} Release's: {mask:05b}", mixed)
    theirs = ground.lines(ground.strangers)
    for index in everything:
        mixed = [*lines[:index], theirs[index], *lines[index + 1 :]]
        yield Mutation(
            f"statement {index} of a stranger", put(STATEMENTS, b"".join(mixed)), one("untrusted-key")
        )


def other_releases(ground: Ground) -> Iterator[Mutation]:
    """Valid Releases of other models, commits and gates, whole and in part, in this one's place."""
    for what, root, code in (
        ("other model", ground.other, "wrong-name"),
        ("stranger", ground.strangers, "untrusted-key"),
        ("expired", ground.expired, "expired"),
    ):
        signature, statement = (root / MODEL_SIG).read_bytes(), (root / STATEMENTS).read_bytes()

        def both(root: Path, signature: bytes = signature, statement: bytes = statement) -> None:
            put(MODEL_SIG, signature)(root)
            put(STATEMENTS, statement)(root)

        yield Mutation(f"attestations of the {what} over the same files", both, one(code))
        # Of the same files model.sig says the same in every Release: only its signer tells them apart.
        if what == "stranger":
            yield Mutation(f"model.sig of the {what}", put(MODEL_SIG, signature), one(code))
        yield Mutation(f"statements of the {what}", put(STATEMENTS, statement), one(code))
    for name in (*ground.names,):
        theirs = (ground.newer / name).read_bytes()
        if theirs != ground.read(name):
            code = one("bytes-differ") if is_model(name) else one("bad-statement")
            yield Mutation(f"{name} of the newer Release", put(name, theirs), code)

    def newer_statements(root: Path) -> None:
        for name in (MODEL_SIG, STATEMENTS):
            put(name, (ground.newer / name).read_bytes())(root)

    yield Mutation(
        "attestations of the newer Release over the old files", newer_statements, one("bytes-differ")
    )


def _bundles(ground: Ground) -> list[tuple[str, bytes]]:
    statements = [(f"statement {index}", line.rstrip(b"\n")) for index, line in enumerate(ground.lines())]
    return [("model.sig", ground.read(MODEL_SIG)), *statements]


def _replace(ground: Ground, place: str, bundle: bytes) -> Callable[[Path], None]:
    if place == "model.sig":
        return put(MODEL_SIG, bundle)
    lines = ground.lines()
    lines[int(place.rpartition(" ")[2])] = bundle + b"\n"
    return put(STATEMENTS, b"".join(lines))


def _said(lines: list[bytes]) -> list[dict[str, object]]:
    return [payload(line) for line in lines]


def _lines(name: str, lines: list[bytes]) -> Mutation:
    return Mutation(name, put(STATEMENTS, b"".join(lines)), one("bad-statement"))


FAMILIES: dict[str, Callable[[Ground], Iterator[Mutation]]] = {
    "bit flips": bit_flips,
    "truncations": truncations,
    "extensions": extensions,
    "swaps": swaps,
    "renames": renames,
    "additions": additions,
    "links": links,
    "edited payloads": edited_payloads,
    "misused key": misused_key,
    "edited bundles": edited_bundles,
    "statements": statements,
    "other releases": other_releases,
}
