"""The report as JSON; its schema is committed beside this file and held to the model by a test."""

from __future__ import annotations

import json
from importlib import resources

from registry_gate.report.document import Report

SCHEMA_FILE = "report.schema.json"


def render(report: Report) -> str:
    """The report as indented JSON. Non-ASCII text is escaped, so no terminal code survives in it."""
    return json.dumps(report.model_dump(mode="json"), indent=2, sort_keys=False, ensure_ascii=True) + "\n"


def schema() -> str:
    """The JSON Schema (draft 2020-12) of :class:`Report`, as committed."""
    return json.dumps(Report.model_json_schema(mode="serialization"), indent=2, sort_keys=True) + "\n"


def committed_schema() -> str:
    """The schema file that ships with the package."""
    return (resources.files("registry_gate.report") / SCHEMA_FILE).read_text(encoding="utf-8")
