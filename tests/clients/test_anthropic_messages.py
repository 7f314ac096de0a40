"""The official Anthropic SDK on the Messages wire, straight against the fleet."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam

from simulator.media.pictures import picture
from tests.clients.conftest import Person
from tests.simulator.live import Live

MODEL = "claude-sonnet-4-6"
CITY: ToolParam = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
TIME: ToolParam = {"name": "get_time", "input_schema": {"type": "object", "properties": {"zone": {"enum": ["UTC"]}}}}


@pytest.fixture
def client(fleet: Live) -> Iterator[anthropic.Anthropic]:
    host, port = fleet.address
    with anthropic.Anthropic(
        api_key="sk-ant-fleet-anthropic", base_url=f"http://{host}:{port}/anthropic", max_retries=0, timeout=20
    ) as made:
        yield made


def user(content: Any) -> MessageParam:
    return {"role": "user", "content": content}


def test_the_stream_helper_follows(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model=MODEL, max_tokens=512, messages=[user("Say hi.")]) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "text"]
        final = stream.get_final_message()
    assert len(snapshots) > 1
    assert snapshots[-1] == final.content[0].text  # type: ignore[union-attr]
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 0


def test_raw_events_come_in_order(client: anthropic.Anthropic) -> None:
    events = list(client.messages.create(model=MODEL, max_tokens=512, messages=[user("Say hi.")], stream=True))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}


@pytest.mark.parametrize("streamed", [False, True])
def test_parse_gives_the_caller_s_type(client: anthropic.Anthropic, streamed: bool) -> None:
    options: dict[str, Any] = {"model": MODEL, "max_tokens": 512, "messages": [user("Invent a person.")]}
    if streamed:
        with client.messages.stream(**options, output_format=Person) as stream:
            parsed = stream.get_final_message().parsed_output
    else:
        parsed = client.messages.parse(**options, output_format=Person).parsed_output
    assert isinstance(parsed, Person)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_loop_of_parallel_tools_comes_to_an_end(client: anthropic.Anthropic, streamed: bool) -> None:
    messages = [user("Weather and time? [[answer: tool=get_weather tool=get_time]]")]
    called: list[str] = []
    for _ in range(5):
        message = said(client, streamed, messages=messages, tools=[CITY, TIME])
        messages.append({"role": "assistant", "content": message.content})
        calls = [block for block in message.content if block.type == "tool_use"]
        if not calls:
            break
        assert message.stop_reason == "tool_use"
        called += [call.name for call in calls]
        messages.append(user([{"type": "tool_result", "tool_use_id": call.id, "content": "noon"} for call in calls]))
    assert called == ["get_weather", "get_time"]
    assert message.stop_reason == "end_turn"


def said(client: anthropic.Anthropic, streamed: bool, **options: Any) -> anthropic.types.Message:
    options = {"model": MODEL, "max_tokens": 2048, **options}
    if not streamed:
        made: anthropic.types.Message = client.messages.create(**options)
        return made
    with client.messages.stream(**options) as stream:
        return stream.get_final_message()


def test_the_tool_runner_runs_the_caller_s_function(client: anthropic.Anthropic) -> None:
    asked: list[str] = []

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """Current weather of a city."""
        asked.append(city)
        return "21 degrees"

    runner = client.beta.messages.tool_runner(
        model=MODEL,
        max_tokens=1024,
        messages=[{"role": "user", "content": "Weather?"}],
        tools=[get_weather],
        thread=False,  # the whole history goes with every request
    )
    final = runner.until_done()
    assert len(asked) == 1
    assert final.stop_reason == "end_turn"


def test_a_picture_costs_tokens(client: anthropic.Anthropic) -> None:
    data = base64.b64encode(picture("logo", 300, 300, "png", 1)).decode()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    text = {"type": "text", "text": "What is this?"}
    counts = []
    for content in ([text], [image, text]):
        reply = client.messages.create(model=MODEL, max_tokens=64, messages=[user(content)])
        counted = client.messages.count_tokens(model=MODEL, messages=[user(content)])
        assert reply.usage.input_tokens == counted.input_tokens
        counts.append(counted.input_tokens)
    assert counts[1] - counts[0] >= 300 * 300 // 750


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_comes_back_signed(client: anthropic.Anthropic, streamed: bool) -> None:
    """The blocks of the first turn are sent back as they came; an edited one is refused."""
    thinking = {"type": "enabled", "budget_tokens": 2000}
    question = user("Plan a refactor.")
    first = said(client, streamed, max_tokens=4000, messages=[question], thinking=thinking)
    assert [block.type for block in first.content] == ["thinking", "text"]
    blocks = [block.to_dict() for block in first.content]

    def go_on(content: list[dict[str, object]]) -> anthropic.types.Message:
        history = [question, {"role": "assistant", "content": content}, user("Go on.")]
        return said(client, streamed, max_tokens=4000, messages=history, thinking=thinking)

    assert go_on(blocks).stop_reason == "end_turn"
    with pytest.raises(anthropic.BadRequestError, match="signature"):
        go_on([{**blocks[0], "thinking": "Something else."}, blocks[1]])


def test_thinking_with_tools_is_one_turn(client: anthropic.Anthropic) -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    question = user("Weather?")
    first = said(client, False, max_tokens=4000, messages=[question], tools=[CITY], thinking=thinking)
    assert [block.type for block in first.content] == ["thinking", "tool_use"]
    result = user([{"type": "tool_result", "tool_use_id": first.content[1].id, "content": "noon"}])  # type: ignore[union-attr]
    history = [question, {"role": "assistant", "content": [block.to_dict() for block in first.content]}, result]
    second = said(client, False, max_tokens=4000, messages=history, tools=[CITY], thinking=thinking)
    assert second.stop_reason == "end_turn"


def test_count_tokens_and_stop_reasons(client: anthropic.Anthropic) -> None:
    options: dict[str, Any] = {"model": MODEL, "messages": [user("Hi [[answer: say='one two STOP three']]")]}
    cut = client.messages.create(**options, max_tokens=1)
    stopped = client.messages.create(**options, max_tokens=64, stop_sequences=["STOP"])
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 1)
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "STOP")
    with_tools = client.messages.count_tokens(**options, tools=[CITY])
    assert with_tools.input_tokens > client.messages.count_tokens(**options).input_tokens + 300


def test_models(client: anthropic.Anthropic) -> None:
    listed = list(client.models.list(limit=2))
    assert MODEL in {model.id for model in listed}
    one = client.models.retrieve(MODEL)
    assert (one.type, one.id) == ("model", next(model.id for model in listed if model.id == one.id))
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("no-such-model")


def test_the_asynchronous_client(fleet: Live, told: Callable[..., str]) -> None:
    host, port = fleet.address

    async def run() -> list[str]:
        async with (
            anthropic.AsyncAnthropic(
                api_key="sk-ant-fleet-anthropic", base_url=f"http://{host}:{port}/anthropic"
            ) as client,
            client.messages.stream(model=MODEL, max_tokens=64, messages=[user(told())]) as stream,
        ):
            return [piece async for piece in stream.text_stream]

    assert "".join(asyncio.run(run()))
