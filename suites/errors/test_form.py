"""The form of refusals, and what they must not tell."""

from __future__ import annotations

import asyncio
import re

from suites.case import Case, expect_status
from suites.doors import bearer, knock
from suites.exchange import Reply
from suites.requirement import ENDPOINTS, MODES, over, requirement

SECRETS = re.compile(
    r"sk-|https?://|canary|10\.20\.30\.40|127\.0\.0\.1|localhost|Traceback|\.py\b|<html|nginx|aiohttp|:\d{4,5}\b",
    re.IGNORECASE,
)


async def refusals(case: Case, endpoint: str) -> dict[int, Reply]:
    """One refusal of each status, as far as this user can cause it."""
    broke = await case.new_user(uc=1)
    limited = await case.new_user(limits={"chat": 1})
    await case.ask(endpoint, key=limited, answer="tokens=2")
    return {
        400: await case.ask(endpoint, model="no-such-model"),
        401: await case.ask(endpoint, key="ck_" + "f" * 32),
        402: await case.ask(endpoint, key=broke),
        429: await case.ask(endpoint, key=limited),
        502: await case.ask(endpoint, fault="status=500"),
    }


@requirement("ERR-001")
@over(endpoint=ENDPOINTS)
async def test_one_form(case: Case, endpoint: str) -> None:
    """Every status that can be caused, on both wires."""
    types = {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "insufficient_credits",
        429: "rate_limit_error",
        502: "api_error",
    }
    for status, reply in (await refusals(case, endpoint)).items():
        expect_status(reply, status, types[status])
        assert reply.type == "application/json", f"{status} comes as {reply.type}"
        names = set(reply.json) - ({"available_models"} if status == 400 else set())
        assert names == {"error"}, f"{status}: names {sorted(reply.json)}"
        assert set(reply.json["error"]) == {"type", "message"}, (
            f"{status}: names of error {sorted(reply.json['error'])}"
        )


@requirement("ERR-014")
@over(endpoint=ENDPOINTS)
async def test_money_named(case: Case, endpoint: str) -> None:
    """The refusal says that credits are missing."""
    await case.use(uc=5)
    reply = await case.ask(endpoint)
    expect_status(reply, 402, "insufficient_credits")
    message = (reply.error or ("", ""))[1].lower()
    assert "credit" in message or "balance" in message, f"the message does not tell what is missing: {message!r}"


LEAKS = (
    "canary", "canary status=400", "canary status=403", "html_body status=502", "html_body status=500",
    'status=503 message="see http://canary.internal:8443/x?key=sk-canary-1 at 10.20.30.40"',
)  # fmt: skip


@requirement("ERR-009")
@over(endpoint=ENDPOINTS, stream=MODES, fault=LEAKS)
async def test_nothing_leaks(case: Case, endpoint: str, stream: bool, fault: str) -> None:
    """Upstreams whose errors hold a key, a URL, a host, an address, a page."""
    reply = await case.ask(endpoint, stream=stream, fault=fault)
    await case.reached(fault.split("=")[0].split()[0], reply)
    assert reply.status in (400, 502), f"due 400 or 502; came {reply}"
    told = reply.raw.decode("utf-8", "replace")
    found = SECRETS.findall(told)
    assert not found, f"the reply tells {found}: {told}"
    names = {provider for chain in case.target.upstreams.values() for provider in chain}
    assert not [name for name in names if name.endswith("-eu") and name in told], (
        f"the reply names the gateway's upstreams: {told}"
    )


@requirement("ERR-009")
@over(endpoint=ENDPOINTS)
async def test_nothing_leaks_mid_stream(case: Case, endpoint: str) -> None:
    """The same in an error event after content."""
    words = "key sk-canary-0123456789 at https://canary.internal.example:8443/v1 (10.20.30.40)"
    reply = await case.ask(
        endpoint, stream=True, fault=f'error_event after_frames=2 message="{words}"', answer="tokens=30"
    )
    await case.reached("error_event", reply)
    told = (reply.error or ("", ""))[1]
    assert told, f"an error event was due: {reply}"
    assert not SECRETS.findall(told), f"the error event tells {told!r}"


@requirement("ERR-009")
@over(endpoint=ENDPOINTS, stream=MODES, fault=("refuse", "reset"))
async def test_connection_errors_do_not_leak(case: Case, endpoint: str, stream: bool, fault: str) -> None:
    """Errors of the gateway's own HTTP client, whose texts hold addresses."""
    reply = await case.ask(endpoint, stream=stream, fault=fault)
    await case.reached(fault, reply)
    expect_status(reply, 502, "api_error")
    told = reply.raw.decode("utf-8", "replace")
    assert not SECRETS.findall(told), f"the reply tells {told}"


@requirement("ERR-010")
async def test_request_ids(case: Case) -> None:
    """Answers, streams and refusals."""
    asked = [case.chat(stream=number % 2 == 0, answer="tokens=2") for number in range(8)]
    asked += [
        case.messages(answer="tokens=2"),
        case.chat(model="no-such-model"),
        case.chat(key="nonsense"),
        case.get("models"),
    ]
    replies = await asyncio.gather(*asked)
    ids = [reply.headers.get("x-request-id") for reply in replies]
    without = [reply.status for reply, found in zip(replies, ids, strict=True) if not found]
    assert not without, f"replies without x-request-id: {without}"
    assert len(set(ids)) == len(ids), f"a request id came twice: {ids}"


@requirement("ERR-011")
@over(endpoint=ENDPOINTS)
async def test_order_of_reasons(case: Case, endpoint: str) -> None:
    """Each request is wrong in every way that is left."""
    await case.use(uc=1, limits={"chat": 1})
    user = await case.user()
    expect_status(await knock(case, endpoint, bearer("ck_" + "0" * 32), body=b"{"), 401)
    expect_status(await knock(case, endpoint, bearer(user.key.secret), body=b"{"), 400)
    expect_status(await case.ask(endpoint, model="no-such-model"), 400)
    expect_status(await case.ask(endpoint), 402)


@requirement("ERR-012")
@over(endpoint=ENDPOINTS, fault=("status=500", "status=400", "error_in_200", "empty_body", "reset"))
async def test_refused_stream_is_json(case: Case, endpoint: str, fault: str) -> None:
    """All targets fail before the first event."""
    reply = await case.ask(endpoint, stream=True, fault=fault)
    await case.reached(fault.split("=")[0], reply)
    expect_status(reply, 400 if fault == "status=400" else 502)
    assert reply.type == "application/json", f"a refusal as {reply.type}"
