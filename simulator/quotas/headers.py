"""How vendors tell their quotas in headers: names, forms of time, and what a refusal adds. A row of data a style.

A row of models or providers picks one by the fact `rate_headers`. Sources: OpenAI's guide (limit, remaining and reset
for requests and tokens; a reset is a Go duration), Azure's replies (integers, may be negative, both retry headers),
Anthropic's reference (RFC 3339, tokens in whole thousands), Groq's (requests are those of a day), OpenRouter's (a reset
is a Unix time in milliseconds), Replicate's recorded replies (no limit). Gemini and many compatible servers tell
nothing in headers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from simulator.problem import Exceeded
from simulator.quotas.limiter import Standing
from simulator.script import Script

Headers = tuple[tuple[str, str], ...]

FACT = "rate_headers"
LIMITS = ("x-ratelimit-", "anthropic-ratelimit-", "ratelimit-")  # how the headers begin that true ones replace
RETRY = ("retry-after", "retry-after-ms")
THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class Style:
    """How one vendor tells its quotas. `{of}` in the header's name is the vendor's word for what is counted."""

    header: str = ""  # "" tells nothing of limits
    words: Mapping[str, str] = field(default_factory=dict)  # ours -> the vendor's, in the order in which they are told
    parts: tuple[str, str, str] = ("limit", "remaining", "reset")  # "": not told
    reset: Callable[[float, int], str] = lambda _now_ms, reset_ms: str(-(-reset_ms // 1000))
    longest: frozenset[str] = frozenset()  # of what the quota with the longest time is told, not the shortest
    below_zero: bool = False  # whether `remaining` may be negative
    rounded: bool = False  # tokens are told in whole thousands, downwards, unless the limit is small
    retry: tuple[str, ...] = ("retry-after",)
    typed: bool = False  # whether an error's type says what was counted


def duration(_now_ms: float, ms: int) -> str:
    """A Go duration: `6ms`, `1.25s`, `6m0s`, `0s`."""
    if ms < 1000:
        return f"{ms}ms" if ms else "0s"
    minutes, rest = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds}s"


def _rfc3339(now_ms: float, reset_ms: int) -> str:
    """A moment, rounded up to the second: by then it is true."""
    return datetime.fromtimestamp(-(-(int(now_ms) + reset_ms) // 1000), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_OPENAI = {"requests": "requests", "tokens": "tokens"}
_SPLIT = {"input_tokens": "input-tokens", "output_tokens": "output-tokens", "tokens": "tokens", "requests": "requests"}

STYLES: Mapping[str, Style] = {
    "openai": Style("x-ratelimit-{part}-{of}", _OPENAI, reset=duration, retry=RETRY, typed=True),
    "azure": Style("x-ratelimit-{part}-{of}", _OPENAI, below_zero=True, retry=RETRY),
    "anthropic": Style("anthropic-ratelimit-{of}-{part}", _SPLIT, reset=_rfc3339, rounded=True),
    "groq": Style("x-ratelimit-{part}-{of}", _OPENAI, reset=duration, longest=frozenset({"requests"}), typed=True),
    "openrouter": Style(
        "x-ratelimit-{part}", {"requests": ""}, reset=lambda now_ms, reset_ms: str(int(now_ms) + reset_ms), retry=()
    ),
    "replicate": Style("ratelimit-{part}", {"requests": ""}, parts=("", "remaining", "reset")),
    "retry_after": Style(),
    "gemini": Style(retry=()),  # the wait is in the body
    "none": Style(retry=()),
}


def name(facts: Mapping[str, Any], dialect: str) -> str:
    """The style that facts ask for; else that of the wire's inventor, and none where a server is only compatible."""
    asked = facts.get(FACT)
    if asked is not None:
        return str(asked)
    family = dialect.partition("_")[0]
    return "none" if facts.get("lenient") else family if family in STYLES else "openai"


def limits(style: Style, standings: Sequence[Standing], now_ms: float) -> Headers:
    """Limit, remaining and reset of each quota that the vendor tells, in the vendor's order."""
    headers: list[tuple[str, str]] = []
    for of, word in style.words.items():
        found = [one for one in standings if one.limit.of == of]
        if not found:
            continue
        told = (max if of in style.longest else min)(found, key=lambda one: one.limit.per_ms or 0)
        remaining = told.remaining if style.below_zero else max(0, told.remaining)
        if style.rounded and of != "requests" and told.limit.limit >= 10 * THOUSAND:
            remaining = remaining // THOUSAND * THOUSAND
        values = (str(told.limit.limit), str(remaining), style.reset(now_ms, told.reset_ms))
        headers += [
            (style.header.format(of=word, part=part), value)
            for part, value in zip(style.parts, values, strict=True)
            if part
        ]
    return tuple(headers)


def retry(style: Style, exceeded: Exceeded) -> Headers:
    """How long to wait; whole seconds are rounded up. Nothing when nobody can know, or no wait will do."""
    if exceeded.wait_ms is None:
        return ()
    values = {"retry-after": str(-(-exceeded.wait_ms // 1000)), "retry-after-ms": str(exceeded.wait_ms)}
    return tuple((header, values[header]) for header in style.retry)


def dress(script: Script, told: Headers) -> Script:
    """A reply that tells these instead of what its dialect made up, in the same place."""
    kept: list[tuple[str, str]] = []
    place = None
    for pair in script.headers:
        if pair[0].startswith(LIMITS) or pair[0] in RETRY:
            place = len(kept) if place is None else place
        else:
            kept.append(pair)
    at = len(kept) if place is None else place
    return replace(script, headers=(*kept[:at], *told, *kept[at:]))
