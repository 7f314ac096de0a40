"""What a vendor's word for the state of a job means, also where it is spelled another way than documented.

Vendors write one state as `succeed`, `succeeded`, `Success` and `SUCCEEDED`, change their minds, and add words. So a
word counts as it is documented, in whatever case, and else by what it looks like. Source: wire reference, 0.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final


class Standing(Enum):
    """How a job stands."""

    WAITS = "waits"
    MADE = "made"
    FAILED = "failed"
    ABSENT = "absent"  # the vendor knows of no such job: not yet, or not any more
    STRANGE = "strange"  # a word that says nothing


FAILED_LOOKS: Final = (
    *("fail", "error", "cancel", "abort", "expire", "reject", "refuse", "timeout", "timedout", "denied", "terminat"),
    *("moderat", "blocked", "unsucc", "incomplete", "invalid", "notfound", "deleted", "removed", "dead"),
)


class Words:
    """A vendor's own words."""

    def __init__(self, waits: Iterable[str], made: Iterable[str], failed: Iterable[str]) -> None:
        told = ((Standing.WAITS, waits), (Standing.MADE, made), (Standing.FAILED, failed))
        self._known = {bare(word): standing for standing, words in told for word in words}

    def standing(self, word: object, *, has_result: bool = False) -> Standing:
        """What a word means. One that is not the vendor's own, beside a result, is a success unless it sounds bad."""
        text = bare(word) if isinstance(word, str) else ""
        if (known := self._known.get(text)) is not None:
            return known
        if any(look in text for look in FAILED_LOOKS):
            return Standing.FAILED
        if has_result:
            return Standing.MADE
        return Standing.STRANGE


def bare(word: str) -> str:
    """A word without case and punctuation."""
    return "".join(letter for letter in word.casefold() if letter.isalnum())
