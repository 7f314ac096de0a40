"""What the caller gets of an answer that was given in another dialect: its own wire, and its own bill."""

from __future__ import annotations

from functools import partial
from typing import Any

from suites import oracle
from suites.case import Case, expect_status, expect_text
from suites.openai_chat import schema_problems
from suites.outcomes import NotApplicable
from suites.requirement import MODES, over, requirement
from suites.samples import CJK, WEATHER
from suites.translation import phrases
from suites.translation.calls import Asked, answered, ask, native, own_form

WIRES = ("chat", "messages", "responses", "gemini")
OWN = ("chat", "messages", "gemini")  # whose own upstreams come first


@requirement("TRL-001")
@over(endpoint=WIRES, stream=MODES, said=("from another dialect", CJK))
async def test_same_text(case: Case, endpoint: str, stream: bool, said: str) -> None:
    """Every upstream of the call's own dialect refuses: what the other one says, in the caller's own wire."""
    asked = await answered(case, endpoint, stream=stream, answer=f'say="{said}"')
    expect_text(asked.reply, said)
    problems = own_form(endpoint, asked.reply)
    assert not problems, f"not the {endpoint} wire: {'; '.join(problems)}"
    assert asked.reply.heard.model == asked.row.model, f"the answer is of {asked.reply.heard.model!r}"


@requirement("TRL-001")
@over(endpoint=OWN, stream=MODES, fault=("status=503", "reset", "error_in_200"))
async def test_failures_of_its_own(case: Case, endpoint: str, stream: bool, fault: str) -> None:
    """Failures that are tried again first."""
    row = case.elsewhere(endpoint)
    faults = [f"{fault} provider={name}" for name in row.own]
    reply = await case.ask(endpoint, model=row.model, stream=stream, fault=faults, answer='say="still here"')
    entries = await case.reached(fault.split("=")[0], reply)
    expect_text(reply, "still here")
    assert entries[-1].provider == row.others[0], f"answered by {entries[-1]}"


@requirement("TRL-002")
@over(endpoint=WIRES, stream=MODES, answer=("tool=get_weather", "tool=get_weather tool=get_time"))
async def test_calls_whole(case: Case, endpoint: str, stream: bool, answer: str) -> None:
    """One call and two: names and arguments as the upstream made them, each under an id of its own."""
    clock = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
    tools = [phrases.offered(endpoint, *tool)["tools"][0] for tool in (("get_weather", WEATHER), ("get_time", clock))]
    asked = await answered(case, endpoint, stream=stream, tools=tools, answer=answer)
    calls = phrases.calls_of(asked.reply.heard)
    assert calls, f"the upstream called a tool: {asked.reply}"
    assert calls == phrases.calls_of(await native(case, asked.entry)), f"other calls than the upstream's: {calls}"
    weather = next(arguments for name, arguments in calls if name == "get_weather")
    assert not schema_problems(case.encode(weather).decode(), WEATHER), f"arguments cut or changed: {weather}"
    ids = [call.id for call in asked.reply.heard.calls]
    assert len({*ids, ""}) == len(calls) + 1, f"ids {ids}"
    problems = own_form(endpoint, asked.reply)
    assert not problems, f"not the {endpoint} wire: {'; '.join(problems)}"


@requirement("TRL-003")
@over(endpoint=WIRES, stream=MODES, why=("end", "length", "tool"))
async def test_stop_reason(case: Case, endpoint: str, stream: bool, why: str) -> None:
    """Why the answer ended, in the caller's own words."""
    answer = {"end": "tokens=4", "length": "length", "tool": "tool=get_weather"}[why]
    tools = phrases.offered(endpoint, "get_weather", WEATHER) if why == "tool" else {}
    asked = await answered(case, endpoint, stream=stream, answer=answer, **tools)
    due = phrases.STOPS[endpoint][why]
    assert asked.reply.heard.stop == due, f"ended with {asked.reply.heard.stop!r}; due {due!r}"


@requirement("TRL-004")
@over(endpoint=WIRES, stream=MODES, cached=(0, 128))
async def test_charged_as_told(case: Case, endpoint: str, stream: bool, cached: int) -> None:
    """The usage that the upstream told is shown and charged, at the prices of the model that was asked for."""
    answer = f"tokens=6 input_tokens=254 output_tokens=41 reasoning_tokens=9 cached_tokens={cached}"
    asked = await answered(case, endpoint, stream=stream, answer=answer)
    told, shown = asked.entry.usage, asked.reply.heard.usage
    assert shown is not None, f"no usage came: {asked.reply}"
    assert (shown.input_tokens, shown.output_tokens) == (told.input_tokens, told.output_tokens), (
        f"the reply tells {shown}; the upstream told {told}"
    )
    books = await case.books(rows=1)
    due = oracle.charge_uc(asked.row.model, told)
    assert books.charged_uc == due, f"charged {books.charged_uc} uc for {told}; due {due}"
    assert len(books.of_kind("SETTLE")) == 1, f"{len(books.of_kind('SETTLE'))} settles for one request"
    assert len(books.rows) == 1, f"{len(books.rows)} rows for one request"
    row = books.row
    counts = (row["model"], row["inputTokens"], row["outputTokens"], row["costUc"])
    assert counts == (asked.row.model, told.input_tokens, told.output_tokens, due), f"the log says {counts}"


