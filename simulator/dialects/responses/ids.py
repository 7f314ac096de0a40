"""Ids of the Responses wire, as recorded: a prefix and 50 hexadecimal digits.

16 of them are shared by all ids of a response, then `00`, 8 of the Unix second, and 24 of which the last 22 are the
nonce; the two before them tell the response and its items apart. Other vendors' are spelled by the facts `response_id`
and `item_id` of the mount: patterns of `openai_ids.LETTERS` and of `prefix`, `item` (32 digits, others for each item)
and `nth` (tells several calls apart). They end with the nonce.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from simulator.answers.answer import NONCE_LENGTH
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai.ids import Letters, hexes
from simulator.draws import digest

RESPONSE: Final = re.compile(r"resp_[0-9a-f]{50}")
SINGLE: Final = frozenset({"rs", "msg"})  # of these a response has one, as others count
_SHORT: Final = {"hex16": 16, "letters20": 20}  # nonces of another length


def item_id(prefix: str, index: int, serving: Serving) -> str:
    """The id of an item: `index` counts from 1, and 0 is the response itself."""
    pattern = serving.facts.get("item_id" if index else "response_id")
    if pattern is not None:
        letters = Letters(serving, Profile("", "", "", serving.facts))
        nth = "" if prefix in SINGLE else f"_{index}"
        letters.update(prefix=prefix, nth=nth, item=digest(serving.seed, "item", index).hex())
        return letters.spell(pattern)
    place = (serving.seed + index) & 0xFF
    return f"{prefix}_{hexes(serving.seed, 16)}00{serving.now_s:08x}{place:02x}{serving.nonce}"


def response_id(serving: Serving) -> str:
    """The id of a response."""
    return item_id("resp", 0, serving)


def nonce_of(response: str, facts: Mapping[str, Any]) -> str:
    """The nonce in the id of a response; empty when it is no such id."""
    if "response_id" in facts:
        return response[-_SHORT.get(str(facts.get("nonces")), NONCE_LENGTH) :]
    return response[-NONCE_LENGTH:] if RESPONSE.fullmatch(response) else ""


class Reference(str):
    """The nonce of an earlier response, which remembers the id it stands in and what asks for it.

    It travels as `Ask.needs`; when nothing is found, it comes back in the problem, and the complaint can name the id.
    """

    __slots__ = ("operation", "response")

    operation: str
    response: str

    @classmethod
    def to(cls, response: str, operation: str, facts: Mapping[str, Any]) -> Reference:
        """A reference to the response of that id."""
        made = cls(nonce_of(response, facts) or response or "none")
        made.response, made.operation = response, operation
        return made
