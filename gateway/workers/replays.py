"""`Idempotency-Key` in Redis: `gateway.idempotency` for many workers, and over restarts.

A worker may die in the middle of a call, or between its charge and the note of it here. So a key is never taken over
from a dead worker before its holds were given back, and then only if the ledger has no charge of that request.
While Redis does not answer, calls with a key are refused: nobody could say whether they were made before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final

from gateway import edge
from gateway.errors import Unavailable
from gateway.idempotency import ANSWER_BYTES_MAX, ANSWERS_BYTES_MAX, KEEP_S, Entry, Whose, judge
from gateway.workers.remote import Remote, RemoteDown, Script

LOOKS_S: Final = (0.02, 0.1)  # an answer is noted a moment after its caller has its last byte
NOTING_S: Final = (0.05, 0.5, 2.0, 5.0)  # before an ending is noted again that could not be
BUSY: Final = "Idempotency keys cannot be looked up at present; send the request again in a moment."

# KEYS: the entry. ARGV: fingerprint, request id, worker, payer, arrival_ms, keep_s, the request whose place is taken.
# Returns nothing when the entry is the caller's now, else its fields.
CLAIM: Final = Script("""
local old = redis.call('HMGET', KEYS[1], 'print', 'request', 'worker', 'payer', 'at', 'running', 'type', 'answer')
if old[2] and old[2] ~= ARGV[2] and old[2] ~= ARGV[7] then return old end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'print', ARGV[1], 'request', ARGV[2], 'worker', ARGV[3], 'payer', ARGV[4], 'at', ARGV[5],
  'running', '1')
redis.call('EXPIRE', KEYS[1], ARGV[6])
return false
""")

# KEYS: the entry, the answers by age, their bytes. ARGV: request id, "1" if there is an answer, content type, answer,
# now_ms, keep_ms, the most bytes of all answers. Drops the oldest answers when there are too many.
FINISH: Final = Script("""
if redis.call('HGET', KEYS[1], 'request') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'running', '0')
if ARGV[2] ~= '1' then return 1 end
redis.call('HSET', KEYS[1], 'type', ARGV[3], 'answer', ARGV[4])
local size = string.len(ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[5], size .. ' ' .. KEYS[1])
local all = redis.call('INCRBY', KEYS[3], size)
local function drop(member)
  local bytes, name = string.match(member, '^(%d+) (.*)$')
  redis.call('ZREM', KEYS[2], member)
  redis.call('HDEL', name, 'answer')
  all = redis.call('DECRBY', KEYS[3], bytes)
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[5] - ARGV[6])) do drop(member) end
while all > tonumber(ARGV[7]) do drop(redis.call('ZRANGE', KEYS[2], 0, 0)[1]) end
return 1
""")

# KEYS: the entry. ARGV: request id.
FORGET: Final = Script("""
if redis.call('HGET', KEYS[1], 'request') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")

IsGone = Callable[[str], Awaitable[bool]]  # whether a worker is dead, and its holds are given back
WasCharged = Callable[[str, str, int], Awaitable[bool]]  # (payer, request id, its arrival_ms)


class SharedReplays:
    """All keys of the last day, of all workers."""

    def __init__(self, remote: Remote, clock: edge.Clock, worker: str, is_gone: IsGone, charged: WasCharged) -> None:
        self._remote = remote
        self._clock = clock
        self._worker = worker
        self._is_gone = is_gone
        self._charged = charged
        self._mine: set[str] = set()  # requests that are under way here

    async def claim(self, whose: Whose, fingerprint: bytes, request_id: str, payer_id: str, arrival_ms: int) -> Entry:
        """As `Replays.claim`. Raises Conflict, and Unavailable while Redis does not answer."""
        self._mine.add(request_id)
        try:
            entry = await self._claimed(whose, fingerprint, request_id, payer_id, arrival_ms)
        except RemoteDown:
            self._mine.discard(request_id)
            raise Unavailable(BUSY, [(b"retry-after", b"1")]) from None
        except BaseException:
            self._mine.discard(request_id)
            raise
        if not entry.running:
            self._mine.discard(request_id)
        return entry

    async def _claimed(
        self, whose: Whose, fingerprint: bytes, request_id: str, payer_id: str, arrival_ms: int
    ) -> Entry:
        looks, instead_of = iter(LOOKS_S), ""
        while True:
            mine = (fingerprint, request_id, self._worker, payer_id, arrival_ms, KEEP_S, instead_of)
            old = await self._remote.run(CLAIM, [self._name(whose)], *mine)
            if old is None:
                return Entry(fingerprint, request_id, 0)
            entry = Entry(old[0], old[1].decode(), 0, old[5] == b"1", old[6] or b"", old[7])
            if entry.fingerprint == fingerprint and entry.running:
                if (wait_s := next(looks, None)) is not None:
                    await edge.sleep(wait_s)
                    continue
                if await self._is_abandoned(old[2].decode(), entry.request_id):
                    if not await self._charged(old[3].decode(), entry.request_id, int(old[4])):
                        instead_of = entry.request_id
                        continue
                    await self._remote.run(FINISH, self._names(whose), entry.request_id, "0", "", "", 0, 0, 0)
                    entry.running = False
            return judge(entry, fingerprint)

    async def _is_abandoned(self, worker: str, request_id: str) -> bool:
        if worker == self._worker:
            return request_id not in self._mine
        return await self._is_gone(worker)

    async def finish(self, whose: Whose, request_id: str, content_type: bytes, answer: bytes | None) -> None:
        """As `Replays.finish`. What cannot be noted now is tried for a while; afterwards the ledger knows it."""
        kept = answer is not None and len(answer) <= ANSWER_BYTES_MAX
        told = (request_id, "1" if kept else "0", content_type, answer if kept else b"")
        bounds = (self._clock.now_ms(), KEEP_S * 1000, ANSWERS_BYTES_MAX)
        await self._note(FINISH, self._names(whose), request_id, *told, *bounds)

    async def forget(self, whose: Whose, request_id: str) -> None:
        """As `Replays.forget`."""
        await self._note(FORGET, [self._name(whose)], request_id, request_id)

    async def _note(self, script: Script, names: list[str], request_id: str, *arguments: object) -> None:
        try:
            for delay_s in (*NOTING_S, None):
                try:
                    await self._remote.run(script, names, *arguments)
                    return
                except RemoteDown:
                    if delay_s is not None:
                        await edge.sleep(delay_s)
        finally:
            self._mine.discard(request_id)

    def _names(self, whose: Whose) -> list[str]:
        return [self._name(whose), self._remote.name("replay-answers"), self._remote.name("replay-bytes")]

    def _name(self, whose: Whose) -> str:
        user_id, key = whose
        return self._remote.name("replay", user_id, sha256(key.encode()).hexdigest())
