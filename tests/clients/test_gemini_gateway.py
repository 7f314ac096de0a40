"""The official Google Gen AI SDK through a gateway on a fleet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pytest
import requests
from google import genai
from google.genai import errors, types

from loadtests import processes
from loadtests.ledger import Gateway
from schemas import catalogue
from tests.clients.conftest import Person
from tests.clients.test_gemini_generate import LOGO, TIME, WEATHER, config

MODEL = "gemini-2.5-flash-official"
PRICE = catalogue.MODELS[MODEL]
BREAK = "Break. [[answer: tokens=90]] [[fault: {} after_frames=2]]"
HELLO = [{"role": "user", "parts": [{"text": "Hi"}]}]


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway on a fleet, and a funded user's key."""

    url: str
    admin: Gateway
    key: str

    def client(self, base: str = "/api/v1/gemini", version: str | None = None, key: str = "") -> genai.Client:
        """The SDK, pointed at one of the base URLs."""
        options = types.HttpOptions(base_url=self.url + base, api_version=version, timeout=30_000)
        return genai.Client(api_key=key or self.key, http_options=options)

    def newest(self) -> dict[str, Any]:
        """The newest row of the usage log; the ledger must be sound."""
        assert self.admin.admin("GET", "ledger")["ok"]
        headers = {"Authorization": f"Bearer {self.key}"}
        row: dict[str, Any] = requests.get(f"{self.url}/api/api-usage", headers=headers, timeout=20).json()["logs"][0]
        return row

    def check_charge(self, usage: Any, *, stream: bool, model: str = MODEL) -> None:
        """The newest call was charged by the usage that the SDK was told, to the microcredit."""
        row, price = self.newest(), catalogue.MODELS[model]
        thoughts = usage.thoughts_token_count or 0
        output_tokens = (usage.candidates_token_count or 0) + thoughts
        input_tokens = usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0)
        assert row["costUc"] == input_tokens * price.input_uc + output_tokens * price.output_uc
        assert (row["reasoningTokens"], row["endpoint"], row["stream"]) == (thoughts, "/v1/gemini", stream)
        assert (row["status"], row["estimated"], row["capped"]) == ("succeeded", False, False)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gemini")
    words = ("--set", "breaker_failures=1000")  # failures of one test are nothing to the next
    with (
        processes.fleet(folder) as fleet,
        processes.gateway(folder, fleet.told["fleet"]["base_url"], *words) as gateway,
    ):
        told = gateway.told["gateway"]
        admin = Gateway(processes.target_of(fleet.told["fleet"], told))
        yield Running(told["base_url"], admin, admin.provision("sdk", 10**12, 10**6).key)


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[genai.Client]:
    made = running.client()
    yield made
    made.close()


def test_generate(running: Running, client: genai.Client) -> None:
    options = config(system_instruction="Be brief.", temperature=0.5, max_output_tokens=2048)
    reply = client.models.generate_content(model=MODEL, contents="Say hi.", config=options)
    assert reply.text
    assert reply.candidates is not None
    assert reply.candidates[0].finish_reason == types.FinishReason.STOP
    running.check_charge(reply.usage_metadata, stream=False)


def test_stream(running: Running, client: genai.Client) -> None:
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="Say hi. [[answer: tokens=60]]"))
    assert len(chunks) > 1
    finishes = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert finishes[-1] == types.FinishReason.STOP
    assert not any(finishes[:-1])
    running.check_charge(chunks[-1].usage_metadata, stream=True)


@pytest.mark.parametrize(
    ("base", "version"),
    [
        ("/api/v1/gemini", None),
        ("/api/v1/gemini/", "v1beta"),
        ("/api/v1", None),
        ("/api/v1", "v1beta"),
        ("/api", "v1"),
        ("", "v1beta"),
        ("/v1/gemini", "v1alpha"),
    ],
)
def test_every_base_url(running: Running, base: str, version: str | None) -> None:
    client = running.client(base, version)
    assert client.models.generate_content(model=MODEL, contents="Hi").text
    assert "".join(chunk.text or "" for chunk in client.models.generate_content_stream(model=MODEL, contents="Hi"))
    assert (client.models.count_tokens(model=MODEL, contents="Hi").total_tokens or 0) > 0
    if base != "/api" and (base or version == "v1beta"):
        names = {model.name for model in client.models.list()}
        assert f"models/{MODEL}" in names
        assert client.models.get(model=MODEL).name == f"models/{MODEL}"
    client.close()


