"""Headers of a success on the Audio wire, whatever its media type."""

from __future__ import annotations

from typing import Final

from simulator.answers.answer import Usage
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai import headers as openai_headers
from simulator.dialects.openai.headers import Headers

EVENTS: Final = "text/event-stream; charset=utf-8"


def answer(kind: str, ask: Ask, profile: Profile, serving: Serving) -> Headers:
    """Those of any answer, with this media type and with the rate of a model that is limited by requests alone."""
    headers = openai_headers.answer(Usage(ask.input_tokens, 0), profile, serving, ask.stream)
    rate = profile.facts.get("rate_requests")
    own: Headers = ()
    if rate is not None and "rate_tokens" not in profile.facts:
        own = (
            ("x-ratelimit-limit-requests", str(rate)),
            ("x-ratelimit-remaining-requests", str(rate - 1)),
            ("x-ratelimit-reset-requests", openai_headers.duration(60_000 / rate)),
        )
    return (("content-type", kind), *(row for row in headers if row[0] != "content-type"), *own)
