"""Targets that fail before any content: retried, failed over, and invisible to the client."""

from __future__ import annotations

from collections.abc import Sequence

from suites.case import Case, expect_status, expect_text, providers
from suites.fleet import Entry
from suites.requirement import ENDPOINTS, MODES, over, requirement

CODES = (500, 502, 503, 504, 529, 408)
PREAMBLE = {"chat": 330, "messages": 560}  # bytes: the role chunk or message_start, and a part of what follows


def chain_of(case: Case, endpoint: str, first: int, second: int) -> list[str]:
    """So many calls of the first target, then so many of the second."""
    targets = case.chain(endpoint)
    return [targets[0]] * first + [targets[1]] * second


def whole_chain(case: Case, endpoint: str, times: int) -> list[str]:
    """So many calls of each target, in order."""
    return [target for target in case.chain(endpoint) for _ in range(times)]


def tries(case: Case) -> int:
    """How often one target is tried."""
    return case.target.retries + 1


async def saved_by_second(
    case: Case, endpoint: str, stream: bool, fault: str, kind: str, first_tries: int | None = None
) -> Sequence[Entry]:
    """The first target suffers `fault`, the second answers, and the client sees the second's answer alone."""
    first = case.chain(endpoint)[0]
    faults = [f"{fault} provider={first}"]
    reply = await case.ask(endpoint, stream=stream, fault=faults, answer='say="from the second"')
    entries = await case.reached(kind, reply)
    due = chain_of(case, endpoint, tries(case) if first_tries is None else first_tries, 1)
    assert providers(entries) == due, f"upstream calls {providers(entries)}; due {due}"
    expect_text(reply, "from the second")
    if stream:
        assert (reply.heard.starts, reply.heard.terminals) == (1, 1), (
            f"{reply.heard.starts} starts and {reply.heard.terminals} terminal events"
        )
    return entries


@requirement("FLV-001")
@over(endpoint=ENDPOINTS, stream=MODES, code=CODES)
async def test_status(case: Case, endpoint: str, stream: bool, code: int) -> None:
    """Each code that means "try again elsewhere"."""
    await saved_by_second(case, endpoint, stream, f"status={code}", "status")


@requirement("FLV-002")
@over(endpoint=ENDPOINTS, stream=MODES, fault=("status=500", "reset", "error_in_200"))
async def test_second_try_suffices(case: Case, endpoint: str, stream: bool, fault: str) -> None:
    """Only the first attempt fails: the same target answers the second."""
    first = case.chain(endpoint)[0]
    reply = await case.ask(
        endpoint, stream=stream, fault=f"{fault} provider={first} attempt=1", answer='say="second try"'
    )
    entries = await case.reached(fault.split("=")[0], reply)
    assert providers(entries) == chain_of(case, endpoint, 2, 0), f"upstream calls {providers(entries)}"
    expect_text(reply, "second try")


@requirement("FLV-002")
@over(endpoint=ENDPOINTS, stream=MODES, fault=("status=503", "reset", "empty_body"))
async def test_bounded_when_all_fail(case: Case, endpoint: str, stream: bool, fault: str) -> None:
    """Every target fails for good: each is tried as often as documented."""
    reply = await case.ask(endpoint, stream=stream, fault=fault)
    entries = await case.reached(fault.split("=")[0], reply)
    due = whole_chain(case, endpoint, tries(case))
    assert providers(entries) == due, f"upstream calls {providers(entries)}; due {due}"
    expect_status(reply, 502, "api_error")


@requirement("FLV-003")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_rate_limited(case: Case, endpoint: str, stream: bool) -> None:
    """429 of the first target."""
    await saved_by_second(case, endpoint, stream, "status=429", "status")


@requirement("FLV-004")
@over(
    endpoint=ENDPOINTS, stream=MODES, fault=("refuse", "reset", "reset when=after_headers", "cut_stream after_frames=0")
)
async def test_connection(case: Case, endpoint: str, stream: bool, fault: str) -> None:
    """Refused, reset before and after the head, closed after the head."""
    await saved_by_second(case, endpoint, stream, fault, fault.split()[0])


