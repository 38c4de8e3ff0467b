"""An inventory as text, CSV and CycloneDX 1.6."""

from __future__ import annotations

import csv
import io
import json
from uuid import NAMESPACE_URL, uuid5

from registry_gate import version
from registry_gate.enforce.inventory import Inventory, UsedModel
from registry_gate.errors import ToolError
from registry_gate.report.escape import for_terminal

_COLUMNS = (
    "id", "owner", "source", "commit", "asked", "licence", "verdict", "policy", "decided_at", "age_days",
    "signature", "expires_at", "revoked", "reason", "instead", "places", "on_road",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_text(found: Inventory) -> str:
    """One model a line, then the sums."""
    lines = [line for model in found.models for line in _lines(model)]
    lines += [f"note: {note.path}: {note.message}" for note in found.notes[:20]]
    rate = (
        "no loads" if found.adoption is None else f"{found.adoption:.0%} of {found.loads} loads on the road"
    )
    lines.append(
        f"{len(found.models)} models, {found.untracked} untracked, {found.revoked} revoked, "
        f"{found.unnamed_loads} loads whose model is not told, in {found.files} files; adoption: {rate}; "
        f"{found.log}"
    )
    return "".join(for_terminal(line) + "\n" for line in lines)


def _lines(model: UsedModel) -> list[str]:
    commit = model.commit[:12] if model.commit else "-"
    age = f"{model.age_days} d" if model.age_days is not None else "-"
    first = (
        f"{model.standing.value:<10} {model.id}  commit {commit}  age {age}  licence {model.licence or '-'}  "
        f"signature {model.signature}  {len(model.places)} places"
    )
    if not model.reason:
        return [first]
    instead = model.instead or "nothing of it is admitted now"
    return [first, f"    why      {model.reason}", f"    instead  {instead}"]


def as_csv(found: Inventory) -> str:
    """A table; no cell can be taken for a formula by a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for model in found.models:
        writer.writerow([_cell(text) for text in _row(model)])
    return out.getvalue()


def _row(model: UsedModel) -> tuple[str, ...]:
    return (
        model.id,
        model.owner,
        model.source,
        model.commit or "",
        " ".join(model.asked),
        model.licence or "",
        model.standing.value,
        model.policy or "",
        model.decided_at.isoformat() if model.decided_at else "",
        "" if model.age_days is None else str(model.age_days),
        model.signature,
        model.expires_at.isoformat() if model.expires_at else "",
        "yes" if model.revoked else "no",
        model.reason,
        model.instead or "",
        " ".join(f"{place.path}:{place.line}" for place in model.places),
        str(sum(place.on_road for place in model.places)),
    )


def _cell(text: str) -> str:
    shown = for_terminal(text, 2000)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def as_cyclonedx(found: Inventory) -> str:
    """A CycloneDX 1.6 document, validated strictly before it is handed out.

    Raises:
        ToolError: ``bad-bom``: the document would not be valid; nothing is handed out.
    """
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, found.digest())}",
        "version": 1,
        "metadata": _metadata(found),
        "components": [_component(model) for model in found.models],
    }
    text = json.dumps(document, indent=2) + "\n"
    _validate(text)
    return text


def _metadata(found: Inventory) -> dict[str, object]:
    tool = {"type": "application", "name": "registry-gate", "version": version.VERSION}
    figures = {
        "loads": found.loads,
        "loads-on-road": found.loads_on_road,
        "unnamed-loads": found.unnamed_loads,
        "untracked-models": found.untracked,
        "revoked-models": found.revoked,
        "adoption": "" if found.adoption is None else found.adoption,
    }
    return {
        "timestamp": found.made_at.isoformat(),
        "tools": {"components": [tool]},
        "properties": [_property(name, value) for name, value in figures.items()],
    }


def _component(model: UsedModel) -> dict[str, object]:
    owner, _, name = model.id.rpartition("/")
    component: dict[str, object] = {
        "type": "machine-learning-model",
        "bom-ref": f"model:{model.id}",
        "name": name,
        "modelCard": {},
        "properties": [
            _property("standing", model.standing.value),
            _property("signature", model.signature),
            _property("age-days", "" if model.age_days is None else model.age_days),
            _property("policy", model.policy or ""),
            _property("revoked", "yes" if model.revoked else "no"),
            _property("reason", model.reason),
            _property("instead", model.instead or ""),
            *[_property("asked-revision", revision) for revision in model.asked],
        ],
        "evidence": {"occurrences": [{"location": place.path, "line": place.line} for place in model.places]},
    }
    if owner:
        component["group"] = owner
    if model.commit:
        component["version"] = model.commit
        component["purl"] = f"pkg:huggingface/{model.id}@{model.commit}"
    if model.licence:
        component["licenses"] = [{"license": {"name": model.licence}}]
    return component


def _property(name: str, value: object) -> dict[str, str]:
    return {"name": f"registry-gate:{name}", "value": str(value)}


def _validate(text: str) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise ToolError("bad-bom", f"the bill of materials is not valid: {str(problem)[:300]}")
