"""The Embeddings wire, and what its vectors mean."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.answers.vectors import cosine, floats, vector
from tests.simulator import live
from tests.simulator.live import Live, Reply, request, running

SMALL = "text-embedding-3-small"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as made:
        yield made


def embed(fleet: Live, given: object, model: str = SMALL, provider: str = "openai", **more: object) -> Reply:
    headers = {"authorization": f"Bearer sk-fleet-{provider}", "content-type": "application/json"}
    return fleet.call(request("POST", f"/{provider}/v1/embeddings", {"input": given, "model": model, **more}, headers))


def vectors(reply: Reply) -> list[tuple[float, ...]]:
    assert reply.status == 200, reply.body
    return [tuple(row["embedding"]) for row in reply.json["data"]]


def test_a_reply_has_the_recorded_form(fleet: Live) -> None:
    reply = embed(fleet, ["Ruby", "Python"])
    body = reply.json
    assert list(body) == ["object", "data", "model", "usage"]
    assert [list(row) for row in body["data"]] == [["object", "embedding", "index"]] * 2
    assert [row["index"] for row in body["data"]] == [0, 1]
    assert body["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert reply.headers["x-ratelimit-remaining-requests"] == "4999"
    assert reply.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("model", "told", "length"),
    [
        (SMALL, SMALL, 1536),
        ("text-embedding-3-large", "text-embedding-3-large", 3072),
        ("text-embedding-ada-002", "text-embedding-ada-002-v2", 1536),
    ],
)
def test_each_model_has_its_length(fleet: Live, model: str, told: str, length: int) -> None:
    reply = embed(fleet, "Hello", model)
    (only,) = vectors(reply)
    assert len(only) == length
    assert cosine(only, only) == pytest.approx(1, abs=2e-3)
    assert reply.json["model"] == told


def test_texts_that_are_alike_are_near(fleet: Live) -> None:
    cat, cats, revenue, again = vectors(
        embed(
            fleet,
            [
                "The cat sat on the mat.",
                "A cat was sitting on a mat.",
                "Revenue grew in Europe.",
                "The cat sat on the mat.",
            ],
        )
    )
    assert cat == again
    assert cosine(cat, cats) > 0.3
    assert abs(cosine(cat, revenue)) < 0.15


def test_dimensions_cut_the_same_vector(fleet: Live) -> None:
    (whole,) = vectors(embed(fleet, "One text"))
    (short,) = vectors(embed(fleet, "One text", dimensions=256))
    assert len(short) == 256
    assert cosine(short, short) == pytest.approx(1, abs=2e-3)
    head = whole[:256]
    scale = sum(value * value for value in head) ** 0.5
    assert short == pytest.approx([value / scale for value in head], abs=2e-3)


def test_base64_holds_the_same_numbers(fleet: Live) -> None:
    (plain,) = vectors(embed(fleet, "One text", encoding_format="float"))
    coded = embed(fleet, "One text", encoding_format="base64").json["data"][0]["embedding"]
    assert struct.unpack("<1536f", base64.b64decode(coded)) == plain


@pytest.mark.parametrize(
    ("given", "count", "tokens"),
    [("One text", 1, 2), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3), (["a", "b c"], 2, 3), (["a", [7]], 2, 2)],
)
def test_inputs_may_be_texts_or_tokens(fleet: Live, given: object, count: int, tokens: int) -> None:
    body = embed(fleet, given).json
    assert len(body["data"]) == count
    assert body["usage"]["prompt_tokens"] == tokens


def test_the_journal_knows_the_usage(fleet: Live) -> None:
    reply = embed(fleet, "Two words [[case:embedded]]")
    (entry,) = fleet.journal("embedded")
    assert entry["operation"] == "embed"
    assert entry["usage_true"]["input_tokens"] == reply.json["usage"]["prompt_tokens"] > 2
    assert entry["usage_told"] == entry["usage_true"]


@pytest.mark.parametrize(
    ("given", "more", "said", "code", "param"),
    [
        (None, {}, "Missing required parameter: 'input'.", "missing_required_parameter", "input"),
        ([], {}, "Invalid 'input': empty array.", "empty_array", "input"),
        ("", {}, "input cannot be an empty string", "invalid_value", "input"),
        ([1.5], {}, "Invalid type for 'input'", "invalid_type", "input"),
        ({}, {}, "Invalid type for 'input'", "invalid_type", "input"),
        (["x"] * 2049, {}, "maximum length 2048", "array_above_max_length", "input"),
        ("x " * 9000, {}, "maximum context length is 8192 tokens", None, None),
        (["x " * 8000] * 38, {}, "maximum request size is 300000", "max_tokens_per_request", "input"),
        ("x", {"dimensions": 1537}, "<= 1536", "integer_above_max_value", "dimensions"),
        ("x", {"dimensions": 0}, ">= 1", "integer_below_min_value", "dimensions"),
        ("x", {"encoding_format": "hex"}, "'float', and 'base64'", "invalid_value", "encoding_format"),
        ("x", {"shape": "round"}, "Unknown parameter: 'shape'.", "unknown_parameter", "shape"),
    ],
)
def test_refusals(
    fleet: Live, given: object, more: dict[str, Any], said: str, code: str | None, param: str | None
) -> None:
    reply = embed(fleet, given, **more)
    error = reply.json["error"]
    assert reply.status == 400
    assert said in error["message"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)


def test_models_that_are_not_there_or_do_not_shorten(fleet: Live) -> None:
    assert embed(fleet, "x", "nonexistent").status == 404
    assert embed(fleet, "x", "gpt-4o").status == 404
    old = embed(fleet, "x", "text-embedding-ada-002", dimensions=5)
    assert old.json["error"]["message"] == "This model does not support specifying dimensions."
    keyless = fleet.call(request("POST", "/openai/v1/embeddings", {"input": "x", "model": SMALL}))
    assert keyless.status == 401


def test_a_vendor_of_the_same_wire_is_a_row(fleet: Live) -> None:
    body = embed(fleet, ["x"], "voyage-3-lite", "voyage", input_type="document", output_dtype=None).json
    assert body["usage"] == {"total_tokens": 1}
    assert len(body["data"][0]["embedding"]) == 512


def test_embedding_models_are_listed_but_do_not_chat(fleet: Live) -> None:
    headers = {"authorization": "Bearer sk-fleet-openai"}
    listed = fleet.call(request("GET", "/openai/v1/models", headers=headers)).json["data"]
    assert {SMALL, "gpt-image-1", "omni-moderation-latest"} <= {row["id"] for row in listed}
    assert fleet.call(live.chat("Hi", model=SMALL)).status == 403


@given(st.text(min_size=1, max_size=40), st.integers(1, 64))
def test_any_text_has_a_unit_vector(text: str, dimensions: int) -> None:
    values = vector(text, dimensions, 64)
    assert cosine(values, values) == pytest.approx(1, abs=5e-3)
    assert struct.unpack(f"<{dimensions}f", floats(values)) == values
