"""What a request should cost, from the price list and the rules alone: written apart from any gateway.

Money is exact: prices are Fractions of microcredits per token; a charge that is not whole is a wrong price list.
Source: api-reference#pricing-credits; decision#hold; decision#estimate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from schemas.catalogue import ALIASES, MODELS
from suites.heard import Told
from suites.outcomes import HarnessError

IMAGE_INPUT_TOKENS = 6000  # what a hold assumes for one image
MINIMUM_BALANCE_UC = 200 * 1_000_000  # api-reference#errors: 200 credits
PROMPT_PARTS = ("messages", "system", "tools", "prompt", "input", "instructions", "contents", "systemInstruction")


def whole(amount: Fraction) -> int:
    """An exact amount as an int of microcredits."""
    if amount.denominator != 1:
        raise HarnessError(f"{amount} microcredits are not whole: the price list is wrong")
    return amount.numerator


def price_uc(model: str, input_tokens: int, output_tokens: int) -> int:
    """The price of so many tokens of a model or alias, in microcredits."""
    row = MODELS[ALIASES.get(model, model)]
    return whole(Fraction(row.input_uc) * input_tokens + Fraction(row.output_uc) * output_tokens)


def charge_uc(model: str, told: Told) -> int:
    """What a request costs whose upstream told this usage: every input token, cached or not, at the input price."""
    return price_uc(model, told.input_tokens, told.output_tokens)


def leaves(value: Any) -> Iterator[str]:
    """All strings inside a JSON value, keys left out."""
    match value:
        case str():
            yield value
        case Mapping():
            for item in value.values():
                yield from leaves(item)
        case list() | tuple():
            for item in value:
                yield from leaves(item)


def tokens_of(byte_count: int, bytes_per_token: int) -> int:
    """An estimate: so many bytes a token, a begun token counts."""
    return -(-byte_count // bytes_per_token)


def estimated_input_tokens(body: Mapping[str, Any], bytes_per_token: int = 4) -> int:
    """The declared estimate of a request's input, where the upstream told nothing."""
    parts = [body[name] for name in PROMPT_PARTS if name in body]
    texts = (text for text in leaves(parts) if not text.startswith("data:image/"))
    return tokens_of(sum(len(text.encode()) for text in texts), bytes_per_token)


def estimated_output_tokens(delivered: str, bytes_per_token: int = 4) -> int:
    """The declared estimate of an output, from what was delivered."""
    return tokens_of(len(delivered.encode()), bytes_per_token)


def output_bound(body: Mapping[str, Any]) -> int:
    """The most output tokens a request may cost."""
    row = MODELS[ALIASES.get(body["model"], body["model"])]
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or row.max_output_tokens
    return int(body.get("n") or 1) * int(limit)


def hold_uc(body: Mapping[str, Any], sent: bytes, images: int = 0, image_bytes: int = 0) -> int:
    """The most a request may cost: the bound of its input and of its output, at their prices."""
    input_bound = len(sent) - image_bytes + IMAGE_INPUT_TOKENS * images
    return price_uc(body["model"], input_bound, output_bound(body))
