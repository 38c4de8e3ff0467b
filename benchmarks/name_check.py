"""Recall by class of look-alike and false positives of the name check, with intervals, and its speed.

    python -m benchmarks.name_check [--half report|development] [--show-missed]

Targets are split in a development and a reporting half by a hash of the id, and so are the ordinary ids of
``data/names/legit.txt``; rules and limits were set while looking at the development half only, and what is
printed by default is the other one. "Flagged" is any verdict but ``admit`` under the default policy.

What the generator leaves alone, because it makes another model and not a look-alike of this one: digits
(versions, sizes) and, inside names, runs of at most three letters (languages, ``hf``, ``it``).
"""

from __future__ import annotations

import argparse
import hashlib
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from registry_gate.candidate import check_model_id
from registry_gate.cli.name_verdict import judge
from registry_gate.decision import Verdict
from registry_gate.errors import UsageError
from registry_gate.policy import Policy, load_policy

DATA = Path(__file__).parent / "data" / "names"
RECALL_BAR = 0.95
FALSE_POSITIVE_BAR = 0.01
Z95 = 1.959963985

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
LOOKS = {"o": "0", "l": "1I", "i": "1l", "I": "l1", "s": "5", "m": ("rn",), "w": ("vv",), "O": "0", "S": "5"}
FOREIGN = dict(zip("aceopxyiABEHKMOPTX", "аесорхуіАВЕНКМОРТХ", strict=True))  # noqa: RUF001 - the point
AFFIXES = (
    "official",
    "ai",
    "org",
    "research",
    "hub",
    "team",
    "lab",
    "labs",
    "the",
    "real",
    "hf",
    "inc",
    "models",
)
CLAIMS = ("official", "real", "the", "original", "verified", "genuine")
OTHER_WORDS = (
    "foundation",
    "group",
    "global",
    "ml",
    "nlp",
    "community",
    "project",
    "china",
    "europe",
    "cloud",
    "mirror",
    "weights",
)
DOMAINS = ("com", "ai", "io", "co", "org", "net", "dev")
UNRELATED = ("ultra-chat-2026", "voice-demo", "my-first-model")
BARE_KIND = "bare name"
UNRELATED_KIND = "owner: slip, unrelated model"
STRANGERS = (
    "alexm23",
    "nlp-tinkerer",
    "yuki-dev",
    "modelworks",
    "hs-student-42",
    "grrr",
    "deepthinkers",
    "zhangwei77",
)


@dataclass(frozen=True)
class Squat:
    """A look-alike: its class, the id it was made from, the look-alike itself."""

    kind: str
    target: str
    model_id: str


@dataclass(frozen=True)
class Share:
    """A count of successes in trials."""

    hits: int
    trials: int

    @property
    def value(self) -> float:
        return self.hits / self.trials if self.trials else math.nan

    def interval(self) -> tuple[float, float]:
        """Wilson's score interval at 95 %."""
        if not self.trials:
            return 0.0, 1.0
        p, n = self.value, self.trials
        centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
        half = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
        return max(0.0, centre - half), min(1.0, centre + half)


def pick(options: list[str], *seed: str) -> str | None:
    """One of the options, fixed by the seed and nothing else."""
    if not options:
        return None
    number = int.from_bytes(hashlib.sha256("\0".join(seed).encode()).digest()[:8], "big")
    return sorted(set(options))[number % len(set(options))]


def half_of(model_id: str) -> str:
    """Which half an id belongs to, fixed by its text."""
    return "report" if hashlib.sha256(model_id.lower().encode()).digest()[0] % 2 else "development"


def spots(text: str, shortest: int) -> list[int]:
    """Positions of letters inside runs of at least ``shortest`` letters."""
    return [
        i for run in re.finditer(r"[A-Za-z]+", text) if len(run[0]) >= shortest for i in range(*run.span())
    ]


def omitted(text: str, shortest: int) -> list[str]:
    return [text[:i] + text[i + 1 :] for i in spots(text, shortest)]


