"""Extended thinking: there, back, and over a failover."""

from __future__ import annotations

from typing import Any

from suites import anthropic_messages
from suites.case import Case, expect_status, providers
from suites.exchange import Reply
from suites.fleet import Entry
from suites.messages.test_answers import native
from suites.requirement import MODES, over, requirement
from suites.samples import AWKWARD, WEATHER

THINKING = {"type": "enabled", "budget_tokens": 1024}
TOOLS = [anthropic_messages.tool("get_weather", WEATHER)]


async def think(case: Case, stream: bool = False, **options: Any) -> Reply:
    """A first turn that thinks."""
    reply = await case.messages(stream=stream, thinking=THINKING, max_tokens=2048, **options)
    expect_status(reply, 200)
    assert reply.heard.thinking, f"a thinking block was due: {reply}"
    return reply


@requirement("MSG-006")
@over(stream=MODES, config=("enabled", "adaptive"))
async def test_parameter_forwarded(case: Case, stream: bool, config: str) -> None:
    """Both documented forms."""
    thinking = THINKING if config == "enabled" else {"type": "adaptive"}
    entries = await case.upstream(await case.messages(stream=stream, thinking=thinking, max_tokens=2048))
    assert entries, "the request never reached an upstream"
    assert entries[0].body.get("thinking") == thinking, f"the upstream got {entries[0].body.get('thinking')}"


@requirement("MSG-006")
@over(stream=MODES)
async def test_history_unchanged(case: Case, stream: bool) -> None:
    """A block with awkward text on the first attempt: whether its signature holds is for the upstream to say."""
    token = case.fresh()
    block = {"type": "thinking", "thinking": AWKWARD, "signature": "ErUBCkYICBgCIkA+/=="}
    messages = [
        {"role": "user", "content": "First."},
        {"role": "assistant", "content": [block, {"type": "text", "text": "Answer."}]},
        {"role": "user", "content": f"Second. {case.marks(token)}"},
    ]
    entries = await case.upstream(
        await case.messages(messages=messages, token=token, stream=stream, thinking=THINKING, max_tokens=2048)
    )
    assert entries, "the request never reached an upstream"
    assert entries[0].body["messages"] == messages, f"the history was changed on the way: {entries[0].body['messages']}"


@requirement("MSG-007")
@over(stream=MODES)
async def test_signature_arrives(case: Case, stream: bool) -> None:
    """Thinking, its signature, then the text."""
    reply = await think(case, stream)
    due = await native(case, reply, stream)
    assert [block["type"] for block in reply.heard.blocks][:2] == ["thinking", "text"], f"blocks {reply.heard.blocks}"
    assert reply.heard.thinking == due.thinking, "the thinking is not the upstream's"
    assert reply.heard.signatures == due.signatures, (
        f"signatures {reply.heard.signatures}; the upstream's {due.signatures}"
    )
    assert all(reply.heard.signatures), "an empty signature"


@requirement("MSG-008")
@over(stream=MODES)
async def test_conversation_goes_on(case: Case, stream: bool) -> None:
    """Thought, call, result: the upstream verifies the signature it made."""
    model = case.model("messages")
    first = await think(case, stream, tools=TOOLS, answer="reasoning tool=get_weather", model=model)
    assert first.heard.calls, f"a tool call was due: {first}"
    token = case.fresh()
    turns = anthropic_messages.turn_with_result(first.heard, "18 degrees")
    messages = [{"role": "user", "content": f"Weather? {case.marks(token)}"}, *turns]
    second = await case.messages(
        messages=messages, token=token, stream=stream, tools=TOOLS, thinking=THINKING, max_tokens=2048, model=model
    )
    expect_status(second, 200)
    entries = await case.upstream(second)
    assert [entry.status for entry in entries] == [200], (
        f"the signature was not accepted as it is: {list(map(str, entries))}"
    )
    assert entries[0].body["messages"] == messages, "the signed turn was changed on the way"


def kinds(entry: Entry) -> list[list[str]]:
    """The block types of each message that an upstream got."""
    return [
        ["text"] if isinstance(turn["content"], str) else [block["type"] for block in turn["content"]]
        for turn in entry.body["messages"]
    ]


@requirement("MSG-009")
@over(stream=MODES)
async def test_stale_thinking_filtered(case: Case, stream: bool) -> None:
    """The first target signed the history and is down; the second refuses foreign signatures."""
    first_target, second_target = case.chain("messages")[:2]
    model = case.model("messages")
    first = await think(case, tools=TOOLS, answer="reasoning tool=get_weather", model=model)
    token = case.fresh()
    faults = [f"status=503 provider={first_target}", f"stale_signature provider={second_target}"]
    turns = anthropic_messages.turn_with_result(first.heard, "18 degrees")
    messages = [{"role": "user", "content": f"Weather? {case.marks(token, fault=faults)}"}, *turns]
    reply = await case.messages(messages=messages, token=token, stream=stream, tools=TOOLS, model=model)
    entries = await case.reached("status", token)
    assert second_target in providers(entries), f"no failover happened: {providers(entries)}"
    expect_status(reply, 200)
    assert reply.error is None, f"the stream ended in {reply.error}"
    served = entries[-1]
    assert (served.provider, served.status) == (second_target, 200), f"served by {served}"
    flat = [kind for turn in kinds(served) for kind in turn]
    assert "thinking" not in flat, f"thinking was sent again: {kinds(served)}"
    assert "tool_use" in flat, f"tool blocks were lost: {kinds(served)}"
    assert "tool_result" in flat, f"tool blocks were lost: {kinds(served)}"


@requirement("MSG-010")
@over(stream=MODES)
async def test_redacted_history_unchanged(case: Case, stream: bool) -> None:
    """A redacted block before the text of an earlier turn."""
    token = case.fresh()
    messages = [
        {"role": "user", "content": "First."},
        {
            "role": "assistant",
            "content": [
                {
                    "type": "redacted_thinking",
                    "data": "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP",
                },
                {"type": "text", "text": "Answer."},
            ],
        },
        {"role": "user", "content": f"Second. {case.marks(token)}"},
    ]
    entries = await case.upstream(
        await case.messages(messages=messages, token=token, stream=stream, thinking=THINKING, max_tokens=2048)
    )
    assert entries, "the request never reached an upstream"
    assert entries[0].body["messages"] == messages, f"the history was changed on the way: {entries[0].body['messages']}"
