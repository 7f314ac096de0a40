"""The quirks of tool calls, by their names in the catalogue, seen on the wire."""

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
    TOOLS,
    calling,
    chat,
    choices,
    datas,
    deltas,
    events,
    met,
    new_case,
    pieces,
    tool_use,
)

CATALOGUE = [
    "tool-index-missing",
    "tool-index-always-zero",
    "tool-index-gap",
    "tool-id-every-chunk",
    "tool-id-empty",
    "tool-name-late",
    "tool-type-null",
    "tool-single-chunk",
    "tool-empty-tail",
    "tool-args-repeated",
    "tool-calls-null",
    "tool-extra-content",
    "tool-early-valid-json",
    "tool-cut-arguments",
    "tool-ids-reused",
]
Check = Callable[[Reply, Reply], bool]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def one(fault: str = "", **more: Any) -> bytes:
    return calling(fault, calls=1, **more)


def arguments(reply: Reply) -> list[str]:
    """The arguments of each call, by order of the pieces that name a tool."""
    texts: list[str] = []
    for piece in pieces(reply):
        inner = piece["function"]
        if inner.get("name"):
            texts.append("")
        texts[-1] += inner.get("arguments", "")
    return texts


def indexes(reply: Reply) -> list[Any]:
    """The index of each piece, where it changes."""
    found = [piece.get("index") for piece in pieces(reply)]
    return [index for at, index in enumerate(found) if at == 0 or index != found[at - 1]]


def ids(reply: Reply) -> list[Any]:
    return [piece.get("id") for piece in pieces(reply)]


def partial(reply: Reply) -> str:
    """The input of an Anthropic stream's call."""
    rows = [event["delta"] for event in events(reply) if event["type"] == "content_block_delta"]
    return "".join(row.get("partial_json", "") for row in rows)


# fault, request, what must be true of (the quirky reply, the plain one)
STREAMS: list[tuple[str, Callable[..., bytes], Check]] = [
    ("tool-index-missing", calling, lambda r, p: not any("index" in piece for piece in pieces(r)) and _same(r, p)),
    ("tool-index-always-zero", calling, lambda r, p: indexes(r) == [0] and indexes(p) == [0, 1] and _same(r, p)),
    ("tool-index-gap", calling, lambda r, p: indexes(r) == [1, 3] and _same(r, p)),
    ("tool-index-gap begin=0 step=4", calling, lambda r, _: indexes(r) == [0, 4]),
    ("tool-id-every-chunk", calling, lambda r, p: len(set(ids(r))) == 2 and None not in ids(r) and _same(r, p)),
    (
        "tool-id-empty",
        calling,
        lambda r, p: [i for i in ids(r) if i] == [i for i in ids(p) if i] and None not in ids(r),
    ),
    ("tool-id-empty", calling, lambda r, _: {piece["type"] for piece in pieces(r)} == {"function"}),
    ("tool-name-late", one, lambda r, p: _names(r)[:2] == [None, "forecast"] and _names(p)[0] == "forecast"),
    ("tool-type-null", calling, lambda r, p: not any(piece.get("type") for piece in pieces(r)) and _same(r, p)),
    ("tool-type-null form=missing", calling, lambda r, _: not any("type" in piece for piece in pieces(r))),
    ("tool-single-chunk", calling, lambda r, p: len(pieces(r)) == 2 and _same(r, p)),
    ("tool-empty-tail", calling, lambda r, p: _tail(r)["function"] == {"arguments": ""} and _same(r, p)),
    ("tool-empty-tail place=before", calling, lambda r, _: "finish_reason" not in choices(r)[-2]),
    ("tool-args-repeated", one, lambda r, p: arguments(r) == arguments(p) * 2 and _ids_twice(r)),
    ("tool-args-repeated form=plain", one, lambda r, p: arguments(r) == [arguments(p)[0] * 2]),
    ("tool-args-repeated form=double_encoded", one, lambda r, p: json.loads(_last(r)) == arguments(p)[0]),
    ("tool-args-repeated form=plain", tool_use, lambda r, p: partial(r) == partial(p) * 2 != ""),
    ("tool-calls-null", chat, lambda r, _: all(delta["tool_calls"] is None for delta in deltas(r)[:-1])),
    ("tool-extra-content", calling, lambda r, p: _signed(pieces(r)) == [0] and _same(r, p)),
    (
        "tool-extra-content place=own_delta",
        calling,
        lambda r, p: _signed(deltas(r)) == [len(deltas(r)) - 2] and _same(r, p),
    ),
    ("tool-early-valid-json", one, lambda r, p: arguments(r) == ["{}" + arguments(p)[0]]),
    ("tool-early-valid-json form=spaces", one, lambda r, p: json.loads(arguments(r)[0]) == json.loads(arguments(p)[0])),
    ("tool-early-valid-json", tool_use, lambda r, p: partial(r) == "{}" + partial(p)),
    ("tool-cut-arguments", one, lambda r, p: arguments(p)[0].startswith(arguments(r)[0]) and "[DONE]" not in datas(r)),
    ("tool-cut-arguments after_pieces=2", one, lambda r, p: 0 < len(arguments(r)[0]) < len(arguments(p)[0])),
    ("tool-cut-arguments", tool_use, lambda r, p: partial(p).startswith(partial(r)) and b"message_stop" not in r.body),
    ("tool-ids-reused", calling, lambda r, p: set(ids(r)) != set(ids(p)) and len(set(ids(r))) == 3),
]


