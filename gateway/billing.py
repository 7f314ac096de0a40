"""From what happened to what is charged and logged.

An answer is charged by the usage that the upstream told; what it did not tell is estimated. A caller who hangs up, or
whose upstream dies in mid-answer, pays for the input and for what was delivered. A failure before any content is free.
Source: docs/decisions.md (policies `disconnect`, `upstream_death`: charge_delivered).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway import estimate
from gateway.pricing import Usage
from gateway.upstreams.reading import Told

Status = Literal["succeeded", "failed", "client_closed", "upstream_failed"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended. `told` is None when nothing is to be charged."""

    status: Status
    status_code: int
    told: Told | None = None
    delivered_bytes: int = 0  # UTF-8 bytes of text, thinking and tool arguments


@dataclass(frozen=True, slots=True)
class Bill:
    """The usage to charge, and whether any of it is an estimate."""

    usage: Usage
    estimated: bool


FREE = Bill(Usage(), estimated=False)


def bill(ending: Ending, fields: Mapping[str, Any], prior_tokens: int = 0) -> Bill:
    """The bill of an ending. `prior_tokens` of input are kept upstream and not in the request."""
    told = ending.told
    if told is None:
        return FREE
    input_tokens, output_tokens = told.input_tokens, told.output_tokens
    estimated = input_tokens is None or output_tokens is None
    if input_tokens is None:
        input_tokens = prior_tokens + estimate.input_tokens(fields)
    if output_tokens is None:
        output_tokens = estimate.tokens(ending.delivered_bytes)
    usage = Usage(input_tokens, output_tokens, told.cached_tokens, told.cache_write_tokens, told.reasoning_tokens)
    return Bill(usage, estimated)