def repeated(text: str, shortest: int) -> list[str]:
    return [text[: i + 1] + text[i] + text[i + 1 :] for i in spots(text, shortest)]


def swapped(text: str, shortest: int) -> list[str]:
    inside = set(spots(text, shortest))
    return [
        text[:i] + text[i + 1] + text[i] + text[i + 2 :]
        for i in inside
        if i + 1 in inside and text[i].lower() != text[i + 1].lower()
    ]


def neighbour(text: str, shortest: int) -> list[str]:
    found = []
    for i in spots(text, shortest):
        for r, row in enumerate(ROWS):
            c = row.find(text[i].lower())
            if c < 0:
                continue
            near = [row[k] for k in (c - 1, c + 1) if 0 <= k < len(row)]
            near += [ROWS[k][c] for k in (r - 1, r + 1) if 0 <= k < len(ROWS) and c < len(ROWS[k])]
            found += [text[:i] + key + text[i + 1 :] for key in near]
    return found


def homoglyph(text: str, shortest: int) -> list[str]:
    return [text[:i] + look + text[i + 1 :] for i in spots(text, shortest) for look in LOOKS.get(text[i], ())]


def foreign(text: str, shortest: int) -> list[str]:
    return [text[:i] + FOREIGN[text[i]] + text[i + 1 :] for i in spots(text, shortest) if text[i] in FOREIGN]


def separators(text: str, _shortest: int) -> list[str]:
    """A separator exchanged, dropped (not between digits: that is another number), or put in at a capital."""
    inside = [i for i in range(1, len(text)) if re.match("[a-z][A-Z]", text[i - 1 :])]
    found = [text[:i] + "-" + text[i:] for i in inside]
    for match in re.finditer(r"[-_.]", text):
        i = match.start()
        between_digits = text[i - 1].isdigit() and text[i + 1].isdigit()
        found += [text[:i] + other + text[i + 1 :] for other in "-_." if other != text[i]]
        found += [] if between_digits else [text[:i] + text[i + 1 :]]
    return found


def affixed(text: str, words: tuple[str, ...]) -> list[str]:
    return [form for word in words for form in (f"{text}-{word}", f"{word}-{text}", f"{text}{word}")]


def reordered(text: str, _shortest: int) -> list[str]:
    tokens = re.split(r"[-_]", text)
    turned = [tokens[i:] + tokens[:i] for i in range(1, len(tokens))]
    swaps = [[*tokens[:i], tokens[i + 1], tokens[i], *tokens[i + 2 :]] for i in range(len(tokens) - 1)]
    worded = [order for order in turned + swaps if _words_moved(tokens, order)]
    return ["-".join(order) for order in worded]


def _words_moved(before: list[str], after: list[str]) -> bool:
    letters = [[t.lower() for t in order if re.fullmatch("[A-Za-z]{3,}", t)] for order in (before, after)]
    return letters[0] != letters[1]


def case_trick(text: str, shortest: int) -> list[str]:
    """Upper case that hides a letter (I for l), and plain changes of case."""
    tricks = [text[:i] + "I" + text[i + 1 :] for i in spots(text, shortest) if text[i] == "l"]
    return tricks or [text.upper() if text != text.upper() else text.lower()]


def two_slips(text: str, shortest: int) -> list[str]:
    """A character left out and, elsewhere, a neighbouring key; a sample, for all of them are too many."""
    once = sorted(omitted(text, shortest))[::3]
    return [form for one in once for form in sorted(neighbour(one, shortest))[::7]]


def slips(text: str, shortest: int) -> list[str]:
    return [form for make in (omitted, repeated, swapped, neighbour) for form in make(text, shortest)]


