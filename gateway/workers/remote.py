"""Redis: scripts that run as one step each, and many of them in one round trip.

While a round is on its way the next ones gather, so a busy worker sends few and large rounds and an idle one waits for
nobody. When Redis does not answer everything fails at once, for a second, before it is asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha1
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from gateway import edge

TIMEOUT_S: Final = 1.0
REST_S: Final = 1.0  # after a failure
ROUND_MAX: Final = 256


class RemoteDown(Exception):
    """Redis does not answer, or not well. What was asked may have been done."""


class Script:
    """A script in Lua. All its keys have one hash tag, so a cluster keeps them together."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode()).hexdigest()


class Step(NamedTuple):
    """A script to be run, and who waits for it."""

    script: Script
    names: Sequence[str]
    arguments: Sequence[Any]
    future: asyncio.Future[Any]


class Remote:
    """A Redis, and a prefix that all our names there have."""

    def __init__(self, url: str, prefix: str) -> None:
        retry = Retry(NoBackoff(), 1)  # a connection that was closed meanwhile is opened anew
        self._redis = Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=retry, max_connections=2
        )
        self._prefix = f"{{{prefix}}}:"
        self._waiting: list[Step] = []
        self._round: asyncio.Task[None] | None = None
        self._down_until = 0.0

    def name(self, *parts: str) -> str:
        """A name of ours."""
        return self._prefix + ":".join(parts)

    async def run(self, script: Script, names: Sequence[str], *arguments: Any) -> Any:
        """What the script returns. Raises RemoteDown."""
        if edge.monotonic() < self._down_until:
            raise RemoteDown("Redis did not answer a moment ago")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(Step(script, names, arguments, future))
        if self._round is None:
            self._round = loop.create_task(self._rounds())
        return await future

    async def check(self) -> None:
        """Raises RemoteDown."""
        try:
            await self._redis.ping()
        except (RedisError, OSError, TimeoutError) as error:
            raise RemoteDown(str(error)) from error

    async def _rounds(self) -> None:
        try:
            while self._waiting:
                steps, self._waiting = self._waiting[:ROUND_MAX], self._waiting[ROUND_MAX:]
                await self._answer(steps)
        finally:
            self._round = None
            for step in self._waiting:  # only when the loop is being ended
                step.future.cancel()

    async def _answer(self, steps: list[Step]) -> None:
        try:
            results = await self._send(steps)
            missing = {step.script for step, result in zip(steps, results, strict=True) if _is_unknown(result)}
            if missing:
                for script in missing:
                    await self._redis.script_load(script.text)
                again = [at for at, result in enumerate(results) if _is_unknown(result)]
                for at, result in zip(again, await self._send([steps[at] for at in again]), strict=True):
                    results[at] = result
        except Exception as error:  # whoever waits is told, whatever it is
            self._down_until = edge.monotonic() + REST_S
            results = [error] * len(steps)
        for step, result in zip(steps, results, strict=True):
            if step.future.done():
                continue
            if isinstance(result, BaseException):
                step.future.set_exception(RemoteDown(str(result) or type(result).__name__))
            else:
                step.future.set_result(result)

    async def _send(self, steps: list[Step]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for script, names, arguments, _ in steps:
            pipeline.execute_command("EVALSHA", script.digest, len(names), *names, *arguments)
        return list(await pipeline.execute(raise_on_error=False))

    async def close(self) -> None:
        """Closes the connections."""
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)
        await self._redis.aclose()


def _is_unknown(result: Any) -> bool:
    return isinstance(result, NoScriptError)
