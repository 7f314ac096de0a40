"""The official Anthropic SDK's message threads: the conversation stays with the fleet, a request brings what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anthropic
import pytest
from anthropic import beta_tool

from tests.clients.conftest import Seen
from tests.simulator.live import Live, running

MODEL = "claude-sonnet-4-6"
ROW = {"dialect": "anthropic_messages", "region": "us-east"}
ROWS = {
    "providers": [
        {"name": "anthropic", **ROW, "facts": {"vendors": ["anthropic"]}},
        {"name": "hospital", **ROW, "facts": {"vendors": ["anthropic"], "thread_unsupported": ["hipaa", "thinking"]}},
        {"name": "copy", **ROW, "facts": {"vendors": ["anthropic"], "threads": False}},
    ]
}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    """One provider that keeps threads, one whose organisation may not have them, one that does not know them."""
    with running(rows=ROWS) as live:
        yield live


@contextmanager
def client(fleet: Live, provider: str = "anthropic") -> Iterator[anthropic.Anthropic]:
    """A client of one provider that does not retry."""
    host, port = fleet.address
    url, key = f"http://{host}:{port}/{provider}", f"sk-ant-fleet-{provider}"
    with anthropic.Anthropic(api_key=key, base_url=url, max_retries=0) as made:
        yield made


@beta_tool
def get_weather(city: str) -> str:
    """Current weather of a city.

    Args:
        city: its name
    """
    return f"{city}: 21 degrees"


def final(made: anthropic.Anthropic, prompt: str, *, streamed: bool = False, **more: object) -> object:
    """What the tool runner ends with, as JSON without its id."""
    asked = {"model": MODEL, "max_tokens": 512, "tools": [get_weather], "system": "Be brief.", **more}
    messages = [{"role": "user", "content": prompt}]
    reply = made.beta.messages.tool_runner(**asked, messages=messages, stream=streamed).until_done()  # type: ignore[call-overload]
    assert reply.stop_reason == "end_turn"
    return {"content": [block.to_dict() for block in reply.content], "input_tokens": reply.usage.input_tokens}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_runner_goes_on_in_its_thread(
    fleet: Live, told: Callable[[str], str], seen: Callable[[], Seen], streamed: bool
) -> None:
    """Its second request brings the tool's result alone, and is answered as the whole conversation would be."""
    with client(fleet) as made:
        threaded = final(made, told("answer: tool_call"), streamed=streamed)
        whole = final(made, told("answer: tool_call"), streamed=streamed, thread=False)
    assert threaded == whole
    assert seen().statuses == [200] * 4
    sizes = [int(size or 0) for size in seen().header("content-length")]
    assert sizes[1] < sizes[0] < sizes[3]


def test_a_thread_grows_turn_by_turn(fleet: Live, told: Callable[[str], str]) -> None:
    with client(fleet) as made:
        thread = made.beta.messages.thread(model=MODEL, max_tokens=256, system="Be brief.")
        replies = [thread.send({"role": "user", "content": text}) for text in (told(""), "And then?", "And last?")]
        counted = made.beta.messages.count_tokens(model=MODEL, system="Be brief.", messages=list(thread.messages)[:-1])
    assert replies[-1].usage.input_tokens == counted.input_tokens
    assert [reply.usage.input_tokens for reply in replies] == sorted({reply.usage.input_tokens for reply in replies})
    assert len({reply.id for reply in replies}) == len(replies)


def test_a_lost_thread_is_told_again(fleet: Live, told: Callable[[str], str], seen: Callable[[], Seen]) -> None:
    """What a fleet forgot is a 404 with a code of its own, and the SDK sends the whole conversation."""
    with client(fleet) as made:
        thread = made.beta.messages.thread(model=MODEL, max_tokens=256)
        thread.send({"role": "user", "content": told("")})
        fleet.runtime.fleet.shelf.clear()
        thread.send({"role": "user", "content": told("")})
        assert seen().statuses == [200, 404, 200]
        with pytest.raises(anthropic.NotFoundError) as lost:
            made.beta.messages.create(
                model=MODEL,
                max_tokens=64,
                messages=[{"role": "user", "content": "Go on."}],
                thread={"type": "continue", "previous_message_id": "msg_01" + "0" * 22},
                betas=["message-threads-2026-08-12"],
            )
    assert type(lost.value).__name__ == "ThreadNotFoundError"


@pytest.mark.parametrize("code", ["thread_already_continued", "thread_continue_in_flight"])
def test_what_the_fleet_does_not_keep_count_of_a_fault_can_say(
    fleet: Live, told: Callable[[str], str], seen: Callable[[], Seen], code: str
) -> None:
    """The second attempt of the case is the one that goes on; the SDK then starts a new thread."""
    with client(fleet) as made:
        thread = made.beta.messages.thread(model=MODEL, max_tokens=256)
        first = thread.send({"role": "user", "content": told(f"fault: status=400 code={code} attempt=2")})
        second = thread.send({"role": "user", "content": "And then?"})
    assert seen().statuses == [200, 400, 200]
    assert second.usage.input_tokens > first.usage.input_tokens


def test_an_organisation_may_have_no_threads(fleet: Live, told: Callable[[str], str], seen: Callable[[], Seen]) -> None:
    """The tool runner goes on without; who asked for a thread is told what it does not go with."""
    with client(fleet, "hospital") as made:
        final(made, told("answer: tool_call"))
        assert seen().statuses == [400, 200, 200]
        thread = made.beta.messages.thread(model=MODEL, max_tokens=256, thinking={"type": "adaptive"})
        with pytest.raises(anthropic.BadRequestError) as refused:
            thread.send({"role": "user", "content": "Hello."})
    assert type(refused.value).__name__ == "ThreadUnsupportedRequestError"
    assert refused.value.body["error"]["details"]["unsupported"] == ["hipaa", "thinking"]  # type: ignore[index]


def test_a_copy_of_the_wire_passes_threads_by(fleet: Live, told: Callable[[str], str]) -> None:
    """It answers what is new alone: here a tool's result that nobody called for."""
    with client(fleet, "copy") as made, pytest.raises(anthropic.BadRequestError, match="unexpected `tool_use_id`"):
        final(made, told("answer: tool_call"))
