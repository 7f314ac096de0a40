"""The billing oracle, against numbers worked out by hand from the price list."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import MODELS
from suites import oracle
from suites.heard import Told
from suites.outcomes import HarnessError


@pytest.mark.parametrize(
    ("model", "input_tokens", "output_tokens", "due_uc"),
    [
        ("gpt-5.5", 1_000_000, 0, 25_000_000),  # $0.25 a million: 25 credits
        ("gpt-5.5", 0, 1_000_000, 145_000_000),
        ("gpt-5.5", 1, 1, 25 + 145),
        ("gemini-3.1-pro", 1, 1, 2),  # $0.01 a million: one microcredit a token
        ("claude-opus-4-6", 10, 3, 173 * 10 + 863 * 3),
        ("claude-3-5-haiku-20241022", 7, 0, 35 * 7),  # an alias costs what it stands for
    ],
)
def test_price(model: str, input_tokens: int, output_tokens: int, due_uc: int) -> None:
    assert oracle.price_uc(model, input_tokens, output_tokens) == due_uc


def test_cached_tokens_are_input() -> None:
    told = Told(input_tokens=100, output_tokens=10, cached_tokens=90, cache_write_tokens=5, reasoning_tokens=9)
    assert oracle.charge_uc("gpt-5.5", told) == 100 * 25 + 10 * 145


def test_a_price_that_is_not_whole_is_our_error() -> None:
    with pytest.raises(HarnessError, match="price list is wrong"):
        oracle.whole(Fraction(1, 3))


@given(st.sampled_from([m for m in MODELS.values() if m.kind == "llm"]), st.integers(0, 10**9), st.integers(0, 10**9))
def test_price_is_additive(model: object, input_tokens: int, output_tokens: int) -> None:
    name = model.id  # type: ignore[attr-defined]
    parts = oracle.price_uc(name, input_tokens, 0) + oracle.price_uc(name, 0, output_tokens)
    assert oracle.price_uc(name, input_tokens, output_tokens) == parts


@pytest.mark.parametrize(("byte_count", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2)])
def test_begun_tokens_count(byte_count: int, tokens: int) -> None:
    assert oracle.tokens_of(byte_count, 4) == tokens


def test_estimated_input_counts_strings_of_the_prompt_alone() -> None:
    body = {
        "model": "not counted",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "äö"}]}],
        "user": "not counted either",
    }
    assert oracle.estimated_input_tokens(body) == -(-(len("user") + len("text") + 4) // 4)


def test_estimated_input_leaves_images_out() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1000}}
    assert oracle.estimated_input_tokens({"messages": [image]}) == -(-len("image_url") // 4)


@pytest.mark.parametrize(
    ("body", "bound"),
    [
        ({"model": "gpt-5.5"}, 4096),
        ({"model": "gpt-5.5", "max_tokens": 10}, 10),
        ({"model": "gpt-5.5", "max_completion_tokens": 20, "n": 3}, 60),
        ({"model": "claude-3-5-haiku-20241022", "max_tokens": 5}, 5),
    ],
)
def test_output_bound(body: dict[str, object], bound: int) -> None:
    assert oracle.output_bound(body) == bound


def test_hold_takes_a_token_a_byte() -> None:
    sent = b'{"model":"gpt-5.5","max_completion_tokens":2}'
    assert oracle.hold_uc({"model": "gpt-5.5", "max_completion_tokens": 2}, sent) == len(sent) * 25 + 2 * 145
