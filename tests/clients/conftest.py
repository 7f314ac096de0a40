"""A fleet in the test process for the official SDKs, and what its journal saw of a test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from pydantic import BaseModel

from simulator import draws
from tests.simulator.live import Live, running


class Person(BaseModel):
    """What structured output is asked for."""

    name: str
    age: int
    hobbies: list[str]


class Seen:
    """The attempts of one case, in order."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self.entries = entries

    @property
    def statuses(self) -> list[int | None]:
        return [entry["status"] for entry in self.entries]

    @property
    def gaps_ms(self) -> list[float]:
        """From each attempt to the next."""
        arrivals = [entry["arrived_ms"] for entry in self.entries]
        return [later - earlier for earlier, later in pairwise(arrivals)]

    def header(self, name: str) -> list[str | None]:
        """The value of one header in each attempt."""
        return [dict(entry["headers"]).get(name) for entry in self.entries]


@pytest.fixture(scope="session")
def fleet() -> Iterator[Live]:
    """A fleet without a gateway before it."""
    with running() as live:
        yield live


@pytest.fixture
def case(request: pytest.FixtureRequest) -> str:
    """A case token of the test's own."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", request.node.name)
    return f"{name[:48]}.{draws.digest(request.node.nodeid).hex()[:8]}"


@pytest.fixture
def told(case: str) -> Callable[[str], str]:
    """A prompt that bears the test's case and directives: told("fault: status=500")."""

    def prompt(directive: str = "") -> str:
        return f"Hello. [[case:{case}]]" + (f" [[{directive}]]" if directive else "")

    return prompt


@pytest.fixture
def seen(fleet: Live, case: str) -> Callable[[], Seen]:
    """What the journal saw of the test so far."""
    return lambda: Seen(fleet.journal(case))
