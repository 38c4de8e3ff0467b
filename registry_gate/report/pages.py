"""What every page shares: the template engine, the style and its digest, and how text is spelt out.

Whatever comes from a candidate is escaped twice over: hidden and direction-changing characters are spelt out
as on the terminal, then markup is escaped by the template engine.
"""

from __future__ import annotations

import base64
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING

from registry_gate.report.escape import for_terminal

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def template(name: str) -> Template:
    """A template of this package; ``css`` and ``css_hash`` of the page's style are known in it."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, loader=FunctionLoader(_asset)
    )
    css = _asset("page.css")
    environment.globals["css"] = our_own(css)
    environment.globals["css_hash"] = f"sha256-{base64.b64encode(sha256(css.encode()).digest()).decode()}"
    return environment.get_template(name)


def _asset(name: str) -> str:
    return (resources.files("registry_gate.report") / name).read_text(encoding="utf-8")


def our_own(text: str) -> str:
    """Text that goes into a page as it is, whole: made here, never a candidate's."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - our style sheet, or a picture that we encoded


def _shown(value: object) -> object:
    """Spell out what cannot be seen; what the engine itself marked as safe is not a candidate's."""
    return for_terminal(value) if type(value) is str else value
