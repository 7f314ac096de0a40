"""The official Anthropic SDK against the gateway at the documented base URL, and straight against the fleet."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam

from tests.conftest import Stack

MODEL = "claude-sonnet-4-6"
WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "Current weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
HELLO: MessageParam = {"role": "user", "content": "Hello, Claude."}


@pytest.fixture(params=["gateway", "gateway-short-base", "fleet"])
def client(request: pytest.FixtureRequest, stack: Stack) -> Iterator[anthropic.Anthropic]:
    """A client at the documented base URL, one at the base that fits the SDK, and one of the fleet."""
    if request.param == "fleet":
        row = stack.providers["anthropic"]
        made = anthropic.Anthropic(api_key=row["key"], base_url=row["base_url"], max_retries=0)
    else:
        path = "/api/v1" if request.param == "gateway" else "/api"
        made = anthropic.Anthropic(api_key=stack.key, base_url=stack.gateway_url + path, max_retries=0)
    with made:
        yield made


def test_message(client: anthropic.Anthropic) -> None:
    reply = client.messages.create(model=MODEL, max_tokens=1024, messages=[HELLO])
    assert reply.content[0].type == "text"
    assert reply.content[0].text
    assert reply.stop_reason == "end_turn"
    assert reply.usage.input_tokens > 0
    assert reply.usage.output_tokens > 0


def test_streaming(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model=MODEL, max_tokens=1024, messages=[HELLO]) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 1
    assert final.content[0].type == "text"
    assert "".join(pieces) == final.content[0].text
    assert final.stop_reason == "end_turn"


@pytest.mark.parametrize("streamed", [False, True])
def test_tool_loop(client: anthropic.Anthropic, streamed: bool) -> None:
    question: MessageParam = {"role": "user", "content": "How is the weather in Paris?"}
    if streamed:
        with client.messages.stream(model=MODEL, max_tokens=1024, messages=[question], tools=[WEATHER]) as stream:
            first = stream.get_final_message()
    else:
        first = client.messages.create(model=MODEL, max_tokens=1024, messages=[question], tools=[WEATHER])
    assert first.stop_reason == "tool_use"
    call = next(block for block in first.content if block.type == "tool_use")
    assert isinstance(call.input, dict)
    assert set(call.input) == {"city"}
    second = client.messages.create(
        model=MODEL,
        max_tokens=1024,
        tools=[WEATHER],
        messages=[
            question,
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}]},
        ],
    )
    assert second.stop_reason == "end_turn"


def test_structured_output(client: anthropic.Anthropic) -> None:
    reply = client.messages.create(
        model=MODEL,
        max_tokens=1024,
        messages=[{"role": "user", "content": "Invent a person."}],
        output_config={
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
                    "required": ["name", "age"],
                    "additionalProperties": False,
                },
            }
        },
    )
    assert reply.content[0].type == "text"
    person = json.loads(reply.content[0].text)
    assert set(person) == {"name", "age"}
    assert isinstance(person["age"], int)


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_can_be_replayed(client: anthropic.Anthropic, streamed: bool) -> None:
    question: MessageParam = {"role": "user", "content": "Plan a 3-step refactor."}
    if streamed:
        with client.messages.stream(
            model=MODEL, max_tokens=6000, messages=[question], thinking={"type": "enabled", "budget_tokens": 4000}
        ) as stream:
            first = stream.get_final_message()
    else:
        first = client.messages.create(
            model=MODEL, max_tokens=6000, messages=[question], thinking={"type": "enabled", "budget_tokens": 4000}
        )
    thought = first.content[0]
    assert thought.type == "thinking"
    assert thought.thinking
    assert thought.signature
    assert first.content[1].type == "text"
    second = client.messages.create(
        model=MODEL,
        max_tokens=6000,
        thinking={"type": "enabled", "budget_tokens": 4000},
        messages=[
            question,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": thought.thinking, "signature": thought.signature},
                    {"type": "text", "text": first.content[1].text},
                ],
            },
            {"role": "user", "content": "Go on."},
        ],
    )
    assert second.stop_reason == "end_turn"


def test_count_tokens(client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model=MODEL, messages=[HELLO])
    replied = client.messages.create(model=MODEL, max_tokens=64, messages=[HELLO])
    assert counted.input_tokens == replied.usage.input_tokens


def test_models(client: anthropic.Anthropic) -> None:
    assert MODEL in {model.id for model in client.models.list()}


def test_errors_raise_the_right_class(client: anthropic.Anthropic) -> None:
    with pytest.raises((anthropic.BadRequestError, anthropic.NotFoundError)) as caught:
        client.messages.create(model="no-such-model", max_tokens=10, messages=[HELLO])
    assert "no-such-model" in str(caught.value)
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="ck_wrong").messages.create(model=MODEL, max_tokens=10, messages=[HELLO])


def test_an_error_in_the_stream_is_raised(client: anthropic.Anthropic) -> None:
    broken: MessageParam = {"role": "user", "content": "Break. [[fault: error_event after_frames=2]]"}
    with (
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(model=MODEL, max_tokens=1024, messages=[broken]) as stream,
    ):
        list(stream.text_stream)
