"""The page: verdict first, self-contained, and nothing a candidate wrote is ever markup."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_gate.checks import RULES
from registry_gate.decision import Verdict
from registry_gate.evidence import BehaviourMeasurement
from registry_gate.report import html, plots
from registry_gate.report.document import ReasonSection, Report
from tests.report.browser import Seen, canary, opened
from tests.report.rich_evidence import HOSTILE, POWER, evidence_of, report_of

_FORBIDDEN = {"script", "img", "iframe", "object", "embed", "link", "base", "form", "a", "audio", "video"}
_OUR_ATTRIBUTES = {"class", "id", "lang", "charset", "name", "content", "http-equiv", "role", "aria-label"}
_GEOMETRY = {"viewbox", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"}


class Reader(HTMLParser):
    """What a page consists of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(report: Report | None = None) -> str:
    return html.render(report or report_of(), RULES)


def test_the_verdict_comes_first_and_everything_is_there() -> None:
    text = Reader(rendered()).text
    places = [text.index(word) for word in ("reject", "Why", "Findings", "Behaviour", "Weights", "Checks")]
    assert places == sorted(places)
    for told in ("acme/tiny-vit", "One class reaches an unusually large margin", POWER, "384 parameters"):
        assert told in text
    assert rendered().count("<svg") == 4
    assert "class 9: 9.5" in text
    assert "no probe data was given" in text


def test_nothing_refers_to_anything_outside() -> None:
    page = rendered()
    reader = Reader(page)
    assert not reader.tags & _FORBIDDEN
    assert reader.attributes <= _OUR_ATTRIBUTES | _GEOMETRY
    assert "url(" not in page
    assert "@import" not in page


def test_the_policy_allows_this_very_style_and_nothing_else() -> None:
    page = rendered()
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digest = base64.b64encode(sha256(style[1].encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri" in page


def test_a_candidate_chooses_no_markup_and_hides_nothing() -> None:
    page = rendered()
    assert "<script" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page
    assert "\\u202e" in page


@cache
def _plain() -> Reader:
    return Reader(rendered(report_of(task="t", notes=("n",))))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=60), st.sampled_from(["<!--", "</style>", "{{ 1 }}", "{% raw %}", "]]>", "'\">"]))
def test_text_stays_text_whatever_it_is(text: str, spice: str) -> None:
    hostile = f"{spice}{text}{spice}"
    reason = ReasonSection(code="x", verdict=Verdict.REJECT, message=hostile, waived_by=hostile)
    report = report_of(
        subject=hostile, reasons=(reason,), left_behind=((hostile, hostile),), notes=(hostile,), task=hostile
    )
    plain = _plain()
    spiced = Reader(rendered(report))
    assert spiced.tags == plain.tags
    assert spiced.attributes == plain.attributes


def test_a_clean_scan_is_not_called_an_admission() -> None:
    report = report_of(command="scan", verdict=Verdict.ADMIT, reasons=(), findings=())
    text = Reader(rendered(report)).text
    assert "nothing found" in text
    assert "A scan admits nothing" in text


def test_a_report_with_nothing_in_it_renders() -> None:
    bare = evidence_of(
        listing=None, facts=None, weight_set=None, staged=None, behaviour=None, results=(), snapshot=None
    )
    assert "not resolved" in Reader(rendered(report_of(bare))).text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=40))
def test_any_finite_numbers_can_be_drawn(values: list[float]) -> None:
    test = BehaviourMeasurement(
        test="strip", version=1, status="measured", per_class=tuple(values), samples={"clean": tuple(values)}
    )
    for plot in plots.of_behaviour(test):
        marks = [*plot.bars, *plot.dots]
        assert len(marks) == len(values)
        assert all(0 <= mark.x <= plots.WIDTH and 0 <= mark.y <= plot.height for mark in marks)


@dataclass(frozen=True)
class Opened:
    page: Seen
    asked: tuple[str, ...]
    control: Seen
    control_asked: tuple[str, ...]


@pytest.fixture(scope="module")
def browsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Our page with names that would fetch, and a page of the same names unescaped to show what they do."""
    folder = tmp_path_factory.mktemp("browsed")
    with canary() as (address, asked):
        trap = f"<img src='{address}/img'><script>console.error('ran'); fetch('{address}/fetch')</script>"
        page = folder / "report.html"
        page.write_text(rendered(report_of(subject=trap, notes=(trap,), left_behind=((trap, trap),))))
        control = folder / "control.html"
        control.write_text(f"<!doctype html><title>control</title>{trap}")
        seen = opened(page, folder / "profile")
        by_page = tuple(asked)
        controlled = opened(control, folder / "profile")
        yield Opened(seen, by_page, controlled, tuple(asked[len(by_page) :]))


def test_in_a_browser_hostile_names_are_text(browsed: Opened) -> None:
    reader = Reader(browsed.page.dom)
    assert not reader.tags & _FORBIDDEN
    assert "<img src=" in reader.text
    assert "console.error" in reader.text
    assert {"svg", "rect", "circle", "table", "h1"} <= reader.tags


def test_in_a_browser_nothing_is_fetched_and_nothing_is_said(browsed: Opened) -> None:
    assert browsed.asked == ()
    assert browsed.page.console == ()
    assert set(browsed.control_asked) >= {"/img", "/fetch"}
    assert browsed.control.console


def test_in_a_browser_the_style_applies(browsed: Opened, tmp_path: Path) -> None:
    """A style that its own policy refused would be reported on the console."""
    broken = rendered().replace("color-scheme: light dark", "color-scheme: dark light")
    page = tmp_path / "broken.html"
    page.write_text(broken)
    assert any("Content Security Policy" in line for line in opened(page, tmp_path / "profile").console)
    assert HOSTILE.split(">", maxsplit=1)[0].lstrip("<") in browsed.page.dom
