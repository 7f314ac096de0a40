"""Keyed chance: the same key gives the same draw, another key another."""

from __future__ import annotations

from itertools import islice

import pytest

from simulator import draws
from simulator.answers import prose, tokens


def test_a_digest_depends_on_every_part_and_on_their_order() -> None:
    keys: list[tuple[object, ...]] = [("a", "b"), ("b", "a"), ("ab",), ("a", "b", ""), (b"a", "b"), ("a", "b", 0)]
    assert len({draws.digest(*key) for key in keys}) == len(keys)
    assert draws.digest("a", 1) == draws.digest("a", 1)


@pytest.mark.parametrize("length", [1, 16, 21, 22, 24, 64])
def test_a_word_has_its_length_and_letters_and_digits_alone(length: int) -> None:
    words = {draws.word(length, "key", n) for n in range(50)}
    assert {len(word) for word in words} == {length}
    assert set("".join(words)) <= set(draws.ALPHABET)
    assert len(words) > 20


def test_between_reaches_both_ends_and_no_further() -> None:
    dice = draws.dice("between")
    assert {draws.between(dice, 3, 6) for _ in range(200)} == {3, 4, 5, 6}


def test_a_series_begins_at_its_place_and_goes_round() -> None:
    assert list(islice(draws.begun_at("abc", 4), 7)) == list("bcabcab")
    assert list(islice(draws.begun_at("abc", 0), 4)) == list("abca")


def test_every_sentence_is_the_tokens_of_its_text_wherever_it_stands() -> None:
    for opening, following in prose.sentences():
        assert tokens.split("".join(opening)) == list(opening)
        assert tokens.split("".join(following)) == list(following)
        assert "".join(following) == " " + "".join(opening)
