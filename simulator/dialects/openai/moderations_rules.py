"""What the fake moderation flags: a small list of words for each category, and a mark for any.

The words are few and mild, on purpose: they are for tests, and are told in docs/wires/openai-media.md. The mark
`flag:CATEGORY`, in a text or in the address of a picture, flags just that category. What is not flagged gets a tiny
score that follows from the input, as real scores are never 0 for what was looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

from simulator import draws

THRESHOLD: Final = 0.5
WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "harassment": ("idiot", "loser", "moron", "shut up"),
    "harassment/threatening": ("i will find you", "you will regret"),
    "sexual": ("porn", "erotic", "naked"),
    "hate": ("inferior race", "subhuman"),
    "hate/threatening": ("exterminate them",),
    "illicit": ("shoplift", "counterfeit", "launder money"),
    "illicit/violent": ("pipe bomb", "build a bomb"),
    "self-harm/intent": ("kill myself", "end my life"),
    "self-harm/instructions": ("how to self-harm",),
    "self-harm": ("self-harm", "suicide", "kill myself", "end my life"),
    "sexual/minors": (),  # by the mark alone
    "violence": ("kill", "murder", "stab", "kill myself", "pipe bomb"),
    "violence/graphic": ("gore", "decapitated", "disembowel"),
}
PICTURED: Final = frozenset(  # what pictures are judged for
    {"sexual", "self-harm", "self-harm/intent", "self-harm/instructions", "violence", "violence/graphic"}
)
_MARK = re.compile(r"flag:([a-z-]+(?:/[a-z]+)?)")


class Item(NamedTuple):
    """One input: a text, pictures, or both."""

    text: str
    images: tuple[str, ...] = ()  # addresses
    has_text: bool = True


@cache
def _words(category: str) -> re.Pattern[str] | None:
    words = "|".join(map(re.escape, WORDS[category]))
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE) if words else None


def is_flagged(item: Item, category: str) -> bool:
    """Whether an input has a word or the mark of a category."""
    pattern = _words(category)
    if category in _MARK.findall(item.text):
        return True
    if pattern is not None and pattern.search(_MARK.sub("", item.text)):
        return True
    return category in PICTURED and any(category in _MARK.findall(image) for image in item.images)


def applied(item: Item, category: str) -> list[str]:
    """Which kinds of input were looked at for a category."""
    kinds = ["text"] if item.has_text else []
    return [*kinds, "image"] if item.images and category in PICTURED else kinds


def score(item: Item, category: str) -> float:
    """From 0 to 1; from THRESHOLD on, the category is flagged. 0 where nothing was looked at."""
    if not applied(item, category):
        return 0.0
    chance = draws.fraction("moderation", category, item.text, item.images)
    if is_flagged(item, category):
        return 0.55 + 0.44 * chance
    return float(10 ** (-3.5 - 3.5 * chance))


def flagged(text: str) -> list[str]:
    """The categories of a text."""
    return [category for category in WORDS if is_flagged(Item(text), category)]
