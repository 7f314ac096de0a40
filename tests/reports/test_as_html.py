"""The page: well-formed, self-contained, and deaf to what a hostile gateway says."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest

from reports.as_html import OPEN_REQUIREMENTS_MAX, render_html
from reports.kill_matrix import KillMatrix, MutantResult, render_matrix
from reports.model import SEVERITY, Run, State
from tests.reports.conftest import Build
from tests.reports.sample import check, finished, requirement, started

VOID = {"meta", "link", "input", "br", "hr", "img"}
FETCHING = {"src", "srcset", "action", "formaction", "poster", "data", "background", "ping", "manifest"}
HOSTILE = "</script></pre><script>alert(1)</script><img src=x onerror=alert(2)>\"' onload='x' {{ 7*7 }} <!-- & \x00"


@dataclass
class Element:
    """One element with its text."""

    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def walk(self) -> Any:
        yield self
        for child in self.children:
            yield from child.walk()

    def all(self, tag: str, of_class: str = "") -> list[Element]:
        return [e for e in self.walk() if e.tag == tag and (not of_class or of_class in e.classes)]

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    @property
    def content(self) -> str:
        return self.text + "".join(child.content for child in self.children)


class Tree(HTMLParser):
    """Builds elements, and insists that every one is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Element("#root", {})
        self.open = [self.root]
        self.feed(page)
        self.close()
        assert self.open == [self.root], f"left open: {[e.tag for e in self.open]}"
        for element in list(self.root.walk()):
            if element.tag == "script" and element.attributes.get("type") == "text/plain":
                unfold(element)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].text += data


def unfold(kept: Element) -> None:
    """Make elements of the text that the page keeps for a folded check, as its script does."""
    assert not re.search("<!--|<script", kept.text), "such text would swallow the rest of the page"
    kept.tag, kept.children, kept.text = "kept", Tree(kept.text).root.children, ""


def page_of(run: Run) -> Element:
    return Tree(render_html(run)).root


def hostile_log() -> list[dict[str, Any]]:
    lanes = [{"at_ms": 1, "lane": lane, "title": HOSTILE, "detail": HOSTILE * 3} for lane in ("client", HOSTILE)]
    facts = {"message": f"{HOSTILE}\n{HOSTILE}", "lanes": lanes, "curl": [HOSTILE], "waiver_reason": HOSTILE}
    target = {
        "name": HOSTILE,
        "base_urls": {HOSTILE: "javascript:alert(3)"},
        "policies": {HOSTILE: HOSTILE},
        "features": [HOSTILE],
    }
    about = {"text": HOSTILE, "source": HOSTILE, "area": HOSTILE, "feature": HOSTILE, "level": HOSTILE}
    row = requirement("BIL-001", **about, needs=[HOSTILE], broken_by=[HOSTILE])
    words = ("fail", "pass")
    checks = [check(f"BIL-001/{HOSTILE}[{word}{HOSTILE}]", word, requirement="BIL-001", **facts) for word in words]
    note = {"event": "note", "text": HOSTILE}
    stale = {"event": "waivers", "stale": [{"id": HOSTILE, "reason": HOSTILE, "expires": HOSTILE}]}
    first = started(
        target=target, profile=HOSTILE, version=HOSTILE, started_at=HOSTILE, argv=[HOSTILE, "--target", HOSTILE]
    )
    return [first, row, *checks, note, stale, finished(1)]


def test_each_requirement_and_check_is_there(run: Run) -> None:
    page = page_of(run)
    ids = [found.attributes["id"] for found in page.all("details", "requirement")]
    assert sorted(ids) == sorted(row.id for row in run.requirements)
    assert len(page.all("details", "check")) == len(run.checks)
    text = page.content
    for row in run.requirements:
        assert row.text in text


def test_failing_requirements_come_first_and_open(run: Run) -> None:
    found = page_of(run).all("details", "requirement")
    states = [element.classes[1] for element in found]
    ranks = [SEVERITY[State(state)] for state in states]
    assert [rank <= SEVERITY[State.STALE] for rank in ranks] == sorted(
        (rank <= SEVERITY[State.STALE] for rank in ranks), reverse=True
    )
    assert ["open" in element.attributes for element in found] == [rank < SEVERITY[State.PASS] for rank in ranks]


