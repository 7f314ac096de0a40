"""How often somebody may try to sign in. Pure: the time is passed in.

Attempts count before they are judged, so that many at once are no way around. One process's memory (that of many
workers: `workers/throttle.py`); bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

WINDOW_S: Final = 900
ENTRIES_MAX: Final = 100_000


class Rule(NamedTuple):
    """So many attempts in a window."""

    name: str
    most: int


ACCOUNT: Final = Rule("account", 10)
ADDRESS: Final = Rule("address", 50)
SIGN_UP: Final = Rule("sign-up", 20)  # of one address


@dataclass(slots=True)
class Tally:
    """What was counted in a window."""

    ends_s: int
    count: int = 0


class Throttle:
    """Counts attempts by (rule, whose). A window begins with the first attempt in it."""

    def __init__(self, window_s: int = WINDOW_S, entries_max: int = ENTRIES_MAX) -> None:
        self._window_s = window_s
        self._entries_max = entries_max
        self._tallies: dict[tuple[str, str], Tally] = {}  # all windows are equally long: the first to end comes first

    def __len__(self) -> int:
        return len(self._tallies)

    def attempt(self, rule: Rule, whose: str, now_s: int) -> int:
        """Counts an attempt if there is room: 0. Else after how many seconds (>= 1) there will be."""
        self._drop_expired(now_s)
        tally = self._tallies.get((rule.name, whose))
        if tally is None:
            if len(self._tallies) >= self._entries_max:
                del self._tallies[next(iter(self._tallies))]
            tally = self._tallies[rule.name, whose] = Tally(now_s + self._window_s)
        if tally.count >= rule.most:
            return max(1, tally.ends_s - now_s)
        tally.count += 1
        return 0

    def forget(self, rule: Rule, whose: str) -> None:
        """Forgets what was counted: the attempt was good."""
        self._tallies.pop((rule.name, whose), None)

    def _drop_expired(self, now_s: int) -> None:
        tallies = self._tallies
        while tallies:
            first = next(iter(tallies))
            if tallies[first].ends_s > now_s:
                return
            del tallies[first]