@requirement("TRL-004")
@over(endpoint=OWN)
async def test_log_names_who_answered(case: Case, endpoint: str) -> None:
    """A call that its own upstream answered, and one that another answered."""
    asked = await answered(case, endpoint)
    direct = await case.new_user()
    expect_status(await case.ask(endpoint, model=asked.row.model, key=direct), 200)
    mine, others = (await case.books(rows=1)).row, (await case.books(direct, rows=1)).row
    assert mine["upstream"], "the row names no upstream"
    assert mine["upstream"] != others["upstream"], f"both rows name {mine['upstream']!r}"


@requirement("TRL-005")
@over(endpoint=WIRES, how=("cut_stream", "reset", "error_event"))
async def test_death_is_told(case: Case, endpoint: str, how: str) -> None:
    """It dies in mid-answer: an error in the caller's own form, no end, no second answer; what came is charged."""
    row = case.elsewhere(endpoint)
    fault = [f"{how} after_frames=5 provider={name}" for name in row.others]
    asked = await ask(case, endpoint, row=row, stream=True, fault=fault, answer="tokens=400 reasoning_tokens=0")
    await case.reached(how, asked.reply)
    expect_status(asked.reply, 200)
    heard = asked.reply.heard
    assert asked.entry.provider == row.others[0], f"asked after content had been sent: {asked.entry}"
    assert heard.text, f"content was due before the end: {asked.reply}"
    assert heard.error is not None, "the stream ends without an error"
    if endpoint != "responses":  # whose terminal event is response.failed
        assert heard.terminals == 0, "a stream that broke off has the end of a whole one"
        assert not heard.stops, f"a stop reason of an answer that broke off: {heard.stops}"
    else:
        assert (heard.stop, heard.terminals) == ("failed", 1), f"ended as {heard.stop!r}"
    if endpoint in ("chat", "gemini"):
        assert not any(event.name for event in asked.reply.events), f"not the {endpoint} wire: {asked.reply}"
    if endpoint == "gemini":
        assert not asked.reply.complete, "the body ended as a whole one does"
    await charged_for_death(case, asked)


async def charged_for_death(case: Case, asked: Asked) -> None:
    """Raise unless an answer that broke off costs what the target declares."""
    books = await case.books(rows=1)
    assert books.row["status"] == "upstream_failed", f"the log says {books.row['status']}"
    if case.policies.upstream_death == "free":
        assert books.charged_uc == 0, f"charged {books.charged_uc} uc"
    else:
        whole = oracle.price_uc(asked.row.model, books.row["inputTokens"], 400)
        told = oracle.charge_uc(asked.row.model, asked.entry.usage) if asked.entry.told else 0
        assert 0 < books.charged_uc <= max(whole, told), f"charged {books.charged_uc} uc; the whole costs {whole}"


@requirement("TRL-005")
@over(endpoint=WIRES)
async def test_hang_up_reaches_it(case: Case, endpoint: str) -> None:
    """The caller goes away: the upstream of the other dialect is cut off, and what was delivered is charged."""
    row = case.elsewhere(endpoint)
    token = case.fresh()
    faults = [*(f"status=401 provider={name}" for name in row.own), f"latency gap_ms=200 provider={row.others[0]}"]
    options: dict[str, Any] = {
        "model": row.model,
        "stream": True,
        "fault": faults,
        "answer": "tokens=400 reasoning_tokens=0",
    }
    async with await case.open(endpoint, token=token, **options) as opened:
        await opened.until(lambda heard: bool(heard.text))
        opened.hang_up()
    last = (await case.upstream(token))[-1]
    assert (last.provider, last.ended) == (row.others[0], "peer_closed"), f"the upstream was left running: {last}"
    if case.policies.disconnect != "charge_delivered":
        raise NotApplicable("the target declares another policy for callers who go away")
    books = await case.books(rows=1)
    most = oracle.price_uc(row.model, books.row["inputTokens"], 400)
    assert 0 < books.charged_uc < most, f"charged {books.charged_uc} uc; less than {most} was due"


@requirement("TRL-006")
@over(endpoint=WIRES, stream=MODES)
async def test_loop_closes(case: Case, endpoint: str, stream: bool) -> None:
    """A call of an earlier turn and its result, of which the upstream gets every word."""
    result = f"18 degrees, {CJK}"
    tools = phrases.offered(endpoint, "get_weather", WEATHER)
    fields = partial(phrases.called, endpoint, result=result)
    asked = await answered(case, endpoint, stream=stream, fields=fields, answer='say="Mild."', **tools)
    expect_text(asked.reply, "Mild.")
    told = [text for text in oracle.leaves(asked.entry.body) if result in text]
    assert len(told) == 1, f"the tool's result arrived {len(told)} times"