def test_a_chat_keeps_its_history(client: genai.Client) -> None:
    chat = client.chats.create(model=MODEL)
    assert chat.send_message("Hello.").text
    assert "".join(chunk.text or "" for chunk in chat.send_message_stream("Go on."))
    roles = [content.role for content in chat.get_history()]
    assert [role for role, _ in groupby(roles)] == ["user", "model", "user", "model"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", [MODEL, "gemini-3-flash-official"])
def test_a_tool_loop(running: Running, client: genai.Client, model: str, streamed: bool) -> None:
    """Parts go back as they came, signatures of thoughts included: the newer model insists on them."""
    contents = [types.Content(role="user", parts=[types.Part(text="Both? [[answer: tool=get_weather tool=get_time]]")])]
    options = config(tools=[types.Tool(function_declarations=[WEATHER, TIME])])
    called: list[str] = []
    for _ in range(5):
        parts = spoken(client, model, streamed, contents, options)
        contents.append(types.Content(role="model", parts=parts))
        calls = [part.function_call for part in parts if part.function_call]
        if not calls:
            break
        called += [call.name or "" for call in calls]
        results = [types.Part.from_function_response(name=call.name or "", response={"is": "noon"}) for call in calls]
        contents.append(types.Content(role="user", parts=results))
    assert called == ["get_weather", "get_time"]
    assert any(part.text for part in parts)
    assert running.newest()["model"] == model


def spoken(client: genai.Client, model: str, streamed: bool, contents: Any, options: Any) -> list[types.Part]:
    """The parts of an answer."""
    if streamed:
        replies = list(client.models.generate_content_stream(model=model, contents=contents, config=options))
    else:
        replies = [client.models.generate_content(model=model, contents=contents, config=options)]
    return [part for reply in replies for part in reply.parts or []]


def test_the_sdk_calls_the_caller_s_function_by_itself(client: genai.Client) -> None:
    asked: list[str] = []

    def get_weather(city: str) -> str:
        """Current weather of a city."""
        asked.append(city)
        return "21 degrees"

    assert client.models.generate_content(model=MODEL, contents="Weather?", config=config(tools=[get_weather])).text
    assert len(asked) == 1


def test_structured_output(client: genai.Client) -> None:
    options = config(response_mime_type="application/json", response_schema=Person)
    reply = client.models.generate_content(model=MODEL, contents="Invent a person.", config=options)
    assert isinstance(reply.parsed, Person)


def test_a_picture_is_counted_and_charged(running: Running, client: genai.Client) -> None:
    question = [types.Part(text="What is this?"), LOGO]
    counted = client.models.count_tokens(model=MODEL, contents=question)  # type: ignore[arg-type]
    before = running.newest()["id"]
    reply = client.models.generate_content(model=MODEL, contents=question)  # type: ignore[arg-type]
    assert reply.usage_metadata is not None
    assert reply.usage_metadata.prompt_token_count == counted.total_tokens
    assert running.newest()["id"] != before
    running.check_charge(reply.usage_metadata, stream=False)


@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts_are_shown_and_charged(running: Running, client: genai.Client, streamed: bool) -> None:
    question = [types.Content(role="user", parts=[types.Part(text="Plan a refactor.")])]
    options = config(thinking_config={"include_thoughts": True, "thinking_budget": 1024})
    parts = spoken(client, MODEL, streamed, question, options)
    assert any(part.thought and part.text for part in parts)
    assert any(part.text and not part.thought for part in parts)
    assert running.newest()["reasoningTokens"] > 0


def test_counting_is_free(running: Running, client: genai.Client) -> None:
    before = running.newest()["id"]
    assert (client.models.count_tokens(model=MODEL, contents="Hello there").total_tokens or 0) > 0
    assert running.newest()["id"] == before


REFUSED: dict[str, tuple[Callable[[Running, genai.Client], Any], int, str]] = {
    "key": (lambda r, _: ask(r.client(key="ck_wrong")), 401, "UNAUTHENTICATED"),
    "model": (lambda _, c: ask(c, model="nobody"), 400, "INVALID_ARGUMENT"),
    "another wire's model": (lambda _, c: ask(c, model="gpt-5.5"), 400, "INVALID_ARGUMENT"),
    "credit": (lambda r, _: ask(r.client(key=r.admin.provision("poor", 10**8, 10).key)), 402, "FAILED_PRECONDITION"),
    "limit": (lambda r, _: ask(r.client(key=r.admin.provision("slow", 10**12, 0).key)), 429, "RESOURCE_EXHAUSTED"),
    "upstream": (lambda _, c: ask(c, "Hi [[fault: status=400 message='Not so.']]"), 400, "INVALID_ARGUMENT"),
    "upstreams": (lambda _, c: ask(c, "Hi [[fault: status=503]]"), 502, "UNAVAILABLE"),
}


def ask(client: genai.Client, prompt: str = "Hi", model: str = MODEL) -> types.GenerateContentResponse:
    return client.models.generate_content(model=model, contents=prompt)


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_the_sdk_s_own_exceptions(running: Running, client: genai.Client, case: str) -> None:
    call, code, word = REFUSED[case]
    with pytest.raises(errors.APIError) as caught:
        call(running, client)
    assert (caught.value.code, caught.value.status) == (code, word)
    assert isinstance(caught.value, errors.ServerError if code >= 500 else errors.ClientError)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("fault", ["error_event", "cut_stream", "silent_end", "reset"])
def test_an_upstream_that_dies_in_mid_answer_is_an_exception(
    running: Running, client: genai.Client, fault: str
) -> None:
    chunks: list[types.GenerateContentResponse] = []
    with pytest.raises(errors.ServerError) as caught:
        chunks.extend(client.models.generate_content_stream(model=MODEL, contents=BREAK.format(fault)))
    assert (caught.value.code, caught.value.status) == (502, "UNAVAILABLE")
    assert "mid-answer" in str(caught.value)
    assert any(chunk.text for chunk in chunks)
    row = running.newest()
    assert row["status"] == "upstream_failed"
    assert row["costUc"] == row["inputTokens"] * PRICE.input_uc + row["outputTokens"] * PRICE.output_uc > 0


def test_a_stream_that_breaks_has_no_clean_end_on_the_wire(running: Running) -> None:
    """For clients that pass over an error event: the body is cut, too."""
    url = f"{running.url}/api/v1/gemini/v1beta/models/{MODEL}:streamGenerateContent"
    body: Any = {"contents": [{"role": "user", "parts": [{"text": BREAK.format("cut_stream")}]}]}
    for query in ("?alt=sse", ""):
        headers = {"x-goog-api-key": running.key}
        with requests.post(url + query, json=body, headers=headers, stream=True, timeout=20) as answer:
            pieces: list[bytes] = []
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                deque(map(pieces.append, answer.iter_content(None)), maxlen=0)
            assert b'"UNAVAILABLE"' in b"".join(pieces)


def test_who_leaves_pays_for_what_came(running: Running, client: genai.Client) -> None:
    before = running.newest()["id"]
    prompt = "Talk. [[answer: tokens=400]] [[fault: stall after_frames=3]]"
    stream: Any = client.models.generate_content_stream(model=MODEL, contents=prompt)
    assert next(stream).text
    assert next(stream).text
    stream.close()
    row = running.newest()
    for _ in range(200):
        row = running.newest()
        if row["id"] != before:
            break
    assert row["id"] != before
    assert (row["status"], row["statusCode"]) == ("client_closed", 499)
    assert row["costUc"] == row["inputTokens"] * PRICE.input_uc + row["outputTokens"] * PRICE.output_uc > 0


def test_failover_is_not_seen(running: Running, client: genai.Client) -> None:
    assert ask(client, "Hi [[fault: status=503 provider=gemini]]").text
    assert running.newest()["upstream"] == "gemini-eu"


@pytest.mark.parametrize("form", ["Authorization", "x-api-key", "x-goog-api-key", "key"])
def test_the_examples_of_the_reference_with_every_key_form(running: Running, form: str) -> None:
    headers = {} if form == "key" else {form: f"Bearer {running.key}" if form == "Authorization" else running.key}
    query = {"key": running.key} if form == "key" else {}

    def post(body: dict[str, Any]) -> Any:
        return requests.post(f"{running.url}/api/v1/gemini", json=body, headers=headers, params=query, timeout=20)

    settings = {"temperature": 0.6, "maxOutputTokens": 2048}
    native = post({"model": "gemini-3.1-pro", "contents": HELLO, "generationConfig": settings})
    assert native.json()["candidates"][0]["content"]["parts"]
    fast = post({"model": "gemini-3.1-fast", "contents": HELLO})
    told, row, price = fast.json()["usageMetadata"], running.newest(), catalogue.MODELS["gemini-3.1-fast"]
    output_tokens = told["candidatesTokenCount"] + told.get("thoughtsTokenCount", 0)
    assert row["costUc"] == told["promptTokenCount"] * price.input_uc + output_tokens * price.output_uc
    chat = post({"model": "gemini-3.1-fast", "messages": [{"role": "user", "content": "Hi"}]}).json()
    assert chat["object"] == "chat.completion"
    row, usage = running.newest(), chat["usage"]
    assert row["costUc"] == usage["prompt_tokens"] * price.input_uc + usage["completion_tokens"] * price.output_uc


@pytest.mark.parametrize("model", [model.id for model in catalogue.MODELS.values() if "gemini" in model.endpoints])
def test_every_model_in_both_shapes(running: Running, client: genai.Client, model: str) -> None:
    reply = ask(client, model=model)
    running.check_charge(reply.usage_metadata, stream=False, model=model)
    body: Any = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    chat = requests.post(f"{running.url}/api/v1/gemini", json=body, headers={"x-api-key": running.key}, timeout=20)
    assert chat.json()["choices"][0]["message"]["content"]
    row, usage, price = running.newest(), chat.json()["usage"], catalogue.MODELS[model]
    assert row["costUc"] == usage["prompt_tokens"] * price.input_uc + usage["completion_tokens"] * price.output_uc
