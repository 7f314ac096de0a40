"""The fleet's journal, read while a load runs: what every upstream call asked and was truly given.

The fleet keeps its journal in bounded memory, so a long load must be read along. Entries still in flight are
read again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from loadtests import jsonhttp
from loadtests.errors import Unmeasurable

PAGE = 500
FAR = 10**14  # a number no entry has: asking from there tells where the journal ends
Entry = dict[str, Any]


@dataclass(slots=True)
class Journal:
    """The entries of one run, as far as they were read.

    `cases` is a glob that says which entries are ours ("load7-*"); None takes every entry. The fleet is asked
    for all that is new, as it finds that faster than a glob.
    """

    control_url: str
    cases: str | None = None
    entries: dict[int, Entry] = field(default_factory=dict)  # by n
    _next: int = 0
    _pending: set[int] = field(default_factory=set)

    @property
    def pending(self) -> int:
        """How many of the entries read so far were still in flight."""
        return len(self._pending)

    def skip(self) -> None:
        """Begin with what comes from now on."""
        self._next = int(self._ask(FAR, 0)["next"])

    def read(self, wait_ms: int = 0) -> None:
        """Read what is new and what was in flight.

        Raises Unmeasurable when the fleet dropped entries before we read them.
        """
        since = min(self._pending, default=self._next)
        while True:
            page = self._ask(since, wait_ms)
            self._refuse_loss(int(page["dropped"]))
            self._take(page["entries"])
            if not page["entries"]:
                return
            since = int(page["entries"][-1]["n"]) + 1
            self._next = max(self._next, since)

    def _ask(self, since: int, wait_ms: int) -> Any:
        query = {"since": since, "limit": PAGE, "wait_ms": wait_ms or None}
        timeout_s = jsonhttp.TIMEOUT_S + wait_ms / 1000
        return jsonhttp.call("GET", f"{self.control_url}/journal", query=query, timeout_s=timeout_s)

    def _take(self, entries: list[Entry]) -> None:
        for entry in entries:
            if self.cases is not None and not fnmatchcase(str(entry["case"]), self.cases):
                continue
            n = int(entry["n"])
            self.entries[n] = entry
            if entry["ended"] == "pending":
                self._pending.add(n)
            else:
                self._pending.discard(n)

    def _refuse_loss(self, dropped: int) -> None:
        """Entries are numbered from 1 and the oldest are dropped first: those up to `dropped` are gone."""
        if dropped >= max(1, self._next) or any(n <= dropped for n in self._pending):
            raise Unmeasurable(
                f"the fleet dropped {dropped} journal entries, some before they were read: "
                "give it a larger journal or the load a lower rate"
            )
