"""How the fake models count: one fixed, fast rule, so that usage is exact and a test can recompute it.

A token is at most six letters or digits, or one other character, with the space before it; or one white-space
character. It is no provider's tokenizer and does not try to be: what matters is that a stream's pieces, the usage and
the journal agree to the token.
"""

from __future__ import annotations

import re

TOKEN = re.compile(r" ?[A-Za-z0-9_]{1,6}| ?[^\sA-Za-z0-9_]|\s")


def split(text: str) -> list[str]:
    """The tokens of a text; joined they are the text."""
    return TOKEN.findall(text)


def count(text: str) -> int:
    """How many tokens a text is."""
    return len(TOKEN.findall(text))
