"""Where requests to neighbours come in: each is read, answered by who keeps the neighbours, and the answer played."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from uvicorn._types import ASGIReceiveCallable

from simulator.clock import Clock
from simulator.journal import Entry, Outcome
from simulator.lateness import Lateness
from simulator.neighbours.asked import Answer, Asked, json_answer
from simulator.neighbours.neighbourhood import Neighbourhood, failed, is_ours
from simulator.player import Player
from simulator.rules.selectors import Subject
from simulator.wire import PeerGone, TooLarge, Wire

BODY_BYTES_MAX: Final = 4 << 20
NOBODY: Final = Subject("", "", "", None, None, False, "", "", "", None, "")

log = logging.getLogger(__name__)


class Door:
    """The neighbours over HTTP. `ask` may be put in place of one's own neighbours: another worker's are asked then."""

    def __init__(self, neighbourhood: Neighbourhood, clock: Clock) -> None:
        self.ask: Callable[[Asked], Awaitable[Answer]] = self.own
        self._neighbourhood = neighbourhood
        self._clock = clock

    @staticmethod
    def takes(path: str) -> bool:
        """Whether a path is that of a neighbour."""
        return is_ours(path)

    async def own(self, asked: Asked) -> Answer:
        """What one's own neighbours answer."""
        try:
            await self._neighbourhood.prepared(asked.path)
            return self._neighbourhood.answer(asked)
        except Exception:
            log.exception("%s %s failed", asked.method, asked.path)
            return failed()

    async def serve(self, path: str, scope: Any, wire: Wire, receive: ASGIReceiveCallable) -> None:
        """One request."""
        arrived_ms = self._clock.now_ms()
        try:
            body = await wire.body(receive, BODY_BYTES_MAX)
        except PeerGone:
            return
        except TooLarge:
            wire.refuse_rest()
            answer = json_answer({"error": {"message": f"The body is larger than {BODY_BYTES_MAX} bytes."}}, 413)
        else:
            headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
            query = scope["query_string"].decode("latin-1")
            answer = await self.ask(Asked(scope["method"], path, query, headers, body, arrived_ms))
        entry = Entry(NOBODY, [], b"", 1, 1, arrived_ms, Outcome())
        await Player(wire, self._clock, answer.script(), entry, Lateness()).play()
