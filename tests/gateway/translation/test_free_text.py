"""The text of a custom tool comes out of its arguments whole, wherever they are cut, and as soon as it can."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translation.free_text import FreeText

texts = st.text(st.characters(codec="utf-8"), max_size=40) | st.text('ab"\\\n\u00fc\U0001f600', max_size=20)
cuts = st.lists(st.integers(0, 200), max_size=8).map(sorted)


def told(arguments: str, places: list[int], whole: bool = True) -> str:
    free_text = FreeText()
    ends = [*places, len(arguments)]
    pieces = [arguments[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    return "".join([*map(free_text.add, pieces), free_text.end(whole)])


@given(texts, cuts, st.booleans(), st.sampled_from([None, 2]))
def test_the_text_is_told_once_and_whole(text: str, places: list[int], ascii_only: bool, indent: int | None) -> None:
    assert told(json.dumps({"input": text}, ensure_ascii=ascii_only, indent=indent), places) == text


@given(texts, cuts, st.integers(0, 300), st.booleans())
def test_arguments_that_are_cut_short_hold_a_part_of_the_text(
    text: str, places: list[int], end: int, ascii_only: bool
) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only)
    begun = len('{"input": "')
    assert text.startswith(told(arguments[: max(begun, end)], places, whole=False))


@given(st.text(), cuts, st.booleans())
def test_any_arguments_hold_some_text(arguments: str, places: list[int], whole: bool) -> None:
    told(arguments, places, whole)
    told('{"input":"' + arguments, places, whole)


def test_the_text_is_told_as_it_arrives() -> None:
    free_text = FreeText()
    assert [free_text.add(piece) for piece in ('{"in', 'put": "a', "\\", "n", "\\ud83d", "\\ude00b", '"}')] == [
        "",
        "a",
        "",
        "\n",
        "",
        "\U0001f600b",
        "",
    ]
    assert free_text.end(whole=True) == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", ""),
        ("{}", ""),
        ('"a"', "a"),
        ("a", "a"),
        ('{"patch":"a"}', '{"patch":"a"}'),
        ('{"why":"b","input":"a"}', "a"),
        ('{"input":"a\nb"}', "a\nb"),
        ('{"input":"a"', "a"),
        ('{"input":"\\d', "\\d"),
    ],
    ids=["nothing", "empty", "text", "plain", "another", "second", "line_end", "open", "odd_escape"],
)
def test_arguments_that_are_not_as_they_should_be(arguments: str, text: str) -> None:
    assert told(arguments, []) == text
