"""Headers of Gemini's replies: those of Google's front end, and no id of the request. Source: recorded replies.

Facts of the mount: `server_timing` (AI Studio tells how long it took), `tier_header` (it names the service tier).
"""

from __future__ import annotations

from typing import Final

from simulator.answers.answer import Usage
from simulator.dialects.base import Serving
from simulator.dialects.gemini.quota import RETRY_HEADERS
from simulator.problem import Problem

Headers = tuple[tuple[str, str], ...]

JSON: Final = "application/json; charset=UTF-8"
SSE: Final = "text/event-stream"
_VARY: Final[Headers] = (("vary", "Origin"), ("vary", "X-Origin"), ("vary", "Referer"))
_SAFE: Final[Headers] = (
    ("server", "scaffolding on HTTPServer2"),
    ("x-xss-protection", "0"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-content-type-options", "nosniff"),
)
_ALT: Final[Headers] = (("alt-svc", 'h3=":443"; ma=2592000,h3-29=":443"; ma=2592000'),)


def answer(usage: Usage, serving: Serving, content_type: str) -> Headers:
    """Of a 200 with an answer."""
    tier: Headers = (("x-gemini-service-tier", "standard"),) if serving.facts.get("tier_header", True) else ()
    took_ms = 180 + usage.input_tokens % 90 + 7 * usage.output_tokens
    if content_type == SSE:
        return _common(SSE, serving, 180 + usage.input_tokens % 240, (("content-disposition", "attachment"),))
    return _common(content_type, serving, took_ms, tier)


def plain(serving: Serving) -> Headers:
    """Of a 200 that no model answered with words."""
    return _common(JSON, serving, 92)


def error(problem: Problem, serving: Serving, content_type: str) -> Headers:
    """Of a refusal; the problem's own headers come last, but for a wait, which the body tells."""
    own = tuple(pair for pair in problem.headers if pair[0] not in RETRY_HEADERS)
    told = {name for name, _ in own}
    return (*(pair for pair in _common(content_type, serving, 21) if pair[0] not in told), *own)


def _common(content_type: str, serving: Serving, took_ms: int, more: Headers = ()) -> Headers:
    timing: Headers = ()
    if serving.facts.get("server_timing", True):
        timing = (("server-timing", f"gfet4t7; dur={took_ms}"),)
    return (("content-type", content_type), *more, *_VARY, *_SAFE, *timing, *_ALT)
