"""What usage costs. Token prices are whole microcredits, so nothing is ever rounded.

Source: api-reference#pricing-credits; all input (read from or written to the upstream's cache too) at the input price:
docs/decisions.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.catalogue import Model

MINIMUM_BALANCE_UC: Final = 200_000_000  # 200 credits ($2): api-reference#chat-completions


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. `input_tokens` counts all input; cached and cache-written tokens are parts of it."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


def price_uc(model: Model, usage: Usage) -> int:
    """Price of `usage` in microcredits (>= 0), at the rates of the catalogue's model whatever the upstream calls it."""
    return usage.input_tokens * model.input_uc + usage.output_tokens * model.output_uc


def hold_uc(model: Model, input_bound: int, output_bound: int) -> int:
    """What is set aside for a request that may take this many tokens."""
    return max(1, input_bound * model.input_uc + output_bound * model.output_uc)
