"""What comes back from Chat Completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from suites import openai_chat
from suites.case import Case, expect_status, expect_text
from suites.outcomes import Violation
from suites.requirement import MODES, over, requirement
from suites.samples import AWKWARD, CJK
from suites.sse import parse

OWN_KEYS = frozenset(
    {"id", "created", "model", "usage", "obfuscation"}
)  # these may rightly differ from the upstream's chunk


@requirement("CHT-001")
@over(stream=MODES, said=("Hello, world.", CJK, "x" * 300))
async def test_same_text(case: Case, stream: bool, said: str) -> None:
    """The upstream's text is scripted word for word."""
    expect_text(await case.chat(stream=stream, answer=f'say="{said}"'), said)


@requirement("CHT-001")
@over(stream=MODES, tokens=(1, 7, 400))
async def test_same_as_upstream(case: Case, stream: bool, tokens: int) -> None:
    """The upstream's own answer to the request it got is the yardstick."""
    reply = await case.chat(stream=stream, answer=f"tokens={tokens}")
    expect_status(reply, 200)
    native = await case.fleet.native(await case.one_upstream_call(reply))
    due = openai_chat.read_stream(parse(native)) if stream else openai_chat.read_json(orjson.loads(native))
    assert reply.heard.text == due.text, "the text is not the upstream's"
    assert reply.heard.texts.keys() == due.texts.keys()


@requirement("CHT-002")
@over(stream=MODES)
async def test_anthropic_model_refused(case: Case, stream: bool) -> None:
    """A model of the other wire, and an alias of one."""
    for model in (case.model("messages"), "claude-3-5-haiku-20241022"):
        reply = await case.chat(model=model, stream=stream)
        expect_status(reply, 400, "invalid_request_error")
        assert "/messages" in (reply.error or ("", ""))[1], f"the message does not say where the model belongs: {reply}"
    await case.nothing_upstream()


@requirement("CHT-010")
@over(stream=MODES)
async def test_every_choice(case: Case, stream: bool) -> None:
    """Three answers at once."""
    reply = await case.chat(n=3, stream=stream, answer="tokens=12")
    expect_status(reply, 200)
    native = await case.fleet.native(await case.one_upstream_call(reply))
    due = openai_chat.read_stream(parse(native)) if stream else openai_chat.read_json(orjson.loads(native))
    assert len(due.texts) == 3, "the upstream gave three choices"
    assert reply.heard.texts == due.texts, "choices mixed up"
    assert reply.heard.stops == due.stops, "finish reasons mixed up"


@requirement("CHT-011")
@over(stream=MODES, answer=("tokens=5", "length tokens=5", "tool_call"))
async def test_finish_reason(case: Case, stream: bool, answer: str) -> None:
    """Each way to end that can be scripted."""
    due = {"tokens=5": "stop", "length tokens=5": "length", "tool_call": "tool_calls"}[answer]
    tools = [openai_chat.tool("get_weather", {"type": "object"})] if answer == "tool_call" else None
    reply = await case.chat(stream=stream, answer=answer, tools=tools)
    expect_status(reply, 200)
    assert reply.heard.stop == due, f"finish_reason {reply.heard.stop!r}; the upstream said {due!r}"


def shape(chunk: Mapping[str, Any]) -> Any:
    """A chunk without what may rightly differ."""
    return {name: value for name, value in chunk.items() if name not in OWN_KEYS}


def chunks(raw: bytes) -> list[Any]:
    """The chunks of a stream that bear a choice, as their shapes."""
    return [shape(event.json) for event in parse(raw) if isinstance(event.json, dict) and event.json.get("choices")]


@requirement("CHT-012")
@over(answer=("tokens=9", "tool_call"))
async def test_nothing_added(case: Case, answer: str) -> None:
    """Chunk by chunk against the upstream's own stream; coalesced or split deltas would be fine, other keys are not."""
    tools = [openai_chat.tool("get_weather", {"type": "object"})] if answer == "tool_call" else None
    reply = await case.chat(stream=True, answer=answer, tools=tools)
    expect_status(reply, 200)
    came, due = chunks(reply.raw), chunks(await case.fleet.native(await case.one_upstream_call(reply)))
    for chunk in (came, due):
        for one in chunk:
            for call in one["choices"][0]["delta"].get("tool_calls") or ():
                call.pop("id", None)
    keys = {tuple(sorted(chunk)) for chunk in came}, {tuple(sorted(chunk)) for chunk in due}
    assert keys[0] <= keys[1] | {tuple(sorted({*one, "service_tier"})) for one in keys[1]}, (
        f"keys of chunks {keys[0]}; the upstream's {keys[1]}"
    )
    deltas = [[choice["delta"] for choice in chunk["choices"]] for chunk in came]
    assert deltas == [[choice["delta"] for choice in chunk["choices"]] for chunk in due], (
        "the deltas are not the upstream's"
    )


