"""Refusals by upstreams: whose they are, and what the client is told."""

from __future__ import annotations

from suites.case import Case, expect_status, expect_text, providers
from suites.failover.test_before_content import chain_of, saved_by_second, tries, whole_chain
from suites.requirement import ENDPOINTS, MODES, over, requirement


@requirement("FLV-010")
@over(endpoint=ENDPOINTS, stream=MODES, code=(400, 404, 409, 422))
async def test_callers_fault(case: Case, endpoint: str, stream: bool, code: int) -> None:
    """One call, and the upstream's own words."""
    reply = await case.ask(endpoint, stream=stream, fault=f'status={code} message="the prompt is too long by 17 words"')
    await case.reached("status", reply)
    entry = await case.one_upstream_call(reply)
    expect_status(reply, 400, "invalid_request_error")
    assert "too long by 17 words" in (reply.error or ("", ""))[1], f"the upstream's message is lost: {reply}"
    assert entry.provider == case.chain(endpoint)[0]


@requirement("FLV-010")
@over(stream=MODES)
async def test_policy_refusal(case: Case, stream: bool) -> None:
    """A content filter refuses: trying elsewhere would not help."""
    reply = await case.chat(stream=stream, fault='status=400 code=content_policy_violation message="not allowed here"')
    await case.reached("status", reply)
    await case.one_upstream_call(reply)
    expect_status(reply, 400, "invalid_request_error")


@requirement("FLV-010")
@over(endpoint=ENDPOINTS)
async def test_native_refusal(case: Case, endpoint: str) -> None:
    """A parameter out of range, refused by the upstream's own rules."""
    reply = await case.ask(endpoint, temperature=-3)
    entry = await case.one_upstream_call(reply)
    assert entry.status == 400, f"the upstream minds: {entry}"
    expect_status(reply, 400, "invalid_request_error")
    assert "temperature" in (reply.error or ("", ""))[1], f"the upstream's message is lost: {reply}"


@requirement("FLV-011")
@over(endpoint=ENDPOINTS, stream=MODES, code=(401, 402, 403))
async def test_gateways_own_account(case: Case, endpoint: str, stream: bool, code: int) -> None:
    """No second try at a target that does not take the gateway's key or money."""
    await saved_by_second(case, endpoint, stream, f"status={code}", "status", first_tries=1)


@requirement("FLV-023")
@over(endpoint=ENDPOINTS, stream=MODES, code=(401, 402, 403))
async def test_all_refuse_the_gateway(case: Case, endpoint: str, stream: bool, code: int) -> None:
    """402 would tell the client that its own money is gone."""
    reply = await case.ask(endpoint, stream=stream, fault=f"status={code}")
    entries = await case.reached("status", reply)
    expect_status(reply, 502, "api_error")
    assert providers(entries) == whole_chain(case, endpoint, 1), f"upstream calls {providers(entries)}"


@requirement("FLV-012")
@over(stream=MODES)
async def test_quota_exhausted(case: Case, stream: bool) -> None:
    """The account is out of money, which no wait mends."""
    await saved_by_second(case, "chat", stream, "status=429 code=insufficient_quota", "status", first_tries=1)


@requirement("FLV-013")
@over(endpoint=ENDPOINTS, stream=MODES)
async def test_last_message_told(case: Case, endpoint: str, stream: bool) -> None:
    """Each target fails with words of its own."""
    *others, last = case.chain(endpoint)
    faults = [f'status=500 message="alpha gave up" provider={name}' for name in others]
    faults.append(f'status=503 message="beta gave up" provider={last}')
    reply = await case.ask(endpoint, stream=stream, fault=faults)
    entries = await case.reached("status", reply)
    assert providers(entries) == whole_chain(case, endpoint, tries(case)), f"upstream calls {providers(entries)}"
    expect_status(reply, 502, "api_error")
    message = (reply.error or ("", ""))[1]
    assert "beta gave up" in message, f"the last upstream's message is missing: {message!r}"
    assert "alpha" not in message, f"another upstream's message is there: {message!r}"
    assert reply.sent.document["model"] in message, f"the message does not name the model: {message!r}"


@requirement("FLV-017")
@over(endpoint=ENDPOINTS)
async def test_short_retry_after(case: Case, endpoint: str) -> None:
    """One second, asked for by the upstream."""
    reply = await case.ask(endpoint, fault="status=429 retry_after_s=1 call=1", answer='say="thanks for waiting"')
    entries = await case.reached("status", reply)
    expect_text(reply, "thanks for waiting")
    assert providers(entries) == chain_of(case, endpoint, 2, 0), f"upstream calls {providers(entries)}"
    waited_ms = entries[1].arrived_ms - entries[0].arrived_ms
    assert waited_ms >= 900, f"the second try came after {waited_ms:.0f} ms; the upstream asked for 1000"


@requirement("FLV-017")
@over(endpoint=ENDPOINTS)
async def test_long_retry_after(case: Case, endpoint: str) -> None:
    """A minute is more than a caller waits: the other target answers."""
    first, second = case.chain(endpoint)[:2]
    reply = await case.ask(endpoint, fault=f"status=429 retry_after_s=60 provider={first}", answer='say="no waiting"')
    entries = await case.reached("status", reply)
    expect_text(reply, "no waiting")
    assert providers(entries)[-1] == second
    took_ms = entries[-1].arrived_ms - entries[0].arrived_ms
    assert took_ms < 10_000, f"the other target was asked after {took_ms:.0f} ms"


@requirement("FLV-017")
@over(endpoint=ENDPOINTS)
async def test_some_backoff(case: Case, endpoint: str) -> None:
    """Five failing requests: second tries do not follow at once."""
    waits = []
    for _ in range(5):
        reply = await case.ask(endpoint, fault="status=503 call=1")
        entries = await case.reached("status", reply)
        assert len(entries) == 2, f"upstream calls {providers(entries)}"
        waits.append(entries[1].arrived_ms - (entries[0].ended_ms or entries[0].arrived_ms))
    assert sorted(waits)[2] >= 20, f"second tries follow at once: after {[round(wait, 1) for wait in waits]} ms"
