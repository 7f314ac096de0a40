"""The official OpenAI SDK on the Chat Completions wire, straight against the fleet."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from simulator.media.pictures import picture
from tests.clients.conftest import Person
from tests.simulator.live import Live

MODEL = "gpt-4o"
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
TIME: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {"type": "object", "properties": {"zone": {"enum": ["UTC", "CET"]}}},
    },
}


@pytest.fixture
def client(fleet: Live) -> Iterator[openai.OpenAI]:
    host, port = fleet.address
    with openai.OpenAI(
        api_key="sk-fleet-openai", base_url=f"http://{host}:{port}/openai/v1", max_retries=0, timeout=20
    ) as made:
        yield made


def user(text: str) -> ChatCompletionMessageParam:
    return {"role": "user", "content": text}


def test_parse_gives_the_caller_s_type(client: openai.OpenAI) -> None:
    reply = client.chat.completions.parse(model=MODEL, messages=[user("Invent a person.")], response_format=Person)
    message = reply.choices[0].message
    assert isinstance(message.parsed, Person)
    assert json.loads(message.content or "") == message.parsed.model_dump()


def test_a_stream_parses_as_well(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=[user("Invent a person.")], response_format=Person
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Person)
    assert {"chunk", "content.delta", "content.done"} <= set(kinds)


def test_a_refusal_parses_to_nothing(client: openai.OpenAI) -> None:
    messages = [user("Invent a person. [[answer: refusal]]")]
    message = client.chat.completions.parse(model=MODEL, messages=messages, response_format=Person).choices[0].message
    assert message.refusal
    assert message.parsed is None


def test_a_cut_answer_does_not_parse(client: openai.OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError) as caught:
        client.chat.completions.parse(
            model=MODEL, messages=[user("Invent a person.")], response_format=Person, max_tokens=2
        )
    assert caught.value.completion.usage is not None
    assert caught.value.completion.usage.completion_tokens == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_a_loop_of_parallel_tools_comes_to_an_end(client: openai.OpenAI, streamed: bool) -> None:
    """The caller runs every call it is asked for until there are none; the model is told to ask for two at once."""
    messages: list[ChatCompletionMessageParam] = [user("Weather and time? [[answer: tool=get_weather tool=get_time]]")]
    called: list[str] = []
    for _ in range(5):
        message = said(client, messages, streamed)
        messages.append(message.to_dict())
        if not message.tool_calls:
            break
        for call in message.tool_calls:
            called.append(call.function.name)
            assert isinstance(json.loads(call.function.arguments), dict)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "21 degrees at noon"})
    assert called == ["get_weather", "get_time"]
    assert message.content


def said(client: openai.OpenAI, messages: list[ChatCompletionMessageParam], streamed: bool) -> Any:
    options: dict[str, Any] = {"model": MODEL, "messages": messages, "tools": [WEATHER, TIME]}
    if not streamed:
        return client.chat.completions.create(**options).choices[0].message
    with client.chat.completions.stream(**options) as stream:
        return stream.get_final_completion().choices[0].message


def test_a_forced_and_a_forbidden_tool(client: openai.OpenAI) -> None:
    choice: Any = {"type": "function", "function": {"name": "get_time"}}
    forced = client.chat.completions.create(
        model=MODEL, messages=[user("Hi")], tools=[WEATHER, TIME], tool_choice=choice
    )
    assert [call.function.name for call in forced.choices[0].message.tool_calls or []] == ["get_time"]  # type: ignore[union-attr]
    none = client.chat.completions.create(model=MODEL, messages=[user("Hi")], tools=[WEATHER], tool_choice="none")
    assert none.choices[0].message.content


def test_a_picture_costs_tokens(client: openai.OpenAI) -> None:
    data = base64.b64encode(picture("logo", 256, 256, "png", 1)).decode()

    def tokens(url: str | None, detail: str = "high") -> int:
        parts: Any = [{"type": "text", "text": "What is this?"}]
        if url:
            parts.append({"type": "image_url", "image_url": {"url": url, "detail": detail}})
        reply = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
        assert reply.choices[0].message.content
        assert reply.usage is not None
        return reply.usage.prompt_tokens

    high, low, none = (
        tokens(f"data:image/png;base64,{data}"),
        tokens(f"data:image/png;base64,{data}", "low"),
        tokens(None),
    )
    assert low - none == 85
    assert high > low
    with pytest.raises(openai.BadRequestError) as caught:
        tokens("data:image/png;base64,bm90IGFuIGltYWdl")
    assert caught.value.code == "invalid_image_format"


def test_reasoning_follows_the_effort(client: openai.OpenAI) -> None:
    counts = []
    for effort in ("none", "high"):
        reply = client.chat.completions.create(
            model="gpt-5.4",
            messages=[user("Think. [[answer: tokens=5]]")],
            reasoning_effort=effort,  # type: ignore[arg-type]
        )
        assert reply.usage is not None
        assert reply.usage.completion_tokens_details is not None
        counts.append(reply.usage.completion_tokens_details.reasoning_tokens or 0)
    assert counts[0] == 0 < counts[1]


def test_choices_logprobs_and_stop(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model=MODEL,
        messages=[user("Hi [[answer: say='one two STOP three']]")],
        n=2,
        stop=["STOP"],
        logprobs=True,
        top_logprobs=2,
    )
    assert [choice.index for choice in reply.choices] == [0, 1]
    for choice in reply.choices:
        assert (choice.message.content, choice.finish_reason) == ("one two ", "stop")
        assert choice.logprobs is not None
        assert "".join(row.token for row in choice.logprobs.content or []) == "one two "
        assert all(len(row.top_logprobs) == 2 for row in choice.logprobs.content or [])


def test_the_last_chunk_tells_the_usage(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=[user("Hi [[answer: tokens=7]]")], stream=True, stream_options={"include_usage": True}
        )
    )
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 7
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_request_id_is_the_header_s(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=[user("Hi")])
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    assert raw.headers["x-ratelimit-limit-requests"] == "10000"


def test_the_asynchronous_client(fleet: Live, told: Callable[..., str]) -> None:
    host, port = fleet.address

    async def run() -> list[str]:
        async with openai.AsyncOpenAI(api_key="sk-fleet-openai", base_url=f"http://{host}:{port}/openai/v1") as client:
            whole = await client.chat.completions.create(model=MODEL, messages=[user(told())])
            stream = await client.chat.completions.create(model=MODEL, messages=[user(told())], stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
            return [whole.choices[0].message.content or "", "".join(pieces)]

    whole, streamed = asyncio.run(run())
    assert whole
    assert streamed
