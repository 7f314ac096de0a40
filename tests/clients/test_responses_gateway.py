"""The official OpenAI SDK on the Responses wire, through a gateway on a fleet."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
import requests
from openai.types.responses import ResponseInputParam

from loadtests import processes
from loadtests.ledger import Gateway
from schemas import catalogue
from tests.clients.conftest import Person
from tests.clients.test_openai_responses import WEATHER

MODEL = "gpt-5.3-codex"
PRICE = catalogue.MODELS[MODEL]


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway on a fleet."""

    url: str
    admin: Gateway

    def client(self, name: str) -> openai.OpenAI:
        """The SDK with the key of a new user."""
        account = self.admin.provision(name, 10**12, 10**6)
        return openai.OpenAI(api_key=account.key, base_url=f"{self.url}/api/v1", max_retries=0, timeout=30)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("responses")
    words = ("--set", "breaker_failures=1000")  # failures of one test are nothing to the next
    with (
        processes.fleet(folder) as fleet,
        processes.gateway(folder, fleet.told["fleet"]["base_url"], *words) as gateway,
    ):
        told = gateway.told["gateway"]
        admin = Gateway(processes.target_of(fleet.told["fleet"], told))
        yield Running(told["base_url"], admin)


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[openai.OpenAI]:
    with running.client("sdk") as made:
        yield made


def logs(running: Running, client: openai.OpenAI) -> list[dict[str, Any]]:
    """The caller's usage log, newest first."""
    headers = {"Authorization": f"Bearer {client.api_key}"}
    answer = requests.get(f"{running.url}/api/api-usage", headers=headers, timeout=20)
    found: list[dict[str, Any]] = answer.json()["logs"]
    return found


def check_charge(running: Running, client: openai.OpenAI, usage: Any) -> None:
    """The newest call was charged by the usage that the SDK was told, to the microcredit."""
    row = logs(running, client)[0]
    assert row["costUc"] == usage.input_tokens * PRICE.input_uc + usage.output_tokens * PRICE.output_uc
    assert (row["inputTokens"], row["outputTokens"]) == (usage.input_tokens, usage.output_tokens)
    assert row["cachedInputTokens"] == usage.input_tokens_details.cached_tokens
    assert row["reasoningTokens"] == usage.output_tokens_details.reasoning_tokens
    assert (row["estimated"], row["capped"]) == (False, False)
    assert running.admin.admin("GET", "ledger")["ok"]


def test_create(running: Running, client: openai.OpenAI) -> None:
    reply = client.responses.create(model=MODEL, input="Say hi.", instructions="Be brief.")
    assert reply.output_text
    assert reply.status == "completed"
    check_charge(running, client, reply.usage)


def test_input_tokens_are_counted_as_they_are_charged(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model=MODEL, input="How long is this?", tools=[WEATHER])
    reply = client.responses.create(model=MODEL, input="How long is this?", tools=[WEATHER])
    assert reply.usage is not None
    assert counted.input_tokens == reply.usage.input_tokens


