"""The protected list, indexed once, so that one comparison costs tens of microseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import permutations

from registry_gate.names.fold import digits, owner_tokens, runs, skeleton, squeeze, words
from registry_gate.names.words import (
    GENERIC,
    GLUED_AFFIXES,
    GLUED_SHORT_AFFIXES,
    KNOWN,
    OWNER_AFFIXES,
)
from registry_gate.policy import ProtectedNames

_MAX_TOKENS = 3
_GLUED_CORE = 4
_GLUED_SHORT_CORE = 6


@dataclass(frozen=True)
class Owner:
    """One protected owner: its squeezed spelling, its core without affixes, the words of its models.

    ``carries_all`` marks a re-uploader: models of every family are expected there.
    """

    name: str
    squeezed: str
    core: str
    tokens: tuple[str, ...]
    family: frozenset[str]
    carries_all: bool = False


@dataclass(frozen=True)
class Name:
    """One protected model name (the part after the slash) with every id that carries it."""

    text: str
    ids: tuple[str, ...]
    parts: tuple[str, ...]
    squeezed: str

    def id_of(self, owner: str | None) -> str:
        """The id under ``owner`` where there is one, else the first with an owner, else the bare name."""
        mine = [one for one in self.ids if owner is not None and one.rpartition("/")[0] == owner]
        owned = [one for one in self.ids if "/" in one]
        return (mine or owned or list(self.ids))[0]


@dataclass(frozen=True)
class Index:
    """Every way to look a text up that needs no search."""

    owners: frozenset[str]
    reuploaders: frozenset[str]
    ids: frozenset[str]
    entries: tuple[Owner, ...]
    owner_lower: dict[str, str]
    owner_skeleton: dict[str, str]
    owner_core: dict[str, str]
    owner_order: dict[str, str]
    name_lower: dict[str, Name]
    name_skeleton: dict[str, Name]
    name_order: dict[tuple[str, ...], Name]
    name_digits: dict[tuple[str, ...], tuple[Name, ...]]
    bare: tuple[Name, ...]
    known: frozenset[str]
    by_owner: dict[str, Owner] = field(default_factory=dict)

    @property
    def trusted(self) -> frozenset[str]:
        """Owners and re-uploaders."""
        return self.owners | self.reuploaders


def core_of(owner: str) -> str:
    """An owner's spelling without separators and affixes: ``mistralai``, ``the-mistral-hub`` give mistral.

    An affix that is a token of its own always goes; one written together with the rest, when enough is left.
    """
    tokens = list(owner_tokens(owner)) or [squeeze(owner)]
    while len(tokens) > 1 and tokens[0] in OWNER_AFFIXES:
        tokens = tokens[1:]
    while len(tokens) > 1 and tokens[-1] in OWNER_AFFIXES:
        tokens = tokens[:-1]
    text = "".join(tokens)
    text = _unglue(text, GLUED_AFFIXES, _GLUED_CORE)
    return _unglue(text, GLUED_SHORT_AFFIXES, _GLUED_SHORT_CORE)


def _unglue(text: str, affixes: tuple[str, ...], left: int) -> str:
    for affix in affixes:
        if text.endswith(affix) and len(text) - len(affix) >= left:
            return text[: -len(affix)]
        if text.startswith(affix) and len(text) - len(affix) >= left:
            return text[len(affix) :]
    return text


@lru_cache(maxsize=8)
def build_index(protected: ProtectedNames) -> Index:
    """Index a protected list; the list is frozen, so the index is kept for the next call."""
    names = _names(protected)
    vocabulary = frozenset().union(*(words(name.text) for name in names))
    entries = _owners(protected, names)
    lower = {owner.name.lower(): owner.name for owner in entries}
    return Index(
        owners=frozenset(protected.owners),
        reuploaders=frozenset(protected.reuploaders),
        ids=frozenset(protected.names),
        entries=entries,
        owner_lower=lower,
        owner_skeleton={skeleton(owner.name): owner.name for owner in entries},
        owner_core={owner.core: owner.name for owner in reversed(entries)},
        owner_order={spelling: owner.name for owner in entries for spelling in _orders(owner)},
        name_lower={name.text.lower(): name for name in names},
        name_skeleton={skeleton(name.text): name for name in names},
        name_order={tuple(sorted(name.parts)): name for name in names},
        name_digits=_by_digits(names),
        bare=tuple(name for name in names if any("/" not in one for one in name.ids)),
        known=vocabulary | KNOWN,
        by_owner={owner.name: owner for owner in entries},
    )


def _names(protected: ProtectedNames) -> tuple[Name, ...]:
    ids: dict[str, list[str]] = {}
    for model_id in protected.names:
        ids.setdefault(model_id.rpartition("/")[2].lower(), []).append(model_id)
    found = []
    for same in ids.values():
        text = same[0].rpartition("/")[2]
        found.append(Name(text=text, ids=tuple(same), parts=runs(text), squeezed=squeeze(text)))
    return tuple(found)


def _owners(protected: ProtectedNames, names: tuple[Name, ...]) -> tuple[Owner, ...]:
    families: dict[str, set[str]] = {}
    for name in names:
        for model_id in name.ids:
            families.setdefault(model_id.rpartition("/")[0], set()).update(words(name.text) - GENERIC)
    everything = frozenset().union(*families.values()) if families else frozenset()
    own = {owner: frozenset(families.get(owner, ())) | (words(owner) - GENERIC) for owner in protected.owners}
    return tuple(_owner(name, family, carries_all=False) for name, family in own.items()) + tuple(
        _owner(name, everything, carries_all=True) for name in protected.reuploaders
    )


def _owner(name: str, family: frozenset[str], *, carries_all: bool) -> Owner:
    return Owner(name, squeeze(name), core_of(name), owner_tokens(name), family, carries_all)


def _orders(owner: Owner) -> list[str]:
    if not 1 < len(owner.tokens) <= _MAX_TOKENS:
        return []
    spellings = {"".join(order) for order in permutations(owner.tokens)}
    return sorted(spellings - {owner.squeezed})


def _by_digits(names: tuple[Name, ...]) -> dict[tuple[str, ...], tuple[Name, ...]]:
    grouped: dict[tuple[str, ...], list[Name]] = {}
    for name in names:
        grouped.setdefault(digits(name.parts), []).append(name)
    return {key: tuple(same) for key, same in grouped.items()}
