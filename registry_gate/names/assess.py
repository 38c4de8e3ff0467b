"""assess(): the pure function from an id and the protected list to what it imitates."""

from __future__ import annotations

from registry_gate.candidate import SourceKind, check_model_id
from registry_gate.errors import UsageError
from registry_gate.finding import Confidence, Slug
from registry_gate.names.fold import to_ascii
from registry_gate.names.index import Index, Name, build_index
from registry_gate.names.owners import compare_owner
from registry_gate.names.relation import How, Relation
from registry_gate.names.titles import compare_name, extends_legacy
from registry_gate.policy import ProtectedNames
from registry_gate.record import Record

TYPOSQUAT = "name-typosquat"
NAMESPACE = "name-namespace-confusion"
NEAR_MISS = "name-near-miss"
NOT_ASCII = "name-not-ascii"
INVALID = "name-invalid"
UNKNOWN_BARE = "name-unknown-bare"
BORROWED_OWNER = "name-borrowed-owner"

_MAX_COMPARED = 200
_SLIPS = (How.CONFUSABLE, How.EDIT)


class NameMatch(Record):
    """One rule met: what the id imitates (None when only its form is wrong), how, and how sure that is.

    ``distance`` counts single-character edits, where edits were counted; ``part`` is ``owner``, ``name`` or
    ``id``, the part of the id that is meant.
    """

    rule: Slug
    part: str
    how: How
    confidence: Confidence
    imitates: str | None = None
    distance: int | None = None


