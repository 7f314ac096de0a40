"""Responses streams of tests: written, parsed, read, put together, and taken in by the official client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import httpx2
import openai
import orjson

from gateway import sse
from gateway.pricing import Usage
from gateway.translation.delta import Delta, Head
from gateway.translation.responses.answer import Reading, Writing
from gateway.upstreams import openai_responses_modes
from gateway.upstreams.openai_responses import read_object
from tests.gateway.translation.strategies import deltas, merged

HEAD: Final = Head("7Qw", 1_777_898_096, "glm-5", input_tokens=40, custom_tools=frozenset({"apply_patch", "crm--note"}))
USAGE: Final = Usage(12, 9, 4, 3, 2)

answers = deltas(reasons=("stop", "length", "filtered"), refused=True)
PATCH: Final = '*** Begin Patch\n+"quoted" \\ ünïcode\n*** End Patch'


def written(told: Iterable[Delta], head: Head = HEAD) -> bytes:
    writing = Writing(head)
    return b"".join([*(writing.write(delta) for delta in told), writing.close(USAGE)])


def parsed(stream: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(event.data) for event in sse.Parser().feed(stream)]


def read(told: Iterable[dict[str, Any]]) -> list[Delta]:
    reading = Reading()
    return merged([*(delta for event in told for delta in reading.deltas(event)), *reading.end()])


def response_of(stream: bytes) -> dict[str, Any]:
    made = openai_responses_modes.assemble(stream)
    assert isinstance(made, bytes), made
    response = read_object(made)
    assert isinstance(response, dict), response
    return response


def accumulated(stream: bytes) -> Iterator[Any]:
    """The events of the official client's own accumulator."""
    reply = httpx2.Response(200, content=stream, headers={"content-type": "text/event-stream"})
    transport = httpx2.Client(transport=httpx2.MockTransport(lambda _: reply))
    client = openai.OpenAI(api_key="ck_test", base_url="http://gateway.invalid/v1", http_client=transport)
    with client.responses.stream(model="glm-5", input="Hello") as events:
        yield from events


def final(stream: bytes) -> Any:
    """The response as the official client has it in the end."""
    return [event.response for event in accumulated(stream) if event.type == "response.completed"][-1]
