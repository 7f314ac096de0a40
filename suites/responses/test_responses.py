"""What a Responses request becomes upstream, and what comes back."""

from __future__ import annotations

from typing import Any

from suites import openai_responses, oracle
from suites.case import Case, expect_status, expect_text, providers
from suites.exchange import Reply
from suites.outcomes import Violation
from suites.requirement import MODES, over, requirement
from suites.samples import AWKWARD, CJK, WEATHER

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "get_weather", "description": "W.", "parameters": WEATHER, "strict": True},
    {"type": "custom", "name": "shell", "description": "Runs.", "format": {"type": "text"}},
    {"type": "web_search", "search_context_size": "low"},
    {"type": "namespace", "name": "crm", "description": "N.", "tools": [
        {"type": "function", "name": "look_up", "parameters": WEATHER, "strict": False, "defer_loading": True},
    ]},
]  # fmt: skip


def in_order(reply: Reply) -> None:
    """Raise Violation unless a stream keeps the wire's order."""
    if not reply.is_stream:
        raise Violation(f"a stream was due; came {reply}")
    problems = openai_responses.stream_problems(reply.events)
    if problems:
        raise Violation("; ".join(problems))


@requirement("RSP-001")
@over(stream=MODES, text=(AWKWARD.strip(), CJK))
async def test_text_unchanged(case: Case, stream: bool, text: str) -> None:
    """Awkward characters, in deltas and whole; the input arrives as it was sent."""
    said = text.replace('"', "'").replace("\\", "/")
    reply = await case.ask("responses", f"Say it: {text}", stream=stream, answer=f'say="{said}"')
    entry = await case.one_upstream_call(reply)
    expect_text(reply, said)
    assert entry.body["input"] == reply.sent.document["input"], f"the upstream got {entry.body['input']!r}"
    assert await case.charged() > 0, "the answer was free"


@requirement("RSP-002")
@over(answer=("tokens=12", "tokens=9 reasoning_tokens=80", "native=web_search"))
async def test_events_in_order(case: Case, answer: str) -> None:
    """Text, reasoning and a hosted tool: created first, numbers without gaps, completed last."""
    tools = [{"type": "web_search"}] if "native" in answer else None
    reply = await case.ask("responses", stream=True, answer=answer, tools=tools)
    expect_status(reply, 200)
    in_order(reply)
    assert reply.heard.stop == "completed", f"the response ended {reply.heard.stop}"
    await case.one_upstream_call(reply)
    assert (await case.books(rows=1)).row["status"] == "succeeded"


@requirement("RSP-003")
@over(fault=("reset after_frames=12", "cut_stream after_frames=12", "error_event after_frames=12"))
async def test_death_is_told(case: Case, fault: str) -> None:
    """The upstream dies in the answer: error, then response.failed of the same response; the delivered is charged."""
    reply = await case.ask("responses", stream=True, fault=fault, answer="tokens=40")
    await case.reached(fault.split()[0], reply)
    in_order(reply)
    kinds = [event.json["type"] for event in reply.events if isinstance(event.json, dict)]
    assert kinds[-2:] == ["error", "response.failed"], f"the stream ends with {kinds[-2:]}"
    first, last = (event.json["response"] for event in (reply.events[0], reply.events[-1]))
    assert last["id"] == first["id"], f"{first['id']} was created, {last['id']} failed"
    assert last["status"] == "failed", f"status {last['status']!r}"
    assert last["error"]["message"], "the failure has no message"
    due = case.estimate_uc(reply) if case.policies.upstream_death == "charge_delivered" else 0
    assert await case.charged() == due, f"charged {await case.charged()} uc; due {due}"


@requirement("RSP-004")
@over(
    stream=MODES,
    usage=(
        "input_tokens=123457 output_tokens=7",
        "input_tokens=2000 output_tokens=400 cached_tokens=1500 reasoning_tokens=300",
    ),
)
async def test_charged_by_usage(case: Case, stream: bool, usage: str) -> None:
    """Odd numbers, cached input and reasoning: the usage of the last event is told, charged and logged, once."""
    reply = await case.ask("responses", stream=stream, answer=f"tokens=3 {usage}", max_output_tokens=50_000)
    expect_status(reply, 200)
    told = (await case.one_upstream_call(reply)).usage
    books = await case.books(rows=1)
    due = oracle.charge_uc(reply.sent.document["model"], told)
    heard = reply.heard.usage
    assert heard is not None, "no usage was told"
    assert (heard.input_tokens, heard.output_tokens) == (told.input_tokens, told.output_tokens)
    assert books.charged_uc == due, f"charged {books.charged_uc} uc for {told}; due {due}"
    assert books.row["costUc"] == due, f"the log says {books.row['costUc']} uc; due {due}"


