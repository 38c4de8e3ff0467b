"""Does a model's name (the part after the slash) look like a protected one?

Names that differ in a version, a size, a quantisation, a language or a word of the trade are other models
(``bert-base-cased`` beside ``-uncased``, ``7B`` beside ``70B``), not slips: most of this file sees to that.
"""

from __future__ import annotations

from registry_gate.finding import Confidence
from registry_gate.names.distance import Slip, edit_distance, slip
from registry_gate.names.fold import digits, runs, skeleton, squeeze
from registry_gate.names.index import Index, Name
from registry_gate.names.relation import How, Relation
from registry_gate.names.words import NAME_AFFIXES, NAME_CLAIMS

_LONG_WORD = 8
_SURE_WORD = 5
_SHORT_WORD = 3
_LONG_NAME = 12
_SINGLE_WORD_NAME = 8
_PLAIN_SKELETON = 4


def compare_name(name: str, index: Index) -> tuple[Name, Relation] | None:
    """The protected name that ``name`` is or resembles, and how; None when it resembles none."""
    return (
        _by_spelling(name, index) or _by_order(name, index) or _by_affix(name, index) or _by_edit(name, index)
    )


def extends_legacy(name: str, index: Index) -> Name | None:
    """The nearest legacy name among those that a name without owner continues; None when it continues none.

    Only the hub can make names without owner, so one that continues a known one pretends to be its sibling.
    """
    parts = runs(name)
    roots = [item for item in index.bare if len(item.parts) > 1 and parts[: len(item.parts)] == item.parts]
    if not roots:
        return None
    root = max(roots, key=lambda item: len(item.parts)).parts
    siblings = [item for item in index.bare if item.parts[: len(root)] == root]
    return min(siblings, key=lambda item: edit_distance(name.lower(), item.text.lower(), len(name)))


def _by_spelling(name: str, index: Index) -> tuple[Name, Relation] | None:
    found = index.name_lower.get(name.lower())
    if found is not None:
        return found, Relation(found.text, How.SAME, Confidence.HIGH)
    found = index.name_skeleton.get(skeleton(name))
    if found is None or len(found.squeezed) < _PLAIN_SKELETON:
        return None
    if squeeze(name) != found.squeezed:
        return found, Relation(found.text, How.CONFUSABLE, Confidence.HIGH)
    if digits(runs(name)) != digits(found.parts):
        return None  # 'Qwen2-7B' and 'Qwen-27B' squeeze to one text and are two sizes
    return found, Relation(found.text, How.SEPARATORS, Confidence.HIGH)


def _by_order(name: str, index: Index) -> tuple[Name, Relation] | None:
    parts = runs(name)
    found = index.name_order.get(tuple(sorted(parts)))
    if found is None or parts == found.parts or _single_letters_moved(parts, found.parts):
        return None
    return found, Relation(found.text, How.ORDER, Confidence.LOW)


def _single_letters_moved(parts: tuple[str, ...], target: tuple[str, ...]) -> bool:
    """True when words kept their order and only numbers or single letters moved (``L6-v2``, ``v2-L6``)."""
    return [p for p in parts if len(p) > 1 and not p.isdigit()] == [
        p for p in target if len(p) > 1 and not p.isdigit()
    ]


def _by_affix(name: str, index: Index) -> tuple[Name, Relation] | None:
    tokens = [token for token in name.lower().replace("_", "-").split("-") if token]
    if not tokens:
        return None
    for affixes, confidence in ((NAME_CLAIMS, Confidence.MEDIUM), (NAME_AFFIXES, Confidence.LOW)):
        front = tokens[1:] if tokens[0] in affixes else []
        back = tokens[:-1] if tokens[-1] in affixes else []
        for rest in (front, back):
            found = index.name_skeleton.get(skeleton("".join(rest))) if rest else None
            if found is not None and len(found.squeezed) >= _PLAIN_SKELETON:
                return found, Relation(found.text, How.AFFIX, confidence)
    return None


def _by_edit(name: str, index: Index) -> tuple[Name, Relation] | None:
    parts = runs(name)
    squeezed = squeeze(name)
    best: tuple[Name, Relation] | None = None
    for item in index.name_digits.get(digits(parts), ()):
        if abs(len(squeezed) - len(item.squeezed)) > 2:
            continue
        distance = edit_distance(squeezed, item.squeezed, 2)
        if distance > 2 or (best is not None and distance >= (best[1].distance or 0)):
            continue
        confidence = _edit_confidence(parts, squeezed, item, index.known)
        if confidence is not None:
            best = item, Relation(item.text, How.EDIT, confidence, distance)
    return best


def _edit_confidence(
    parts: tuple[str, ...], squeezed: str, item: Name, known: frozenset[str]
) -> Confidence | None:
    if len(parts) != len(item.parts):
        return _respaced(parts, squeezed, item)
    changed = [(typed, meant) for typed, meant in zip(parts, item.parts, strict=True) if typed != meant]
    if any(typed.isdigit() or meant.isdigit() or typed in known for typed, meant in changed):
        return None
    if len(changed) == 1:
        return _word_confidence(*changed[0], item)
    both = len(changed) == 2 and all(
        len(meant) > _SHORT_WORD and slip(typed, meant) for typed, meant in changed
    )
    return Confidence.MEDIUM if both else None


def _word_confidence(typed: str, meant: str, item: Name) -> Confidence | None:
    """How sure one changed word is a slip: long words are, short ones only inside long names."""
    kind = slip(typed, meant)
    if kind is None:
        two = edit_distance(typed, meant, 2) == 2 and len(meant) >= _LONG_WORD
        return Confidence.MEDIUM if two else None
    if len(item.parts) == 1 and len(meant) < _SINGLE_WORD_NAME:
        return Confidence.MEDIUM if kind in (Slip.SWAP, Slip.REPEAT) else None
    if len(meant) >= _SURE_WORD:
        return Confidence.HIGH
    if len(meant) > _SHORT_WORD:
        return Confidence.MEDIUM
    long_enough = len(item.squeezed) >= _LONG_NAME or kind in (Slip.SWAP, Slip.REPEAT)
    return Confidence.LOW if len(meant) == _SHORT_WORD and long_enough else None


def _respaced(parts: tuple[str, ...], squeezed: str, item: Name) -> Confidence | None:
    """A separator moved and one letter changed; tokens of one or two letters must be the same in both."""
    if len(item.squeezed) < _LONG_NAME or edit_distance(squeezed, item.squeezed, 1) > 1:
        return None
    short = sorted(part for part in parts if len(part) < _SHORT_WORD)
    same = short == sorted(part for part in item.parts if len(part) < _SHORT_WORD)
    return Confidence.MEDIUM if same else None
