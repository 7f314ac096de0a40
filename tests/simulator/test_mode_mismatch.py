"""Replies in another mode than was asked for, by their names in the catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.dialects import DIALECTS
from simulator.dialects.base import Serving
from simulator.faults import FAULTS, Scene
from simulator.script import Ending, Frame, Script
from tests.simulator.live import Live, Reply, chat, message, request, running
from tests.simulator.playing import scripted

CATALOGUE = [
    "sse-when-not-asked",
    "stream-default-true",
    "json-plus-done",
    "json-when-stream-asked",
    "full-object-in-stream",
    "chat-chunks-on-responses",
    "responses-empty-output",
    "stream-options-rejected",
    "json-array-stream",
]
Make = Callable[..., bytes]
WIRES: list[Make] = [chat, message]
PROMPT = "either way [[answer: tokens=9]]"
SCENE = Scene(DIALECTS["openai_chat"], Serving("n" * 22, 1_700_000_000, 1), ("key",))


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def told(fleet: Live, make: Make, fault: str, *, stream: bool) -> Reply:
    """The reply under a fault that rides in a header: the answer is the one that the prompt has without it."""
    raw = make(PROMPT, stream=stream)
    return fleet.call(raw.replace(b"\r\n", f"\r\nx-windtunnel-fault: {fault}\r\n".encode(), 1))


def text(reply: Reply | bytes) -> str:
    """What a JSON reply or a stream says, on either wire."""
    body = reply.body if isinstance(reply, Reply) else reply
    if body.lstrip().startswith(b"{"):
        found = json.loads(body)
        said: str = found["choices"][0]["message"]["content"] if "choices" in found else found["content"][0]["text"]
        return said
    out = ""
    for line in body.decode().split("\n"):
        if line.startswith("data: {"):
            event = json.loads(line[6:])
            row = event["choices"][0] if event.get("choices") else event
            delta = row.get("delta") or row.get("message") or {}
            out += delta.get("content") or delta.get("text") or ""
    return out


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_is_known(name: str) -> None:
    assert FAULTS[name].kind.replace("_", "-") == name
    assert FAULTS[name].seen_at


@pytest.mark.parametrize("make", WIRES)
def test_sse_when_not_asked(fleet: Live, make: Make) -> None:
    due = fleet.call(make(PROMPT))
    reply = told(fleet, make, "sse-when-not-asked", stream=False)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert len(reply.chunks) > 5
    assert text(reply) == text(due)
    assert reply.body.count(b"data: ") == len(reply.chunks)
    fleet.call(make(f"[[case:m-sse-{make.__name__}]] [[fault: sse-when-not-asked]]", stream=True))
    assert fleet.journal(f"m-sse-{make.__name__}")[0]["faults"] == []


@pytest.mark.parametrize("make", WIRES)
def test_json_when_stream_asked(fleet: Live, make: Make) -> None:
    reply = told(fleet, make, "json-when-stream-asked", stream=True)
    assert reply.headers["content-type"] == "application/json"
    assert text(reply) == text(fleet.call(make(PROMPT, stream=True)))


def test_stream_default_true_minds_only_a_body_without_stream(fleet: Live) -> None:
    fault = "[[fault: stream-default-true]]"
    assert fleet.call(chat(fault)).headers["content-type"].startswith("text/event-stream")
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": fault}], "stream": False}
    key = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}
    assert fleet.call(request("POST", "/openai/v1/chat/completions", body, key)).json["object"] == "chat.completion"
    assert fleet.call(message(fault)).json["type"] == "message"  # its body says `stream: false`


@pytest.mark.parametrize("make", WIRES)
@pytest.mark.parametrize("stream", [False, True])
def test_json_plus_done(fleet: Live, make: Make, stream: bool) -> None:
    reply = told(fleet, make, "json-plus-done", stream=stream)
    assert reply.headers["content-type"] == "text/event-stream"
    whole, mark, rest = reply.body.partition(b"data: [DONE]\n\n")
    assert text(whole) == text(fleet.call(make(PROMPT)))
    assert (mark, rest) == (b"data: [DONE]\n\n", b"")
    assert int(reply.headers["content-length"]) == len(reply.body)


def test_full_object_in_stream(fleet: Live) -> None:
    reply = told(fleet, chat, "full-object-in-stream", stream=True)
    rows = [json.loads(line[6:]) for line in reply.body.split(b"\n") if line.startswith(b"data: {")]
    assert {row["object"] for row in rows} == {"chat.completion"}
    assert all("message" in choice and "delta" not in choice for row in rows for choice in row["choices"])
    assert text(reply) == text(fleet.call(chat(PROMPT, stream=True)))
    quoted = fleet.call(chat("""[[answer: say='say "delta": now']] [[fault: full-object-in-stream]]""", stream=True))
    assert text(quoted) == 'say "delta": now'


def test_stream_options_rejected(fleet: Live) -> None:
    reply = told(fleet, chat, "stream-options-rejected", stream=True)
    assert (reply.status, reply.json["error"]["param"]) == (400, "stream_options")
    assert "'loc': ('body', 'stream_options')" in reply.json["error"]["message"]
    assert "'input': {'include_usage': True}" in reply.json["error"]["message"]
    assert told(fleet, chat, "stream-options-rejected", stream=False).status == 200


@pytest.mark.parametrize("make", WIRES)
def test_json_array_stream(fleet: Live, make: Make) -> None:
    plain = fleet.call(make(PROMPT, stream=True))
    reply = told(fleet, make, "json-array-stream", stream=True)
    assert reply.headers["content-type"] == "application/json; charset=UTF-8"
    datas = [line[6:] for line in plain.body.decode().split("\n") if line.startswith("data: {")]
    assert len(reply.json) == len(datas) == len(reply.chunks) - 1
    assert [row.get("type") for row in reply.json] == [json.loads(data).get("type") for data in datas]
    assert reply.chunks[0].startswith(b"[{\n  ")
    assert reply.chunks[1].startswith(b"\r\n,\r\n{\n  ")
    assert reply.chunks[-1] == b"\r\n]"


def test_a_mode_is_for_answers(fleet: Live) -> None:
    """A refusal, a list, or what an earlier fault broke off has no other mode."""
    for fault in ("sse-when-not-asked", "json-when-stream-asked", "json-plus-done"):
        reply = fleet.call(chat(f"[[fault: status=503]] [[fault: {fault}]]", stream=True))
        assert (reply.status, reply.headers["content-type"]) == (503, "application/json")
        hung, _, _, _, _ = scripted(chat("x", stream=True), [{"kind": "hang"}, {"kind": fault}])
        assert (hung.ending, hung.head_due_ms) == (Ending.STALL, None)


@pytest.mark.parametrize("make", WIRES)
def test_a_mode_keeps_the_time_of_the_reply(make: Make) -> None:
    slow = {"kind": "latency", "ttft_ms": 50, "gap_ms": 10}
    for kind, stream in (("sse_when_not_asked", False), ("json_when_stream_asked", True), ("json_plus_done", True)):
        due, _, _, _, _ = scripted(make(PROMPT, stream=stream), [slow])
        script, outcome, _, _, _ = scripted(make(PROMPT, stream=stream), [slow, {"kind": kind}])
        assert outcome.faults == ("latency", kind)
        assert script.head_due_ms == due.head_due_ms == 50
        assert {frame.due_ms for frame in script.frames} == {due.frames[-1].due_ms}


@pytest.fixture(scope="module")
def responses() -> Iterator[Callable[..., Reply]]:
    """Calls a provider of the Responses wire with a prompt under a fault."""
    with running(rows={"providers": [{"name": "openai", "dialect": "openai_responses", "region": "here"}]}) as live:
        key = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}

        def call(fault: str, **more: object) -> Reply:
            body = {"model": "gpt-4o", "input": PROMPT, **more}
            return live.call(request("POST", "/openai/v1/responses", body, key | {"x-windtunnel-fault": fault}))

        yield call


def typed(reply: Reply) -> list[Any]:
    """The events of a Responses stream."""
    return [json.loads(line[6:]) for line in reply.body.split(b"\n") if line.startswith(b"data: {")]


TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}


def test_chat_chunks_on_responses_seen(responses: Callable[..., Reply]) -> None:
    plain, reply = (responses(fault, stream=True) for fault in ("noop", "chat-chunks-on-responses"))
    whole = typed(plain)[-1]["response"]
    assert b"event:" not in reply.body
    assert reply.body.endswith(b"\n\ndata: [DONE]\n\n")
    assert {row["object"] for row in typed(reply)} == {"chat.completion.chunk"}
    assert text(reply) == whole["output"][-1]["content"][0]["text"] != ""
    assert typed(reply)[-1]["usage"]["completion_tokens"] == whole["usage"]["output_tokens"]
    called = responses("chat-chunks-on-responses", stream=True, tools=[TOOL], tool_choice="required")
    deltas = [row["choices"][0]["delta"] for row in typed(called) if row["choices"]]
    calls = [delta["tool_calls"][0]["function"] for delta in deltas if "tool_calls" in delta]
    assert calls[0]["name"] == "look"
    assert json.loads("".join(call["arguments"] for call in calls)) is not None
    assert typed(called)[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_responses_empty_output_seen(responses: Callable[..., Reply]) -> None:
    events = typed(responses("responses-empty-output", stream=True))
    assert [row["delta"] for row in events if row["type"] == "response.output_text.delta"]
    assert (events[-1]["type"], events[-1]["response"]["output"]) == ("response.completed", [])
    assert events[-1]["response"]["usage"]["output_tokens"] > 0


def test_framing_of_responses_seen(responses: Callable[..., Reply]) -> None:
    count = len(typed(responses("noop", stream=True)))
    bare = responses("responses-no-event-lines", stream=True)
    assert (b"event:" in bare.body, len(typed(bare))) == (False, count)
    done = responses("responses-with-done", stream=True)
    assert done.body.endswith(b"}\n\ndata: [DONE]\n\n")
    swapped = responses("data-before-event", stream=True)
    assert swapped.body.startswith(b'data: {"type":"response.created"')
    assert swapped.body.endswith(b"}\nevent: response.completed\n\n")
    halved = responses("half-utf8-in-json every=2", stream=True)
    numbers = [int(number) for number in re.findall(rb'"sequence_number":(\d+)', halved.body)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > count


def test_modes_of_responses_seen(responses: Callable[..., Reply]) -> None:
    assert typed(responses("sse-when-not-asked"))[-1]["type"] == "response.completed"
    assert responses("json-when-stream-asked", stream=True).json["object"] == "response"
    assert typed(responses("stream-default-true"))[-1]["type"] == "response.completed"
    assert responses("stream-default-true", stream=False).json["object"] == "response"
    array = responses("json-array-stream", stream=True).json
    assert [array[0]["type"], array[-1]["type"]] == ["response.created", "response.completed"]


def test_json_array_of_a_wire_with_crlf() -> None:
    """Frames as Gemini writes them."""
    rows = [b'{"candidates": [],"responseId": "a"}', b'{"candidates": [],"responseId": "b"}']
    frames = tuple(Frame(b"data: %b\r\n\r\n" % row, "delta", 1) for row in rows)
    script = build("json-array-stream", Script(200, (("content-type", "text/event-stream"),), frames, stream=True))
    body = b"".join(frame.data for frame in script.frames)
    element = b'{\n  "candidates": [],\n  "responseId": "%b"\n}'
    assert body == b"[" + element % b"a" + b"\r\n,\r\n" + element % b"b" + b"\r\n]"
    assert script.headers == (("content-type", "application/json; charset=UTF-8"),)
    assert [frame.tokens for frame in script.frames] == [1, 1, 0]


def event(kind: str, frame_kind: str = "start", /, tokens: int = 0, **fields: Any) -> Frame:
    """One event of the Responses wire."""
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return Frame(f"event: {kind}\ndata: {data}\n\n".encode(), frame_kind, tokens, tokens)


CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "", "status": "x"}
RESPONSE: dict[str, Any] = {"id": "resp_abc", "object": "response", "created_at": 1_700_000_000, "model": "gpt-x"}
USAGE = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
DONE_RESPONSE = RESPONSE | {"output": [{"type": "message"}], "temperature": 1.0, "usage": USAGE}
RESPONSES = Script(
    200,
    (("content-type", "text/event-stream; charset=utf-8"),),
    (
        event("response.created", response=RESPONSE),
        event("response.reasoning_summary_text.delta", "delta", 1, delta="hm", output_index=0),
        event("response.output_text.delta", "delta", 1, delta="Hel", output_index=1),
        event("response.output_text.delta", "delta", 1, delta="lo", output_index=1),
        event("response.output_item.added", "delta", 1, output_index=2, item=CALL),
        event("response.function_call_arguments.delta", "delta", 1, delta="{}", output_index=2),
        event("response.function_call_arguments.done", arguments="{}", output_index=2),
        event("response.completed", "end", response=DONE_RESPONSE, sequence_number=9),
    ),
    stream=True,
)


def build(name: str, script: Script) -> Script:
    return FAULTS.build(name, {}).script(script, SCENE)


def test_chat_chunks_on_responses() -> None:
    script = build("chat-chunks-on-responses", RESPONSES)
    datas = [frame.data.removeprefix(b"data: ").strip() for frame in script.frames]
    assert datas[-1] == b"[DONE]"
    rows = [json.loads(data) for data in datas[:-1]]
    assert {(row["id"], row["object"], row["created"], row["model"]) for row in rows} == {
        ("chatcmpl-abc", "chat.completion.chunk", 1_700_000_000, "gpt-x")
    }
    deltas = [row["choices"][0]["delta"] for row in rows[:-1]]
    assert [delta for delta in deltas if "tool_calls" not in delta] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    first, second = (delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta)
    assert first == {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
    assert second == {"index": 0, "function": {"arguments": "{}"}}
    assert rows[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert (rows[-1]["choices"], rows[-1]["usage"]["completion_tokens"]) == ([], 4)
    assert sum(frame.tokens for frame in script.frames) == 5


def test_responses_empty_output() -> None:
    script = build("responses-empty-output", RESPONSES)
    assert script.frames[:-1] == RESPONSES.frames[:-1]
    last = script.frames[-1].data
    assert last.startswith(b'event: response.completed\ndata: {"type":"response.completed","response":{"id":')
    assert b'"output":[],"temperature":1.0,' in last
    assert last.endswith(b'"sequence_number":9}\n\n')


@pytest.mark.parametrize("name", ["chat-chunks-on-responses", "responses-empty-output", "full-object-in-stream"])
def test_other_wires_are_left_alone(fleet: Live, name: str) -> None:
    case = f"m-{name}"
    fleet.call(message(f"[[case:{case}]] [[fault: {name}]]", stream=True))
    assert fleet.journal(case)[0]["faults"] == []
