"""Response headers of Anthropic's API.

`request-id` on everything, rate limits on answers, `x-should-retry` on errors. What the network in front adds
(`date`, `server`, `cf-ray`) is left to the server. Source: recorded replies to 2026-08-19.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from simulator.answers.answer import Usage
from simulator.dialects.anthropic.problems import ORGANIZATION, should_retry
from simulator.dialects.base import Serving
from simulator.draws import integer
from simulator.problem import Problem

Headers = tuple[tuple[str, str], ...]

REQUESTS_LIMIT: Final = 10_000
INPUT_LIMIT: Final = 10_000_000
OUTPUT_LIMIT: Final = 2_000_000
ROUNDED_TO: Final = 1000  # remaining tokens are told in whole thousands
_ACCOUNT: Final[Headers] = (
    ("anthropic-organization-id", ORGANIZATION),
    ("anthropic-workspace-id", "wrkspc_01Q7mZr2VbXw5KcYt8NfHdLs"),
)
_SAFE: Final[Headers] = (
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("x-robots-tag", "none"),
    ("cf-cache-status", "DYNAMIC"),
    ("vary", "Accept-Encoding"),
)


def request_id(serving: Serving) -> str:
    """The id of this exchange, in the header and in an error's body."""
    return f"req_01{serving.nonce}"


def rfc3339(now_s: int) -> str:
    """A moment as the rate-limit headers tell it."""
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def answer(usage: Usage, serving: Serving, *, stream: bool) -> Headers:
    """Of a 200 with an answer."""
    kind: Headers = (("content-type", "application/json"),)
    if stream:
        kind = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
    id_ = ("request-id", request_id(serving))
    return (*kind, *_limits(usage, serving), *_retry_after(serving), id_, *_ACCOUNT, *_SAFE)


def plain(serving: Serving) -> Headers:
    """Of a 200 that used no model."""
    return (("content-type", "application/json"), ("request-id", request_id(serving)), *_ACCOUNT, *_SAFE)


def error(problem: Problem, status: int, serving: Serving) -> Headers:
    """Of a refusal; the problem's own headers come last."""
    own = {name for name, _ in problem.headers}
    native: Headers = (
        ("content-type", "application/json"),
        ("cache-control", "no-store, no-cache"),
        ("x-should-retry", "true" if should_retry(status) else "false"),
        ("request-id", request_id(serving)),
        *(() if status == 401 else _ACCOUNT),
        *_SAFE,
    )
    return (*(pair for pair in native if pair[0] not in own), *problem.headers)


def _limits(usage: Usage, serving: Serving) -> Headers:
    fresh, output = usage.input_tokens - usage.cached_tokens, usage.output_tokens
    left = _left(INPUT_LIMIT, fresh), _left(OUTPUT_LIMIT, output), _left(INPUT_LIMIT + OUTPUT_LIMIT, fresh + output)
    return _limits_left(*left, serving.now_s)


def _left(limit: int, spent: int) -> int:
    return max(0, round((limit - spent) / ROUNDED_TO)) * ROUNDED_TO


@lru_cache(maxsize=1024)
def _limits_left(of_input: int, of_output: int, of_both: int, now_s: int) -> Headers:
    """What is left of each limit; most answers of a second leave the same, rounded."""
    reset = rfc3339(now_s)
    return (
        *_limit("input-tokens", INPUT_LIMIT, of_input, reset),
        *_limit("output-tokens", OUTPUT_LIMIT, of_output, reset),
        *_limit("tokens", INPUT_LIMIT + OUTPUT_LIMIT, of_both, reset),
        *_limit("requests", REQUESTS_LIMIT, REQUESTS_LIMIT - 1, reset),
    )


def _limit(name: str, limit: int, remaining: int, reset: str) -> Headers:
    head = f"anthropic-ratelimit-{name}"
    return ((f"{head}-limit", str(limit)), (f"{head}-remaining", str(remaining)), (f"{head}-reset", reset))


def _retry_after(serving: Serving) -> Headers:
    """One answer in twelve bears a `retry-after` of 4 to 52 s although it succeeded, as 27 of 324 recorded ones do."""
    draw = integer("retry-after", serving.seed)
    return () if draw % 12 else (("retry-after", str(4 + draw // 12 % 49)),)