@requirement("RSP-005")
@over(stream=MODES)
async def test_usage_details_always(case: Case, stream: bool) -> None:
    """The upstream told no usage: the estimate that is charged is told, with both details objects."""
    reply = await case.ask("responses", stream=stream, fault="missing_usage", answer="tokens=20")
    await case.reached("missing_usage", reply)
    expect_status(reply, 200)
    response = reply.events[-1].json["response"] if reply.is_stream else reply.json
    usage = response.get("usage") or {}
    assert isinstance((usage.get("input_tokens_details") or {}).get("cached_tokens"), int), f"usage is {usage}"
    assert isinstance((usage.get("output_tokens_details") or {}).get("reasoning_tokens"), int), f"usage is {usage}"
    due = oracle.price_uc(reply.sent.document["model"], usage["input_tokens"], usage["output_tokens"])
    assert await case.charged() == due > 0, f"charged {await case.charged()} uc; the reply tells {due} uc"


@requirement("RSP-006")
async def test_request_unchanged(case: Case) -> None:
    """Tools of every kind, nested ones too, items and settings: what the upstream thinks of them is its business."""
    token = case.fresh()
    fields: dict[str, Any] = {
        "instructions": AWKWARD,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": f"{CJK} {case.marks(token)}"}]},
            {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city": "Z\\u00fc"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "18 °C"},
        ],
        "tools": TOOLS,
        "tool_choice": {"type": "function", "name": "get_weather"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "x_vendor_parameter": {"nested": [1]},
    }
    reply = await case.ask("responses", token=token, **fields)
    entries = await case.upstream(reply)
    assert entries, f"the request never reached an upstream: {reply}"
    lost = {name: entries[0].body.get(name) for name, value in fields.items() if entries[0].body.get(name) != value}
    assert not lost, f"changed on the way: {lost}"


@requirement("RSP-007")
@over(stream=MODES)
async def test_anthropic_refused(case: Case, stream: bool) -> None:
    """400 that names Messages; nobody is asked, nothing is paid."""
    reply = await case.ask("responses", stream=stream, models="messages")
    expect_status(reply, 400, "invalid_request_error")
    assert "/messages" in (reply.error or ("", ""))[1], f"the message names no endpoint: {reply}"
    await case.nothing_upstream(reply)
    assert (await case.books()).charged_uc == 0


@requirement("RSP-008")
@over(stream=MODES)
async def test_other_mode_bridged(case: Case, stream: bool) -> None:
    """An upstream that answers in the other mode than it was asked for: the caller gets what it asked for."""
    fault = "json_when_stream_asked" if stream else "sse_when_not_asked"
    reply = await case.ask("responses", stream=stream, fault=fault, answer='say="either way"')
    entry = (await case.reached(fault, reply))[-1]
    expect_status(reply, 200)
    assert reply.is_stream is stream, f"content-type {reply.type}"
    assert reply.heard.text == "either way", f"came {reply.heard.text!r}"
    if stream:
        in_order(reply)
    assert await case.charged() == oracle.charge_uc(reply.sent.document["model"], entry.usage)


@requirement("RSP-009")
@over(stream=MODES)
async def test_own_response_goes_on(case: Case, stream: bool) -> None:
    """`previous_response_id` reaches the target that keeps it, and the turns before are charged as input."""
    first = await case.ask("responses", stream=stream, answer="tokens=30")
    expect_status(first, 200)
    second = await case.ask(
        "responses", "And?", stream=stream, previous_response_id=first.heard.id, model=first.sent.document["model"]
    )
    expect_status(second, 200)
    kept, entry = await case.one_upstream_call(first), await case.one_upstream_call(second)
    came = entry.body.get("previous_response_id")
    assert came == first.heard.id, f"the upstream was asked to go on from {came!r}"
    assert entry.provider == kept.provider, f"kept by {kept.provider}, asked for at {entry.provider}"
    due = sum(oracle.charge_uc(first.sent.document["model"], one.usage) for one in (kept, entry))
    books = await case.books(rows=2)
    assert books.charged_uc == due, f"charged {books.charged_uc} uc for both; due {due}"


@requirement("RSP-009")
@over(stream=MODES)
async def test_response_of_another_refused(case: Case, stream: bool) -> None:
    """Another user's id is as unknown as one that nobody made."""
    first = await case.ask("responses", answer="tokens=5")
    expect_status(first, 200)
    stranger = await case.new_user()
    for identity in (first.heard.id, "resp_nobodyhasmadethis"):
        reply = await case.ask("responses", key=stranger, stream=stream, previous_response_id=identity)
        expect_status(reply, 400, "invalid_request_error")
        await case.nothing_upstream(reply)
    assert (await case.books(stranger)).charged_uc == 0


@requirement("RSP-010")
@over(stream=MODES, fault=("status=503", "reset", "error_in_200"))
async def test_second_target_answers(case: Case, stream: bool, fault: str) -> None:
    """The first target fails before any content: one response, the second's, charged once."""
    first, second, *_ = case.chain("responses")
    reply = await case.ask(
        "responses", stream=stream, fault=f"{fault} provider={first}", answer='say="from the second"'
    )
    entries = await case.reached(fault.split("=")[0], reply)
    assert providers(entries) == [first] * (case.target.retries + 1) + [second], f"calls {providers(entries)}"
    expect_text(reply, "from the second")
    if stream:
        in_order(reply)
    assert await case.charged() == oracle.charge_uc(reply.sent.document["model"], entries[-1].usage)