def test_the_first_failure_shows_its_transcript(run: Run) -> None:
    first = page_of(run).all("details", "requirement")[0].all("details", "check")[0]
    assert "open" in first.attributes
    assert len(first.all("li", "moment")) == 10
    assert {lane for row in first.all("div", "track") for lane in row.classes[1:]} == {"client", "upstream", "ledger"}
    assert "curl -N" in first.content


def test_many_failures_start_folded(build: Build) -> None:
    count = OPEN_REQUIREMENTS_MAX + 1
    checks = [check(f"BIL-{n:03}/a", "fail", message="no") for n in range(count)]
    page = page_of(build([started(), *checks, finished(1)]))
    assert all("open" in found.attributes for found in page.all("details", "requirement"))
    assert not any("open" in found.attributes for found in page.all("details", "check"))


def test_header_shows_verdict_target_counts_duration_and_seed(run: Run) -> None:
    header = page_of(run).all("header")[0].content
    for due in ("Not conformant", "acme-gateway", "116", "40", "41.8 s", "hypereal", "2026-11-22 18:45:03 UTC"):
        assert due in header
    assert re.search(r"Seed\s*7", header)


def test_there_is_a_filter_for_each_state_and_area(run: Run) -> None:
    page = page_of(run)
    assert {chip.attributes["data-state"] for chip in page.all("button", "chip")} == {
        state.value for state, count in run.statistics.checks.items() if count
    }
    assert {tile.attributes["data-area"] for tile in page.all("button", "area")} == {
        area for area, found in run.areas.items() if found.checks_total
    }
    assert page.all("input")[0].attributes["type"] == "search"


@pytest.mark.parametrize("kind", ["sample", "hostile", "matrix"])
def test_nothing_is_fetched(kind: str, run: Run, build: Build) -> None:
    page = {
        "sample": lambda: render_html(run),
        "hostile": lambda: render_html(build(hostile_log())),
        "matrix": lambda: render_matrix(KillMatrix((MutantResult(HOSTILE, HOSTILE, (HOSTILE,), (HOSTILE,)),))),
    }[kind]()
    for element in Tree(page).root.walk():
        assert element.tag not in ("iframe", "object", "embed", "base", "img", "form"), element.tag
        assert not FETCHING & element.attributes.keys(), element.attributes
        assert not any(name.startswith("on") for name in element.attributes), element.attributes
        href = element.attributes.get("href", "#")
        assert href.startswith("#") or href == "data:,", href
        if element.tag == "style":
            assert not re.search(r"url\(|@import|https?:", element.content)
        if element.tag == "script":
            assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(", element.content)


def test_the_policy_allows_our_script_and_no_other(run: Run) -> None:
    page = page_of(run)
    scripts = page.all("script")
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].content.encode()).digest()).decode()
    policy = next(m.attributes["content"] for m in page.all("meta") if "http-equiv" in m.attributes)
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_hostile_text_is_shown_as_text(build: Build) -> None:
    run = build(hostile_log())
    page = page_of(run)
    assert len(page.all("script")) == 1
    assert "alert(" not in page.all("script")[0].content
    assert not page.all("img")
    assert "{{ 7*7 }}" in page.content
    assert "49" not in page.all("h1")[0].content
    shown = HOSTILE.replace("\x00", "\ufffd")
    moments = page.all("li", "moment")
    assert all(HOSTILE in m.content or shown in m.content for m in moments)
    assert len(moments) == 4


def test_long_details_are_cut_and_say_so(build: Build) -> None:
    lanes = [{"at_ms": 0, "lane": "client", "title": "body", "detail": "x" * 1_000_000}]
    checks = [check("BIL-001/a", "fail", lanes=lanes), check("BIL-001/b", "pass", lanes=lanes)]
    page = render_html(build([started(), *checks, finished(1)]))
    assert len(page) < 200_000
    assert "994,000 more characters in events.ndjson" in page


def test_every_icon_is_defined(run: Run) -> None:
    page = page_of(run)
    known = {"#" + symbol.attributes["id"] for symbol in page.all("symbol")}
    used = {use.attributes["href"] for use in page.all("use")}
    assert used <= known
    assert {f"#i-{state.value}" for state in State} <= known


def test_ids_are_unique(run: Run) -> None:
    ids = [e.attributes["id"] for e in page_of(run).walk() if "id" in e.attributes]
    assert len(ids) == len(set(ids))


def test_a_run_without_anything_still_renders(build: Build) -> None:
    assert "Incomplete" in page_of(build([started()])).all("h1")[0].content
