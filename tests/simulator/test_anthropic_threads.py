"""Threads of the Messages wire, without a client's help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.live import Live, Reply, request, running

BETA = "message-threads-2026-08-12"
CREATE = {"type": "create"}
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {"where": {"type": "string"}}}}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def ask(fleet: Live, text: str, thread: object, provider: str = "anthropic", beta: str = BETA, **more: Any) -> Reply:
    """One request in a thread."""
    body = {"model": "claude-sonnet-4-5", "max_tokens": 256, "messages": [user(text)], "thread": thread, **more}
    headers = {"x-api-key": f"sk-ant-fleet-{provider}", "anthropic-version": "2023-06-01"}
    headers |= {"anthropic-beta": beta} if beta else {}
    return fleet.call(request("POST", f"/{provider}/v1/messages", body, headers))


def after(reply: Reply) -> dict[str, object]:
    """The thread that goes on from a reply."""
    return {"type": "continue", "previous_message_id": reply.json["id"]}


def test_a_thread_may_go_on_from_any_of_its_replies(fleet: Live) -> None:
    """The same request is answered alike each time, also the second time that a reply is continued."""
    first = ask(fleet, "Hello.", CREATE)
    second = ask(fleet, "And then?", after(first))
    third = ask(fleet, "And last?", after(second))
    again = ask(fleet, "And then?", after(first))
    assert [reply.status for reply in (first, second, third, again)] == [200] * 4
    assert again.json["content"] == second.json["content"]
    tokens = [reply.json["usage"]["input_tokens"] for reply in (first, second, third)]
    assert tokens == sorted(set(tokens))


def test_a_reply_outside_of_a_thread_is_not_kept(fleet: Live) -> None:
    plain = ask(fleet, "Hello.", None)
    lost = ask(fleet, "Go on.", after(plain))
    assert lost.status == 404
    assert lost.json["error"] == {
        "type": "not_found_error",
        "message": "No thread was found for `previous_message_id`.",
        "details": {"error_code": "thread_not_found"},
    }
    assert ask(fleet, "Go on.", after(ask(fleet, "Hello.", CREATE)), provider="anthropic-eu").status == 404


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"beta": ""}, "thread: Extra inputs are not permitted"),
        ({"thread": {"type": "join"}}, "thread: Input tag 'join' found using 'type'"),
        ({"thread": {"type": "continue"}}, "thread.continue.previous_message_id: Field required"),
        ({"system": "Be brief."}, "system: may not be sent when `thread` is continued"),
        ({"tools": [TOOL]}, "tools: may not be sent when `thread` is continued"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    ],
)
def test_what_a_thread_refuses(fleet: Live, changed: dict[str, Any], said: str) -> None:
    thread = after(ask(fleet, "Hello.", CREATE))
    reply = ask(fleet, "Go on.", **{"thread": thread, **changed})
    assert reply.status == 400
    assert reply.json["error"]["message"].startswith(said)


def test_a_call_of_a_thread_needs_its_result(fleet: Live) -> None:
    """The rules that span messages hold over the whole conversation, system prompt and tools included."""
    first = ask(fleet, "Look. [[answer: tool_call]]", CREATE, tools=[TOOL], system="Be brief.")
    use = first.json["content"][0]["id"]
    lost = ask(fleet, "Go on.", after(first))
    assert lost.status == 400
    assert "`tool_use` ids were found without `tool_result` blocks" in lost.json["error"]["message"]
    result = [{"type": "tool_result", "tool_use_id": use, "content": "fog"}]
    told = ask(fleet, "", after(first), messages=[user(result)], tool_choice={"type": "any"})
    assert told.json["stop_reason"] == "tool_use"