@requirement("FLV-004")
@over(endpoint=ENDPOINTS, fault=("cut_stream after_frames=1", "reset after_frames=1"))
async def test_body_cut(case: Case, endpoint: str, fault: str) -> None:
    """A JSON body that ends in its middle."""
    await saved_by_second(case, endpoint, False, fault, fault.split()[0])


@requirement("FLV-005", slow=True)
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_no_first_byte(case: Case, endpoint: str, stream: bool) -> None:
    """The first attempt says nothing for ever so long; the second, at whatever target, answers."""
    limit_s = case.target.timeouts.first_byte_s + 12
    reply = await case.ask(
        endpoint, stream=stream, fault="latency ttft_ms=90000 call=1", answer='say="at last"', limit_s=limit_s
    )
    entries = await case.reached("latency", reply)
    expect_text(reply, "at last")
    assert len(entries) == 2, f"upstream calls {providers(entries)}"
    assert entries[0].ended == "peer_closed", f"the hanging call was left open: {entries[0]}"


@requirement("FLV-006")
@over(endpoint=ENDPOINTS, stream=MODES, fault=("empty_body", "html_body status=200", "html_body status=502"))
async def test_no_answer(case: Case, endpoint: str, stream: bool, fault: str) -> None:
    """Nothing, and a web page."""
    await saved_by_second(case, endpoint, stream, fault, fault.split()[0])


@requirement("FLV-006")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_broken_json(case: Case, endpoint: str, stream: bool) -> None:
    """JSON without its end; in a stream, in the first event."""
    await saved_by_second(
        case, endpoint, stream, "malformed_body after_frames=0" if stream else "malformed_body", "malformed_body"
    )


@requirement("FLV-007")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_error_under_200(case: Case, endpoint: str, stream: bool) -> None:
    """The status says 200, the body says error."""
    await saved_by_second(case, endpoint, stream, "error_in_200", "error_in_200")


@requirement("FLV-007")
@over(endpoint=ENDPOINTS)
async def test_error_as_first_event(case: Case, endpoint: str) -> None:
    """An error event before any other."""
    await saved_by_second(case, endpoint, True, "error_event after_frames=0", "error_event")


@requirement("FLV-008")
@over(endpoint=ENDPOINTS, how=("cut_stream", "reset"))
async def test_preamble_then_death(case: Case, endpoint: str, how: str) -> None:
    """The role chunk or message_start came, content did not."""
    await saved_by_second(case, endpoint, True, f"{how} after_bytes={PREAMBLE[endpoint]}", how)


@requirement("FLV-009", slow=True)
@over(endpoint=ENDPOINTS)
async def test_pings_then_failure(case: Case, endpoint: str) -> None:
    """Silence beyond the keepalive, then an error: the second target's answer follows the pings."""
    interval_s = case.target.timeouts.keepalive_s
    first = case.chain(endpoint)[0]
    faults = [
        f"latency ttft_ms={int(interval_s * 1000) + 1500} provider={first} attempt=1",
        f"error_in_200 provider={first}",
    ]
    reply = await case.ask(endpoint, stream=True, fault=faults, answer='say="from the second"', limit_s=interval_s + 30)
    await case.reached("error_in_200", reply)
    await case.reached("latency", reply)
    expect_text(reply, "from the second")
    assert reply.heard.pings >= 1, "no keepalive came in the silence"
    assert reply.heard.starts == 1, f"{reply.heard.starts} starts"


@requirement("FLV-020")
@over(endpoint=ENDPOINTS)
async def test_one_blip(case: Case, endpoint: str) -> None:
    """A failing request, then a plain one."""
    first = case.chain(endpoint)[0]
    model = case.model(endpoint)
    expect_status(await case.ask(endpoint, model=model, fault=f"status=503 provider={first}"), 200)
    entries = await case.upstream(await case.ask(endpoint, model=model))
    assert providers(entries) == [first], f"after one failure the next request went to {providers(entries)}"


@requirement("FLV-021")
@over(stream=MODES)
async def test_affinity(case: Case, stream: bool) -> None:
    """A session that has been at the first target before."""
    first, second = case.chain("chat")[:2]
    expect_status(await case.chat(prompt_cache_key=case.token), 200)
    reply = await case.chat(prompt_cache_key=case.token, stream=stream, fault=f"status=429 provider={first}")
    expect_status(reply, 200)
    assert providers(await case.reached("status", reply))[-1] == second