def _same(reply: Reply, plain: Reply) -> bool:
    """Whether the arguments are those of the plain reply, and more than nothing."""
    return arguments(reply) == arguments(plain) and all(arguments(plain))


def _names(reply: Reply) -> list[Any]:
    return [piece["function"].get("name") for piece in pieces(reply)]


def _tail(reply: Reply) -> dict[str, Any]:
    """The last piece, which is in the chunk that finishes."""
    last = choices(reply)[-1]
    assert last["finish_reason"] == "tool_calls"
    tail: dict[str, Any] = last["delta"]["tool_calls"][0]
    return tail


def _ids_twice(reply: Reply) -> bool:
    first, second = (found for found in ids(reply) if found)
    return bool(first == second)


def _last(reply: Reply) -> str:
    return str(pieces(reply)[-1]["function"]["arguments"])


def _signed(rows: list[dict[str, Any]]) -> list[int]:
    """Which of some objects bear a thought signature."""
    return [at for at, row in enumerate(rows) if "thought_signature" in row.get("extra_content", {}).get("google", {})]


@pytest.mark.parametrize(("fault", "make", "check"), STREAMS, ids=[f"{row[0]}-{row[1].__name__}" for row in STREAMS])
def test_quirk_of_a_stream(fleet: Live, fault: str, make: Callable[..., bytes], check: Check) -> None:
    case = new_case()
    reply = fleet.call(make(fault, case=case))
    assert check(reply, fleet.call(make()))
    entry = met(fleet, case)
    assert entry["faults"] == [FAULTS.kind(fault.split()[0])]
    if "cut" not in fault:
        assert entry["delivered"]["tokens"] == entry["usage_true"]["output_tokens"]


def call(body: Any) -> Any:
    """The first tool call of a chat completion."""
    return body["choices"][0]["message"]["tool_calls"][0]


BODIES: list[tuple[str, Callable[..., bytes], Callable[[Any], bool]]] = [
    ("tool-type-null", calling, lambda body: call(body)["type"] is None),
    ("tool-type-null form=missing", calling, lambda body: "type" not in call(body)),
    ("tool-calls-null", chat, lambda body: body["choices"][0]["message"]["tool_calls"] is None),
    ("tool-extra-content", calling, lambda body: "google" in call(body)["extra_content"]),
]


@pytest.mark.parametrize(("fault", "make", "check"), BODIES, ids=[row[0] for row in BODIES])
def test_quirk_of_a_json_reply(
    fleet: Live, fault: str, make: Callable[..., bytes], check: Callable[[Any], bool]
) -> None:
    assert check(fleet.call(make(fault, stream=False)).json)


def test_two_turns_share_the_ids_of_their_calls(fleet: Live) -> None:
    def first(prompt: str, fault: str) -> Any:
        turns = [{"role": "user", "content": prompt}]
        return call(fleet.call(calling(fault, stream=False, messages=turns)).json)["id"]

    assert first("one", "tool-ids-reused") == first("two", "tool-ids-reused")
    assert first("one", "") != first("two", "")
    native = [fleet.call(tool_use("tool-ids-reused", stream=False, max_tokens=limit)).json for limit in (200, 201)]
    assert native[0]["content"][-1]["id"] == native[1]["content"][-1]["id"]


READABLE = (
    "tool-index-gap",
    "tool-id-every-chunk",
    "tool-id-empty",
    "tool-type-null",
    "tool-single-chunk",
    "tool-empty-tail",
    "tool-calls-null",
    "tool-extra-content",
)


def test_the_official_client_reads_the_same_arguments(fleet: Live) -> None:
    host, port = fleet.address

    def read(fault: str) -> dict[int, str]:
        headers = {"x-windtunnel-answer": "tool_call tool_calls=2"} | ({"x-windtunnel-fault": fault} if fault else {})
        texts: dict[int, str] = {}
        turns: Any = [{"role": "user", "content": PROMPT}]
        tools: Any = TOOLS
        with openai.OpenAI(base_url=f"http://{host}:{port}/openai/v1", api_key="sk-fleet-openai") as client:
            for chunk in client.chat.completions.create(
                model="gpt-4o", messages=turns, tools=tools, stream=True, extra_headers=headers
            ):
                for piece in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
                    told = piece.function.arguments if piece.function else None
                    texts[piece.index] = texts.get(piece.index, "") + (told or "")
        return texts

    plain = read("")
    assert list(plain) == [0, 1]
    for name in READABLE:
        assert list(read(name).values()) == list(plain.values()), name


def test_tools_are_left_alone_where_none_is_called(fleet: Live) -> None:
    plain = [event["choices"] for event in events(fleet.call(chat()))]
    for name in CATALOGUE:
        if name != "tool-calls-null":
            assert [event["choices"] for event in events(fleet.call(chat(name)))] == plain, name


def test_the_catalogue_is_known() -> None:
    for name in CATALOGUE:
        assert name in FAULTS, name
        assert FAULTS[name].seen_at, name
