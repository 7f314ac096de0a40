"""`Idempotency-Key`: the same call twice is made and charged once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway import idempotency
from gateway.errors import Conflict, InvalidRequest
from gateway.idempotency import ANSWER_BYTES_MAX, KEEP_S, Replays
from gateway.upstreams.memory import HANG, MemoryReply
from tests.gateway.lab import (
    CHAT,
    HI,
    ROLE,
    Answer,
    Lab,
    chat_stream,
    chunk,
    completion,
    error,
    frames,
    ok,
    open_lab,
    run,
)

CHAT_UC = 10 * 25 + 5 * 145


async def send(lab: Lab, key: str = "once", **options: Any) -> Answer:
    fields = {"model": "gpt-5.5", "messages": HI, **options.pop("fields", {})}
    headers = {"authorization": f"Bearer {lab.secret}", "idempotency-key": key}
    return await lab.ask(CHAT, fields, headers=headers, **options)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_repeated_call_is_answered_again_and_charged_once(streamed: bool) -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(chat_stream("a") if streamed else completion()))
        first = await send(lab, fields={"stream": streamed})
        again = await send(lab, fields={"stream": streamed})
        assert (again.status, again.body) == (200, first.body)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert again.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.headers
        assert len(lab.transport.requests) == len(await lab.log()) == 1
        assert await lab.spent_uc() == CHAT_UC
        assert (await send(lab, key="other", fields={"stream": streamed})).status == 200
        assert len(lab.transport.requests) == 2

    run(scene())


def test_another_request_under_the_same_key_is_a_conflict() -> None:
    async def scene() -> None:
        lab = await open_lab(lambda _request: ok(completion()))
        await send(lab)
        other = await send(lab, fields={"temperature": 1})
        assert (other.status, other.error[0]) == (409, "conflict_error")
        assert len(lab.transport.requests) == 1

    run(scene())


def test_a_call_that_is_still_running_is_a_conflict() -> None:
    async def scene() -> None:
        asked, go = asyncio.Event(), asyncio.Event()

        async def wait(_request: Any) -> MemoryReply:
            asked.set()
            await go.wait()
            return ok(completion())

        lab = await open_lab(wait)
        first = asyncio.create_task(send(lab))
        await asked.wait()
        assert (await send(lab)).status == 409
        go.set()
        assert (await first).status == 200
        assert (await send(lab)).status == 200
        assert await lab.spent_uc() == CHAT_UC

    run(scene())


def test_a_call_that_cost_nothing_may_be_made_again() -> None:
    async def scene() -> None:
        replies = iter([error(500), error(500), error(500), error(500), ok(completion())])
        lab = await open_lab(lambda _request: next(replies))
        assert (await send(lab)).status == 502
        assert (await send(lab)).status == 200
        assert (await send(lab)).headers["idempotent-replayed"] == "true"
        broke = await open_lab([], credits=0)
        assert (await send(broke)).status == 402
        await broke.services.money.top_up(broke.user_id, 10**10)
        broke.transport.answer = lambda _request: ok(completion())
        assert (await send(broke)).status == 200

    run(scene())


def test_a_call_that_was_cut_short_and_charged_is_not_made_again() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(frames(ROLE, chunk("12345678")), HANG)])
        await send(lab, fields={"stream": True}, hang_up=lambda answer: b"1234" in answer.body)
        spent = await lab.spent_uc()
        assert spent > 0
        assert (await send(lab, fields={"stream": True})).status == 409
        assert await lab.spent_uc() == spent

    run(scene())


@pytest.mark.parametrize("key", ["", "  ", "x" * 256, "a\x01b"])
def test_bad_keys(key: str) -> None:
    async def scene() -> None:
        lab = await open_lab([])
        assert (await send(lab, key=key)).status == 400

    run(scene())


def test_keys_belong_to_a_user_and_last_a_day() -> None:
    replays = Replays()
    replays.claim(("a", "k"), b"1", "r1", 0)
    replays.finish(("a", "k"), b"x", b"answer")
    assert replays.claim(("b", "k"), b"2", "r2", 0).answer is None
    assert replays.claim(("a", "k"), b"1", "r3", KEEP_S - 1).answer == b"answer"
    assert replays.claim(("a", "k"), b"2", "r4", KEEP_S).running


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "ANSWERS_BYTES_MAX", 100)
    monkeypatch.setattr(idempotency, "ENTRIES_MAX", 5)
    replays = Replays()
    for n in range(4):
        replays.claim(("u", str(n)), b"", "r", 0)
        replays.finish(("u", str(n)), b"x", b"a" * 40)
    with pytest.raises(Conflict, match="was answered and charged"):
        replays.claim(("u", "0"), b"", "r", 0)
    assert replays.claim(("u", "3"), b"", "r", 0).answer is not None
    for n in range(4, 20):
        replays.claim(("u", str(n)), b"", "r", 0)
        replays.finish(("u", str(n)), b"x", b"a" * (ANSWER_BYTES_MAX + 1))
    assert replays.claim(("u", "3"), b"", "r", 0).running


def test_no_header_no_key() -> None:
    assert idempotency.key_of(None) is None
    assert idempotency.key_of(b" k ") == "k"
    with pytest.raises(InvalidRequest):
        idempotency.key_of(b"")
