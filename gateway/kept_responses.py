"""Which upstream keeps which response, and whose it is: what later requests refer to by id.

All users share the gateway's accounts at the upstreams, so an id that is not known here as the caller's own is never
passed on. In this process's memory, for a while: docs/decisions.md#kept-responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KEEP_S: Final = 86_400
RESPONSES_MAX: Final = 100_000
ITEMS_MAX: Final = 400_000  # ids of output items of all responses


@dataclass(frozen=True, slots=True)
class Kept:
    """One response: whose, where, and how many tokens going on from it brings along."""

    user_id: str
    upstream: str
    input_tokens: int
    output_tokens: int
    items: tuple[str, ...]
    until_s: int


class KeptResponses:
    """The responses of the last day."""

    def __init__(self) -> None:
        self._responses: dict[str, Kept] = {}  # oldest first
        self._items: dict[str, str] = {}  # id of an output item -> of its response

    def add(self, response_id: str, kept: Kept) -> None:
        """Notes a response. The id of another one that is known already stays what it was."""
        if response_id in self._responses:
            return
        self._forget_old(kept.until_s - KEEP_S)
        self._responses[response_id] = kept
        for item_id in kept.items:
            self._items.setdefault(item_id, response_id)

    def find(self, response_id: str, user_id: str, now_s: int) -> Kept | None:
        """The response, if it is this user's."""
        kept = self._responses.get(response_id)
        if kept is None or kept.user_id != user_id or kept.until_s <= now_s:
            return None
        return kept

    def holder(self, item_id: str, user_id: str, now_s: int) -> Kept | None:
        """The response that an output item belongs to, if it is this user's."""
        response_id = self._items.get(item_id)
        return None if response_id is None else self.find(response_id, user_id, now_s)

    def is_known(self, item_id: str) -> bool:
        """Whether an output item is anybody's."""
        return item_id in self._items

    def forget(self, response_id: str) -> None:
        """It is deleted."""
        kept = self._responses.pop(response_id, None)
        for item_id in kept.items if kept is not None else ():
            if self._items.get(item_id) == response_id:
                del self._items[item_id]

    def _forget_old(self, now_s: int) -> None:
        while self._responses:
            response_id, kept = next(iter(self._responses.items()))
            full = len(self._responses) >= RESPONSES_MAX or len(self._items) > ITEMS_MAX
            if kept.until_s > now_s and not full:
                return
            self.forget(response_id)
