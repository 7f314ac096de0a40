"""Hourly limits in Redis: the windows of `gateway.limits`, exact over all workers.

While Redis does not answer each worker counts for itself, up to its share of the limit: an outage neither stops calls
nor multiplies limits. What it counted then is not added to the windows afterwards. docs/decisions.md#several-workers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.limits import WINDOW_S, Limiter, Window
from gateway.workers.remote import Remote, RemoteDown, Script

# KEYS: the window. ARGV: limit, now_s, window_s. Returns (admitted, count, reset_s).
ADMIT: Final = Script("""
local limit, now = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HMGET', KEYS[1], 'count', 'reset')
local count, reset = tonumber(kept[1]) or 0, tonumber(kept[2]) or 0
if reset <= now then
  count, reset = 0, now + tonumber(ARGV[3])
  if limit > 0 then
    redis.call('HSET', KEYS[1], 'count', 0, 'reset', reset)
    redis.call('EXPIRE', KEYS[1], tonumber(ARGV[3]) + 60)
  end
end
if count < limit then
  return {1, redis.call('HINCRBY', KEYS[1], 'count', 1), reset}
end
return {0, count, reset}
""")


class SharedLimiter:
    """Counts admitted requests, per user and class, for all workers."""

    def __init__(self, remote: Remote, workers: int, window_s: int = WINDOW_S) -> None:
        """`workers`: how many there are, for the shares."""
        self._remote = remote
        self._workers = workers
        self._window_s = window_s
        self._alone = Limiter(window_s)
        self.alone = False  # whether the latest request was counted here

    async def admit(self, user_id: str, cls: str, limit: int, now_s: int) -> Window:
        """Counts the request if the window has room for it."""
        name = self._remote.name("limit", cls, user_id)
        try:
            admitted, count, reset_s = await self._remote.run(ADMIT, [name], limit, now_s, self._window_s)
        except RemoteDown:
            self.alone = True
            share = -(-limit // self._workers)
            return replace(self._alone.admit(user_id, cls, share, now_s), limit=limit)
        self.alone = False
        return Window(bool(admitted), limit, max(0, limit - count), reset_s, max(1, reset_s - now_s))