@requirement("CHT-013")
@over(stream=MODES)
async def test_same_usage(case: Case, stream: bool) -> None:
    """Usage with every part told."""
    scripted = "tokens=9 input_tokens=120 output_tokens=64 cached_tokens=40 reasoning_tokens=20"
    reply = await case.chat(stream=stream, answer=scripted)
    expect_status(reply, 200)
    entry = await case.one_upstream_call(reply)
    assert reply.heard.usage == entry.usage, f"usage told {reply.heard.usage}; the upstream told {entry.usage}"


@requirement("CHT-014")
async def test_absent_stream(case: Case) -> None:
    """The field is not sent."""
    reply = await case.chat()
    expect_status(reply, 200)
    assert reply.json.get("object") == "chat.completion", f"one JSON body was due; came {reply}"


@requirement("CHT-014")
async def test_explicit_false(case: Case) -> None:
    """The field is sent, and false."""
    token = case.fresh()
    turn = {"role": "user", "content": f"Hi. {case.marks(token)}"}
    body = orjson.dumps({"model": case.model("chat"), "messages": [turn], "stream": False})
    reply = await case.request(
        "POST", case.url("chat"), headers=await case.headers("chat", None), body=body, wire="chat"
    )
    expect_status(reply, 200)
    assert reply.json.get("object") == "chat.completion", f"one JSON body was due; came {reply}"


@requirement("CHT-015")
async def test_alias_path(case: Case) -> None:
    """The short path."""
    expect_status(await case.chat(url=f"{case.target.root_url}/v1/chat/completions"), 200)


@requirement("CHT-016")
@over(stream=MODES)
async def test_no_silent_replay(case: Case, stream: bool) -> None:
    """The same bytes twice."""
    token = case.fresh()
    options: dict[str, Any] = {"model": case.model("chat"), "token": token, "stream": stream, "answer": "tokens=6"}
    first, second = await case.chat(**options), await case.chat(**options)
    expect_status(first, 200)
    expect_status(second, 200)
    marked = any("cache" in name.lower() for name in second.headers if name.lower() != "cache-control")
    calls = len(await case.upstream(token))
    assert calls == 2 or marked, f"two identical requests, {calls} upstream calls, and no mark of a replay"


@requirement("CHT-017")
async def test_later_replies_unmarked(case: Case) -> None:
    """A tool call, a cut stream and an error, then ten plain streams."""
    await case.chat(stream=True, answer="tool_call", tools=[openai_chat.tool("f", {"type": "object"})])
    broken = await case.chat(stream=True, fault="cut_stream after_frames=2", answer="tokens=9")
    await case.reached("cut_stream", broken)
    await case.chat(stream=True, fault="status=400")
    shapes = set()
    for number in range(10):
        reply = await case.chat(stream=True, answer=f'say="number {number}"')
        expect_text(reply, f"number {number}")
        shapes.add((reply.heard.stop, reply.heard.terminals, reply.heard.usages, reply.heard.starts))
        strange = (await case.one_upstream_call(reply)).body.keys() - {"model", "messages", "stream", "stream_options"}
        assert not strange, f"{sorted(strange)} of an earlier request reached the upstream"
    assert shapes == {("stop", 1, 1, 1)}, f"plain streams differ: {shapes}"


@requirement("CHT-018")
@over(stream=MODES)
async def test_refusal_comes_back(case: Case, stream: bool) -> None:
    """The model declines."""
    reply = await case.chat(stream=stream, answer="refusal")
    expect_status(reply, 200)
    native = await case.fleet.native(await case.one_upstream_call(reply))
    due = openai_chat.read_stream(parse(native)) if stream else openai_chat.read_json(orjson.loads(native))
    if not due.refusal and not due.text:
        raise Violation(f"the upstream gave no refusal: {native[:300]!r}")
    assert (reply.heard.refusal, reply.heard.text, reply.heard.stop) == (due.refusal, due.text, due.stop)


@requirement("CHT-001")
async def test_awkward_text_survives(case: Case) -> None:
    """The prompt's awkward characters do not change the reply's framing."""
    reply = await case.chat(AWKWARD, stream=True, answer='say="fine"')
    expect_text(reply, "fine")
