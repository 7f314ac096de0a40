"""Charts as inline SVG, drawn by pygal and stripped of its scripts and styles: the page's stylesheet colours them.

Names never go through pygal (they may hold what XML cannot): it draws numbers, and the titles are set afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Final
from xml.etree import ElementTree

from markupsafe import Markup

from gateway.pages.figures import credits
from schemas.catalogue import UC_PER_CREDIT

SLICES: Final = 8  # of the pie: the last is all others
WIDE: Final = (560, 270, 6)  # width, height, days named
NARROW: Final = (340, 220, 3)
STEPS: Final = (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10)
DROPPED: Final = frozenset({"defs", "style", "script", "desc"})
BESIDE: Final = ("text-overlay", "tooltip-overlay", "titles", "overlay")


@cache
def _pygal() -> Any:
    """The package, without the finder for plugins that it hangs into `sys.meta_path`: it is of a form that Python left,
    and each import of something that is not there would warn of it.
    """
    import pygal  # type: ignore[import-untyped]

    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]
    return pygal


def shares(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each model cost of the whole, the dearest first; more than SLICES are put together."""
    paid = [row for row in rows if row["costUc"] > 0]
    whole = sum(row["costUc"] for row in paid)
    kept = paid if len(paid) <= SLICES else paid[: SLICES - 1]
    made = [dict(row) for row in kept]
    if len(kept) < len(paid):
        rest = paid[len(kept) :]
        sums = {name: sum(row[name] for row in rest) for name in ("costUc", "requests")}
        made.append({"model": f"{len(rest)} other models", **sums})
    return [{**row, "percent": f"{100 * row['costUc'] / whole:.1f} %"} for row in made]


def pie(rows: Sequence[Mapping[str, Any]], name: str) -> Markup:
    """A ring of the shares."""
    chart = _pygal().Pie(**_common(220, 220), inner_radius=0.64, margin=0)
    for number, row in enumerate(rows):
        chart.add("", [{"value": row["costUc"] / UC_PER_CREDIT, "label": str(number)}])
    titles = [f"{row['model']}: {credits(row['costUc'])} credits, {row['percent']}" for row in rows]
    return _drawn(chart, titles, name, "pie")


def bars(days: Sequence[Mapping[str, Any]], name: str) -> Markup:
    """The cost of each day, drawn twice: for wide pages and for narrow ones."""
    return _bars(days, name, "wide", *WIDE) + _bars(days, name, "narrow", *NARROW)


def _bars(days: Sequence[Mapping[str, Any]], name: str, cls: str, width: int, height: int, most: int) -> Markup:
    top = ceiling(max((day["costUc"] for day in days), default=0) / UC_PER_CREDIT)
    every = -(-len(days) // most) or 1
    labels = [_day(day["date"]) for day in days]
    chart = _pygal().Bar(
        **_common(width, height),
        margin=4,
        margin_bottom=22,
        margin_left=58,
        spacing=0,
        range=(0, top),
        y_labels=[0, top / 2, top],
        formatter=lambda value: f"{value:,.6f}".rstrip("0").rstrip("."),
        show_minor_x_labels=False,
        truncate_label=-1,
    )
    chart.x_labels = [str(number) for number in range(len(days))]
    chart.x_labels_major = [str(number) for number in range(0, len(days), every)]
    chart.add("", [{"value": day["costUc"] / UC_PER_CREDIT, "label": str(n)} for n, day in enumerate(days)])
    titles = [
        f"{label}: {credits(day['costUc'])} credits, {day['requests']:,} requests"
        for label, day in zip(labels, days, strict=True)
    ]
    return _drawn(chart, titles, name, f"bars {cls}", labels)


def ceiling(value: float) -> float:
    """A round number not below the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 0.000001
    while power * 10 < value:
        power *= 10
    return next(step * power for step in STEPS if step * power >= value or step == STEPS[-1])


def _common(width: int, height: int) -> dict[str, Any]:
    return {
        "js": [],
        "css": [],
        "width": width,
        "height": height,
        "show_legend": False,
        "disable_xml_declaration": True,
        "print_values": False,
    }


def _day(text: str) -> str:
    """`2026-05-09` as `9 May`."""
    day = date.fromisoformat(text)
    return f"{day.day} {day:%b}"


def _drawn(chart: Any, titles: Sequence[str], name: str, cls: str, labels: Sequence[str] = ()) -> Markup:
    root = ElementTree.fromstring(chart.render(is_unicode=True))
    view = root.get("viewBox", "")
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib.pop("style", None)
    _clean(root, titles, labels)
    root.attrib.clear()
    root.attrib |= {"viewBox": view, "class": f"chart {cls}", "role": "img", "aria-label": name}
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=False))


def _clean(element: ElementTree.Element, titles: Sequence[str], labels: Sequence[str]) -> None:
    """Leaves shapes and texts, and gives each value its title."""
    title = None
    for child in list(element):
        if child.tag == "desc" and child.get("class") == "label":
            title = titles[int(child.text or "0")]
        beside = child.get("class", "").endswith(BESIDE)
        if child.tag in DROPPED or child.tag == "title" or beside:
            element.remove(child)
        else:
            _clean(child, titles, labels)
    if element.get("class", "").startswith("axis x"):
        for text in element.iter("text"):
            text.text = labels[int(text.text or "0")]
    if title is not None:
        made = ElementTree.Element("title")
        made.text = title
        element.insert(0, made)
