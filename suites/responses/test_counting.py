"""How many tokens a Responses request has: a number that nobody pays for."""

from __future__ import annotations

from typing import Any

import orjson

from suites.case import Case, expect_status
from suites.doors import bearer
from suites.requirement import over, requirement
from suites.samples import CJK, WEATHER

OFFERED: list[dict[str, Any]] = [{"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}]


@requirement("RSP-011")
@over(what=("text", "items", "tools"))
async def test_tokens_counted(case: Case, what: str) -> None:
    """A text, several items, tools: a number above zero, and the more there is, the larger it is."""
    more: dict[str, dict[str, Any]] = {
        "text": {"input": CJK * 20},
        "items": {"input": [{"role": "user", "content": "One."}, {"role": "user", "content": CJK * 20}]},
        "tools": {"tools": OFFERED},
    }
    least = {"model": case.model("responses"), "input": "Hi."}
    few, many = await counted(case, least), await counted(case, least | more[what])
    assert 0 < few < many, f"{few} tokens, with more {what} {many}"
    books = await case.books()
    assert (books.charged_uc, books.held_uc, len(books.rows)) == (0, 0, 0), f"counting was charged or logged: {books}"


async def counted(case: Case, document: dict[str, Any]) -> int:
    """What the gateway counts."""
    headers = {"content-type": "application/json", **bearer(await case.secret(None))}
    url = f"{case.url('responses')}/input_tokens"
    reply = await case.request("POST", url, headers=headers, body=orjson.dumps(document))
    expect_status(reply, 200)
    tokens = reply.json.get("input_tokens")
    assert isinstance(tokens, int), f"input_tokens is {tokens!r}"
    return tokens
