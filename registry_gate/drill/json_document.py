"""The after-action report as JSON; its schema lies beside this file and a test holds it to the model."""

from __future__ import annotations

import json
from importlib import resources

from registry_gate.drill.document import DrillReport

SCHEMA_FILE = "drill.schema.json"


def render(report: DrillReport) -> str:
    """The report as indented JSON; non-ASCII text is escaped, so no terminal code survives in it."""
    return json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=True) + "\n"


def schema() -> str:
    """The JSON Schema (draft 2020-12) of :class:`DrillReport`, as committed."""
    return json.dumps(DrillReport.model_json_schema(mode="serialization"), indent=2, sort_keys=True) + "\n"


def committed_schema() -> str:
    """The schema file that ships with the package."""
    return (resources.files("registry_gate.drill") / SCHEMA_FILE).read_text(encoding="utf-8")
