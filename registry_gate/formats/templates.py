"""Chat templates: what a Jinja text would reach for beyond the conversation it is given."""

from __future__ import annotations

import re

from registry_gate.formats.shown import shown

_MAX_TEMPLATE = 1024 * 1024
_HAZARD = re.compile(
    r"__\w{1,40}"  # dunder attributes: __class__, __globals__, __subclasses__
    r"|\|\s{0,20}attr\s{0,20}\("  # attribute access by a computed name
    r"|\b(?:mro|func_globals|gi_frame|cr_frame|f_globals|_module|_TemplateReference__context)\b"
    r"|\bself\s{0,20}\.\s{0,20}_"
    r"|\\x5f|\\u005f|\\137"  # an underscore spelt so that it is not seen
    r"|\{%-?\s{0,20}(?:include|import|from|extends)\b"
)


def template_hazard(text: str) -> str | None:
    """Say what in a chat template reaches for Python's insides; None where nothing does.

    Jinja's sandbox is only as good as the renderer that uses it; an honest template needs none of these.
    """
    if len(text) > _MAX_TEMPLATE:
        return f"the template is {len(text)} characters long"
    found = _HAZARD.search(text)
    if found is None:
        return None
    start = max(0, found.start() - 30)
    return f"the template holds {shown(found.group())!r} in {shown(text[start : found.end() + 30], 120)!r}"
