"""Tools on Messages."""

from __future__ import annotations

from typing import Any

from suites import anthropic_messages
from suites.case import Case, expect_status
from suites.messages.test_answers import native
from suites.openai_chat import schema_problems
from suites.requirement import MODES, over, requirement
from suites.samples import WEATHER

TOOLS: list[dict[str, Any]] = [
    anthropic_messages.tool("get_weather", WEATHER),
    anthropic_messages.tool(
        "get_time", {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
    ),
]


@requirement("MSG-011")
@over(stream=MODES, answer=("tool=get_weather", "tool=get_weather tool=get_time"))
async def test_tool_use_whole(case: Case, stream: bool, answer: str) -> None:
    """One call and two, as the upstream makes them."""
    reply = await case.messages(stream=stream, tools=TOOLS, answer=answer)
    expect_status(reply, 200)
    due = await native(case, reply, stream)
    calls = [(call.name, call.arguments) for call in reply.heard.calls]
    assert calls == [(call.name, call.arguments) for call in due.calls], "the calls are not the upstream's"
    assert calls, "the upstream called a tool"
    assert not schema_problems(calls[0][1], WEATHER), f"input cut or changed: {calls[0][1]!r}"
    assert len({call.id for call in reply.heard.calls}) == len(calls), "each call has an id of its own"
    assert reply.heard.stop == "tool_use", f"stop_reason {reply.heard.stop!r}"


@requirement("MSG-012")
@over(stream=MODES)
async def test_loop_closes(case: Case, stream: bool) -> None:
    """Call, result, answer."""
    first = await case.messages(stream=stream, tools=TOOLS, tool_choice={"type": "any"})
    expect_status(first, 200)
    assert first.heard.calls, f"a tool call was due: {first}"
    token = case.fresh()
    turns = anthropic_messages.turn_with_result(first.heard, "18 degrees")
    messages = [{"role": "user", "content": f"Weather? {case.marks(token)}"}, *turns]
    second = await case.messages(messages=messages, token=token, stream=stream, tools=TOOLS)
    expect_status(second, 200)
    entry = await case.one_upstream_call(second)
    assert entry.body["messages"] == messages, "the turns were changed on the way"
    assert second.heard.text, f"text was due after the tool's result: {second}"
    assert second.heard.stop == "end_turn", f"stop_reason {second.heard.stop!r}"


@requirement("MSG-023")
@over(stream=MODES)
async def test_foreign_tool_ids(case: Case, stream: bool) -> None:
    """Two calls with ids that Anthropic's pattern does not allow and that differ in one such character."""
    token = case.fresh()
    words = "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
    refusal = f'status=400 call=1 message="{words}"'
    ids = ["call:1/2", "call:1.2"]
    calls = [{"type": "tool_use", "id": name, "name": "get_time", "input": {"zone": "UTC"}} for name in ids]
    results = [{"type": "tool_result", "tool_use_id": name, "content": "noon"} for name in ids]
    messages = [
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": calls},
        {"role": "user", "content": [*results, {"type": "text", "text": case.marks(token, fault=refusal)}]},
    ]
    reply = await case.messages(messages=messages, token=token, stream=stream, tools=TOOLS)
    entries = await case.reached("status", token)
    expect_status(reply, 200)
    assert entries[0].body["messages"] == messages, "the first attempt was rewritten although nobody had refused it"
    sent = entries[-1].body["messages"]
    used = [block["id"] for block in sent[1]["content"]]
    answered = [block["tool_use_id"] for block in sent[2]["content"] if block["type"] == "tool_result"]
    assert used == answered, f"calls {used} and results {answered} do not match"
    assert len(set(used)) == 2, f"two calls became one: {used}"