class NameAssessment(Record):
    """All that was found about one id; no matches means that it imitates nothing on the list."""

    model_id: str
    matches: tuple[NameMatch, ...] = ()

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules met, each once, in the order found."""
        return tuple(dict.fromkeys(match.rule for match in self.matches))

    @property
    def imitates(self) -> str | None:
        """The first protected id or owner that a match names."""
        return next((match.imitates for match in self.matches if match.imitates), None)


def assess(model_id: str, protected: ProtectedNames, *, kind: SourceKind = SourceKind.HUB) -> NameAssessment:
    """Say what an id imitates. Pure; takes any text and never fails on one.

    Args:
        model_id: ``owner/name`` or a bare legacy name, as asked for.
        protected: the policy's list.
        kind: a folder's name is the requester's own claim, so it may never carry a protected owner, and it
            needs no legacy name to be without owner.

    Raises:
        ToolError: ``no-edit-distance`` when no package that computes one is installed.
    """
    index = build_index(protected)
    text = model_id[:_MAX_COMPARED]
    plain = text if text.isascii() else to_ascii(text)
    matches = _compare(plain, index, kind) if len(model_id) <= _MAX_COMPARED else []
    if not model_id.isascii():
        matches = [_form(NOT_ASCII, _shown_as(plain, matches, index)), *_telling(matches)]
    elif not _valid(model_id):
        matches = [_form(INVALID, None), *_telling(matches)]
    # Lone surrogates (bytes of a command line that are no UTF-8) cannot be stored as text.
    stored = model_id.encode("utf-8", "backslashreplace").decode()
    return NameAssessment(model_id=stored, matches=tuple(matches))


def _valid(model_id: str) -> bool:
    try:
        check_model_id(model_id)
    except UsageError:
        return False
    return True


def _telling(matches: list[NameMatch]) -> list[NameMatch]:
    """The matches worth keeping beside a wrong form: those that say what it imitates."""
    return [match for match in matches if match.imitates]


def _form(rule: str, imitates: str | None) -> NameMatch:
    how = How.CONFUSABLE if imitates else How.UNKNOWN
    return NameMatch(rule=rule, part="id", how=how, confidence=Confidence.HIGH, imitates=imitates)


def _shown_as(plain: str, matches: list[NameMatch], index: Index) -> str | None:
    """What a non-ASCII id wants to be read as: a trusted id or owner, or whatever its ASCII form imitates."""
    found = next((match.imitates for match in matches if match.imitates), None)
    if found is not None:
        return found
    owner = plain.rpartition("/")[0]
    return plain if plain in index.ids or owner in index.trusted else None


def _compare(model_id: str, index: Index, kind: SourceKind) -> list[NameMatch]:
    owner, _, name = model_id.strip().rpartition("/")
    if not name:
        return []
    if not owner:
        return _bare(name, index, kind)
    if kind is SourceKind.FOLDER and owner.lower() in index.owner_lower:
        target = index.owner_lower[owner.lower()]
        return [_match(BORROWED_OWNER, "owner", Relation(target, How.SAME, Confidence.HIGH), target)]
    if owner in index.trusted:
        return _under_trusted(owner, name, index)
    relation = compare_owner(owner, name, index)
    if relation is not None:
        return [_owner_match(relation, name, index)]
    return _under_stranger(name, index)


def _owner_match(relation: Relation, name: str, index: Index) -> NameMatch:
    listed = index.name_lower.get(name.lower())
    imitates = relation.target
    if listed is not None and any(one.rpartition("/")[0] == imitates for one in listed.ids):
        imitates = listed.id_of(imitates)
    rule = NEAR_MISS if relation.how is How.CASE else TYPOSQUAT
    return _match(rule, "owner", relation, imitates)


def _under_trusted(owner: str, name: str, index: Index) -> list[NameMatch]:
    """A slip in a name below a trusted owner: the owner is right, so this asks "did you mean"."""
    found = None if owner in index.reuploaders else compare_name(name, index)
    if found is None:
        return []
    item, relation = found
    meant = item.id_of(owner)
    if not meant.startswith(f"{owner}/") or meant == f"{owner}/{name}":
        return []
    if relation.how is How.SAME:
        relation = Relation(relation.target, How.CASE, Confidence.HIGH)
    elif relation.how not in _SLIPS:
        return []
    return [_match(NEAR_MISS, "name", relation, meant)]


def _under_stranger(name: str, index: Index) -> list[NameMatch]:
    found = compare_name(name, index)
    if found is None:
        return []
    item, relation = found
    if relation.how in (How.SAME, How.SEPARATORS):
        return [_match(NAMESPACE, "id", relation, item.id_of(None))]
    return [_match(TYPOSQUAT, "name", relation, item.id_of(None))]


def _bare(name: str, index: Index, kind: SourceKind) -> list[NameMatch]:
    """Names without owner are legacy names of the hub; nobody can make a new one."""
    if name in index.ids:
        return []
    found = compare_name(name, index)
    if found is not None:
        return [_bare_match(found[0], found[1], index)]
    nearest = extends_legacy(name, index)
    if nearest is not None:
        relation = Relation(nearest.text, How.EXTENSION, Confidence.MEDIUM)
        return [_match(TYPOSQUAT, "name", relation, nearest.text)]
    if kind is SourceKind.FOLDER:
        return []
    return [NameMatch(rule=UNKNOWN_BARE, part="id", how=How.UNKNOWN, confidence=Confidence.HIGH)]


def _bare_match(item: Name, relation: Relation, index: Index) -> NameMatch:
    legacy = item.text if item.text in index.ids else None
    if relation.how is How.SAME:
        case = Relation(relation.target, How.CASE if legacy else How.NAMESPACE, Confidence.HIGH)
        return _match(NEAR_MISS if legacy else NAMESPACE, "id", case, legacy or item.id_of(None))
    sure = max(relation.confidence, Confidence.MEDIUM, key=lambda one: one.rank)
    firm = Relation(relation.target, relation.how, sure, relation.distance)
    return _match(TYPOSQUAT, "name", firm, legacy or item.id_of(None))


def _match(rule: str, part: str, relation: Relation, imitates: str) -> NameMatch:
    return NameMatch(
        rule=rule,
        part=part,
        how=relation.how,
        confidence=relation.confidence,
        imitates=imitates,
        distance=relation.distance,
    )
