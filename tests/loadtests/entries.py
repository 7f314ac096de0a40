"""Hand-made journal entries, as the fleet writes them."""

from __future__ import annotations

import json
from typing import Any

USAGE = {"input_tokens": 11, "cached_tokens": 0, "cache_write_tokens": 0, "output_tokens": 7, "reasoning_tokens": 0}


def body(text: str = "hello", model: str = "gpt-5.5", **more: Any) -> str:
    """A request's JSON with one user turn."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **more}, ensure_ascii=False)


def entry(n: int = 0, case: str | None = "t-u0.0", **changes: Any) -> dict[str, Any]:
    """A complete chat stream of 20 frames; `changes` replace fields."""
    base = {
        "n": n,
        "case": case,
        "provider": "openai",
        "region": "us-east",
        "dialect": "openai_chat",
        "operation": "generate",
        "model": "gpt-5.5",
        "stream": True,
        "method": "POST",
        "path": "/v1/chat/completions",
        "query": "",
        "headers": [],
        "body": body(),
        "body_bytes": 70,
        "attempt": 1,
        "call": 1,
        "arrived_ms": 0.0,
        "faults": [],
        "status": 200,
        "frames_planned": 20,
        "frames_sent": 20,
        "bytes_sent": 4000,
        "head_sent_ms": 1.0,
        "ended_ms": 2.0,
        "ended": "end",
        "usage_told": dict(USAGE),
        "usage_true": dict(USAGE),
        "delivered": {"tokens": 7, "text_bytes": 30},
        "lateness_ms_max": 0.0,
    }
    unknown = set(changes) - set(base)
    assert not unknown, unknown
    return base | changes
