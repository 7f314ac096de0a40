"""The official SDKs through a gateway whose upstreams all speak another dialect: what they see is their own wire.

One gateway for each dialect of the upstream, in front of one fleet, whose providers check strictly what they are sent.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import requests
import yaml
from google import genai
from google.genai import types
from PIL import Image
from pydantic import BaseModel

from loadtests import processes
from loadtests.ledger import Gateway
from schemas import catalogue

MODELS = {
    "openai_chat": "gpt-5.5",
    "openai_responses": "gpt-5.3-codex",
    "anthropic_messages": "claude-sonnet-4-6",
    "gemini_generate": "gemini-2.5-flash-official",
}
UPSTREAMS = {  # dialect -> provider of the fleet, and the model that answers there
    "openai_chat": ("openai", "gpt-5.4"),
    "openai_responses": ("openai", "gpt-5.4"),
    "anthropic_messages": ("anthropic", "claude-sonnet-4-6"),
    "gemini_generate": ("gemini", "gemini-2.5-flash"),
}
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
QUESTION = "How is the weather in Paris?"
SAY = 'Hello. [[answer: say="The teapot is chrome."]]'
SAID = "The teapot is chrome."


class Person(BaseModel):
    """What structured output is asked for."""

    name: str
    age: int


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway whose upstreams speak one dialect, and a funded user's key."""

    url: str
    admin: Gateway
    key: str
    dialect: str

    def row(self) -> dict[str, Any]:
        """The newest row of the usage log: charged to the microcredit, by usage that the upstream told."""
        assert self.admin.admin("GET", "ledger")["ok"]
        headers = {"Authorization": f"Bearer {self.key}"}
        row: dict[str, Any] = requests.get(f"{self.url}/api/api-usage", headers=headers, timeout=20).json()["logs"][0]
        price = catalogue.MODELS[row["model"]]
        assert row["costUc"] == row["inputTokens"] * price.input_uc + row["outputTokens"] * price.output_uc > 0
        assert (row["status"], row["estimated"], row["upstream"]) == ("succeeded", False, "other")
        return row

    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(api_key=self.key, base_url=f"{self.url}/api/v1", max_retries=0, timeout=30)

    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key=self.key, base_url=f"{self.url}/api/v1", max_retries=0, timeout=30)

    def google(self) -> genai.Client:
        options = types.HttpOptions(base_url=f"{self.url}/api/v1/gemini", timeout=30_000)
        return genai.Client(api_key=self.key, http_options=options)


def config_of(fleet: dict[str, Any], dialect: str) -> dict[str, Any]:
    """Everything goes to one upstream, which speaks this dialect alone."""
    provider, model = UPSTREAMS[dialect]
    row = fleet["providers"][provider]
    other = {
        "dialect": dialect,
        "base_url": row["base_url"],
        "key": row["key"],
        "models": dict.fromkeys(MODELS.values(), model),
    }
    return {"upstreams": {"other": other}, "chains": {"*": ["other"]}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Running]]:
    """The gateway in front of upstreams of a dialect, started when first asked for."""
    with ExitStack() as stack:
        fleet = stack.enter_context(processes.fleet(tmp_path_factory.mktemp("fleet"))).told["fleet"]
        begun: dict[str, Running] = {}

        def begin(dialect: str) -> Running:
            folder = tmp_path_factory.mktemp(dialect)
            file: Path = folder / "gateway.yaml"
            file.write_text(yaml.safe_dump(config_of(fleet, dialect)))
            words = ("--config", str(file))
            told = stack.enter_context(processes.gateway(folder, fleet["base_url"], *words)).told["gateway"]
            admin = Gateway(processes.target_of(fleet, told))
            return Running(told["base_url"], admin, admin.provision(dialect, 10**12, 10**6).key, dialect)

        def of(dialect: str) -> Running:
            if dialect not in begun:
                begun[dialect] = begin(dialect)
            return begun[dialect]

        yield of


def others(dialect: str) -> Any:
    """A parameter for every dialect but this one."""
    return pytest.mark.parametrize("dialect", [name for name in MODELS if name != dialect])


