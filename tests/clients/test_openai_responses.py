"""The official OpenAI SDK on the Responses wire, straight against the fleet."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import FunctionToolParam, ResponseInputParam

from simulator.media.pictures import picture
from tests.clients.conftest import Person
from tests.simulator.live import Live

MODEL = "gpt-4o"
WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


@pytest.fixture
def client(fleet: Live) -> Iterator[openai.OpenAI]:
    host, port = fleet.address
    with openai.OpenAI(
        api_key="sk-fleet-openai", base_url=f"http://{host}:{port}/openai/v1", max_retries=0, timeout=20
    ) as made:
        yield made


def test_a_response(client: openai.OpenAI) -> None:
    reply = client.responses.create(model=MODEL, input="Say hi.", instructions="Be brief.")
    assert reply.id.startswith("resp_")
    assert (reply.status, reply.error, reply.incomplete_details) == ("completed", None, None)
    assert reply.output_text
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens


def test_a_stream_is_the_whole_response_in_pieces(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model=MODEL, input="Say hi.", stream=True))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type == "response.completed"
    assert text == last.response.output_text


def test_the_stream_helper_follows(client: openai.OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="Say hi.") as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert len(snapshots) > 1
    assert snapshots[-1] == final.output_text


@pytest.mark.parametrize("streamed", [False, True])
def test_parse_gives_the_caller_s_type(client: openai.OpenAI, streamed: bool) -> None:
    if streamed:
        with client.responses.stream(model=MODEL, input="Invent a person.", text_format=Person) as stream:
            parsed = stream.get_final_response().output_parsed
    else:
        parsed = client.responses.parse(model=MODEL, input="Invent a person.", text_format=Person).output_parsed
    assert isinstance(parsed, Person)


@pytest.mark.parametrize("kept", [False, True], ids=["history", "previous_response_id"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_comes_to_an_end(client: openai.OpenAI, streamed: bool, kept: bool) -> None:
    """The caller sends the whole history again, or only the results and the id of what went before."""
    history: ResponseInputParam = [{"role": "user", "content": "Weather? [[answer: tool_call tool_calls=2]]"}]
    options: dict[str, Any] = {"model": MODEL, "tools": [WEATHER]}
    called = 0
    for _ in range(5):
        reply = replied(client, streamed, input=history, **options)
        calls = [item for item in reply.output if item.type == "function_call"]
        results: ResponseInputParam = [
            {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"} for call in calls
        ]
        if not calls:
            break
        called += len(calls)
        assert all(set(json.loads(call.arguments)) == {"city"} for call in calls)
        if kept:
            options["previous_response_id"] = reply.id
            history = results
        else:
            history = [*history, *[item.to_dict() for item in reply.output], *results]
    assert called == 2
    assert reply.output_text


def replied(client: openai.OpenAI, streamed: bool, **options: Any) -> Any:
    if not streamed:
        return client.responses.create(**options)
    with client.responses.stream(**options) as stream:
        return stream.get_final_response()


def test_a_picture_costs_tokens(client: openai.OpenAI) -> None:
    data = base64.b64encode(picture("logo", 256, 256, "png", 1)).decode()
    text: Any = {"type": "input_text", "text": "What is this?"}
    image: Any = {"type": "input_image", "detail": "high", "image_url": f"data:image/png;base64,{data}"}
    counts = []
    for content in ([text], [text, image]):
        reply = client.responses.create(model=MODEL, input=[{"role": "user", "content": content}])
        assert reply.output_text
        assert reply.usage is not None
        counts.append(reply.usage.input_tokens)
    assert counts[1] > counts[0] + 80


def test_reasoning_is_shown_in_a_summary_and_counted(client: openai.OpenAI) -> None:
    reply = client.responses.create(model="gpt-5", input="Think.", reasoning={"effort": "high", "summary": "auto"})
    (item,) = (item for item in reply.output if item.type == "reasoning")
    assert item.id.startswith("rs_")
    assert item.summary
    assert item.summary[0].text
    assert reply.usage is not None
    assert reply.usage.output_tokens_details.reasoning_tokens > 0


def test_reasoning_can_be_sent_back_encrypted(client: openai.OpenAI) -> None:
    question: Any = {"role": "user", "content": "Think."}
    first = client.responses.create(
        model="gpt-5",
        input=[question],
        store=False,
        include=["reasoning.encrypted_content"],
        reasoning={"effort": "high"},
    )
    (item,) = (item for item in first.output if item.type == "reasoning")
    assert item.encrypted_content
    more: Any = {"role": "user", "content": "Go on."}
    history: Any = [question, *[item.to_dict() for item in first.output], more]
    assert client.responses.create(model="gpt-5", input=history, store=False).status == "completed"


def test_a_cut_response_is_incomplete(client: openai.OpenAI) -> None:
    reply = client.responses.create(model=MODEL, input="Talk. [[answer: tokens=40]]", max_output_tokens=16)
    assert reply.status == "incomplete"
    assert reply.incomplete_details is not None
    assert reply.incomplete_details.reason == "max_output_tokens"
    assert reply.usage is not None
    assert reply.usage.output_tokens == 16


def test_a_refusal(client: openai.OpenAI) -> None:
    reply = client.responses.create(model=MODEL, input="Do harm. [[answer: refusal]]")
    (message,) = (item for item in reply.output if item.type == "message")
    assert message.content[0].type == "refusal"
    assert reply.output_text == ""


def test_a_kept_response_can_be_asked_for_and_deleted(client: openai.OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="Remember this.")
    assert client.responses.retrieve(made.id).output_text == made.output_text
    assert [item.type for item in client.responses.input_items.list(made.id)] == ["message"]
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_input_tokens_are_counted_as_they_are_charged(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model=MODEL, input="How long is this?", tools=[WEATHER])
    reply = client.responses.create(model=MODEL, input="How long is this?", tools=[WEATHER])
    assert reply.usage is not None
    assert counted.input_tokens == reply.usage.input_tokens
