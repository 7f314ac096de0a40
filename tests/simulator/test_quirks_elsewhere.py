"""Quirks on the wires of Responses and of Gemini."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.answers.answer import Usage
from simulator.dialects.base import Serving
from simulator.dialects.openai.chat import OpenAIChat
from simulator.faults import FAULTS, Scene
from simulator.faults.payloads import events as read_events
from simulator.script import Frame, Script
from simulator.told import usage_told
from tests.simulator.live import Live, Reply, request, running
from tests.simulator.quirks import PROMPT, events, met, new_case, responses

Check = Callable[[Reply, Reply], bool]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def calling(fault: str = "", **more: Any) -> bytes:
    return responses(fault, answer="tool_call", **more)


def of(reply: Reply, kind: str) -> list[dict[str, Any]]:
    """The events of a type, less its first word."""
    return [event for event in events(reply) if event["type"] == f"response.{kind}"]


def text(reply: Reply) -> str:
    return "".join(event["delta"] for event in of(reply, "output_text.delta"))


def arguments(reply: Reply) -> str:
    return "".join(event["delta"] for event in of(reply, "function_call_arguments.delta"))


def last(reply: Reply) -> Any:
    """The response that the last event tells."""
    return events(reply)[-1]["response"]


def ids(reply: Reply) -> list[str]:
    """The ids of responses and items, event by event."""
    rows = [event.get("response") or event.get("item") or {"id": event["item_id"]} for event in events(reply)]
    return [str(row["id"]) for row in rows]


STREAMS: list[tuple[str, Callable[..., bytes], Check]] = [
    ("id-rotation", responses, lambda r, p: len(set(ids(r))) == len(ids(r)) and text(r) == text(p)),
    ("duplicate-delta every=1", responses, lambda r, p: len(text(r)) == 2 * len(text(p)) and last(r)["output"] != []),
    ("one-big-chunk", responses, lambda r, p: len(of(r, "output_text.delta")) == 1 and text(r) == text(p)),
    ("one-big-chunk", calling, lambda r, p: len(of(r, "function_call_arguments.delta")) == 1 and _same(r, p)),
    ("model-echo-differs model=x", responses, lambda r, _: last(r)["model"] == "x"),
    ("error-event-nested-vs-flat", responses, lambda r, _: "message" in events(r)[-2] and _failed(r)),
    ("error-frame-mid-stream", responses, lambda r, _: "message" in events(r)[-2]["error"] and _failed(r)),
    ("error-first-frame-200", responses, lambda r, _: [event["type"] for event in events(r)] == ["error"]),
    ("error-first-frame-200 opening=kept", responses, lambda r, _: not of(r, "output_text.delta") and _failed(r)),
    ("usage-empty-object", responses, lambda r, _: last(r)["usage"] == {}),
    ("usage-missing", responses, lambda r, _: not last(r).get("usage")),
    ("usage-total-mismatch", responses, lambda r, p: last(r)["usage"]["total_tokens"] == _total(p) + 28),
    ("usage-details-null", responses, lambda r, _: last(r)["usage"]["input_tokens_details"] is None),
    ("tool-args-repeated form=plain", calling, lambda r, p: arguments(r) == arguments(p) * 2),
    ("tool-cut-arguments", calling, lambda r, p: arguments(p).startswith(arguments(r)) and not of(r, "completed")),
    ("tool-ids-reused", calling, lambda r, p: _call(r)["call_id"] != _call(p)["call_id"] and _same(r, p)),
    ("unknown-tool", calling, lambda r, p: _call(r)["name"] == _call(p)["name"] + "_v2"),
    (
        "nearly-valid-arguments how=fenced",
        calling,
        lambda r, _: _call(r)["arguments"] == arguments(r) and "`" in arguments(r),
    ),
    ("content-filter", responses, lambda r, _: last(r)["incomplete_details"] == {"reason": "content_filter"}),
    ("cut-by-length", responses, lambda r, _: last(r)["status"] == "incomplete"),
    ("spliced-generation", responses, lambda r, p: len(of(r, "created")) == 2 and text(r).endswith(text(p))),
    ("silent-end", responses, lambda r, p: text(r) == text(p) and not of(r, "output_text.done")),
    ("duplicate-message-start", responses, lambda r, p: len(of(r, "created")) == 2 and text(r) == text(p)),
]


def _same(reply: Reply, plain: Reply) -> bool:
    return arguments(reply) == arguments(plain) != ""


def _failed(reply: Reply) -> bool:
    return bool(events(reply)[-1]["type"] == "response.failed")


def _total(reply: Reply) -> int:
    return int(last(reply)["usage"]["total_tokens"])


def _call(reply: Reply) -> dict[str, Any]:
    return next(item for item in last(reply)["output"] if item["type"] == "function_call")


@pytest.mark.parametrize(("fault", "make", "check"), STREAMS, ids=[f"{row[0]}-{row[1].__name__}" for row in STREAMS])
def test_quirk_of_a_responses_stream(fleet: Live, fault: str, make: Callable[..., bytes], check: Check) -> None:
    case = new_case()
    reply = fleet.call(make(fault, case=case))
    assert check(reply, fleet.call(make()))
    assert met(fleet, case)["faults"] == [FAULTS.kind(fault.split()[0])]
    if "spliced" not in fault:
        numbers = [event["sequence_number"] for event in events(reply)]
        assert numbers == list(range(len(numbers)))


def test_obfuscation_fills_up_what_a_quirk_changed(fleet: Live) -> None:
    for event in of(fleet.call(calling("nearly-valid-arguments how=trailing_comma")), "function_call_arguments.delta"):
        assert (len(event["delta"]) + len(event["obfuscation"])) % 16 == 0


def google(fault: str = "", *, method: str = "streamGenerateContent?alt=sse", case: str = "", **more: Any) -> bytes:
    """A request to Gemini."""
    body = {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}], **more}
    told = {"x-windtunnel-fault": fault, "x-windtunnel-case": case, "x-windtunnel-answer": "tokens=40"}
    headers = {"x-goog-api-key": "sk-fleet-gemini"} | {name: value for name, value in told.items() if value}
    return request("POST", f"/gemini/v1beta/models/gemini-2.5-flash:{method}", body, headers)


def array(fault: str) -> bytes:
    """The same without `alt=sse`: one JSON array."""
    return google(fault, method="streamGenerateContent")


def spoken(rows: list[dict[str, Any]]) -> str:
    """The text of Gemini's chunks."""
    parts = [part for row in rows for part in row["candidates"][0]["content"]["parts"]]
    return "".join(part["text"] for part in parts)


