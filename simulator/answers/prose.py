"""Plain English that says nothing: sentences of words from Faker's list, as tokens.

The sentences are made once, and a text draws some of them: a draw for each sentence, not one for each word.
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Final

from faker.providers.lorem.en_US import Provider

from simulator.answers import tokens

SENTENCES: Final = 1024
SENTENCE_WORDS: Final = (5, 14)
PARAGRAPH_SENTENCES: Final = 6
PARAGRAPH: Final = ("\n", "\n")


@cache
def vocabulary() -> tuple[str, ...]:
    """Lower-case English words, each once, in a fixed order."""
    return tuple(sorted({word.lower() for word in Provider.word_list if word.isalpha() and word.isascii()}))


@cache
def _tokens(word: str, before: str) -> tuple[str, ...]:
    return tuple(tokens.split(before + word))


@cache
def sentences() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Every sentence as tokens, twice: as a paragraph begins, and as it follows another, with a space before it."""
    dice = Random(SENTENCES)
    made = []
    for _ in range(SENTENCES):
        first, *rest = dice.choices(vocabulary(), k=dice.randint(*SENTENCE_WORDS))
        tail = (*(token for word in rest for token in _tokens(word, " ")), ".")
        made.append(((*_tokens(first.capitalize(), ""), *tail), (*_tokens(first.capitalize(), " "), *tail)))
    return tuple(made)


def pieces(dice: Random, count: int) -> tuple[str, ...]:
    """Exactly `count` tokens of prose. Cut anywhere, they still are the tokens of the text that they join to."""
    table, draw = sentences(), dice.random
    out: list[str] = list(table[int(draw() * SENTENCES)][0])
    number = 1
    while len(out) < count:
        opening, following = table[int(draw() * SENTENCES)]
        out += following if number % PARAGRAPH_SENTENCES else (*PARAGRAPH, *opening)
        number += 1
    return tuple(out[:count])


def title(dice: Random, words: int = 3) -> str:
    """A few words, without a full stop."""
    return " ".join(dice.choices(vocabulary(), k=words))
