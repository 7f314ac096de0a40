"""Responses that are kept: continued, fetched, streamed again, listed, cancelled, forgotten; and the background."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from simulator.clock import Clock
from tests.simulator.live import Live, Reply, request, running
from tests.simulator.responses_exchange import WEATHER
from tests.simulator.test_responses_stream import told

PATH = "/openai/v1/responses"
UNKNOWN = "resp_" + "0" * 50
KEY = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


def send(live: Live, method: str, path: str = "", content: Any = None, **headers: str) -> Reply:
    """One call below /responses."""
    return live.call(request(method, PATH + path, content, KEY | headers), method)


def create(live: Live, text: Any, **fields: Any) -> dict[str, Any]:
    """A new response."""
    reply = send(live, "POST", content={"model": "gpt-4.1", "input": text, **fields})
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    return found


def refused(reply: Reply) -> tuple[int, Any, Any, str]:
    """(status, param, code, sentence) of a refusal."""
    error = reply.json["error"]
    return reply.status, error["param"], error["code"], error["message"]


def test_a_response_can_be_fetched(fleet: Live) -> None:
    """The object that was answered, streamed or not; another provider does not have it."""
    for stream in (False, True):
        body = {"model": "gpt-5", "input": f"Hello {stream}", "stream": stream}
        reply = send(fleet, "POST", content=body)
        made = told(reply.body)[-1]["response"] if stream else reply.json
        found = send(fleet, "GET", f"/{made['id']}")
        assert (found.status, found.headers["content-type"]) == (200, "application/json")
        assert {name: value for name, value in found.json.items() if name != "billing"} | {"billing": 0} == made | {
            "billing": 0
        }
        elsewhere = fleet.call(
            request(
                "GET", f"/openai-eu/v1/responses/{made['id']}", None, {"authorization": "Bearer sk-fleet-openai-eu"}
            ),
            "GET",
        )
        assert elsewhere.status == 404


def test_the_same_request_again_is_another_response(fleet: Live) -> None:
    """Both are kept, under ids of their own."""
    first, second, third = (create(fleet, "Twice") for _ in range(3))
    assert len({first["id"], second["id"], third["id"]}) == 3
    for made in (first, second, third):
        assert send(fleet, "GET", f"/{made['id']}").json == made


def test_what_is_not_kept(fleet: Live) -> None:
    """`store: false`, a deletion and an id that never was: 404 to fetch, 400 to go on from."""
    unkept = create(fleet, "Hello", store=False)["id"]
    gone = create(fleet, "Hello, forget me")["id"]
    assert send(fleet, "DELETE", f"/{gone}").json == {"id": gone, "object": "response", "deleted": True}
    for response in (unkept, gone, UNKNOWN):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
            reply = send(fleet, method, f"/{response}{path}")
            assert refused(reply) == (404, None, None, f"Response with id '{response}' not found.")
        body = {"model": "gpt-4.1", "input": "On", "previous_response_id": response}
        due = (400, "previous_response_id", "previous_response_not_found")
        said = f"Previous response with id '{response}' not found."
        assert refused(send(fleet, "POST", content=body)) == (*due, said)
    reply = send(fleet, "GET", "/chatcmpl-1")
    assert refused(reply)[:3] == (400, "response_id", "invalid_value")


def test_an_id_must_be_right_in_every_digit(fleet: Live) -> None:
    """The nonce alone is no id."""
    made = create(fleet, "Hello")["id"]
    other = "resp_" + ("0" if made[5] != "0" else "1") + made[6:]
    assert send(fleet, "GET", f"/{other}").status == 404


def test_earlier_turns_count_as_input(fleet: Live) -> None:
    """All of them but the instructions, which are not inherited."""
    first = create(fleet, "Tell me of teapots", instructions="Speak slowly, and only of teapots.")
    second = create(fleet, "Go on", previous_response_id=first["id"])
    third = create(fleet, "And?", previous_response_id=second["id"])
    assert second["instructions"] is None
    assert second["previous_response_id"] == first["id"]
    said = [first["output"][0]["content"][0]["text"], second["output"][0]["content"][0]["text"]]
    whole: list[dict[str, Any]] = [{"role": "user", "content": "Tell me of teapots"}]
    whole += [{"role": "assistant", "content": said[0]}, {"role": "user", "content": "Go on"}]
    assert second["usage"]["input_tokens"] == create(fleet, whole)["usage"]["input_tokens"]
    whole += [{"role": "assistant", "content": said[1]}, {"role": "user", "content": "And?"}]
    assert third["usage"]["input_tokens"] == create(fleet, whole)["usage"]["input_tokens"]


def test_a_tool_loop_over_previous_response_id(fleet: Live) -> None:
    """The output of a call goes on from the response that called; without it, or for another call, nothing does."""
    asked = {"tools": [WEATHER], "tool_choice": "auto"}
    called = create(fleet, "Weather in Oslo?", **asked)
    call = called["output"][0]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "Sunny"}
    done = create(fleet, [output], previous_response_id=called["id"], **asked)
    assert [item["type"] for item in done["output"]] == ["message"]
    base = {"model": "gpt-4.1", "previous_response_id": called["id"]}
    lacking = send(fleet, "POST", content=base | {"input": "And now?"})
    assert refused(lacking) == (400, "input", None, f"No tool output found for function call {call['call_id']}.")
    stray = send(fleet, "POST", content=base | {"input": [output, output | {"call_id": "call_x"}]})
    assert refused(stray)[3] == "No tool call found for function call output with call_id call_x."


def test_encrypted_reasoning_comes_back(fleet: Live) -> None:
    """This model's own is taken at this provider; edited, or another model's, it is not."""
    include = {"include": ["reasoning.encrypted_content"], "store": False, "reasoning": {"effort": "high"}}
    made = create(fleet, "Think", model="gpt-5", **include)
    history = [{"role": "user", "content": "Think"}, *made["output"], {"role": "user", "content": "More"}]
    assert create(fleet, history, model="gpt-5", **include)["status"] == "completed"
    other = send(fleet, "POST", content={"model": "gpt-5-mini", "input": history, **include})
    assert refused(other)[2] == "invalid_encrypted_content"
    edited = json.loads(json.dumps(history))
    edited[1]["encrypted_content"] = edited[1]["encrypted_content"][:-8] + "AAAAAAA="
    reply = send(fleet, "POST", content={"model": "gpt-5", "input": edited, **include})
    assert refused(reply)[:3] == (400, None, "invalid_encrypted_content")
    assert "could not be verified" in refused(reply)[3]
    taken = send(
        fleet,
        "POST",
        content={"model": "gpt-5", "input": edited, **include},
        **{"x-windtunnel-signatures": "any"},
    )
    assert taken.status == 200


def test_input_items_are_listed_in_pages(fleet: Live) -> None:
    """Newest first unless asked otherwise, with ids to go on from; earlier turns belong to them."""
    first = create(fleet, [{"role": "user", "content": f"Number {n}"} for n in range(5)])
    page = send(fleet, "GET", f"/{first['id']}/input_items?limit=2").json
    assert (page["object"], page["has_more"]) == ("list", True)
    assert [row["content"][0]["text"] for row in page["data"]] == ["Number 4", "Number 3"]
    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][1]["id"])
    assert list(page["data"][0]) == ["type", "id", "status", "role", "content"]
    rest = send(fleet, "GET", f"/{first['id']}/input_items?after={page['last_id']}").json
    assert [row["content"][0]["text"] for row in rest["data"]] == ["Number 2", "Number 1", "Number 0"]
    assert rest["has_more"] is False
    second = create(fleet, "Next", previous_response_id=first["id"])
    rows = send(fleet, "GET", f"/{second['id']}/input_items?order=asc").json["data"]
    assert [row["role"] for row in rows] == ["user"] * 5 + ["assistant", "user"]
    for query, param in (("limit=0", "limit"), ("limit=x", "limit"), ("order=up", "order"), ("after=msg_1", "after")):
        assert refused(send(fleet, "GET", f"/{first['id']}/input_items?{query}"))[:2] == (400, param)


def test_input_tokens_are_counted_without_an_answer(fleet: Live) -> None:
    """The number that the answer would tell; indented, without a final newline."""
    body = {"model": "gpt-4.1", "input": "How many?", "tools": [WEATHER]}
    counted = send(fleet, "POST", "/input_tokens", body)
    made = send(fleet, "POST", content=body).json
    assert (
        counted.body
        == b'{\n  "object": "response.input_tokens",\n  "input_tokens": %d\n}' % (made["usage"]["input_tokens"])
    )
    more = {"model": "gpt-4.1", "input": "More", "previous_response_id": create(fleet, "Hello")["id"]}
    assert send(fleet, "POST", "/input_tokens", more).json["input_tokens"] > 10


def test_a_conversation_is_compacted(fleet: Live) -> None:
    """What the user said stays; one item stands for the rest, and is taken back."""
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes?"}]
    body = {"model": "gpt-4.1", "input": turns, "instructions": "[[case:responses-compact]]"}
    whole = send(fleet, "POST", "/compact", body).json
    assert list(whole) == ["id", "object", "created_at", "output", "usage"]
    assert [item["type"] for item in whole["output"]] == ["message", "compaction"]
    usage = fleet.journal("responses-compact")[0]["usage_told"]
    assert usage["output_tokens"] == whole["usage"]["output_tokens"] > 0
    items = [{name: value for name, value in item.items() if name != "status"} for item in whole["output"]]
    assert create(fleet, [*items, {"role": "user", "content": "Go on"}])["status"] == "completed"


def test_the_background_is_a_function_of_time(fleet: Live) -> None:
    """Queued, in progress, completed: by the clock alone."""
    made = create(fleet, "Slowly [[answer: tokens=100]]", background=True)
    assert (made["status"], made["output"], made["usage"], made["service_tier"]) == ("queued", [], None, "auto")
    assert "billing" not in made
    seen = []
    for _ in range(6):
        now = send(fleet, "GET", f"/{made['id']}").json
        seen.append(now["status"])
        if now["status"] != "completed":
            assert (now["output"], now["usage"], now["completed_at"]) == ([], None, None)
        fleet.control("POST", "clock", {"advance_ms": 1000})
    assert seen == ["queued", "in_progress", "in_progress", "in_progress", "completed", "completed"]
    assert now["completed_at"] == made["created_at"] + 4
    assert now["usage"]["output_tokens"] == 100
    assert now["billing"] == {"payer": "developer"}


def test_only_the_background_can_be_cancelled(fleet: Live) -> None:
    """While it is not done; afterwards it stays what it is."""
    plain = create(fleet, "Hello")["id"]
    assert refused(send(fleet, "POST", f"/{plain}/cancel"))[3] == "Cannot cancel a synchronous response."
    made = create(fleet, "Never mind", background=True)["id"]
    assert send(fleet, "POST", f"/{made}/cancel").json["status"] == "cancelled"
    done = create(fleet, "Quick", background=True)["id"]
    fleet.control("POST", "clock", {"advance_ms": 60_000})
    assert send(fleet, "POST", f"/{done}/cancel").json["status"] == "completed"
    assert send(fleet, "GET", f"/{done}").json["status"] == "completed"
    assert send(fleet, "POST", f"/{made}/cancel").json["status"] == "cancelled"
    assert send(fleet, "GET", f"/{made}").json["output"] == []


def test_a_background_stream_can_be_taken_up_again(fleet: Live) -> None:
    """From the event after the last one seen, byte for byte; without padding."""
    reply = send(fleet, "POST", content={"model": "gpt-4o", "input": "Hello", "background": True, "stream": True})
    first = told(reply.body)
    names = [event["type"] for event in first[:3]]
    assert names == ["response.created", "response.queued", "response.in_progress"]
    assert first[0]["response"]["status"] == "queued"
    assert not any("obfuscation" in event for event in first)
    response = first[0]["response"]["id"]
    again = send(fleet, "GET", f"/{response}?stream=true&starting_after=4")
    assert again.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert told(again.body) == first[5:]
    assert again.body == reply.body[-len(again.body) :]
    assert told(send(fleet, "GET", f"/{response}?stream=true").body) == first
    assert send(fleet, "GET", f"/{response}").json["status"] == "completed"
    plain = create(fleet, "Hello")["id"]
    assert refused(send(fleet, "GET", f"/{plain}?stream=true"))[:2] == (400, "stream")
    assert refused(send(fleet, "GET", f"/{response}?stream=true&starting_after=x"))[:2] == (400, "starting_after")


def test_the_official_client(fleet: Live) -> None:
    """Creates, streams, goes on, fetches, lists, counts and deletes; and raises what it should."""
    host, port = fleet.address
    client = openai.OpenAI(api_key="sk-fleet-openai", base_url=f"http://{host}:{port}/openai/v1", max_retries=0)
    made = client.responses.create(model="gpt-5", input="Hello", reasoning={"summary": "auto"})
    assert made.output_text
    assert client.responses.retrieve(made.id).output_text == made.output_text
    with client.responses.stream(model="gpt-4.1", input="Go on", previous_response_id=made.id) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text
    assert [item.type for item in client.responses.input_items.list(made.id)] == ["message"]
    assert client.responses.input_tokens.count(model="gpt-4.1", input="Hello").input_tokens > 0
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model="gpt-17", input="Hello")
    assert raised.value.code == "model_not_found"
    client.close()


def mounts(live: Live) -> Iterator[tuple[str, str, list[str]]]:
    """(provider, path, models that take tools) wherever the wire is spoken."""
    for name, provider in live.runtime.fleet.providers.items():
        for mount in provider.mounts:
            if mount.dialect.name == "openai_responses":
                known = {model: mount.profile(name, model) for model in sorted(mount.snapshots())}
                able = [model for model, profile in known.items() if profile is not None and profile.has("tools")]
                yield name, f"/{name}{mount.roots[0]}/responses", able


def test_every_provider_that_has_this_wire_answers(fleet: Live) -> None:
    """The first and the last of their models, whole and streamed: alike, under ids that differ."""
    seen: set[str] = set()
    for name, path, listed in mounts(fleet):
        assert listed, name
        key = {"authorization": f"Bearer sk-fleet-{name}", "content-type": "application/json"}
        for model in (listed[0], listed[-1]):
            body = {"model": model, "input": "Weather?", "tools": [WEATHER], "max_output_tokens": 400}
            whole = fleet.call(request("POST", path, body, key))
            assert whole.status == 200, (name, model, whole.body)
            streamed = told(fleet.call(request("POST", path, body | {"stream": True}, key)).body)
            last = streamed[-1]["response"]
            assert [item["type"] for item in last["output"]] == [item["type"] for item in whole.json["output"]]
            assert last["usage"] == whole.json["usage"]
            assert [event["sequence_number"] for event in streamed] == list(range(len(streamed)))
            ids = [last["id"], whole.json["id"], *(item["id"] for item in last["output"])]
            assert len(set(ids)) == len(ids)
            assert seen.isdisjoint(ids)
            seen.update(ids)
    assert len({name for name, _, _ in mounts(fleet)}) >= 7


def test_other_vendors_keep_and_refuse_in_their_own_form(fleet: Live) -> None:
    """xAI's ids are UUIDs and can be fetched; DeepSeek keeps nothing."""
    for name, path, model in (("xai", "/xai/v1", "grok-4.3"), ("deepseek", "/deepseek", "deepseek-v4-flash")):
        key = {"authorization": f"Bearer sk-fleet-{name}", "content-type": "application/json"}
        body: dict[str, Any] = {"model": model, "input": f"Hello {name}"}
        reply = fleet.call(request("POST", f"{path}/responses", body, key)).json
        found = fleet.call(request("GET", f"{path}/responses/{reply['id']}", None, key), "GET")
        assert found.status == (200 if reply["store"] else 404)
        assert uuid.UUID(reply["id"])
        call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
        output = {"type": "function_call_output", "call_id": "c", "output": "1"}
        between = {"role": "assistant", "content": "Hm"}
        body = {"model": model, "input": [call, between, output]}
        assert fleet.call(request("POST", f"{path}/responses", body, key)).status == (200 if name == "xai" else 400)