def test_gemini_s_own_stream(fleet: Live) -> None:
    plain = spoken(events(fleet.call(google())))
    assert spoken(events(fleet.call(google("one-big-chunk")))) == plain
    assert spoken(events(fleet.call(google("duplicate-delta every=1")))) != plain
    replayed = spoken(events(fleet.call(google("replay-after-retry"))))
    assert replayed.endswith(plain)
    assert replayed != plain
    assert len({row["responseId"] for row in events(fleet.call(google("spliced-generation")))}) == 2
    assert {row["modelVersion"] for row in events(fleet.call(google("model-echo-differs model=x")))} == {"x"}
    assert events(fleet.call(google("error-frame-mid-stream")))[-1]["error"]["status"] == "INTERNAL"
    for name in (
        "role-every-chunk",
        "tool-id-empty",
        "usage-twice",
        "missing-block-start",
        "error-event-nested-vs-flat",
    ):
        assert spoken(events(fleet.call(google(name)))) == plain, name


def test_gemini_s_usage(fleet: Live) -> None:
    case = new_case()
    fleet.call(google("usage-empty-object", case=case))
    entry = met(fleet, case)
    assert entry["usage_told"] is None
    assert entry["usage_true"]["output_tokens"] == entry["delivered"]["tokens"]
    case = new_case()
    fleet.call(google("usage-total-mismatch", case=case))
    entry = met(fleet, case)
    assert entry["usage_told"] == entry["usage_true"]


