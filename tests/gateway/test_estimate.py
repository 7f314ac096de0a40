"""Bounds and estimates of tokens."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway import estimate
from schemas import catalogue

MODEL = catalogue.MODELS["gpt-5.5"]
IMAGE = "data:image/png;base64," + "A" * 5000


def bound(fields: dict[str, Any]) -> int:
    return estimate.input_bound(json.dumps(fields).encode(), fields)


def test_the_bound_is_the_bytes_of_the_body() -> None:
    fields = {"model": "m", "messages": [{"role": "user", "content": "Grüße"}]}
    assert bound(fields) == len(json.dumps(fields))


def test_an_image_counts_6000_instead_of_its_data() -> None:
    for part, data in (
        ({"type": "image_url", "image_url": {"url": IMAGE}}, IMAGE),
        ({"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}, ""),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 5000}}, "A" * 5000),
        ({"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}}, ""),
    ):
        nested = {"type": "tool_result", "content": [part]}
        for content in ([part], [nested]):
            fields = {"messages": [{"role": "user", "content": content}]}
            assert bound(fields) == len(json.dumps(fields)) - len(data) + 6000


def test_the_output_bound() -> None:
    assert estimate.output_bound(None, 1, MODEL) == MODEL.max_output_tokens > 0
    assert estimate.output_bound(10, 3, MODEL) == 30


def test_the_estimate_is_a_quarter_of_the_strings() -> None:
    text, image = {"type": "text", "text": "世界"}, {"type": "image_url", "image_url": {"url": IMAGE}}
    fields = {
        "model": "not counted",
        "system": "1234",
        "messages": [{"role": "user", "content": [text, image]}],
        "tools": [{"name": "f", "depth": 3, "strict": True, "none": None}],
        "temperature": 1,
    }  # fmt: skip
    counted = ["1234", "user", "text", "世界", "image_url", "f"]
    assert estimate.input_tokens(fields) == -(-sum(len(text.encode()) for text in counted) // 4)


def test_base64_of_an_image_is_no_text() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "A" * 4000}
    fields = {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}
    assert estimate.input_tokens(fields) < 20


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_an_estimate_is_never_above_the_bound(value: Any) -> None:
    fields = {"messages": value}
    raw = json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert 0 <= estimate.input_tokens(fields) <= estimate.input_bound(raw, fields)


@given(st.integers(0, 10**6))
def test_rounding_is_up(size: int) -> None:
    assert 4 * estimate.tokens(size) - size in range(4)
