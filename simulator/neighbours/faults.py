"""What goes wrong with a neighbour: kinds as rows of data, and which of them are in force for whom.

A row says where it bites (`at`), what it does there (`does`, for the neighbour to read) and which of its numbers and
texts may be chosen (`options`). A fault in force hits the requests of its case, or all, `times` times at each place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

import yaml

from simulator.faults import Flaw, Flawed

FILE: Final = Path(__file__).with_name("faults.yaml")
NEIGHBOURS: Final = ("mail", "oidc", "saml", "hooks")
IN_FORCE_MAX: Final = 1000  # faults of one neighbour
NUMBER_MAX: Final = 10_000_000
TEXT_MAX: Final = 4000
COMMON: Final = ("kind", "case", "times")


@dataclass(frozen=True, slots=True)
class Kind:
    """One row."""

    neighbour: str
    name: str
    summary: str
    at: tuple[str, ...]
    options: Mapping[str, Any]  # with their defaults
    does: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As the control API lists it."""
        return {"kind": self.name, "summary": self.summary, "at": list(self.at), "options": dict(self.options)}


@cache
def kinds() -> Mapping[str, Mapping[str, Kind]]:
    """Every kind, by neighbour and name, in the order of the file."""
    data = yaml.safe_load(FILE.read_text("utf-8"))
    return {
        neighbour: {
            name: Kind(
                neighbour,
                name,
                row["summary"],
                (row["at"],) if isinstance(row["at"], str) else tuple(row["at"]),
                row.get("options", {}),
                row.get("does", {}),
            )
            for name, row in data[neighbour].items()
        }
        for neighbour in NEIGHBOURS
    }


@dataclass(slots=True)
class InForce:
    """A fault that is on."""

    id: str
    kind: Kind
    options: Mapping[str, Any]  # of the kind, those chosen over the defaults
    case: str | None
    times: int | None  # at each place; None: always
    hits: dict[str, int] = field(default_factory=dict)  # by place

    def __getitem__(self, option: str) -> Any:
        return self.options[option]

    @property
    def does(self) -> Mapping[str, Any]:
        """What it does."""
        return self.kind.does

    def fits(self, place: str, case: str | None) -> bool:
        """Whether it hits a request of that case at that place."""
        spent = self.times is not None and self.hits.get(place, 0) >= self.times
        return place in self.kind.at and self.case in (None, case) and not spent

    def as_json(self) -> dict[str, Any]:
        """As it was put, with its id and how often it hit."""
        chosen = {name: value for name, value in self.options.items() if value != self.kind.options[name]}
        common = {"case": self.case, "times": self.times}
        told = {name: value for name, value in common.items() if value is not None}
        return {"id": self.id, "kind": self.kind.name, **told, **chosen, "hits": sum(self.hits.values())}


class Faults:
    """Those in force at one neighbour, the first put first."""

    def __init__(self, neighbour: str) -> None:
        self._kinds = kinds()[neighbour]
        self._numbers = count(1)
        self._rows: list[InForce] = []

    def at(self, place: str, case: str | None) -> list[InForce]:
        """Those that hit a request now; each hit is counted."""
        found = [row for row in self._rows if row.fits(place, case)]
        for row in found:
            row.hits[place] = row.hits.get(place, 0) + 1
        return found

    def add(self, data: Sequence[Any], *, alone: bool = False) -> list[str]:
        """Put these in force, besides what is or `alone`; returns their ids. Raises Flawed, changing nothing."""
        flaws: list[Flaw] = []
        rows: list[InForce] = []
        for at, raw in enumerate(data):
            try:
                rows.append(self._read(raw, f"faults[{at}]"))
            except Flawed as error:
                flaws += error.flaws
        if len(rows) + (0 if alone else len(self._rows)) > IN_FORCE_MAX:
            flaws.append(Flaw("faults", f"{len(rows)} more", f"at most {IN_FORCE_MAX} in force"))
        if flaws:
            raise Flawed(flaws)
        self._rows = rows if alone else [*self._rows, *rows]
        return [row.id for row in rows]

    def _read(self, raw: Any, where: str) -> InForce:
        if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str):
            raise Flawed([Flaw(where, repr(raw)[:80], "an object with a kind")])
        kind = self._kinds.get(raw["kind"].replace("-", "_"))
        if kind is None:
            raise Flawed([Flaw(f"{where}.kind", repr(raw["kind"]), f"one of {', '.join(self._kinds)}")])
        flaws = list(_flaws(raw, kind, where))
        if flaws:
            raise Flawed(flaws)
        options = {name: raw.get(name, default) for name, default in kind.options.items()}
        return InForce(f"{kind.neighbour}-{next(self._numbers)}", kind, options, raw.get("case"), raw.get("times"))

    def remove(self, fault_id: str | None = None) -> bool:
        """Take one off, or all; whether there was one."""
        kept = [row for row in self._rows if fault_id is not None and row.id != fault_id]
        found, self._rows = len(kept) < len(self._rows), kept
        return found

    def keys(self) -> Iterator[str]:
        """The keys, besides the usual one, that those in force sign with."""
        return (str(row.does["key"]) for row in self._rows if "key" in row.does)

    def as_json(self) -> list[dict[str, Any]]:
        """All of them."""
        return [row.as_json() for row in self._rows]


def _flaws(raw: Mapping[str, Any], kind: Kind, where: str) -> Iterator[Flaw]:
    for name, value in raw.items():
        if name == "times":
            if not _whole(value) or value < 1:
                yield Flaw(f"{where}.times", repr(value), "a whole number >= 1")
        elif name == "case":
            if not isinstance(value, str) or not 0 < len(value) <= 200:
                yield Flaw(f"{where}.case", repr(value)[:80], "a text")
        elif name in kind.options:
            if isinstance(kind.options[name], str):
                if not isinstance(value, str) or len(value) > TEXT_MAX or "\r" in value or "\n" in value:
                    yield Flaw(f"{where}.{name}", repr(value)[:80], f"one line of at most {TEXT_MAX} characters")
            elif not _whole(value) or not 0 <= value <= NUMBER_MAX:
                yield Flaw(f"{where}.{name}", repr(value)[:80], f"a whole number from 0 to {NUMBER_MAX}")
            elif (name == "status" and not 200 <= value <= 599) or (name == "code" and not 400 <= value <= 599):
                yield Flaw(f"{where}.{name}", repr(value), "a status that such a reply can have")
        elif name != "kind":
            yield Flaw(f"{where}.{name}", "an unknown key", f"one of {', '.join([*COMMON, *kind.options])}")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
