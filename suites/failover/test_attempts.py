"""What attempts have in common, what they must not mix, and the breaker that spares them."""

from __future__ import annotations

import asyncio

from suites import anthropic_messages, openai_chat
from suites.case import Case, expect_status, expect_text, providers
from suites.edge import now_ms, sleep_ms
from suites.fleet import Entry
from suites.outcomes import Untestable
from suites.requirement import ENDPOINTS, MODES, over, requirement
from suites.samples import AWKWARD, WEATHER


@requirement("FLV-014")
@over(endpoint=ENDPOINTS, how=("cut_stream", "reset", "error_event"))
async def test_no_second_answer(case: Case, endpoint: str, how: str) -> None:
    """The first target dies after three pieces; the second would answer in full."""
    first = case.chain(endpoint)[0]
    reply = await case.ask(endpoint, stream=True, fault=f"{how} after_frames=3 provider={first}", answer="tokens=60")
    entries = await case.reached(how, reply)
    assert providers(entries) == [first], f"called after content had been sent: {providers(entries)}"
    expect_status(reply, 200)
    assert reply.heard.error is not None, "the stream ends without an error event"
    assert len(reply.heard.text.encode()) == entries[0].text_bytes or how == "reset", (
        f"{len(reply.heard.text.encode())} bytes of text came; {entries[0].text_bytes} left the upstream"
    )
    assert reply.heard.starts == 1, f"{reply.heard.starts} starts"


@requirement("FLV-014")
@over(endpoint=ENDPOINTS)
async def test_no_splice_in_a_tool_call(case: Case, endpoint: str) -> None:
    """Death in the middle of a tool call's arguments."""
    wire = {"chat": openai_chat, "messages": anthropic_messages}[endpoint]
    first = case.chain(endpoint)[0]
    reply = await case.ask(
        endpoint,
        stream=True,
        tools=[wire.tool("get_weather", WEATHER)],
        answer="tool=get_weather",
        fault=f"cut_stream after_frames=3 provider={first}",
    )
    entries = await case.reached("cut_stream", reply)
    assert providers(entries) == [first], f"called after content had been sent: {providers(entries)}"
    assert reply.heard.error is not None, "the stream ends without an error event"
    assert len(reply.heard.calls) <= 1, f"calls of two answers: {reply.heard.calls}"


def without_transport(entry: Entry) -> dict[str, str]:
    """Headers that must be the same at every target of one wire."""
    volatile = ("host", "content-length", "authorization", "x-api-key", "connection", "accept-encoding")
    return {name: value for name, value in entry.headers.items() if name not in volatile}


@requirement("FLV-015")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_same_request_each_time(case: Case, endpoint: str, stream: bool) -> None:
    """Three calls for one answer: body and headers."""
    first = case.chain(endpoint)[0]
    reply = await case.ask(endpoint, AWKWARD, stream=stream, fault=f"status=503 provider={first}", temperature=1)
    entries = await case.reached("status", reply)
    expect_status(reply, 200)
    assert len(entries) >= 2, f"upstream calls {providers(entries)}"
    for entry in entries[1:]:
        assert entry.body == entries[0].body, f"{entry.provider} got another body"
        assert without_transport(entry).keys() == without_transport(entries[0]).keys(), (
            f"{entry.provider} got other headers"
        )


@requirement("FLV-022")
@over(endpoint=ENDPOINTS)
async def test_large_request_survives(case: Case, endpoint: str) -> None:
    """A megabyte, of which every attempt must get every byte."""
    first = case.chain(endpoint)[0]
    prompt = "abcdef" * 166_000
    reply = await case.ask(
        endpoint, prompt, fault=f"status=500 provider={first}", answer='say="all read"', model=cheap(endpoint)
    )
    expect_text(reply, "all read")
    entries = await case.reached("status", reply)
    sizes = {len(str(entry.body["messages"])) for entry in entries}
    assert len(entries) >= 2, f"upstream calls {providers(entries)}"
    assert len(sizes) == 1, f"attempts got prompts of {sorted(sizes)} characters"


def cheap(endpoint: str) -> str:
    """A model whose megabytes the funded user can pay."""
    return {"chat": "gpt-5.4-nano", "messages": "claude-haiku-4-5"}[endpoint]


