"""Does an owner look like a protected one? Short owners need more evidence than long ones."""

from __future__ import annotations

from registry_gate.finding import Confidence
from registry_gate.names.distance import Slip, edit_distance, slip
from registry_gate.names.fold import owner_tokens, skeleton, squeeze, words
from registry_gate.names.index import Index, Owner, core_of
from registry_gate.names.relation import How, Relation

_LONG = 7
_TWO_EDITS = 8
_SHORT = 5
_TINY = 4


def compare_owner(owner: str, name: str, index: Index) -> Relation | None:
    """Say which protected owner ``owner`` imitates; None for a trusted owner and for one that imitates none.

    Args:
        owner: the part before the slash.
        name: the part after it: a model of the imitated owner's family makes a doubtful case a clear one.
        index: the protected list.
    """
    if owner in index.trusted:
        return None
    return (
        _by_spelling(owner, index)
        or _by_affix(owner, words(name), index)
        or _by_plural(owner, index)
        or _by_distance(owner, words(name), index)
        or _by_combination(owner, words(name), index)
    )


def _by_spelling(owner: str, index: Index) -> Relation | None:
    if owner.lower() in index.owner_lower:
        return Relation(index.owner_lower[owner.lower()], How.CASE, Confidence.HIGH)
    target = index.owner_skeleton.get(skeleton(owner))
    if target is not None:
        how = How.SEPARATORS if squeeze(owner) == squeeze(target) else How.CONFUSABLE
        return Relation(target, how, Confidence.HIGH)
    target = index.owner_order.get(squeeze(owner))
    return Relation(target, How.ORDER, Confidence.HIGH) if target else None


def _by_affix(owner: str, named: frozenset[str], index: Index) -> Relation | None:
    core = core_of(owner)
    whole = index.owner_skeleton.get(skeleton(core)) if core != squeeze(owner) else None
    target = whole or index.owner_core.get(core)
    if target is None:
        return None
    if named & index.by_owner[target].family:
        return Relation(target, How.AFFIX, Confidence.HIGH)
    # An owner's name with its own affix dropped may be a common word; one put on top is a claim.
    enough = _TINY if whole else _SHORT + 1
    return Relation(target, How.AFFIX, Confidence.MEDIUM) if len(core) >= enough else None


def _by_plural(owner: str, index: Index) -> Relation | None:
    spelling = skeleton(owner)
    target = index.owner_skeleton.get(spelling[:-1]) if spelling.endswith("s") else None
    target = target or index.owner_skeleton.get(spelling + "s")
    if target is None or len(spelling) < _TINY:
        return None
    return Relation(target, How.PLURAL, Confidence.HIGH if len(spelling) > _SHORT else Confidence.MEDIUM)


def _by_distance(owner: str, named: frozenset[str], index: Index) -> Relation | None:
    typed = squeeze(owner)
    best: Relation | None = None
    for entry in index.entries:
        limit = _limit(entry)
        if abs(len(typed) - len(entry.squeezed)) > limit:
            continue
        distance = edit_distance(typed, entry.squeezed, limit)
        if distance > limit or (best is not None and best.distance is not None and distance >= best.distance):
            continue
        confidence = _edit_confidence(typed, entry, distance, bool(named & entry.family))
        if confidence is not None:
            best = Relation(entry.name, How.EDIT, confidence, distance)
    return best


def _limit(entry: Owner) -> int:
    """Two edits are looked at for long owners; for middling ones only where their family is their own."""
    return 2 if len(entry.core) >= _TWO_EDITS or (len(entry.core) > _SHORT and not entry.carries_all) else 1


def _edit_confidence(typed: str, entry: Owner, distance: int, family: bool) -> Confidence | None:
    """How sure an edit is imitation: by length, kind of slip, and whether the model is of the family."""
    if distance > 1:
        sure = Confidence.MEDIUM if len(entry.core) >= _TWO_EDITS else Confidence.LOW
        return sure if family else None
    # 'NiusResearch' is one slip in twelve letters, not in four; a core of three letters stays short.
    length = len(entry.squeezed) if len(entry.core) >= _TINY else len(entry.core)
    kind = slip(typed, entry.squeezed)
    if length < _SHORT:
        strong = kind in (Slip.SWAP, Slip.REPEAT)
        return Confidence.MEDIUM if strong or (family and length >= _TINY) else None
    if family:
        return Confidence.HIGH
    typical = kind is not None and kind.typical
    return Confidence.MEDIUM if typical or length >= _LONG else None


def _by_combination(owner: str, named: frozenset[str], index: Index) -> Relation | None:
    tokens = owner_tokens(owner)
    for entry in index.entries:
        if len(entry.squeezed) < _TINY or not named & entry.family:
            continue
        if _holds(tokens, entry.tokens) or entry.squeezed in tokens:
            return Relation(entry.name, How.COMBINED, Confidence.LOW)
    return None


def _holds(tokens: tuple[str, ...], part: tuple[str, ...]) -> bool:
    width = len(part)
    return any(tokens[start : start + width] == part for start in range(len(tokens) - width + 1))
