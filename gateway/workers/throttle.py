"""Attempts to sign in, in Redis: the windows of `gateway.people.throttle`, for all workers.

While Redis does not answer each worker counts for itself, up to its share. No e-mail address is in Redis.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from gateway.people.throttle import WINDOW_S, Rule, Throttle
from gateway.workers.limits import ADMIT
from gateway.workers.remote import Remote, RemoteDown, Script

# KEYS: the window.
FORGET: Final = Script("return redis.call('DEL', KEYS[1])")


class SharedThrottle:
    """Counts attempts by (rule, whose), of all workers."""

    def __init__(self, remote: Remote, workers: int, window_s: int = WINDOW_S) -> None:
        """`workers`: how many there are, for the shares."""
        self._remote = remote
        self._workers = workers
        self._window_s = window_s
        self._alone = Throttle(window_s)

    async def attempt(self, rule: Rule, whose: str, now_s: int) -> int:
        """As `Throttle.attempt`."""
        try:
            admitted, _, reset_s = await self._remote.run(
                ADMIT, [self._name(rule, whose)], rule.most, now_s, self._window_s
            )
        except RemoteDown:
            return self._alone.attempt(rule._replace(most=-(-rule.most // self._workers)), whose, now_s)
        return 0 if admitted else max(1, reset_s - now_s)

    async def forget(self, rule: Rule, whose: str) -> None:
        """As `Throttle.forget`."""
        self._alone.forget(rule, whose)
        try:
            await self._remote.run(FORGET, [self._name(rule, whose)])
        except RemoteDown:
            return  # a few attempts more are counted than were made

    def _name(self, rule: Rule, whose: str) -> str:
        return self._remote.name("sign-in", rule.name, sha256(whose.encode("utf-8", "replace")).hexdigest())
