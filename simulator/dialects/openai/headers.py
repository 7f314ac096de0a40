"""Headers of the OpenAI wire, on success and on refusal. Names in lower case; the request id is made of the nonce."""

from __future__ import annotations

from functools import cache, lru_cache
from math import ceil

from simulator.answers.answer import Usage
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai import forms
from simulator.dialects.openai.ids import Letters, hexes, request_id
from simulator.draws import word
from simulator.problem import Problem

Headers = tuple[tuple[str, str], ...]

_EDGE: Headers = (
    ("server", "cloudflare"),
    ("cf-cache-status", "DYNAMIC"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
    ("x-content-type-options", "nosniff"),
    ("alt-svc", 'h3=":443"; ma=86400'),
)
_API: Headers = (("access-control-expose-headers", "X-Request-ID"), ("openai-version", "2020-10-01"))


@cache
def _account(provider: str) -> Headers:
    return (("openai-organization", "org-fleet"), ("openai-project", f"proj_{word(24, 'project', provider)}"))


def _common(content_type: str, serving: Serving) -> Headers:
    ray = f"{hexes(serving.seed, 16)}-IAD"
    return (("content-type", content_type), ("x-request-id", request_id(serving)), *_EDGE, ("cf-ray", ray))


def duration(ms: float) -> str:
    """A Go duration, as the reset headers have it: `6ms`, `1.25s`, `6m0s`, `0s`."""
    whole = round(ms)
    if whole < 1000:
        return f"{whole}ms" if whole else "0s"
    minutes, rest = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds}s"


def seconds(ms: float) -> str:
    """Whole seconds, rounded up, as Azure's reset headers have it."""
    return str(ceil(ms / 1000))


def rate_limits(profile: Profile, usage: Usage) -> Headers:
    """What one request leaves of the limits of a minute, which refill evenly. None where the model's row names none."""
    requests, tokens = profile.facts.get("rate_requests"), profile.facts.get("rate_tokens")
    if requests is None or tokens is None:
        return ()
    return _rate_limits(requests, tokens, usage.input_tokens, profile.facts.get("rate_headers", "openai"))


@lru_cache(maxsize=4096)
def _rate_limits(requests: int, tokens: int, used: int, style: str) -> Headers:
    told = seconds if style == "azure" else duration
    return (
        ("x-ratelimit-limit-requests", str(requests)),
        ("x-ratelimit-limit-tokens", str(tokens)),
        ("x-ratelimit-remaining-requests", str(requests - 1)),
        ("x-ratelimit-remaining-tokens", str(tokens - used)),
        ("x-ratelimit-reset-requests", told(60_000 / requests)),
        ("x-ratelimit-reset-tokens", told(60_000 * used / tokens)),
    )


def native(serving: Serving, profile: Profile | None = None, *, stream: bool = False) -> Headers:
    """Headers of a 200 at a vendor whose form has its own; without a model, those of the form of the mount."""
    known = profile or Profile("", "", "", serving.facts)
    form, letters = forms.of(known), Letters(serving, known)
    return tuple((name, letters.spell(value)) for name, value in form.headers["stream" if stream else "json"].items())


def answer(usage: Usage, profile: Profile, serving: Serving, stream: bool) -> Headers:
    """Headers of a 200. Compatible servers send the few that are no OpenAI matter."""
    if forms.of(profile).headers:
        return (*native(serving, profile, stream=stream), *rate_limits(profile, usage))
    content_type = "text/event-stream; charset=utf-8" if stream else "application/json"
    if profile.has("lenient"):
        cache: Headers = (("cache-control", "no-cache"),) if stream else ()
        return (("content-type", content_type), ("x-request-id", request_id(serving)), *cache)
    processing_ms = 150 + (usage.input_tokens % 250 if stream else 9 * usage.output_tokens)
    own: Headers = (
        *_account(profile.provider),
        ("openai-processing-ms", str(processing_ms)),
        ("x-openai-proxy-wasm", "v0.1"),
    )
    return (*_common(content_type, serving), *_API, *own, *rate_limits(profile, usage))


def plain(serving: Serving) -> Headers:
    """Headers of a 200 that no model answered."""
    return (*_common("application/json", serving), *_API, ("openai-processing-ms", "34"))


def error(problem: Problem, status: int, front: bool, content_type: str, serving: Serving) -> Headers:
    """Headers of a refusal: the front door's are few, and a 429 tells the limits."""
    own: Headers = (("vary", "Origin"),) if front else (*_API, ("openai-processing-ms", "12"))
    if status == 429 and problem.kind not in ("insufficient_quota", "billing"):
        own += (
            ("x-ratelimit-limit-requests", "10000"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "6ms"),
        )
    told = {name for name, _ in problem.headers}
    kept = (header for header in (*_common(content_type, serving), *own) if header[0] not in told)
    return (*kept, *problem.headers)