@requirement("FLV-016")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_headers_of_the_failed(case: Case, endpoint: str, stream: bool) -> None:
    """Headers that the failing target sends, and nobody else."""
    first = case.chain(endpoint)[0]
    token = case.fresh()
    planted = {"set-cookie": "canary=1", "x-canary": "alpha", "x-ratelimit-remaining-requests": "0", "retry-after": "0"}
    async with case.scripted({"kind": "status", "status": 500, "headers": planted}, token, provider=first):
        reply = await case.ask(endpoint, stream=stream, token=token, answer='say="clean"')
        await case.reached("status", reply)
    expect_text(reply, "clean")
    leaked = [name for name in planted if name in reply.headers]
    assert not leaked, f"headers of the failed attempt reached the client: {leaked}"


@requirement("FLV-018", exclusive=True)
@over(endpoint=ENDPOINTS)
async def test_breaker_opens_and_closes(case: Case, endpoint: str) -> None:
    """Enough failures to open it, a look while it is open, the cooldown, and service again."""
    breaker = case.target.breaker
    if breaker is None:
        raise Untestable("the target file declares no breaker")
    first, second = case.chain(endpoint)[:2]
    model = case.model(endpoint)
    for _ in range(0, breaker.failures // (case.target.retries + 1) + 10, 10):
        await asyncio.gather(
            *(case.ask(endpoint, model=model, fault=f"status=503 provider={first}") for _ in range(10))
        )
    opened_ms = now_ms()
    reply = await case.ask(endpoint, model=model)
    expect_status(reply, 200)
    if now_ms() - opened_ms < breaker.cooldown_s * 800:
        assert providers(await case.upstream(reply)) == [second], (
            f"{first} failed {breaker.failures} times and is still asked"
        )
    await sleep_ms(breaker.cooldown_s * 1000 + 200)
    seen: list[str] = []
    for _ in range(6):
        reply = await case.ask(endpoint, model=model)
        expect_status(reply, 200)
        seen += providers(await case.upstream(reply))
        await sleep_ms(breaker.cooldown_s * 100)
    assert first in seen, f"{breaker.cooldown_s:g} s of cooldown are over and {first} is not asked again: {seen}"
    assert seen[-1] == first, f"{first} answers again and is not used again: {seen}"


@requirement("FLV-018", exclusive=True)
async def test_cooldown_prolonged(case: Case) -> None:
    """While a target cools down, a call still in flight fails and asks for a longer rest: the longer one counts."""
    breaker = case.target.breaker
    if breaker is None:
        raise Untestable("the target file declares no breaker")
    first, second = case.chain("chat")[:2]
    model = case.model("chat")
    rest_s = breaker.cooldown_s * 2 + 1
    late = [
        f"latency ttft_ms={breaker.cooldown_s * 600:.0f} provider={first}",
        f"status=429 retry_after_s={rest_s:.0f} provider={first}",
    ]
    in_flight = case.begin(case.chat(model=model, fault=late))
    for _ in range(0, breaker.failures // (case.target.retries + 1) + 10, 10):
        await asyncio.gather(*(case.chat(model=model, fault=f"status=503 provider={first}") for _ in range(10)))
    prolonged = await in_flight
    failed_ms = now_ms()
    await case.reached("status", prolonged)
    expect_status(prolonged, 200)
    await sleep_ms(breaker.cooldown_s * 1000 + 300)
    reply = await case.chat(model=model)
    expect_status(reply, 200)
    if now_ms() - failed_ms < rest_s * 900:
        came = providers(await case.upstream(reply))
        assert came == [second], f"{first} asked for {rest_s:.0f} s of rest and was called before: {came}"
    await sleep_ms(max(0.0, rest_s * 1000 + 300 - (now_ms() - failed_ms)))
    for _ in range(3):
        expect_status(await case.chat(model=model), 200)


@requirement("FLV-019", exclusive=True)
@over(endpoint=ENDPOINTS)
async def test_callers_faults_do_not_open(case: Case, endpoint: str) -> None:
    """As many 400s as would open it."""
    breaker = case.target.breaker
    if breaker is None:
        raise Untestable("the target file declares no breaker")
    first = case.chain(endpoint)[0]
    model = case.model(endpoint)
    for _ in range(0, breaker.failures + 10, 20):
        await asyncio.gather(*(case.ask(endpoint, model=model, fault="status=400") for _ in range(20)))
    reply = await case.ask(endpoint, model=model)
    assert providers(await case.upstream(reply)) == [first], "refusals of bad requests took the target out"