def picture() -> str:
    """A small PNG in base64."""
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


Find = Callable[[str], Running]
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


# --- Chat Completions -----------------------------------------------------------------------------------------------

CHAT: Any = {"model": MODELS["openai_chat"]}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}


def chat(client: openai.OpenAI, stream: bool, **fields: Any) -> Any:
    """The completion, however it comes."""
    if not stream:
        return client.chat.completions.create(**CHAT, **fields)
    with client.chat.completions.stream(**CHAT, **fields) as events:
        events.until_done()
        return events.get_final_completion()


@others("openai_chat")
@streamed
def test_chat_says_what_the_upstream_said(gateway: Find, dialect: str, stream: bool) -> None:
    running = gateway(dialect)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SAY}]
    reply = chat(running.openai(), stream, messages=messages, max_tokens=400, temperature=0.5)
    assert reply.choices[0].message.content == SAID
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == MODELS["openai_chat"]
    row = running.row()
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (row["inputTokens"], row["outputTokens"])


@others("openai_chat")
@streamed
def test_chat_goes_through_a_tool_loop(gateway: Find, dialect: str, stream: bool) -> None:
    client = gateway(dialect).openai()
    question = {"role": "user", "content": QUESTION}
    first = chat(client, stream, messages=[question], tools=[CHAT_TOOL]).choices[0]
    assert first.finish_reason == "tool_calls"
    calls = first.message.tool_calls
    assert json.loads(calls[0].function.arguments).keys() == {"city", "unit"}
    told = [
        {"id": c.id, "type": "function", "function": c.function.model_dump(include={"name", "arguments"})}
        for c in calls
    ]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "21 degrees"} for call in calls]
    history = [question, {"role": "assistant", "tool_calls": told}, *results]
    second = chat(client, stream, messages=history, tools=[CHAT_TOOL]).choices[0]
    assert (second.finish_reason, bool(second.message.content)) == ("stop", True)


@others("openai_chat")
def test_chat_gets_json_by_a_schema(gateway: Find, dialect: str) -> None:
    messages: Any = [{"role": "user", "content": "Invent a person."}]
    reply = gateway(dialect).openai().chat.completions.parse(**CHAT, messages=messages, response_format=Person)
    assert isinstance(reply.choices[0].message.parsed, Person)


@others("openai_chat")
def test_chat_shows_a_picture(gateway: Find, dialect: str) -> None:
    url = {"url": f"data:image/png;base64,{picture()}"}
    content = [{"type": "text", "text": SAY}, {"type": "image_url", "image_url": url}]
    reply = chat(gateway(dialect).openai(), False, messages=[{"role": "user", "content": content}])
    assert reply.choices[0].message.content == SAID


@others("openai_chat")
@streamed
def test_chat_stops_at_its_limit(gateway: Find, dialect: str, stream: bool) -> None:
    messages = [{"role": "user", "content": "Tell me a story. [[answer: length]]"}]
    client = gateway(dialect).openai()
    if stream:
        events = client.chat.completions.create(**CHAT, messages=messages, max_tokens=30, stream=True)  # type: ignore[call-overload]
        reasons = [choice.finish_reason for event in events for choice in event.choices if choice.finish_reason]
        assert reasons == ["length"]
    else:
        assert chat(client, False, messages=messages, max_tokens=30).choices[0].finish_reason == "length"


@others("openai_chat")
def test_what_cannot_be_translated_is_refused_before_anything_is_charged(gateway: Find, dialect: str) -> None:
    running = gateway(dialect)
    balance = running.admin.admin("GET", "ledger")["transfers"]
    with pytest.raises(openai.BadRequestError, match="`n`"):
        chat(running.openai(), False, messages=[{"role": "user", "content": "Hi"}], n=2)
    assert running.admin.admin("GET", "ledger")["transfers"] == balance


# --- Messages -------------------------------------------------------------------------------------------------------

