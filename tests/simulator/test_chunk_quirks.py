"""The quirks of chunk shape, by their names in the catalogue, seen on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from simulator.faults import FAULTS
from tests.simulator.live import Live, Reply, running
from tests.simulator.quirks import (
    PROMPT,
    calling,
    chat,
    choices,
    datas,
    deltas,
    events,
    message,
    met,
    new_case,
    own_text,
    said,
    thinking,
    usages,
)

CATALOGUE = [
    "empty-choices-first",
    "empty-choices-last",
    "missing-delta",
    "null-delta",
    "role-every-chunk",
    "role-null",
    "role-empty",
    "finish-empty-string",
    "finish-key-absent",
    "never-finish-reason",
    "double-finish",
    "early-finish",
    "finish-stop-on-tools",
    "finish-with-content",
    "n-finish-last-only",
    "id-empty-created-zero",
    "missing-meta",
    "created-drift",
    "id-rotation",
    "key-order-shuffle",
    "unknown-extra-keys",
    "content-array",
    "think-tags-inline",
    "reasoning-key-variant",
    "json-in-reasoning",
    "duplicate-delta",
    "one-big-chunk",
    "model-echo-differs",
]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
STRUCTURED = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
META = ("id", "object", "created", "model")
Check = Callable[[Reply, Reply], bool]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def finishes(reply: Reply) -> list[Any]:
    return [row["finish_reason"] for row in choices(reply) if row.get("finish_reason")]


def roles(reply: Reply) -> list[Any]:
    return [delta.get("role", "absent") for delta in deltas(reply)]


def orders(reply: Reply) -> set[tuple[str, ...]]:
    return {tuple(event) for event in events(reply) if event["choices"]}


def structured(fault: str = "", **more: Any) -> bytes:
    return chat(fault, answer="", response_format=STRUCTURED, **more)


def several(fault: str = "", **more: Any) -> bytes:
    return chat(fault, n=3, **more)


def unasked(fault: str = "", **more: Any) -> bytes:
    return chat(fault, usage=False, **more)


SAME = "the text is what it is without the quirk"
# name and options -> request, what must be true of (the quirky reply, the plain one)
STREAMS: list[tuple[str, Callable[..., bytes], Check]] = [
    ("empty-choices-first", chat, lambda r, _: events(r)[0]["choices"] == [] and events(r)[0]["id"] == ""),
    ("empty-choices-first", chat, lambda r, _: "prompt_filter_results" in events(r)[0]),
    ("empty-choices-first form=plain", chat, lambda r, p: events(r)[0].keys() == events(p)[0].keys()),
    ("empty-choices-last", unasked, lambda r, p: events(r)[-1]["choices"] == [] and not usages(p)),
    ("empty-choices-last", unasked, lambda r, _: events(r)[-1]["usage"]["completion_tokens"] == 12),
    ("empty-choices-last", chat, lambda r, _: events(r)[-1]["choices"] == [] and len(usages(r)) == 1),
    ("missing-delta every=5", chat, lambda r, _: [r for r in choices(r) if "delta" not in r] != []),
    ("missing-delta every=5", chat, lambda r, _: sum("delta" not in row for row in choices(r)) == 3),
    ("null-delta", chat, lambda r, _: sum(row["delta"] is None for row in choices(r)) == 2),
    ("role-every-chunk", chat, lambda r, _: set(roles(r)) == {"assistant"}),
    ("role-null", chat, lambda r, _: roles(r)[0] == "assistant" and set(roles(r)[1:]) == {None}),
    ("role-empty", chat, lambda r, _: roles(r)[0] == "assistant" and set(roles(r)[1:]) == {""}),
    ("finish-empty-string", chat, lambda r, _: {row["finish_reason"] for row in choices(r)} == {"", "stop"}),
    ("finish-key-absent", chat, lambda r, _: ["finish_reason" in row for row in choices(r)].index(True) == 13),
    ("never-finish-reason", chat, lambda r, _: not any("finish_reason" in row for row in choices(r))),
    ("never-finish-reason", chat, lambda r, _: datas(r)[-1] == "[DONE]" and len(usages(r)) == 1),
    ("double-finish", chat, lambda r, _: finishes(r) == ["stop", "stop"]),
    ("early-finish", chat, lambda r, _: choices(r)[1]["finish_reason"] == "stop" and len(finishes(r)) == 2),
    ("early-finish", thinking, lambda r, _: len(finishes(r)) == 21),
    ("finish-stop-on-tools", calling, lambda r, p: (finishes(r), finishes(p)) == (["stop"], ["tool_calls"])),
    ("finish-with-content", chat, lambda r, _: choices(r)[-1]["delta"]["content"] != "" and finishes(r) == ["stop"]),
    ("n-finish-last-only", several, lambda r, _: [len(_ends(r, index)) for index in (0, 1, 2)] == [0, 0, 1]),
    (
        "id-empty-created-zero",
        chat,
        lambda r, _: {(e["id"], e["created"], e["model"]) for e in events(r)} == {("", 0, "")},
    ),
    ("missing-meta", chat, lambda r, _: not any(key in event for event in events(r) for key in META)),
    (
        "missing-meta keys=object where=first",
        chat,
        lambda r, _: ["object" in e for e in events(r)][:2] == [False, True],
    ),
    ("created-drift every=5", chat, lambda r, _: len({event["created"] for event in events(r)}) == 3),
    ("id-rotation", chat, lambda r, _: len({event["id"] for event in events(r)}) == len(events(r))),
    ("key-order-shuffle", chat, lambda r, _: len(orders(r)) > 2),
    ("unknown-extra-keys", chat, lambda r, _: all("provider" in e and "sla_metrics" in e for e in events(r))),
    ("unknown-extra-keys vendor=vllm", chat, lambda r, _: all("token_ids" in row for row in choices(r))),
    ("content-array", chat, lambda r, p: _parts(r) == said(p)),
    ("content-array", thinking, lambda r, p: _thoughts(r) == said(p, "reasoning_content") != ""),
    ("think-tags-inline", thinking, lambda r, p: said(r) == _tagged(said(p, "reasoning_content"), said(p))),
    ("reasoning-key-variant", thinking, lambda r, p: said(r, "reasoning") == said(p, "reasoning_content") != ""),
    ("reasoning-key-variant key=reasoning_details", thinking, lambda r, p: _details(r) == said(p, "reasoning_content")),
    ("json-in-reasoning", structured, lambda r, p: said(r) == "" and said(r, "reasoning_content") == said(p)),
    (
        "duplicate-delta every=4",
        chat,
        lambda r, p: len(said(r)) > len(said(p)) and len(deltas(r)) == len(deltas(p)) + 3,
    ),
    ("one-big-chunk", chat, lambda r, p: len(choices(r)) == 1 and said(r) == said(p) and finishes(r) == ["stop"]),
    ("one-big-chunk", several, lambda r, p: [said(r), len(choices(r, 2))] == [said(p), 1]),
    ("one-big-chunk", calling, lambda r, p: _arguments(r) == _arguments(p) and len(choices(r)) == 1),
    ("model-echo-differs", chat, lambda r, _: {event["model"] for event in events(r)} == {"fleet/gpt-4o"}),
    ("model-echo-differs model=x", message, lambda r, _: events(r)[0]["message"]["model"] == "x"),
    ("duplicate-delta every=1", message, lambda r, p: len(own_text(r)) == 2 * len(own_text(p))),
    (
        "one-big-chunk",
        message,
        lambda r, p: own_text(r) == own_text(p) and r.body.count(b"event: content_block_delta") == 1,
    ),
]


def _ends(reply: Reply, index: int) -> list[Any]:
    return [row for row in choices(reply, index) if row["finish_reason"]]


def _content_parts(reply: Reply) -> list[dict[str, Any]]:
    return [part for delta in deltas(reply) if isinstance(delta.get("content"), list) for part in delta["content"]]


def _parts(reply: Reply) -> str:
    return "".join(part["text"] for part in _content_parts(reply))


def _thoughts(reply: Reply) -> str:
    return "".join(inner["text"] for part in _content_parts(reply) for inner in part.get("thinking", []))


def _details(reply: Reply) -> str:
    return "".join(row["text"] for delta in deltas(reply) for row in delta.get("reasoning_details", []))


def _tagged(thought: str, text: str) -> str:
    return f"<think>\n{thought}\n</think>\n\n{text}"


def _arguments(reply: Reply) -> dict[int, str]:
    rows: dict[int, str] = {}
    for delta in deltas(reply):
        for call in delta.get("tool_calls") or []:
            rows[call["index"]] = rows.get(call["index"], "") + call["function"]["arguments"]
    return rows


@pytest.mark.parametrize(("fault", "make", "check"), STREAMS, ids=[f"{row[0]}-{row[1].__name__}" for row in STREAMS])
def test_quirk_of_a_stream(fleet: Live, fault: str, make: Callable[..., bytes], check: Check) -> None:
    case = new_case()
    reply = fleet.call(make(fault, case=case))
    assert check(reply, fleet.call(make()))
    entry = met(fleet, case)
    assert entry["faults"] == [FAULTS.kind(fault.split()[0])]
    assert entry["delivered"]["tokens"] == entry["usage_true"]["output_tokens"]


BODIES: list[tuple[str, Callable[..., bytes], Callable[[Any, Any], bool]]] = [
    ("id-empty-created-zero", chat, lambda r, _: (r["id"], r["created"], r["model"]) == ("", 0, "")),
    ("missing-meta", chat, lambda r, _: not any(key in r for key in META)),
    ("unknown-extra-keys", chat, lambda r, _: "provider" in r and "token_ids" in r["choices"][0]),
    ("content-array", chat, lambda r, p: _message(r)["content"] == [{"type": "text", "text": _message(p)["content"]}]),
    (
        "think-tags-inline",
        thinking,
        lambda r, p: _message(r)["content"] == _tagged(_thought(p), _message(p)["content"]),
    ),
    ("reasoning-key-variant", thinking, lambda r, p: _message(r)["reasoning"] == _thought(p) != ""),
    (
        "json-in-reasoning",
        structured,
        lambda r, p: _thought(r) == _message(p)["content"] and not _message(r)["content"],
    ),
    ("model-echo-differs model=x", chat, lambda r, _: r["model"] == "x"),
    ("model-echo-differs model=x", message, lambda r, _: r["model"] == "x"),
]


def _message(body: Any) -> Any:
    return body["choices"][0]["message"]


def _thought(body: Any) -> Any:
    return _message(body)["reasoning_content"]


@pytest.mark.parametrize(("fault", "make", "check"), BODIES, ids=[f"{row[0]}-{row[1].__name__}" for row in BODIES])
def test_quirk_of_a_json_reply(
    fleet: Live, fault: str, make: Callable[..., bytes], check: Callable[[Any, Any], bool]
) -> None:
    reply = fleet.call(make(fault, stream=False))
    assert check(reply.json, fleet.call(make(stream=False)).json)


def test_what_a_quirk_rewrites_keeps_the_hand_of_its_wire(fleet: Live) -> None:
    for data in datas(fleet.call(chat("role-every-chunk")))[:-1]:
        assert len(data.encode()) % 16 == 1
        assert data == json.dumps(json.loads(data), separators=(",", ":"), ensure_ascii=False)
    body = fleet.call(chat("model-echo-differs", stream=False)).body
    assert body == json.dumps(json.loads(body), indent=2, ensure_ascii=False).encode() + b"\n"
    lines = fleet.call(message("model-echo-differs model=x")).body.split(b"\n")
    plain = fleet.call(message()).body.split(b"\n")
    assert [len(line) - len(line[:-1].rstrip()) for line in lines] == [len(x) - len(x[:-1].rstrip()) for x in plain]


KEPT = [name for name in CATALOGUE if name not in ("content-array", "json-in-reasoning", "duplicate-delta")]


@pytest.mark.parametrize("name", KEPT)
def test_the_official_client_reads_the_same_text(fleet: Live, name: str) -> None:
    host, port = fleet.address

    def read(headers: dict[str, str]) -> str:
        text = ""
        turns: Any = [{"role": "user", "content": PROMPT}]
        with openai.OpenAI(base_url=f"http://{host}:{port}/openai/v1", api_key="sk-fleet-openai") as client:
            for chunk in client.chat.completions.create(
                model="gpt-4o", messages=turns, stream=True, extra_headers=headers
            ):
                for choice in chunk.choices:
                    delta: Any = getattr(choice, "delta", None)
                    text += (delta.content or "") if delta is not None else ""
        return text

    assert read({"x-windtunnel-fault": name}) == read({}) != ""


def test_quirks_of_chunks_leave_other_wires_alone(fleet: Live) -> None:
    plain = events(fleet.call(message()))
    elsewhere = ("duplicate-delta", "one-big-chunk", "model-echo-differs", "id-rotation")
    for name in CATALOGUE:
        if name not in elsewhere:
            changed = events(fleet.call(message(name)))
            assert [e["type"] for e in changed] == [e["type"] for e in plain], name
            assert own_text(fleet.call(message(name))) != "", name


def test_the_catalogue_is_known() -> None:
    for name in CATALOGUE:
        assert name in FAULTS, name
        assert FAULTS[name].seen_at, name
        assert name in FAULTS.names(FAULTS.kind(name))
