"""The gateway under strain, and what it shows of itself."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from suites.case import Case, expect_text
from suites.edge import now_ms, sleep_ms
from suites.raw import send_and_never_read
from suites.requirement import ENDPOINTS, over, requirement
from suites.samples import output_limit

PROMPT_MS = 5000
SPACIOUS = {"chat": "gpt-5.4", "messages": "claude-haiku-4-5"}  # models that take a long answer


@requirement("OPS-001")
async def test_health(case: Case) -> None:
    """No key, no body."""
    reply = await case.request("GET", f"{case.target.root_url}/healthz")
    assert reply.status == 200, f"came {reply}"


@requirement("OPS-002")
@over(endpoint=ENDPOINTS)
async def test_errors_leave_no_connection(case: Case, endpoint: str) -> None:
    """150 streams that fail in four ways, a few dozen at a time; then a plain one."""
    faults = ("status=429", "status=400", "html_body status=502", "error_in_200")
    for _ in range(3):
        asked = [case.ask(endpoint, stream=True, fault=f"{faults[number % 4]} attempt=1") for number in range(50)]
        await asyncio.gather(*asked)
    started_ms = now_ms()
    expect_text(await case.ask(endpoint, stream=True, answer='say="still here"', limit_s=20), "still here")
    assert now_ms() - started_ms < PROMPT_MS, f"after many errors a plain call took {now_ms() - started_ms:.0f} ms"


@requirement("OPS-003")
async def test_large_bodies(case: Case) -> None:
    """Eight bodies of five megabytes, small calls beside them."""
    await case.user()
    large = [case.chat("a" * 5_000_000, model="gpt-5.4-nano", answer='say="big"') for _ in range(8)]
    small = [case.chat(answer='say="small"') for _ in range(8)]
    replies = await asyncio.gather(*large, *small)
    for reply in replies[:8]:
        assert reply.status in (200, 400, 413), f"a large body: {reply}"
    for reply in replies[8:]:
        expect_text(reply, "small")


@requirement("OPS-004")
@over(endpoint=ENDPOINTS)
async def test_idle_reader(case: Case, endpoint: str) -> None:
    """Three clients that ask for megabytes and never read; ten that read."""
    idle = []
    try:
        for _ in range(3):
            token = case.fresh()
            options = {
                "stream": True,
                "answer": "tokens=25000",
                "model": SPACIOUS[endpoint],
                **output_limit(endpoint, 30_000),
            }
            body = case.encode(await case.document(endpoint, token, "Talk.", options))
            lines = {**await case.headers(endpoint, None), "host": "gateway", "content-length": str(len(body))}
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            request = f"POST {urlsplit(case.url(endpoint)).path} HTTP/1.1\r\n{head}\r\n".encode() + body
            idle.append(await send_and_never_read(case.target.root_url, request))
            await until_sent(case, token)
        asked = [case.ask(endpoint, stream=True, answer='say="mine"', limit_s=20) for _ in range(10)]
        for reply in await asyncio.gather(*asked):
            expect_text(reply, "mine")
    finally:
        for connection in idle:
            connection.close()


async def until_sent(case: Case, token: str) -> None:
    """Wait until the upstream has sent all it can, or a while: then the gateway is stuck with the client."""
    sent = -1
    for _ in range(20):
        await sleep_ms(100)
        entries = await case.fleet.journal(token, wait_ms=0)
        now = sum(entry.row["bytes_sent"] for entry in entries)
        if entries and now == sent:
            return
        sent = now


@requirement("OPS-006")
async def test_metrics(case: Case) -> None:
    """Prometheus text."""
    secret = await case.secret(None)
    await case.chat()
    reply = await case.request("GET", f"{case.target.root_url}/metrics")
    assert reply.status == 200, f"came {reply}"
    text = reply.raw.decode()
    assert "# TYPE" in text, f"no Prometheus text: {text[:200]!r}"
    assert secret not in text, "the metrics hold keys"
    assert "sk-" not in text, "the metrics hold keys"