OWNER_CLASSES: dict[str, Callable[[str], list[str]]] = {
    "owner: omitted character": lambda o: omitted(o, 1),
    "owner: repeated character": lambda o: repeated(o, 1),
    "owner: swapped characters": lambda o: swapped(o, 1),
    "owner: neighbouring key": lambda o: neighbour(o, 1),
    "owner: homoglyph (ASCII)": lambda o: homoglyph(o, 1),
    "owner: homoglyph (Unicode)": lambda o: foreign(o, 1),
    "owner: separators": lambda o: separators(o, 1),
    "owner: affix": lambda o: affixed(o, AFFIXES),
    "owner: other word added": lambda o: [f"{o}-{word}" for word in OTHER_WORDS],
    "owner: plural": lambda o: [o + "s"],
    "owner: token order": lambda o: reordered(o, 1),
    "owner: like a domain": lambda o: [f"{o}.{d}" for d in DOMAINS] + [f"{o}-{d}" for d in DOMAINS],
    "owner: case trick": lambda o: case_trick(o, 1),
    "owner: two slips": lambda o: two_slips(o, 1),
}
NAME_CLASSES: dict[str, Callable[[str], list[str]]] = {
    "name: omitted character": lambda n: omitted(n, 4),
    "name: repeated character": lambda n: repeated(n, 4),
    "name: swapped characters": lambda n: swapped(n, 4),
    "name: neighbouring key": lambda n: neighbour(n, 4),
    "name: homoglyph (ASCII)": lambda n: homoglyph(n, 4),
    "name: separators": lambda n: separators(n, 4),
    "name: claim added": lambda n: [form for w in CLAIMS for form in (f"{n}-{w}", f"{w}-{n}")],
    "name: token order": lambda n: reordered(n, 4),
    "name: two slips": lambda n: two_slips(n, 4),
    "name: plural": lambda n: [n + "s"] if re.search("[A-Za-z]{4,}$", n) else [],
    "name: namespace confusion": lambda n: [n],
}


def squats(owners: list[str], listed: list[str], held_out: list[str], taken: set[str]) -> Iterator[Squat]:
    """One look-alike a class and target: owners of both lists, names of the product's list only.

    The last class asks what remains when only the owner can tell: a slip in it, and a model nobody knows.
    """
    for owner in owners:
        for model in UNRELATED:
            yield from _made(
                UNRELATED_KIND, f"{owner}/{model}", [f"{o}/{model}" for o in slips(owner, 1)], taken
            )
    for target in [*listed, *held_out]:
        owner, _, name = target.rpartition("/")
        for kind, make in OWNER_CLASSES.items() if owner else ():
            yield from _made(kind, target, [f"{o}/{name}" for o in make(owner)], taken)
    for target in listed:
        name = target.rpartition("/")[2]
        stranger = pick(STRANGERS, target)
        for kind, make in NAME_CLASSES.items():
            yield from _made(kind, target, [f"{stranger}/{n}" for n in make(name)], taken)
        yield from _made(BARE_KIND, target, [name if "/" in target else n for n in omitted(name, 4)], taken)


def _made(kind: str, target: str, options: list[str], taken: set[str]) -> Iterator[Squat]:
    fit = [o for o in options if o not in taken and o.rpartition("/")[0] not in taken and _an_id(o)]
    chosen = pick(fit, kind, target)
    if chosen is not None:
        yield Squat(kind, target, chosen)


def _an_id(text: str) -> bool:
    try:
        check_model_id(text if text.isascii() else "x/y")
    except UsageError:
        return False
    return True


