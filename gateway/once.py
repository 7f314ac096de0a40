"""A call under an `Idempotency-Key`: made once, and answered as often as it is sent. Source: docs/decisions.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from gateway import idempotency
from gateway.accounts import Key
from gateway.billing import Ending
from gateway.exchange import Exchange
from gateway.idempotency import Entry
from gateway.services import Services

if TYPE_CHECKING:
    from gateway.workers.replays import SharedReplays

REPLAYED: Final = (b"idempotent-replayed", b"true")

Answer = Callable[[], Awaitable[tuple[Ending, int]]]  # how the call ended, and what it was charged in microcredits


async def once(services: Services, exchange: Exchange, key: Key, raw: bytes, answer: Answer) -> None:
    """Answers a call, unless its key (if it has one) was answered before. Raises Conflict and what `answer` raises."""
    repeat = idempotency.key_of(exchange.headers.get(b"idempotency-key"))
    if repeat is None:
        await answer()
        return
    if services.shared is not None:
        await _once_of_all(services.shared.replays, exchange, key, repeat, raw, answer)
        return
    whose, replays = (key.user_id, repeat), services.replays
    print_ = idempotency.fingerprint(exchange.scope["path"], raw)
    entry = replays.claim(whose, print_, exchange.request_id, services.clock.now_s())
    if entry.answer is not None:
        await _again(exchange, entry)
        return
    exchange.record = []
    charged_uc, ending = 0, None
    try:
        ending, charged_uc = await answer()
    finally:
        used_up, kept = _to_keep(exchange.record, ending, charged_uc)
        if used_up:
            replays.finish(whose, exchange.content_type, kept)
        else:
            replays.forget(whose)


async def _once_of_all(
    replays: SharedReplays, exchange: Exchange, key: Key, repeat: str, raw: bytes, answer: Answer
) -> None:
    """The same, among all workers."""
    whose, request_id = (key.user_id, repeat), exchange.request_id
    print_ = idempotency.fingerprint(exchange.scope["path"], raw)
    entry = await replays.claim(whose, print_, request_id, key.payer_id, exchange.created_at_ms)
    if entry.answer is not None:
        await _again(exchange, entry)
        return
    exchange.record = []
    charged_uc, ending = 0, None
    try:
        ending, charged_uc = await answer()
    finally:
        used_up, kept = _to_keep(exchange.record, ending, charged_uc)
        if used_up:
            await replays.finish(whose, request_id, exchange.content_type, kept)
        else:
            await replays.forget(whose, request_id)


def _to_keep(record: list[bytes], ending: Ending | None, charged_uc: int) -> tuple[bool, bytes | None]:
    """Whether the key is used up, and the answer to repeat: a whole one alone is repeated."""
    whole = ending is not None and ending.status == "succeeded"
    return whole or charged_uc > 0, b"".join(record) if whole else None


async def _again(exchange: Exchange, entry: Entry) -> None:
    exchange.extra_headers.append(REPLAYED)
    await exchange.respond(200, entry.answer or b"", entry.content_type)
