"""What comes back from Messages."""

from __future__ import annotations

from typing import Any

import orjson

from suites import anthropic_messages
from suites.case import Case, expect_status, expect_text
from suites.exchange import Reply
from suites.heard import Heard
from suites.outcomes import Violation
from suites.requirement import MODES, over, requirement
from suites.samples import CJK
from suites.sse import parse

ALIASES = {
    "claude-sonnet-4-5-20250929": "claude-sonnet-4-6",
    "claude-3-5-sonnet-20241022": "claude-sonnet-4-6",
    "claude-3-5-haiku-20241022": "claude-haiku-4-5",
}


async def native(case: Case, reply: Reply, stream: bool) -> Heard:
    """What the upstream itself says to the request it got."""
    raw = await case.fleet.native(await case.one_upstream_call(reply))
    heard: Heard = (
        anthropic_messages.read_stream(parse(raw)) if stream else anthropic_messages.read_json(orjson.loads(raw))
    )
    return heard


def without_ids(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Blocks without the ids that differ from call to call."""
    return [
        {name: value for name, value in block.items() if name not in ("id", "tool_use_id", "signature")}
        for block in blocks
    ]


@requirement("MSG-001")
@over(stream=MODES, said=("Hello, world.", CJK))
async def test_same_text(case: Case, stream: bool, said: str) -> None:
    """The upstream's text is scripted word for word."""
    expect_text(await case.messages(stream=stream, answer=f'say="{said}"'), said)


@requirement("MSG-001")
@over(stream=MODES, tokens=(1, 7, 400))
async def test_same_as_upstream(case: Case, stream: bool, tokens: int) -> None:
    """Block by block against the upstream's own answer."""
    reply = await case.messages(stream=stream, answer=f"tokens={tokens}")
    expect_status(reply, 200)
    assert reply.heard.blocks == (await native(case, reply, stream)).blocks, "the content is not the upstream's"


@requirement("MSG-002")
@over(answer=("tokens=20", "tool_call", "length tokens=5", "refusal"))
async def test_one_of_each(case: Case, answer: str) -> None:
    """Counts of the events that must come once; their order is judged by the grammar of the wire."""
    tools = [anthropic_messages.tool("f", {"type": "object"})] if answer == "tool_call" else None
    reply = await case.messages(stream=True, answer=answer, tools=tools)
    expect_status(reply, 200)
    kinds = [event.name for event in reply.events]
    counts = {kind: kinds.count(kind) for kind in ("message_start", "message_delta", "message_stop")}
    assert set(counts.values()) == {1}, f"events came {counts}; once each was due"
    assert kinds[-1] == "message_stop", f"message_stop was due last; came {kinds[-3:]}"
    assert next(kind for kind in kinds if kind != "ping") == "message_start", (
        f"message_start was due first; came {kinds[:3]}"
    )


@requirement("MSG-003")
@over(alias=tuple(ALIASES), stream=MODES)
async def test_alias_served(case: Case, alias: str, stream: bool) -> None:
    """The upstream is asked for the model that the alias stands for."""
    reply = await case.messages(model=alias, stream=stream)
    expect_status(reply, 200)
    asked = (await case.one_upstream_call(reply)).body["model"]
    due = ALIASES[alias]
    assert asked == due or str(asked).startswith(f"{due}-20"), (
        f"{alias} stands for {due}; the upstream was asked for {asked}"
    )


@requirement("MSG-004")
@over(stream=MODES)
async def test_max_tokens_required(case: Case, stream: bool) -> None:
    """The one field that this wire requires besides model and messages."""
    reply = await case.messages(stream=stream, max_tokens=None)
    expect_status(reply, 400, "invalid_request_error")
    assert "max_tokens" in (reply.error or ("", ""))[1], f"the message does not name the field: {reply}"
    await case.nothing_upstream()


@requirement("MSG-005")
@over(stream=MODES)
async def test_openai_model_refused(case: Case, stream: bool) -> None:
    """Models of other vendors."""
    for model in (case.model("chat"), "deepseek-v3.2", "gemini-3.1-pro"):
        reply = await case.messages(model=model, stream=stream)
        expect_status(reply, 400, "invalid_request_error")
        assert "/chat/completions" in (reply.error or ("", ""))[1], (
            f"the message does not say where {model} belongs: {reply}"
        )
    await case.nothing_upstream()


@requirement("MSG-013")
@over(stream=MODES, answer=("tokens=5", "length tokens=5", "tool_call", "refusal"))
async def test_stop_reason(case: Case, stream: bool, answer: str) -> None:
    """Each way to end that can be scripted."""
    due = {"tokens=5": "end_turn", "length tokens=5": "max_tokens", "tool_call": "tool_use", "refusal": "refusal"}[
        answer
    ]
    tools = [anthropic_messages.tool("f", {"type": "object"})] if answer == "tool_call" else None
    reply = await case.messages(stream=stream, answer=answer, tools=tools)
    expect_status(reply, 200)
    assert reply.heard.stop == due, f"stop_reason {reply.heard.stop!r}; the upstream said {due!r}"


@requirement("MSG-013")
@over(stream=MODES)
async def test_stop_sequence_named(case: Case, stream: bool) -> None:
    """The upstream stops at a word."""
    reply = await case.messages(stream=stream, stop_sequences=["HALT"], answer='say="one two HALT three"')
    expect_status(reply, 200)
    upstream = await native(case, reply, stream)
    if upstream.stop != "stop_sequence":
        raise Violation(f"the stop sequence never reached the upstream, which ended with {upstream.stop!r}")
    assert (reply.heard.stop, reply.heard.stop_sequence) == ("stop_sequence", "HALT"), (
        f"came {reply.heard.stop!r}, {reply.heard.stop_sequence!r}"
    )
    assert reply.heard.text == upstream.text


@requirement("MSG-017")
@over(stream=MODES)
async def test_same_usage(case: Case, stream: bool) -> None:
    """Usage with every part told."""
    scripted = "tokens=9 input_tokens=900 output_tokens=64 cached_tokens=400 cache_write_tokens=300"
    reply = await case.messages(stream=stream, answer=scripted)
    expect_status(reply, 200)
    entry = await case.one_upstream_call(reply)
    parts = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens")
    came = {part: getattr(reply.heard.usage, part) for part in parts}
    assert came == {part: getattr(entry.usage, part) for part in parts}, (
        f"usage told {came}; the upstream told {entry.usage}"
    )


@requirement("MSG-018")
async def test_tokens_counted_free(case: Case) -> None:
    """Counted before and after a longer prompt; nothing paid."""
    user = await case.user()
    counts = []
    for prompt in ("short", "a much longer prompt " * 40):
        body = orjson.dumps({"model": case.model("messages"), "messages": [{"role": "user", "content": prompt}]})
        reply = await case.request(
            "POST", case.url("count_tokens"), headers=await case.headers("messages", None), body=body
        )
        expect_status(reply, 200)
        counts.append(reply.json["input_tokens"])
    assert 0 < counts[0] < counts[1], f"counts of a short and a long prompt: {counts}"
    books = await case.books(user)
    assert not books.of_kind("HOLD", "SETTLE"), f"counting moved money: {books.transfers}"


@requirement("MSG-019")
@over(path=("/api/v1/messages", "/api/v1/v1/messages", "/v1/messages", "/api/v1/messages?beta=true"))
async def test_sdk_paths(case: Case, path: str) -> None:
    """What SDKs call, given either base URL."""
    reply = await case.messages(url=case.target.root_url + path)
    expect_status(reply, 200)
    assert reply.json["type"] == "message"


@requirement("MSG-022")
@over(stream=MODES)
async def test_native_blocks_untouched(case: Case, stream: bool) -> None:
    """A web search by the upstream."""
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]
    reply = await case.messages(stream=stream, tools=tools, answer="native=web_search")
    expect_status(reply, 200)
    due = await native(case, reply, stream)
    if not any(block["type"] not in ("text", "thinking", "tool_use") for block in due.blocks):
        raise Violation(f"the upstream was not offered the server tool: it answered {due.blocks}")
    assert [block["type"] for block in reply.heard.blocks] == [block["type"] for block in due.blocks], (
        "blocks were lost"
    )
    assert without_ids(reply.heard.blocks) == without_ids(due.blocks), "the blocks are not the upstream's"
