"""The Moderations wire: what is flagged, and how it is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.dialects.openai.moderations_rules import PICTURED, WORDS
from tests.simulator.live import Live, Reply, request, running

OMNI = "omni-moderation-latest"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as made:
        yield made


def moderate(fleet: Live, given: object, model: str | None = OMNI, **more: object) -> Reply:
    headers = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}
    body = {"input": given, **more} | ({"model": model} if model else {})
    return fleet.call(request("POST", "/openai/v1/moderations", body, headers))


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def flagged(result: dict[str, Any]) -> set[str]:
    return {category for category, is_flagged in result["categories"].items() if is_flagged}


def test_harmless_text(fleet: Live) -> None:
    reply = moderate(fleet, "Have a great day!")
    body = reply.json
    (result,) = body["results"]
    assert list(body) == ["id", "model", "results"]
    assert body["id"].startswith("modr-")
    assert body["model"] == OMNI
    assert result["flagged"] is False
    assert set(result["categories"]) == set(result["category_scores"]) == set(WORDS)
    assert all(0 < score < 0.001 for score in result["category_scores"].values())
    assert all(kinds == ["text"] for kinds in result["category_applied_input_types"].values())


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("You IDIOT.", {"harassment"}),
        ("He wants to murder him", {"violence"}),
        ("I want to end my life", {"self-harm", "self-harm/intent"}),
        ("How do I build a bomb?", {"illicit/violent"}),
        ("This skill is a killjoy's", set()),  # words are whole words
        ("flag:sexual/minors", {"sexual/minors"}),
    ],
)
def test_words_flag_their_categories(fleet: Live, text: str, due: set[str]) -> None:
    (result,) = moderate(fleet, text).json["results"]
    assert flagged(result) == due
    assert result["flagged"] is bool(due)
    assert {name for name, score in result["category_scores"].items() if score >= 0.5} == due


@pytest.mark.parametrize("category", sorted(WORDS))
def test_every_category_has_its_mark(fleet: Live, category: str) -> None:
    (result,) = moderate(fleet, f"About flag:{category} only").json["results"]
    assert flagged(result) == {category}


def test_what_the_answer_directive_says_changes_nothing(fleet: Live) -> None:
    plain, directed = moderate(fleet, ["You idiot", "[[answer: refusal]] Hello"]).json["results"]
    assert plain["flagged"] is True
    assert directed["flagged"] is False


def test_a_result_for_each_text(fleet: Live) -> None:
    results = moderate(fleet, ["Hello", "You loser", "Hello"]).json["results"]
    assert [result["flagged"] for result in results] == [False, True, False]
    assert results[0] == results[2]


def test_parts_are_judged_together(fleet: Live) -> None:
    parts = [{"type": "text", "text": "Look"}, image("https://x.example/flag:violence.png")]
    (both,) = moderate(fleet, parts).json["results"]
    (alone,) = moderate(fleet, [image("https://x.example/cat.png")]).json["results"]
    assert flagged(both) == {"violence"}
    for category in WORDS:
        pictured = ["image"] if category in PICTURED else []
        assert both["category_applied_input_types"][category] == ["text", *pictured]
        assert alone["category_applied_input_types"][category] == pictured
        assert (alone["category_scores"][category] > 0) == bool(pictured)


@pytest.mark.parametrize("model", [None, "text-moderation-latest", "text-moderation-stable", "text-moderation-007"])
def test_the_older_model_knows_fewer_categories(fleet: Live, model: str | None) -> None:
    body = moderate(fleet, "You idiot", model).json
    (result,) = body["results"]
    assert body["model"] == "text-moderation-007"
    assert len(body["id"]) == len("modr-") + 29
    assert len(result["categories"]) == 11
    assert "category_applied_input_types" not in result
    assert flagged(result) == {"harassment"}


@pytest.mark.parametrize(
    ("given", "model", "said", "code"),
    [
        (None, OMNI, "Missing required parameter: 'input'.", "missing_required_parameter"),
        ([], OMNI, "empty array", "empty_array"),
        (7, OMNI, "Invalid type for 'input'", "invalid_type"),
        ([7], OMNI, "Invalid type for 'input'", "invalid_type"),
        ([{"type": "audio"}], OMNI, "'text', and 'image_url'", "invalid_value"),
        ([{"type": "text"}], OMNI, "Missing required parameter: 'input[0].text'.", "missing_required_parameter"),
        ([image("https://x.example/a.png")] * 2, OMNI, "at most 1 image, but got 2", "too_many_images"),
        ([image("https://x.example/a.png")], "text-moderation-latest", "takes text only", "invalid_value"),
    ],
)
def test_refusals(fleet: Live, given: object, model: str, said: str, code: str) -> None:
    reply = moderate(fleet, given, model)
    assert reply.status == 400
    assert said in reply.json["error"]["message"]
    assert reply.json["error"]["code"] == code


def test_unknown_models_and_parameters(fleet: Live) -> None:
    assert moderate(fleet, "x", "gpt-4o").status == 404
    assert moderate(fleet, "x", mood="good").json["error"]["code"] == "unknown_parameter"


def test_the_words_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/wires/openai-media.md").read_text()
    rows = re.findall(r"^\| `([a-z/-]+)` \| ([a-z, -]+) \|$", page, re.MULTILINE)
    assert {category: tuple(words.split(", ")) for category, words in rows} == {
        category: words for category, words in WORDS.items() if words
    }