def test_stream(running: Running, client: openai.OpenAI) -> None:
    events = list(client.responses.create(model=MODEL, input="Say hi.", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.completed"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == last.response.output_text
    check_charge(running, client, last.response.usage)


@pytest.mark.parametrize("kept", [False, True], ids=["history", "previous_response_id"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop(running: Running, client: openai.OpenAI, streamed: bool, kept: bool) -> None:
    history: ResponseInputParam = [{"role": "user", "content": "Weather? [[answer: tool_call tool_calls=2]]"}]
    options: dict[str, Any] = {"model": MODEL, "tools": [WEATHER]}
    called = 0
    for _ in range(5):
        reply = replied(client, streamed, input=history, **options)
        check_charge(running, client, reply.usage)
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


@pytest.mark.parametrize("streamed", [False, True])
def test_parse(client: openai.OpenAI, streamed: bool) -> None:
    if streamed:
        with client.responses.stream(model=MODEL, input="Invent a person.", text_format=Person) as stream:
            parsed = stream.get_final_response().output_parsed
    else:
        parsed = client.responses.parse(model=MODEL, input="Invent a person.", text_format=Person).output_parsed
    assert isinstance(parsed, Person)


def test_sealed_reasoning_survives_a_failover(running: Running, client: openai.OpenAI) -> None:
    """What the first upstream sealed, the second cannot read: the turn goes on without it."""
    question: Any = {"role": "user", "content": "Think."}
    options: dict[str, Any] = {"model": MODEL, "store": False, "include": ["reasoning.encrypted_content"]}
    first = client.responses.create(input=[question], reasoning={"effort": "high"}, **options)
    assert any(item.type == "reasoning" and item.encrypted_content for item in first.output)
    more: Any = {"role": "user", "content": "Go on. [[fault: status=500 provider=openai]]"}
    history: Any = [question, *[item.to_dict() for item in first.output], more]
    assert client.responses.create(input=history, **options).status == "completed"
    assert logs(running, client)[0]["upstream"] == "openai-eu"


def test_a_kept_response_is_its_maker_s_alone(running: Running, client: openai.OpenAI) -> None:
    made = client.responses.create(model=MODEL, input="Remember this.")
    assert client.responses.retrieve(made.id).output_text == made.output_text
    assert [item.type for item in client.responses.input_items.list(made.id)] == ["message"]
    with running.client("other") as other:
        with pytest.raises(openai.NotFoundError):
            other.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            other.responses.delete(made.id)
        with pytest.raises(openai.BadRequestError, match="Previous response with id"):
            other.responses.create(model=MODEL, input="Go on.", previous_response_id=made.id)
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(made.id)
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_errors(running: Running, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="is an Anthropic model"):
        client.responses.create(model="claude-sonnet-4-6", input="x")
    with pytest.raises(openai.BadRequestError, match="There is no model"):
        client.responses.create(model="nothing", input="x")
    with pytest.raises(openai.BadRequestError, match="max_output_tokens"):
        client.responses.create(model=MODEL, input="x", max_output_tokens=1)
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="ck_nobody_0123456789").responses.create(model=MODEL, input="x")
    with pytest.raises(openai.InternalServerError, match="All upstreams failed for"):
        client.responses.create(model=MODEL, input="x [[fault: status=503]]")


def test_a_death_in_mid_stream(running: Running, client: openai.OpenAI) -> None:
    text = "Talk. [[answer: tokens=60]] [[fault: reset after_frames=20]]"
    with pytest.raises(openai.APIError, match="The upstream failed in mid-answer"):
        list(client.responses.create(model=MODEL, input=text, stream=True))
    row = logs(running, client)[0]
    assert (row["status"], row["estimated"]) == ("upstream_failed", True)
    assert row["outputTokens"] > 0
    assert row["costUc"] == row["inputTokens"] * PRICE.input_uc + row["outputTokens"] * PRICE.output_uc
    assert running.admin.admin("GET", "ledger")["ok"]


def test_a_caller_who_hangs_up(running: Running, client: openai.OpenAI) -> None:
    """The upstream is cancelled, and what was delivered is charged: once, and never as if it were the whole."""
    text = "Talk. [[answer: tokens=400]] [[fault: latency gap_ms=20]]"
    with client.responses.create(model=MODEL, input=text, stream=True) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                break
    deadline = time.monotonic() + 20
    while (row := logs(running, client)[0])["status"] != "client_closed":
        assert time.monotonic() < deadline, row
    assert (row["statusCode"], row["estimated"]) == (499, True)
    assert 0 < row["outputTokens"] < 200
    assert row["costUc"] == row["inputTokens"] * PRICE.input_uc + row["outputTokens"] * PRICE.output_uc
    audit = running.admin.admin("GET", "ledger")
    assert (audit["ok"], audit["open_holds"]) == (True, 0)
