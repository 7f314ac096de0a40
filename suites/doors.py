"""The gateway's doors: every address that asks for a key, and how to knock there with any headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from suites.case import Case
from suites.exchange import WIRES, Reply

DOORS: Final = ("chat", "messages", "count_tokens", "models", "usage")
PAID: Final = ("chat", "messages")


async def knock(case: Case, door: str, headers: Mapping[str, str], query: str = "", body: bytes | None = None) -> Reply:
    """The smallest valid request at a door, with exactly these headers for a key."""
    url = case.url(door) + query
    if door in ("models", "usage"):
        return await case.request("GET", url, headers=headers)
    wire = "messages" if door == "count_tokens" else door
    prompt = f"Say something. {case.marks(case.fresh())}"
    document = WIRES[wire].body(case.model(wire), prompt, False)
    if door == "count_tokens":
        del document["max_tokens"]
    versions = {"anthropic-version": "2023-06-01"} if wire == "messages" else {}
    sent = {"content-type": "application/json", **versions, **headers}
    return await case.request(
        "POST", url, headers=sent, body=orjson.dumps(document) if body is None else body, wire=door
    )


def bearer(secret: str) -> dict[str, str]:
    """The first header form."""
    return {"authorization": f"Bearer {secret}"}
