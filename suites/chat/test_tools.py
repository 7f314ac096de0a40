"""Tools on Chat Completions."""

from __future__ import annotations

import orjson

from suites import openai_chat
from suites.case import Case, expect_status
from suites.requirement import MODES, over, requirement
from suites.samples import WEATHER
from suites.sse import parse

TOOLS = [
    openai_chat.tool("get_weather", WEATHER),
    openai_chat.tool("get_time", {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}),
]


@requirement("CHT-006")
@over(stream=MODES)
async def test_tool_call_whole(case: Case, stream: bool) -> None:
    """One call, as the upstream makes it."""
    reply = await case.chat(stream=stream, tools=TOOLS, answer="tool=get_weather")
    expect_status(reply, 200)
    native = await case.fleet.native(await case.one_upstream_call(reply))
    due = openai_chat.read_stream(parse(native)) if stream else openai_chat.read_json(orjson.loads(native))
    calls = [(call.name, call.index, call.arguments) for call in reply.heard.calls]
    assert calls == [(call.name, call.index, call.arguments) for call in due.calls], "the calls are not the upstream's"
    assert calls, "the upstream called a tool"
    assert calls[0][:2] == ("get_weather", 0)
    assert not openai_chat.schema_problems(calls[0][2], WEATHER), f"arguments cut or changed: {calls[0][2]!r}"
    assert reply.heard.calls[0].id, "the call has no id"
    assert reply.heard.stop == "tool_calls", f"finish_reason {reply.heard.stop!r}"


@requirement("CHT-007")
@over(stream=MODES)
async def test_parallel_calls_apart(case: Case, stream: bool) -> None:
    """Three calls at once, of two tools."""
    reply = await case.chat(stream=stream, tools=TOOLS, answer="tool=get_weather tool=get_time tool=get_weather")
    expect_status(reply, 200)
    calls = reply.heard.calls
    assert [call.name for call in calls] == ["get_weather", "get_time", "get_weather"], f"calls: {calls}"
    assert len({call.id for call in calls}) == 3, f"three calls, ids {[call.id for call in calls]}"
    assert [call.index for call in calls] == [0, 1, 2], f"indexes {[call.index for call in calls]}"
    for call in calls:
        assert isinstance(orjson.loads(call.arguments), dict), f"arguments of {call.name}: {call.arguments!r}"


@requirement("CHT-008")
@over(stream=MODES)
async def test_loop_closes(case: Case, stream: bool) -> None:
    """Call, result, answer."""
    first = await case.chat(stream=stream, tools=TOOLS, tool_choice="required")
    expect_status(first, 200)
    assert first.heard.calls, f"a tool call was due: {first}"
    token = case.fresh()
    turns = openai_chat.turn_with_result(first.heard, "18 degrees")
    messages = [{"role": "user", "content": f"Weather? {case.marks(token)}"}, *turns]
    second = await case.chat(messages=messages, token=token, stream=stream, tools=TOOLS)
    expect_status(second, 200)
    entry = await case.one_upstream_call(second)
    assert entry.body["messages"] == messages, "the tool's result was changed on the way"
    assert second.heard.text, f"text was due after the tool's result: {second}"
    assert second.heard.stop == "stop", f"finish_reason {second.heard.stop!r}"