MESSAGE: Any = {"model": MODELS["anthropic_messages"], "max_tokens": 2000}
MESSAGE_TOOL: Any = {"name": "get_weather", "input_schema": WEATHER}


def message(client: anthropic.Anthropic, stream: bool, **fields: Any) -> Any:
    """The message, however it comes."""
    if not stream:
        return client.messages.create(**MESSAGE, **fields)
    with client.messages.stream(**MESSAGE, **fields) as events:
        return events.get_final_message()


@others("anthropic_messages")
@streamed
def test_messages_say_what_the_upstream_said(gateway: Find, dialect: str, stream: bool) -> None:
    running = gateway(dialect)
    reply = message(running.anthropic(), stream, system="Be brief.", messages=[{"role": "user", "content": SAY}])
    assert [block.text for block in reply.content if block.type == "text"] == [SAID]
    assert reply.stop_reason == "end_turn"
    row, usage = running.row(), reply.usage
    told = usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    assert (told, usage.output_tokens) == (row["inputTokens"], row["outputTokens"])


@others("anthropic_messages")
@streamed
def test_messages_go_through_a_tool_loop(gateway: Find, dialect: str, stream: bool) -> None:
    client = gateway(dialect).anthropic()
    question = {"role": "user", "content": QUESTION}
    first = message(client, stream, messages=[question], tools=[MESSAGE_TOOL])
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert calls[0].input.keys() == {"city", "unit"}
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"} for call in calls]
    history = [
        question,
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]},
        {"role": "user", "content": results},
    ]
    second = message(client, stream, messages=history, tools=[MESSAGE_TOOL])
    assert second.stop_reason == "end_turn"


@others("anthropic_messages")
@streamed
def test_messages_show_thoughts(gateway: Find, dialect: str, stream: bool) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    asked = [{"role": "user", "content": "Think. [[answer: reasoning]]"}]
    reply = message(gateway(dialect).anthropic(), stream, thinking=thinking, messages=asked)
    kinds = [block.type for block in reply.content]
    assert kinds[-1] == "text"
    assert kinds in (["thinking", "text"], ["text"]), "OpenAI's own models keep their thoughts for themselves"
    assert (kinds[0] == "thinking") or dialect == "openai_chat"


@others("anthropic_messages")
def test_messages_show_a_picture(gateway: Find, dialect: str) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": picture()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": SAY}]
    reply = message(gateway(dialect).anthropic(), False, messages=[{"role": "user", "content": content}])
    assert reply.content[-1].text == SAID


# --- Responses ------------------------------------------------------------------------------------------------------

RESPONSE: Any = {"model": MODELS["openai_responses"]}
RESPONSE_TOOL: Any = {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}
PATCH: Any = {"type": "custom", "name": "apply_patch", "description": "Edits files by a patch"}


def respond(client: openai.OpenAI, stream: bool, **fields: Any) -> Any:
    """The response, however it comes."""
    if not stream:
        return client.responses.create(**RESPONSE, **fields)
    with client.responses.stream(**RESPONSE, **fields) as events:
        return events.get_final_response()


@others("openai_responses")
@streamed
def test_responses_say_what_the_upstream_said(gateway: Find, dialect: str, stream: bool) -> None:
    running = gateway(dialect)
    reply = respond(running.openai(), stream, instructions="Be brief.", input=SAY)
    assert (reply.output_text, reply.status, reply.store) == (SAID, "completed", False)
    row = running.row()
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (row["inputTokens"], row["outputTokens"])


@others("openai_responses")
@streamed
def test_responses_go_through_a_tool_loop(gateway: Find, dialect: str, stream: bool) -> None:
    client = gateway(dialect).openai()
    first = respond(client, stream, input=QUESTION, tools=[RESPONSE_TOOL], store=False)
    calls = [item for item in first.output if item.type == "function_call"]
    assert json.loads(calls[0].arguments).keys() == {"city", "unit"}
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"} for call in calls]
    told = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    history = [{"role": "user", "content": QUESTION}, *told, *results]
    second = respond(client, stream, input=history, tools=[RESPONSE_TOOL], store=False)
    assert second.output_text


