"""What vendors say when a quota refuses a request: their sentences with the real numbers, and their names for a quota.

Sources: the sentences of OpenAI, Anthropic and Azure as public issues quote them; those of concurrency at OpenAI and
Groq are not confirmed. A style without a sentence leaves the wording to the dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from simulator.dialects.anthropic.problems import ORGANIZATION
from simulator.problem import Exceeded
from simulator.quotas.headers import duration
from simulator.quotas.limiter import DEFAULT_ORG

DAY_MS = 86_400_000
_PERIODS = {1000: "sec", 60_000: "min", 3_600_000: "hour", DAY_MS: "day"}
_WORDS = {
    "requests": "requests",
    "tokens": "tokens",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "concurrency": "concurrent requests",
    "jobs": "jobs in flight",
}
_OPENAI_MORE = "Visit https://platform.openai.com/account/rate-limits to learn more."
_GROQ_MORE = "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
_ANTHROPIC_MORE = (
    "For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the response headers for current "
    "usage. Please reduce the prompt length or the maximum tokens requested, or try again later. You may also contact "
    "sales at https://claude.com/contact-sales to discuss your options for a rate limit increase."
)
_ANTHROPIC_BUSY = "Number of concurrent connections has exceeded your rate limit. Please try again later."


def period(per_ms: int | None, words: Mapping[int, str] = MappingProxyType(_PERIODS)) -> str:
    """`min`, `day`, or a duration."""
    return words.get(per_ms or 0) or duration(0, per_ms or 0)


def unit(exceeded: Exceeded) -> str:
    """`requests per min (RPM)`, as OpenAI names a quota."""
    words = _WORDS[exceeded.of]
    if exceeded.per_ms is None:
        return words
    per = period(exceeded.per_ms)
    short = "".join(word[0] for word in [*words.split(), "per", per]).upper() if per.isalpha() else ""
    return f"{words} per {per}" + (f" ({short})" if short else "")


def openai(exceeded: Exceeded) -> str:
    return f"{_openai(exceeded, f'for {exceeded.model} in organization {exceeded.org}', 'min')} {_OPENAI_MORE}"


def groq(exceeded: Exceeded) -> str:
    where = f"for model `{exceeded.model}` in organization `{exceeded.org}` service tier `on_demand`"
    return f"{_openai(exceeded, where, 'minute')} {_GROQ_MORE}"


def _openai(exceeded: Exceeded, where: str, minute: str) -> str:
    what = unit(exceeded).replace(" per min ", f" per {minute} ")
    if not exceeded.fits:
        return (
            f"Request too large {where} on {what}: Limit {exceeded.limit}, Requested {exceeded.requested}. "
            "The input or output tokens must be reduced in order to run successfully."
        )
    wait = "later" if exceeded.wait_ms is None else f"in {duration(0, exceeded.wait_ms)}"
    numbers = f"Limit {exceeded.limit}, Used {exceeded.used}, Requested {exceeded.requested}"
    return f"Rate limit reached {where} on {what}: {numbers}. Please try again {wait}."


def azure(exceeded: Exceeded) -> str:
    what = "call" if exceeded.of in ("requests", "concurrency", "jobs") else "token"
    wait = "later" if exceeded.wait_ms is None else f"after {-(-exceeded.wait_ms // 1000)} seconds"
    return (
        f"Your requests to {exceeded.model} for {exceeded.model} have exceeded the {what} rate limit for your current "
        f"AIServices S0 pricing tier. Please retry {wait}. To increase your default rate limit, visit: "
        "https://aka.ms/oai/quotaincrease."
    )


def anthropic(exceeded: Exceeded) -> str:
    if exceeded.per_ms is None:
        return _ANTHROPIC_BUSY
    per = period(exceeded.per_ms, {1000: "second", 60_000: "minute", 3_600_000: "hour", DAY_MS: "day"})
    org = ORGANIZATION if exceeded.org == DEFAULT_ORG else exceeded.org
    return (
        f"This request would exceed your organization's rate limit of {exceeded.limit:,} {_WORDS[exceeded.of]} per "
        f"{per} (org: {org}, model: {exceeded.model}). {_ANTHROPIC_MORE}"
    )


SENTENCES: Mapping[str, Callable[[Exceeded], str]] = {
    "openai": openai,
    "azure": azure,
    "anthropic": anthropic,
    "groq": groq,
}


def sentence(style: str, exceeded: Exceeded) -> str | None:
    """What the vendor says; None: what its dialect says anyway."""
    say = SENTENCES.get(style)
    return None if say is None else say(exceeded)
