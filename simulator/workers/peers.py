"""The workers of one fleet among themselves, through Redis: questions to one of them, and commands to all.

A command to all goes into one line that every worker follows, so that all carry out the same commands in the same
order; whoever gave it goes on once all have answered. A question goes into the inbox of the one that is asked, and so
do the answers. Keys live under `windtunnel:{run}:` and expire by themselves: a fleet that was killed leaves nothing for
long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple

from msgspec import msgpack
from redis.asyncio import Redis
from redis.exceptions import RedisError

from simulator import edge
from simulator.judge import Undecided

EXPIRE_S = 24 * 3600
ANSWER_MS = 20_000  # a worker that has not answered by then is lost
BLOCK_MS = 2_000
RETRY_MS = 250  # between tries to reach a Redis that is away
BATCH = 64

Handler = Callable[[Any], Awaitable[Any]]
log = logging.getLogger(__name__)


class Lost(Undecided):
    """A worker did not answer, could not do what it was asked, or Redis is gone."""


class Role(NamedTuple):
    """Which of the workers this process is."""

    run: str  # the name of the fleet's run
    worker: int  # from 0
    workers: int

    def key(self, *parts: object) -> str:
        """A key of this run."""
        return ":".join(["windtunnel", self.run, *map(str, parts)])


class _Asked:
    """A question under way."""

    __slots__ = ("answers", "done", "due")

    def __init__(self, due: int) -> None:
        self.due = due
        self.answers: dict[int, tuple[Any, str | None]] = {}
        self.done = asyncio.Event()

    def answered(self, worker: int, answer: Any, failure: str | None) -> None:
        self.answers[worker] = (answer, failure)
        if len(self.answers) >= self.due:
            self.done.set()


class Peers:
    """All workers, as one of them sees them."""

    def __init__(self, redis: Redis, role: Role) -> None:
        self.role = role
        self._redis = redis
        self._handlers: dict[str, Handler] = {}
        self._slow: frozenset[str] = frozenset()
        self._line = role.key("commands")
        self._inbox = role.key("inbox", role.worker)
        self._last: str | bytes = "0"
        self._numbers = count(1)
        self._asked: dict[int, _Asked] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._answering: set[asyncio.Task[None]] = set()

    def on(self, handlers: Mapping[str, Handler], slow: frozenset[str] = frozenset()) -> None:
        """Carry these out when asked, by name; the `slow` ones may wait on purpose, and wait for nobody."""
        self._handlers.update(handlers)
        self._slow |= slow

    async def start(self) -> None:
        """Begin to follow the line of commands, from its beginning, and the inbox. Raises RedisError."""
        await self._redis.ping()
        self._loops = [asyncio.create_task(self._follow()), asyncio.create_task(self._open())]

    async def stop(self) -> None:
        """Follow them no more."""
        tasks = [*self._loops, *self._answering]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self._redis.aclose()

    async def command(self, name: str, argument: Any, wait_ms: float = 0.0) -> list[Any]:
        """What every worker answers, this one included, in their order; each may take `wait_ms`. Raises Lost."""
        number, asked = self._ask(self.role.workers)
        message = {"message": msgpack.encode((name, argument, number, self.role.worker))}
        await self._send(self._redis.xadd(self._line, message, maxlen=100_000, approximate=True), self._line)  # type: ignore[arg-type]
        answers = await self._answers(name, number, asked, wait_ms)
        return [answers[worker] for worker in sorted(answers)]

    async def ask(self, worker: int, name: str, argument: Any, wait_ms: float | None = 0.0) -> Any:
        """What one worker answers; None waits for ever. Raises Lost."""
        number, asked = self._ask(1)
        await self._put(worker, (name, argument, number, self.role.worker))
        return (await self._answers(name, number, asked, wait_ms))[worker]

    async def tell(self, worker: int, name: str, argument: Any) -> None:
        """Tell one worker something, and expect no answer. Raises Lost."""
        await self._put(worker, (name, argument, 0, self.role.worker))

    def _ask(self, due: int) -> tuple[int, _Asked]:
        number = next(self._numbers)
        asked = self._asked[number] = _Asked(due)
        return number, asked

    async def _answers(self, name: str, number: int, asked: _Asked, wait_ms: float | None) -> dict[int, Any]:
        try:
            await asyncio.wait_for(asked.done.wait(), None if wait_ms is None else (ANSWER_MS + wait_ms) / 1000)
        except TimeoutError:
            raise Lost(f"{asked.due - len(asked.answers)} of {asked.due} workers did not answer {name}") from None
        finally:
            del self._asked[number]
        for worker, (_, failure) in asked.answers.items():
            if failure is not None:
                raise Lost(f"worker {worker} failed at {name}: {failure}")
        return {worker: answer for worker, (answer, _) in asked.answers.items()}

    async def _put(self, worker: int, message: Any) -> None:
        inbox = self.role.key("inbox", worker)
        await self._send(self._redis.rpush(inbox, msgpack.encode(message)), inbox)

    async def _send(self, sending: Awaitable[Any], key: str) -> None:
        try:
            if await sending == 1 or key == self._line:
                await self._redis.expire(key, EXPIRE_S)
        except RedisError as error:
            raise Lost(f"Redis: {error}") from None

    async def _follow(self) -> None:
        """Carry out the commands to all, one after the other."""
        async for found in self._reading(lambda: self._redis.xread({self._line: self._last}, BATCH, BLOCK_MS)):
            for _, messages in found:
                for self._last, fields in messages:
                    await self._in_turn(*msgpack.decode(fields[b"message"]))

    async def _in_turn(self, name: str, argument: Any, number: int, worker: int) -> None:
        """Carry out a command; one that may wait on purpose does not hold up the line."""
        if name in self._slow:
            self._aside(self._carry_out(name, argument, number, worker))
        else:
            await self._carry_out(name, argument, number, worker)

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _open(self) -> None:
        """Take questions and answers out of the inbox; a question does not hold up the next."""
        async for found in self._reading(lambda: self._redis.blpop([self._inbox], BLOCK_MS / 1000)):
            more: Any = []
            with suppress(RedisError):  # the next reading tells
                more = await self._redis.lpop(self._inbox, BATCH) or []
            for raw in (found[1], *more):
                name, argument, number, worker = msgpack.decode(raw)
                if name == "answer":
                    asked = self._asked.get(number)
                    if asked is not None:
                        asked.answered(worker, *argument)
                    continue
                self._aside(self._carry_out(name, argument, number, worker))

    async def _reading(self, read: Callable[[], Awaitable[Any]]) -> Any:
        """What Redis gives, again and again; a connection that breaks off is made anew, and told of once."""
        away = False
        while True:
            try:
                found = await read()
            except RedisError as error:
                if not away:
                    log.error("worker %d: Redis is away: %s", self.role.worker, error)
                away = True
                await edge.pause(RETRY_MS)
                continue
            if away:
                log.warning("worker %d: Redis is back", self.role.worker)
            away = False
            if found:
                yield found

    async def _carry_out(self, name: str, argument: Any, number: int, worker: int) -> None:
        answer, failure = None, None
        try:
            answer = await self._handlers[name](argument)
        except Exception as error:
            log.exception("%s failed", name)
            failure = f"{type(error).__name__}: {error}"
        if number:
            with suppress(Lost):  # whoever asked is not answered, and says so
                await self._put(worker, ("answer", (answer, failure), number, self.role.worker))
