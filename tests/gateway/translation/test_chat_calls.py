"""Tool calls of Chat streams, in every order that compatible servers send them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.chat.answer import Reading
from gateway.translation.delta import CallOpened, CallPiece, Delta, Stopped
from tests.gateway.translation.chat_streams import call, pieces, read, read_and_written
from tests.gateway.translation.strategies import merged

entries = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([None, 0, 1, -1, 7, True, "0"]),
        "id": st.sampled_from([None, "", "a", "b"]),
        "function": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from([None, "", "f", "g", 1]),
                "arguments": st.sampled_from([None, "", "{", '"x":1', "}", "{}", '{"x":1}', {"x": 1}, 1]),
            },
        ),
    },
)


@given(st.lists(entries, max_size=12))
def test_any_calls_are_told_one_after_another(told: list[dict[str, Any]]) -> None:
    read_and_written(pieces(*({"tool_calls": [entry]} for entry in told)))


ONE: list[Delta] = [CallOpened("a", "find"), CallPiece('{"x":1}')]
TWO: list[Delta] = [*ONE, CallOpened("b", "send"), CallPiece('{"y":2}')]
CALLED: Delta = Stopped("tool_calls")
START: dict[str, Any] = {"index": 0, "id": "a", "name": "find"}
SECOND: dict[str, Any] = {"index": 1, "id": "b", "name": "send"}

CALLS: dict[str, tuple[list[dict[str, Any]], list[Delta]]] = {
    "in order": (
        pieces(call("", **START), call('{"x"', index=0), call(":1}", index=0), call('{"y":2}', **SECOND), "tool_calls"),
        TWO,
    ),
    "all opened first": (
        pieces(call("", **START), call("", **SECOND), call('{"x":1}', index=0), call('{"y":2}', index=1)),
        TWO,
    ),
    "interleaved": (
        pieces(call('{"x"', **START), call('{"y"', **SECOND), call(":1}", index=0), call(":2}", index=1)),
        TWO,
    ),
    "interleaved, the second whole first": (
        pieces(call('{"x"', **START), call('{"y":2}', **SECOND), call(":1}", index=0)),
        TWO,
    ),
    "without an index": (
        pieces(call('{"x":1}', "find", id="a"), call('{"y":2}', "send", id="b"), "stop"),
        TWO,
    ),
    "without an index, in pieces": (
        pieces(call('{"x"', "find", id="a"), call(":1}"), call('{"y"', "send", id="b"), call(":2}", id="b")),
        TWO,
    ),
    "the index always zero": (
        pieces(call('{"x":1}', **START), call("", "send", id="b", index=0), call('{"y":2}', index=0)),
        TWO,
    ),
    "indexes with a gap": (
        pieces(call('{"x":1}', "find", index=3, id="a"), call('{"y":2}', "send", index=9, id="b")),
        TWO,
    ),
    "the id in every piece": (
        pieces(call('{"x"', **START), call(":1}", index=0, id="a"), call("", index=0, id="a")),
        ONE,
    ),
    "an empty id in later pieces": (pieces(call('{"x"', **START), call(":1}", index=0, id="")), ONE),
    "the name late": (pieces(call('{"x"', index=0, id="a"), call(":1}", "find", index=0)), ONE),
    "the name in every piece": (pieces(call('{"x"', **START), call(":1}", "find", index=0)), ONE),
    "an empty tail": (pieces(call('{"x":1}', **START), call("", index=0, id=""), "tool_calls"), ONE),
    "the arguments told again": (pieces(call('{"x"', **START), call(":1}", index=0), call('{"x":1}', **START)), ONE),
    "an empty object first": (pieces(call("{}", **START), call('{"x":1}', index=0)), ONE),
    "arguments as an object": (pieces(call({"x": 1}, **START)), ONE),
    "in the old way": (
        pieces({"function_call": {"name": "find", "arguments": ""}}, {"function_call": {"arguments": '{"x":1}'}}),
        [CallOpened("", "find"), CallPiece('{"x":1}')],
    ),
    "without arguments": (pieces(call("", **START), "stop"), [CallOpened("a", "find"), CallPiece("{}")]),
    "whole messages": (
        [
            {
                "choices": [
                    {"message": {"tool_calls": [{"id": "a", "function": {"name": "find", "arguments": '{"x":1}'}}]}}
                ]
            }
        ],
        ONE,
    ),
    "null in between": (
        pieces({"content": "", "tool_calls": None}, call('{"x":1}', **START), {"tool_calls": None}),
        ONE,
    ),
}


@pytest.mark.parametrize(("events", "told"), CALLS.values(), ids=CALLS)
def test_calls_in_every_order_that_was_seen(events: list[dict[str, Any]], told: list[Delta]) -> None:
    assert read(events) == [*told, CALLED]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_end_of_the_arguments_is_found_in_any_pieces(size: int) -> None:
    arguments = '{"a": ["}", {"b\\\\": "\\"}{"}], "c": {}}'
    opened, *rest = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    assert orjson.loads(arguments) == {"a": ["}", {"b\\": '"}{'}], "c": {}}
    events = [call(opened, **START), call("", **SECOND), *(call(piece, index=0) for piece in rest)]
    reading = Reading()
    told = [delta for event in pieces(*events) for delta in reading.deltas(event)]
    assert merged(told) == [CallOpened("a", "find"), CallPiece(arguments), CallOpened("b", "send")]


def test_a_call_is_told_while_it_comes() -> None:
    reading = Reading()
    first, second, third, fourth = pieces(
        call("", **START), call('{"x"', index=0), call(":1}", index=0), call('{"y":', **SECOND)
    )
    assert list(reading.deltas(first)) == [CallOpened("a", "find")]
    assert list(reading.deltas(second)) == [CallPiece('{"x"')]
    assert list(reading.deltas(third)) == [CallPiece(":1}")]
    assert list(reading.deltas(fourth)) == [CallOpened("b", "send"), CallPiece('{"y":')]
