"""Workers whose Redis goes away: told in one line, asked again after a pause, and all works once it is back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import msgpack
from redis.exceptions import ConnectionError as Gone

from simulator import edge
from simulator.workers.peers import RETRY_MS, Peers, Role

BREAKS = 40


class Away:
    """A Redis that answers the first ping; then each reading breaks off `BREAKS` times before there is one question."""

    def __init__(self, question: Any) -> None:
        self.question: bytes | None = msgpack.encode(question)
        self.breaks = {"xread": BREAKS, "blpop": BREAKS}
        self.answered = asyncio.Event()

    async def ping(self) -> bool:
        return True

    async def _reading(self, name: str) -> None:
        await asyncio.sleep(0)
        if self.breaks[name]:
            self.breaks[name] -= 1
            raise Gone("Connection refused")

    async def xread(self, *_: Any) -> Any:
        await self._reading("xread")

    async def blpop(self, *_: Any) -> Any:
        await self._reading("blpop")
        found, self.question = self.question, None
        return found and (b"inbox", found)

    async def lpop(self, *_: Any) -> Any:
        raise Gone("Connection closed")

    async def rpush(self, *_: Any) -> int:
        self.answered.set()
        raise Gone("Connection closed")

    async def aclose(self) -> None:
        pass


def role() -> Role:
    return Role("run", 1, 2)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made: list[float] = []

    async def pause(ms: float) -> None:
        made.append(ms)
        await asyncio.sleep(0)

    monkeypatch.setattr(edge, "pause", pause)
    return made


def carry_out(redis: Any, handler: Callable[[Any], Any]) -> list[asyncio.Task[None]]:
    """Peers on that Redis until a question was carried out; their loops as they are then."""

    async def run() -> list[asyncio.Task[None]]:
        peers = Peers(redis, role())
        peers.on({"add": handler})
        await peers.start()
        async with asyncio.timeout(30):
            await redis.answered.wait()
            await asyncio.sleep(0)
        loops = [task for task in peers._loops if not task.done()]
        await peers.stop()
        return loops

    return asyncio.run(run())


def test_a_redis_that_is_away_is_told_once_and_waited_for(
    pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[Any] = []

    async def add(argument: Any) -> int:
        asked.append(argument)
        return 1

    with caplog.at_level(logging.WARNING):
        loops = carry_out(Away(("add", 5, 1, 0)), add)
    assert asked == [5]
    assert len(loops) == 2, "a loop died of what Redis did"
    assert BREAKS <= len(pauses) <= 2 * BREAKS
    assert set(pauses) == {RETRY_MS}
    said = [record.getMessage() for record in caplog.records]
    assert said.count("worker 1: Redis is away: Connection refused") == 2
    assert len(said) <= 4
    assert not any(record.exc_info for record in caplog.records)
