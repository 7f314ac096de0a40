"""Chat streams for tests: written from deltas, put together by hand, and read."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.pricing import Usage
from gateway.sse import Parser
from gateway.translation.chat.answer import Reading, Writing
from gateway.translation.delta import CallOpened, CallPiece, Delta, Head, Stopped
from gateway.upstreams.openai_chat import DONE
from tests.gateway.translation.strategies import merged

HEAD = Head(token="abc123", created_s=1_700_000_000, model="glm-5", input_tokens=9, custom_tools=frozenset({"patch"}))
USAGE = Usage(input_tokens=9, output_tokens=5, cached_tokens=4, reasoning_tokens=2)


def written(told: list[Delta], head: Head = HEAD) -> bytes:
    writing = Writing(head)
    return b"".join(map(writing.write, told)) + writing.close(USAGE)


def chunks(stream: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(event.data) for event in Parser().feed(stream) if event.data != DONE]


def read(events: list[dict[str, Any]]) -> list[Delta]:
    reading = Reading()
    return merged([*(delta for event in events for delta in reading.deltas(event)), *reading.end()])


def pieces(*told: dict[str, Any] | str) -> list[dict[str, Any]]:
    """Chunks: a delta each; a word is the finish reason."""
    return [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": piece}]}
        if isinstance(piece, str)
        else {"choices": [{"index": 0, "delta": piece}]}
        for piece in told
    ]


def call(arguments: Any = None, name: str = "", **members: Any) -> dict[str, Any]:
    """A delta with one entry of tool_calls."""
    function = {**({"name": name} if name else {}), **({} if arguments is None else {"arguments": arguments})}
    return {"tool_calls": [{**members, "function": function}]}


def read_and_written(events: list[dict[str, Any]]) -> None:
    """Reads them, and writes what was read; no piece of a call comes outside one, and the stop comes last."""
    told = read(events)
    assert [type(delta) for delta in told].index(Stopped) == len(told) - 1
    opened = False
    for delta in told:
        assert opened or not isinstance(delta, CallPiece)
        opened = isinstance(delta, CallOpened) or (opened and not isinstance(delta, CallPiece))
    assert read(chunks(written(told)))[-1] == told[-1]
