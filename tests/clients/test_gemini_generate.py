"""The official Google Gen AI SDK on the generateContent wire, straight against the fleet."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from itertools import groupby

import pytest
from google import genai
from google.genai import errors, types
from PIL import Image

from simulator.media.pictures import picture
from tests.clients.conftest import Person
from tests.simulator.live import Live

MODEL = "gemini-2.5-flash"
LOGO = types.Part.from_bytes(data=picture("logo", 256, 256, "png", 1), mime_type="image/png")
WEATHER = types.FunctionDeclaration(
    name="get_weather",
    parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
TIME = types.FunctionDeclaration(name="get_time", parameters_json_schema={"type": "object", "properties": {}})


@pytest.fixture
def client(fleet: Live) -> Iterator[genai.Client]:
    host, port = fleet.address
    made = genai.Client(
        api_key="sk-fleet-gemini",
        http_options=types.HttpOptions(base_url=f"http://{host}:{port}/gemini", timeout=20_000),
    )
    yield made
    made.close()


def config(**options: object) -> types.GenerateContentConfig:
    return types.GenerateContentConfig.model_validate(options)


def test_generate_content(client: genai.Client) -> None:
    reply = client.models.generate_content(
        model=MODEL, contents="Say hi.", config=config(system_instruction="Be brief.", temperature=0.5)
    )
    assert reply.text
    assert reply.candidates is not None
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    usage = reply.usage_metadata
    assert usage is not None
    assert usage.total_token_count == sum(
        count or 0 for count in (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count)
    )


def test_a_stream_is_the_text_in_pieces(client: genai.Client) -> None:
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="Say hi. [[answer: tokens=40]]"))
    assert len(chunks) > 1
    assert "".join(chunk.text or "" for chunk in chunks)
    finishes = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert finishes[-1] == types.FinishReason.STOP
    assert not any(finishes[:-1])
    assert chunks[-1].usage_metadata is not None
    assert len({chunk.response_id for chunk in chunks}) == 1


def test_a_chat_keeps_its_history(client: genai.Client) -> None:
    chat = client.chats.create(model=MODEL)
    first = chat.send_message("Hello.")
    pieces = [chunk.text or "" for chunk in chat.send_message_stream("Go on.")]
    assert first.text
    assert "".join(pieces)
    roles = [content.role for content in chat.get_history()]  # each chunk of a stream is a content of its own
    assert [role for role, _ in groupby(roles)] == ["user", "model", "user", "model"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_loop_of_parallel_calls_comes_to_an_end(client: genai.Client, streamed: bool) -> None:
    contents = [types.Content(role="user", parts=[types.Part(text="Both? [[answer: tool=get_weather tool=get_time]]")])]
    options = config(tools=[types.Tool(function_declarations=[WEATHER, TIME])])
    called: list[str] = []
    for _ in range(5):
        parts = said(client, streamed, contents, options)
        contents.append(types.Content(role="model", parts=parts))
        calls = [part.function_call for part in parts if part.function_call]
        if not calls:
            break
        called += [call.name or "" for call in calls]
        results = [types.Part.from_function_response(name=call.name or "", response={"is": "noon"}) for call in calls]
        contents.append(types.Content(role="user", parts=results))
    assert called == ["get_weather", "get_time"]
    assert any(part.text for part in parts)


def said(
    client: genai.Client, streamed: bool, contents: list[types.Content], options: types.GenerateContentConfig
) -> list[types.Part]:
    if not streamed:
        replies = [client.models.generate_content(model=MODEL, contents=contents, config=options)]  # type: ignore[arg-type]
    else:
        replies = list(client.models.generate_content_stream(model=MODEL, contents=contents, config=options))  # type: ignore[arg-type]
    return [part for reply in replies for part in reply.parts or []]


def test_the_sdk_calls_the_caller_s_function_by_itself(client: genai.Client) -> None:
    asked: list[str] = []

    def get_weather(city: str) -> str:
        """Current weather of a city."""
        asked.append(city)
        return "21 degrees"

    reply = client.models.generate_content(model=MODEL, contents="Weather?", config=config(tools=[get_weather]))
    assert len(asked) == 1
    assert reply.text
    history = reply.automatic_function_calling_history or []
    assert [content.role for content in history] == ["user", "model", "user"]


def test_a_forced_and_a_forbidden_call(client: genai.Client) -> None:
    def called(mode: str, *names: str) -> list[str | None]:
        calling = {"mode": mode, "allowed_function_names": list(names) or None}
        options = config(
            tools=[types.Tool(function_declarations=[WEATHER, TIME])],
            tool_config={"function_calling_config": calling},
        )
        reply = client.models.generate_content(model=MODEL, contents="Hi", config=options)
        return [call.name for call in reply.function_calls or []]

    assert called("ANY", "get_time") == ["get_time"]
    assert called("NONE") == []


def test_a_response_schema_gives_the_caller_s_type(client: genai.Client) -> None:
    options = config(response_mime_type="application/json", response_schema=Person)
    reply = client.models.generate_content(model=MODEL, contents="Invent a person.", config=options)
    assert isinstance(reply.parsed, Person)
    many = config(response_mime_type="application/json", response_schema=list[Person])
    people = client.models.generate_content(model=MODEL, contents="Invent people.", config=many).parsed
    assert isinstance(people, list)
    assert all(isinstance(person, Person) for person in people)


def test_a_picture_costs_tokens(client: genai.Client) -> None:
    without = client.models.count_tokens(model=MODEL, contents=["What is this?"])
    counted = client.models.count_tokens(model=MODEL, contents=[LOGO, "What is this?"])
    reply = client.models.generate_content(model=MODEL, contents=[LOGO, "What is this?"])
    assert reply.text
    assert reply.usage_metadata is not None
    assert reply.usage_metadata.prompt_token_count == counted.total_tokens
    assert (counted.total_tokens or 0) - (without.total_tokens or 0) == 258


def test_a_model_of_pictures_answers_with_one(client: genai.Client) -> None:
    options = config(response_modalities=["TEXT", "IMAGE"])
    reply = client.models.generate_content(model="gemini-2.5-flash-image", contents="Draw a cat.", config=options)
    blobs = [part.inline_data for part in reply.parts or [] if part.inline_data]
    assert len(blobs) == 1
    image = Image.open(io.BytesIO(blobs[0].data or b""))
    assert f"image/{(image.format or '').lower()}" == blobs[0].mime_type
    assert min(image.size) >= 256


@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts_are_shown_counted_and_signed(client: genai.Client, streamed: bool) -> None:
    thinking = {"include_thoughts": True, "thinking_budget": 1024}
    question = types.Content(role="user", parts=[types.Part(text="Plan a refactor.")])
    parts = said(client, streamed, [question], config(thinking_config=thinking))
    assert any(part.thought and part.text for part in parts)
    assert any(part.text and not part.thought for part in parts)
    hidden = client.models.generate_content(
        model=MODEL, contents="Plan.", config=config(thinking_config={"thinking_budget": 4096})
    )
    assert not any(part.thought for part in hidden.parts or [])
    assert hidden.usage_metadata is not None
    assert (hidden.usage_metadata.thoughts_token_count or 0) > 0


def test_a_signed_call_can_be_sent_back(client: genai.Client) -> None:
    """The part of a call bears the signature of the thought before it, and is sent back as it came."""
    model = "gemini-3-flash-preview"
    question = types.Content(role="user", parts=[types.Part(text="Weather?")])
    options = config(tools=[types.Tool(function_declarations=[WEATHER])])
    first = client.models.generate_content(model=model, contents=[question], config=options)  # type: ignore[arg-type]
    parts = first.parts or []
    assert any(part.function_call and part.thought_signature for part in parts)
    result = types.Content(
        role="user", parts=[types.Part.from_function_response(name="get_weather", response={"is": 1})]
    )
    history = [question, types.Content(role="model", parts=parts), result]
    assert client.models.generate_content(model=model, contents=history, config=options).text  # type: ignore[arg-type]
    bare = types.Content(
        role="model", parts=[types.Part(function_call=part.function_call) for part in parts if part.function_call]
    )
    with pytest.raises(errors.ClientError, match="thought_signature"):
        client.models.generate_content(model=model, contents=[question, bare, result], config=options)  # type: ignore[arg-type]


def test_a_cut_answer_says_so(client: genai.Client) -> None:
    options = config(max_output_tokens=5, thinking_config={"thinking_budget": 0})
    reply = client.models.generate_content(model=MODEL, contents="Talk. [[answer: tokens=40]]", config=options)
    assert reply.candidates is not None
    assert reply.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


def test_embed_content(client: genai.Client) -> None:
    options = types.EmbedContentConfig(output_dimensionality=64)
    reply = client.models.embed_content(
        model="gemini-embedding-001", contents=["Ruby", "Ruby", "Python"], config=options
    )
    ruby, again, python = (row.values or [] for row in reply.embeddings or [])
    assert ruby == again != python
    assert len(ruby) == 64


def test_models(client: genai.Client) -> None:
    listed = {model.name: model for model in client.models.list()}
    assert f"models/{MODEL}" in listed
    one = client.models.get(model=MODEL)
    assert one.name == f"models/{MODEL}"
    assert (one.input_token_limit or 0) > 100_000
    assert "generateContent" in (one.supported_actions or [])


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
def test_the_asynchronous_client(client: genai.Client, told: Callable[..., str]) -> None:
    async def run() -> tuple[str | None, str]:
        whole = await client.aio.models.generate_content(model=MODEL, contents=told())
        stream = await client.aio.models.generate_content_stream(model=MODEL, contents=told())
        pieces = [chunk.text or "" async for chunk in stream]
        await client.aio.aclose()
        return whole.text, "".join(pieces)

    assert all(asyncio.run(run()))