@others("openai_responses")
@streamed
def test_responses_call_a_tool_of_free_text(gateway: Find, dialect: str, stream: bool) -> None:
    client = gateway(dialect).openai()
    asked = {"input": "Patch it.", "tools": [PATCH], "tool_choice": {"type": "custom", "name": "apply_patch"}}
    reply = respond(client, stream, **asked)
    (call,) = [item for item in reply.output if item.type == "custom_tool_call"]
    assert call.name == "apply_patch"
    assert isinstance(call.input, str)
    output = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}
    told = {"type": "custom_tool_call", "call_id": call.call_id, "name": call.name, "input": call.input}
    history = [{"role": "user", "content": "Patch it."}, told, output]
    assert respond(client, stream, input=history, tools=[PATCH]).output_text


@others("openai_responses")
def test_responses_get_json_by_a_schema(gateway: Find, dialect: str) -> None:
    reply = gateway(dialect).openai().responses.parse(**RESPONSE, input="Invent a person.", text_format=Person)
    assert isinstance(reply.output_parsed, Person)


# --- Gemini ---------------------------------------------------------------------------------------------------------

GEMINI = MODELS["gemini_generate"]
GEMINI_TOOL: Any = {"function_declarations": [{"name": "get_weather", "parameters_json_schema": WEATHER}]}


def generate(client: genai.Client, stream: bool, contents: Any, **settings: Any) -> tuple[str, list[Any], Any]:
    """Text, parts, and the last chunk."""
    config: Any = {"automatic_function_calling": {"disable": True}, **settings}
    if stream:
        chunks = list(client.models.generate_content_stream(model=GEMINI, contents=contents, config=config))
    else:
        chunks = [client.models.generate_content(model=GEMINI, contents=contents, config=config)]
    contents_of = [chunk.candidates[0].content for chunk in chunks if chunk.candidates and chunk.candidates[0].content]
    parts = [part for content in contents_of for part in content.parts or ()]
    return "".join(part.text or "" for part in parts if not part.thought), parts, chunks[-1]


@others("gemini_generate")
@streamed
def test_gemini_says_what_the_upstream_said(gateway: Find, dialect: str, stream: bool) -> None:
    running = gateway(dialect)
    text, _, last = generate(running.google(), stream, SAY, system_instruction="Be brief.", max_output_tokens=400)
    assert text == SAID
    assert last.candidates[0].finish_reason == types.FinishReason.STOP
    row, usage = running.row(), last.usage_metadata
    told = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    assert (usage.prompt_token_count, told) == (row["inputTokens"], row["outputTokens"])


@others("gemini_generate")
@streamed
def test_gemini_goes_through_a_tool_loop(gateway: Find, dialect: str, stream: bool) -> None:
    client = gateway(dialect).google()
    _, parts, _ = generate(client, stream, QUESTION, tools=[GEMINI_TOOL])
    calls = [part.function_call for part in parts if part.function_call]
    assert calls[0].args.keys() == {"city", "unit"}
    answers = [types.Part.from_function_response(name=call.name, response={"result": "21 degrees"}) for call in calls]
    history = [
        types.Content(role="user", parts=[types.Part(text=QUESTION)]),
        types.Content(role="model", parts=parts),
        types.Content(role="user", parts=answers),
    ]
    text, _, _ = generate(client, stream, history, tools=[GEMINI_TOOL])
    assert text


@others("gemini_generate")
def test_gemini_gets_json_by_a_schema(gateway: Find, dialect: str) -> None:
    settings = {"response_mime_type": "application/json", "response_schema": Person}
    text, _, _ = generate(gateway(dialect).google(), False, "Invent a person.", **settings)
    assert Person.model_validate_json(text)


@others("gemini_generate")
def test_gemini_shows_a_picture(gateway: Find, dialect: str) -> None:
    image = types.Part.from_bytes(data=base64.b64decode(picture()), mime_type="image/png")
    text, _, _ = generate(gateway(dialect).google(), False, [image, SAY])
    assert text == SAID
