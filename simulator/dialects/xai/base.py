"""What xAI's wires share: keys and refusals as on its chat wire, ids, and the headers of a success.

The style of refusals is the fact `errors`: `xai_media` (a class and a sentence), `xai_speech` (a sentence alone) or
`xai_enveloped` (OpenAI's envelope). All three are known of the real API; which endpoint has which is not confirmed.
"""

from __future__ import annotations

from typing import ClassVar, Final

from simulator import draws
from simulator.dialects.base import Kept, Serving
from simulator.dialects.openai.chat import OpenAIChat
from simulator.jobs.desk import Call

Headers = tuple[tuple[str, str], ...]

UUID_HEAD: Final = 14  # characters of a UUID before its nonce
EDGE: Final[Headers] = (
    ("strict-transport-security", "max-age=31536000"),
    ("vary", "origin, access-control-request-method, access-control-request-headers"),
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "*"),
    ("cf-cache-status", "DYNAMIC"),
    ("server", "cloudflare"),
)


class XAIWire(OpenAIChat):
    """A wire of xAI's: it calls no webhooks and streams no items."""

    nonces: ClassVar[str] = "uuid"

    def hook_url(self, ask: object) -> str:  # noqa: ARG002
        """Nobody is told of the end of a job."""
        return ""

    def hook_call(self, kept: Kept, now_ms: int, call: Call) -> tuple[Headers, bytes]:  # noqa: ARG002
        """There are no webhooks."""
        raise TypeError(f"{self.name} calls no webhooks")

    def produced(self, kept: Kept, now_ms: float) -> int:  # noqa: ARG002
        """No job makes a stream of items."""
        return 0


def uuid(serving: Serving) -> str:
    """The id that the reply can be asked for by: a UUID that ends in the nonce."""
    head = draws.digest("xai", serving.seed).hex()
    return f"{head[:8]}-{head[8:12]}-{serving.nonce}"


def trace(serving: Serving) -> Headers:
    """How the request is traced."""
    span = draws.digest("xai trace", serving.seed).hex()
    return ("x-request-id", f"00-{span}-{span[:16]}-01"), ("traceparent", f"00-{span}-{span[16:]}-01")


def headers(serving: Serving, *more: tuple[str, str], rate: object = None) -> Headers:
    """Headers of a JSON reply. A `rate` of requests a minute is told by submissions, not by polls."""
    told: Headers = ()
    if rate is not None:  # as recorded, what remains is not less by the request that asks
        told = (("x-ratelimit-limit-requests", str(rate)), ("x-ratelimit-remaining-requests", str(rate)))
    kept: Headers = (("x-zero-data-retention", "false"), ("x-data-retention", "general"))
    return (("content-type", "application/json"), *told, *more, *trace(serving), *kept, *EDGE)