def test_gemini_s_array_stays_json(fleet: Live) -> None:
    for name in ("error-frame-mid-stream", "error-first-frame-200", "duplicate-delta every=1", "spliced-generation"):
        found = fleet.call(array(name)).json
        assert isinstance(found, list), name
        assert ("error" in found[-1]) == name.startswith("error"), name


def _chunk(text: str, tokens: int, **more: str) -> dict[str, Any]:
    """A Gemini chunk that counts so many tokens so far."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, **more, "index": 0}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": tokens, "totalTokenCount": 9 + tokens}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r"}


CHUNKS = [_chunk("One <b>", 2), _chunk(" two", 3), _chunk(" three", 4, finishReason="STOP")]
SCENE = Scene(OpenAIChat(), Serving("N" * 22, 1_770_000_000, 7), ())


def _frame(chunk: dict[str, Any]) -> bytes:
    data = json.dumps(chunk, separators=(",", ": "), ensure_ascii=False)
    return f"data: {data}\r\n\r\n".replace("<", "\\u003c").replace(">", "\\u003e").encode()


def gemini(fault: str) -> Script:
    """A Gemini stream under a fault."""
    kinds = ("delta", "delta", "stop")
    frames = tuple(Frame(_frame(chunk), kind, 1) for chunk, kind in zip(CHUNKS, kinds, strict=True))
    return FAULTS.build(fault, {}).script(Script(200, (), frames, stream=True), SCENE)


def objects(script: Script) -> list[dict[str, Any]]:
    found = [event.json for event in read_events(script)]
    return [event for event in found if event is not None]


def test_gemini_keeps_its_hand() -> None:
    changed = gemini("usage_total_mismatch")
    due = json.loads(json.dumps(CHUNKS))
    for chunk in due:
        chunk["usageMetadata"]["totalTokenCount"] += 28
    assert [frame.data for frame in changed.frames] == [_frame(chunk) for chunk in due]


def test_gemini_in_one_chunk() -> None:
    (found,) = objects(gemini("one_big_chunk"))
    assert found == _chunk("One <b> two three", 4, finishReason="STOP")


def test_gemini_stutters() -> None:
    script = FAULTS.build("duplicate_delta", {"every": 2}).script(gemini("noop"), SCENE)
    assert [found["candidates"][0]["content"]["parts"][0]["text"] for found in objects(script)][1:3] == [" two", " two"]


def test_gemini_tells_its_usage_last() -> None:
    known = Usage(9, 4)
    assert usage_told(gemini("noop").frames, known) == known
    assert usage_told(gemini("noop").frames[:1], known) == Usage(9, 2)
    empty = gemini("usage_empty_object")
    assert [found["usageMetadata"] for found in objects(empty)] == [{"trafficType": "ON_DEMAND"}] * 3
    assert usage_told(empty.frames, known) is None


def test_gemini_s_array_is_read_as_its_events_are() -> None:
    parts = [b"[", b"\r\n,\r\n", b"\r\n,\r\n"]
    rows = zip(parts, CHUNKS, strict=True)
    frames = tuple(Frame(part + json.dumps(chunk, indent=2).encode()) for part, chunk in rows)
    script = Script(200, (), (*frames, Frame(b"\r\n]", "end")), stream=True)
    changed = FAULTS.build("usage_empty_object", {}).script(script, SCENE)
    told = json.loads(b"".join(frame.data for frame in changed.frames))
    assert [chunk["usageMetadata"] for chunk in told] == [{"trafficType": "ON_DEMAND"}] * 3
    assert FAULTS.build("one_big_chunk", {}).script(script, SCENE) is script
