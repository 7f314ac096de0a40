"""Responses that an upstream keeps: going on from them, reading and deleting them, each for its maker alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway import kept_responses
from gateway.edge import Clock
from gateway.kept_responses import KEEP_S, Kept, KeptResponses
from gateway.upstreams.memory import MemoryReply
from tests.gateway.lab import CREDIT, SSE, Answer, Lab, error, ok, open_lab, run
from tests.gateway.responses_lab import (
    CALL,
    PRICE_UC,
    RESPONSES,
    THOUGHT,
    USAGE,
    delta,
    item,
    message_start,
    opening,
    price_uc,
    respond,
    stream,
    whole,
)

UNKNOWN = ("invalid_request_error", "Previous response with id 'resp_1' not found.")
MISSING = ("not_found_error", "Response with id 'resp_1' not found.")
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "21"}
VERBS = [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")]


async def stranger(lab: Lab) -> dict[str, str]:
    """The headers of another user."""
    user = await lab.services.accounts.create_user()
    await lab.services.money.top_up(user.id, 10_000 * CREDIT)
    _, secret = await lab.services.accounts.create_key(user)
    return {"authorization": f"Bearer {secret}"}


async def about(lab: Lab, method: str = "GET", verb: str = "", name: str = "resp_1", **options: Any) -> Answer:
    """A request about a response."""
    return await lab.ask(f"{RESPONSES}/{name}{verb}", method=method, **options)


@pytest.mark.parametrize("streamed", [False, True])
def test_the_next_turn_goes_to_the_upstream_that_has_the_last(streamed: bool) -> None:
    async def scene() -> None:
        first = ok(stream("Hi"), **SSE) if streamed else ok(whole())
        second = [error(500), error(500), ok(whole(name="resp_2")), ok(whole(name="resp_3"))]
        lab = await open_lab([error(500), error(500), first, *second[2:]])
        await respond(lab, stream=streamed)
        await respond(lab, previous_response_id="resp_1")
        await respond(lab, previous_response_id="resp_2")
        assert lab.upstreams == ["openai", "openai", "openai-eu", "openai-eu", "openai-eu"]
        assert lab.sent()["previous_response_id"] == "resp_2"

    run(scene())


def test_no_other_upstream_is_asked_when_it_is_down() -> None:
    async def scene() -> None:
        replies = iter([ok(whole())])
        lab = await open_lab(lambda _request: next(replies, error(500, "down")))
        await respond(lab)
        answer = await respond(lab, previous_response_id="resp_1")
        assert answer.status == 502
        assert lab.upstreams == ["openai"] * 3
        assert await lab.spent_uc() == PRICE_UC

    run(scene())


def test_an_unknown_one_is_refused_in_openai_s_words() -> None:
    async def scene() -> None:
        lab = await open_lab([])
        answer = await respond(lab, previous_response_id="resp_1")
        assert (answer.status, answer.error) == (400, UNKNOWN)

    run(scene())


def test_what_was_not_to_be_stored_is_not_known() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole()), ok(whole(store=False)), ok(stream("x"), **SSE)])
        await respond(lab, store=False)
        await respond(lab)
        await respond(lab, store=False, stream=True)
        assert (await respond(lab, previous_response_id="resp_1")).error == UNKNOWN

    run(scene())


def test_a_failed_answer_is_not_known() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(opening() + message_start() + delta(4, "Hi"), **SSE)])
        answer = await respond(lab, stream=True)
        assert answer.data[-1]["type"] == "response.failed"
        assert (await about(lab)).error == MISSING

    run(scene())


def test_nobody_else_can_go_on_from_it_or_read_it() -> None:
    async def scene() -> None:
        drawn = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "AAAA"}
        lab = await open_lab([ok(whole(THOUGHT, CALL, drawn)), ok(whole(name="resp_2"))])
        await respond(lab)
        theirs = await stranger(lab)
        assert (await respond(lab, previous_response_id="resp_1", headers=theirs)).error == UNKNOWN
        for method, verb in VERBS:
            answer = await about(lab, method, verb, headers=theirs)
            assert (answer.status, answer.error) == (404, MISSING)
        picture = {"type": "image_generation_call", "id": "ig_1", "status": "completed"}
        for entry in ({"type": "item_reference", "id": "fc_1"}, {"id": "fc_1"}, THOUGHT, picture):
            answer = await respond(lab, input=[entry], headers=theirs)
            assert answer.status == 400
            assert answer.error[1].startswith("Item with id '")
        assert len(lab.transport.requests) == 1
        assert (await respond(lab, input=[CALL, OUTPUT], headers=theirs)).status == 200

    run(scene())


def test_without_a_key_nothing_is_told() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole())])
        await respond(lab)
        for method, verb in [*VERBS, ("PUT", ""), ("GET", "/cancel")]:
            assert (await about(lab, method, verb, headers={})).status == 401
        assert (await about(lab, "PUT")).headers["allow"] == "GET, DELETE"
        assert (await about(lab, "GET", "/cancel")).headers["allow"] == "POST"

    run(scene())


def test_items_referred_to_go_where_they_are() -> None:
    async def scene() -> None:
        first = [error(500), error(500), ok(whole(THOUGHT, CALL))]
        lab = await open_lab([*first, ok(whole(name="resp_2")), ok(whole(name="resp_3")), ok(whole(name="resp_4"))])
        await respond(lab)
        await respond(lab, input=[{"type": "item_reference", "id": "fc_1"}, OUTPUT])
        await respond(lab, input=[THOUGHT, CALL, OUTPUT])
        await respond(lab, input=[{**THOUGHT, "encrypted_content": "gAAAAA=="}, CALL, OUTPUT])
        assert lab.upstreams == ["openai", "openai", "openai-eu", "openai-eu", "openai-eu", "openai"]
        refused = await respond(lab, input=[{"type": "item_reference", "id": "fc_9"}])
        assert refused.error == ("invalid_request_error", "Item with id 'fc_9' not found.")

    run(scene())


def test_reasoning_that_nobody_is_known_to_have_made_passes() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole())])
        assert (await respond(lab, input=[THOUGHT, CALL, OUTPUT])).status == 200

    run(scene())


def test_what_is_kept_apart_cannot_be_brought_together() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole(CALL)), error(500), error(500), ok(whole(name="resp_2"))])
        await respond(lab)
        await respond(lab)
        reference = {"type": "item_reference", "id": "fc_1"}
        answer = await respond(lab, input=[reference], previous_response_id="resp_2")
        said = "The request refers to responses that are kept by different upstreams."
        assert answer.error == ("invalid_request_error", said)

    run(scene())


def test_the_history_that_the_upstream_adds_is_held_and_charged() -> None:
    async def scene() -> None:
        usage = USAGE | {"input_tokens": 40_000, "output_tokens": 2000}
        later = USAGE | {"input_tokens": 42_010, "output_tokens": 10}
        first = ok(whole(usage=usage))
        lab = await open_lab([first, ok(whole(name="resp_2", usage=later)), ok(whole(name="resp_3", usage=None))])
        await respond(lab, input="x" * 40_000)
        await respond(lab, previous_response_id="resp_1")
        third = await respond(lab, previous_response_id="resp_2", input="four")
        rows = await lab.log()
        assert [row["capped"] for row in rows] == [False, False, False]
        estimated = (42_010 + 10 + 1, 2)
        assert third.json["usage"]["input_tokens"] == estimated[0]
        assert await lab.spent_uc() == price_uc(40_000, 2000) + price_uc(42_010, 10) + price_uc(*estimated)

    run(scene())


def test_a_kept_response_is_read_and_deleted_where_it_is() -> None:
    async def scene() -> None:
        gone = b'{"id": "resp_1", "object": "response", "deleted": true}'
        listed = b'{"object": "list", "data": []}'
        replies = [ok(whole()), ok(whole()), ok(listed), error(400, "Cannot cancel a synchronous response."), ok(gone)]
        lab = await open_lab(replies)
        await respond(lab)
        got = await about(lab, query="include[]=reasoning.encrypted_content&key=ck_x&stream=false&x=1")
        assert (got.status, got.body, got.headers["content-type"]) == (200, whole(), "application/json")
        assert (await about(lab, "GET", "/input_items", query="limit=5&order=asc")).body == listed
        refused = await about(lab, "POST", "/cancel")
        assert refused.error == ("invalid_request_error", "Cannot cancel a synchronous response.")
        assert (await about(lab, "DELETE")).body == gone
        assert (await about(lab)).error == MISSING
        assert (await respond(lab, previous_response_id="resp_1")).error == UNKNOWN
        asked = [(request.method, request.url.partition("/v1/responses")[2]) for request in lab.transport.requests[1:]]
        assert asked == [
            ("GET", "/resp_1?include%5B%5D=reasoning.encrypted_content"),
            ("GET", "/resp_1/input_items?limit=5&order=asc"),
            ("POST", "/resp_1/cancel"),
            ("DELETE", "/resp_1"),
        ]
        assert all(request.once and not request.body for request in lab.transport.requests[1:])
        assert await lab.spent_uc() == PRICE_UC
        assert len(await lab.log()) == 1

    run(scene())


def test_one_that_the_upstream_has_lost_is_not_found() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole()), error(404, "Response with id 'resp_1' not found.")])
        await respond(lab)
        for _ in range(2):
            answer = await about(lab)
            assert (answer.status, answer.error) == (404, MISSING)
        assert len(lab.transport.requests) == 2

    run(scene())


def test_reading_is_tried_again_and_deleting_is_not() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole()), ok(b"<html>"), ok(whole()), error(503, "at http://127.0.0.1:8101/openai")])
        await respond(lab)
        assert (await about(lab)).status == 200
        answer = await about(lab, "DELETE")
        assert (answer.status, answer.error[0]) == (502, "api_error")
        assert "8101" not in answer.error[1]
        assert "sk-fleet" not in answer.error[1]

    run(scene())


def test_it_is_not_streamed_again() -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole())])
        await respond(lab)
        answer = await about(lab, query="stream=true")
        assert answer.error[1] == "A kept response is not streamed again; ask for it without `stream`."

    run(scene())


@pytest.mark.parametrize("name", ["a/b", "..", "a?b", "resp 1"])
def test_odd_ids_stay_one_part_of_the_path(name: str) -> None:
    async def scene() -> None:
        lab = await open_lab([ok(whole(name=name)), ok(whole())])
        await respond(lab)
        assert (await about(lab, name=name)).status == 200
        assert lab.transport.requests[1].url.endswith(
            {"a/b": "/a%2Fb", "..": "/..", "a?b": "/a%3Fb", "resp 1": "/resp%201"}[name]
        )

    run(scene())


def test_a_day_later_it_is_unknown() -> None:
    async def scene() -> None:
        clock = Clock()
        lab = await open_lab([ok(whole())], clock=clock)
        await respond(lab)
        clock.advance(KEEP_S * 1000)
        assert (await about(lab)).error == MISSING

    run(scene())


def kept(user: str = "u", at_s: int = 0, *items: str) -> Kept:
    return Kept(user, "up", 1, 2, items, at_s + KEEP_S)


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_responses, "RESPONSES_MAX", 3)
    monkeypatch.setattr(kept_responses, "ITEMS_MAX", 5)
    memory = KeptResponses()
    for number in range(10):
        memory.add(f"r{number}", kept("u", 0, f"i{number}"))
    assert [n for n in range(10) if memory.find(f"r{n}", "u", 0)] == [7, 8, 9]
    assert [n for n in range(10) if memory.is_known(f"i{n}")] == [7, 8, 9]
    memory.add("many", kept("u", 0, *(f"m{n}" for n in range(20))))
    memory.add("next", kept("u", 0))
    assert memory.find("many", "u", 0) is None
    assert memory.find("next", "u", 0)
    assert not memory.is_known("m0")


def test_an_id_stays_with_whoever_had_it_first() -> None:
    memory = KeptResponses()
    memory.add("r", kept("mine", 0, "i"))
    memory.add("r", kept("theirs", 0, "i"))
    memory.add("s", kept("theirs", 0, "i"))
    assert memory.find("r", "mine", 0)
    assert memory.find("r", "theirs", 0) is None
    assert memory.holder("i", "theirs", 0) is None
    memory.forget("s")
    assert memory.holder("i", "mine", 0)


def test_a_sound_reply_without_an_id_is_an_answer() -> None:
    async def scene() -> None:
        body = json.dumps({"output": [item()], "usage": USAGE}).encode()
        lab = await open_lab([MemoryReply(200, {}, [body])])
        assert (await respond(lab)).body == body

    run(scene())