def read_ids(path: Path) -> list[str]:
    """The ids of a data file, without comments and blank lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@dataclass(frozen=True)
class Evaluation:
    """Everything the table is printed from; ``unlisted`` is recall where only the owner is on the list."""

    by_class: dict[str, tuple[Share, Share]]
    unlisted: Share
    missed: tuple[Squat, ...]
    alarms: tuple[str, ...]
    legitimate: int
    names_per_second: float

    @property
    def recall(self) -> Share:
        """Flagged look-alikes over all classes, each look-alike counting once."""
        shares = [flagged for flagged, _ in self.by_class.values()]
        return Share(sum(s.hits for s in shares), sum(s.trials for s in shares))

    @property
    def false_positives(self) -> Share:
        """Ordinary ids that were not admitted."""
        return Share(len(self.alarms), self.legitimate)


def evaluate(policy: Policy, half: str = "report") -> Evaluation:
    """Judge the look-alikes and the ordinary ids of one half."""
    protected = policy.protected
    taken = {*protected.names, *protected.owners, *protected.reuploaders}
    legit = [one for one in read_ids(DATA / "legit.txt") if half_of(one) == half]
    taken.update(legit)
    listed = [one for one in protected.names if half_of(one) == half]
    held_out = [one for one in read_ids(DATA / "held_out_targets.txt") if half_of(one) == half]
    owners = [one for one in (*protected.owners, *protected.reuploaders) if half_of(one) == half]
    made = list(squats(owners, listed, held_out, taken))
    judge("warm/up", policy)
    start = time.perf_counter()
    verdicts = [judge(squat.model_id, policy).verdict for squat in made]
    alarms = tuple(one for one in legit if judge(one, policy).verdict is not Verdict.ADMIT)
    rate = (len(made) + len(legit)) / (time.perf_counter() - start)
    missed = tuple(s for s, verdict in zip(made, verdicts, strict=True) if verdict is Verdict.ADMIT)
    known = set(listed)
    unlisted = [v for s, v in zip(made, verdicts, strict=True) if s.target not in known]
    of_unlisted = Share(sum(v is not Verdict.ADMIT for v in unlisted), len(unlisted))
    return Evaluation(_by_class(made, verdicts), of_unlisted, missed, alarms, len(legit), rate)


def _by_class(made: list[Squat], verdicts: list[Verdict]) -> dict[str, tuple[Share, Share]]:
    table = {}
    for kind in dict.fromkeys([*OWNER_CLASSES, *NAME_CLASSES, BARE_KIND, UNRELATED_KIND]):
        mine = [verdict for squat, verdict in zip(made, verdicts, strict=True) if squat.kind == kind]
        flagged = Share(sum(v is not Verdict.ADMIT for v in mine), len(mine))
        table[kind] = flagged, Share(sum(v is Verdict.REJECT for v in mine), len(mine))
    return table


def report(found: Evaluation, half: str) -> str:
    """The table as text."""
    lines = [f"name check, {half} half", "", _row("class", "n", "recall", "95 % interval", "rejected", "")]
    for kind, (flagged, rejected) in found.by_class.items():
        missed = "bar missed" if flagged.trials and flagged.value < RECALL_BAR else ""
        lines.append(_share_row(kind, flagged, f"{rejected.value:.3f}", missed))
    recall, false = found.recall, found.false_positives
    lines += [
        "",
        _share_row("all look-alikes", recall, "", "bar missed" if recall.value < RECALL_BAR else ""),
    ]
    lines.append(_share_row("  of models not on the list", found.unlisted, "", ""))
    bar = "bar missed" if false.value > FALSE_POSITIVE_BAR else ""
    lines.append(_share_row("false positives", false, "", bar))
    lines += [f"  {one}" for one in found.alarms]
    lines += ["", f"{found.names_per_second:,.0f} names a second (one core, one process)"]
    return "\n".join(lines)


def _share_row(label: str, share: Share, rejected: str, note: str) -> str:
    low, high = share.interval()
    return _row(label, str(share.trials), f"{share.value:.4f}", f"{low:.4f}-{high:.4f}", rejected, note)


def _row(label: str, count: str, value: str, interval: str, rejected: str, note: str) -> str:
    return f"{label:<28}{count:>6}{value:>9}{interval:>17}{rejected:>10}  {note}".rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--half", choices=("report", "development"), default="report")
    parser.add_argument("--policy", default="default", help="a shipped policy's name or a file")
    parser.add_argument("--show-missed", action="store_true", help="development half only")
    options = parser.parse_args()
    found = evaluate(load_policy(options.policy), options.half)
    sys.stdout.write(report(found, options.half) + "\n")
    if options.show_missed and options.half == "development":
        sys.stdout.writelines(f"missed  {s.kind}: {s.model_id}  ({s.target})\n" for s in found.missed)


if __name__ == "__main__":
    main()
