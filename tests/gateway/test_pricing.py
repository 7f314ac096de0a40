"""Prices."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway import billing, pricing
from gateway.billing import Ending
from gateway.pricing import Usage
from gateway.upstreams.reading import Told
from schemas import catalogue

LLMS = [model for model in catalogue.MODELS.values() if model.kind == "llm"]
TOKENS = st.integers(0, 10**9)


@given(st.sampled_from(LLMS), TOKENS, TOKENS, TOKENS)
def test_the_price_is_exact_and_linear(
    model: catalogue.Model, input_tokens: int, output_tokens: int, cached: int
) -> None:
    usage = Usage(input_tokens, output_tokens, cached_tokens=cached, reasoning_tokens=cached)
    assert pricing.price_uc(model, usage) == input_tokens * model.input_uc + output_tokens * model.output_uc


def test_a_listed_price() -> None:
    million = Usage(1_000_000, 1_000_000)
    assert pricing.price_uc(catalogue.MODELS["gpt-5.5"], million) == (25 + 145) * 1_000_000


@given(st.sampled_from(LLMS), TOKENS, TOKENS)
def test_a_hold_covers_what_stays_in_its_bounds(model: catalogue.Model, input_bound: int, output_bound: int) -> None:
    held = pricing.hold_uc(model, input_bound, output_bound)
    assert held >= max(1, pricing.price_uc(model, Usage(input_bound, output_bound)))


FIELDS = {"messages": [{"role": "user", "content": "Say hi."}]}  # 11 bytes of text: 3 tokens


def test_what_was_told_is_charged_and_the_rest_estimated() -> None:
    assert billing.bill(Ending("succeeded", 200, Told(5, 6, 1, 2, 3), 999), FIELDS) == billing.Bill(
        Usage(5, 6, 1, 2, 3), False
    )
    assert billing.bill(Ending("succeeded", 200, Told(5, None), 9), FIELDS) == billing.Bill(Usage(5, 3), True)
    assert billing.bill(Ending("succeeded", 200, Told(None, 6), 9), FIELDS) == billing.Bill(Usage(3, 6), True)
    assert billing.bill(Ending("client_closed", 499, Told(), 9), FIELDS) == billing.Bill(Usage(3, 3), True)
    assert billing.bill(Ending("upstream_failed", 502), FIELDS) == billing.Bill(Usage(0, 0), False)
