"""Thoughts in a Chat stream: in members of their own, in parts of the content, or in its text between tags.

Source: wire reference, chapter 8 and 9.3 (reasoning-key-variant, content-array, think-tags-inline).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gateway.translation.delta import Said, Thought

OPENING: Final = "<think>"
CLOSING: Final = "</think>"


def thoughts(message: dict[str, Any]) -> Iterator[Thought]:
    """The thoughts of a delta, from the first member that has any."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(text := message.get(name), str) and text:
            yield Thought(text)
            return
    details = message.get("reasoning_details")
    for detail in details if isinstance(details, list) else ():
        text = (detail.get("text") or detail.get("summary")) if isinstance(detail, dict) else None
        if isinstance(text, str) and text:
            yield Thought(text)


def contents(content: Any) -> Iterator[Said | Thought]:
    """The text of a delta: a string, or a list of parts of which some may be thoughts (Mistral)."""
    if isinstance(content, str) and content:
        yield Said(content)
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str) and part:
            yield Said(part)
        if not isinstance(part, dict):
            continue
        if isinstance(text := part.get("text"), str) and text:
            yield Said(text)
        thinking = part.get("thinking")
        for piece in thinking if isinstance(thinking, list) else [{"text": thinking}]:
            text = piece.get("text") if isinstance(piece, dict) else None
            if isinstance(text, str) and text:
                yield Thought(text)


class TaggedText:
    """Tells the thoughts that stand between tags at the beginning of the text (MiniMax, DeepSeek R1) from the rest.

    Blank text is held until more comes: an answer of nothing but blanks (before a call) is none.
    """

    __slots__ = ("_held", "_place")

    def __init__(self) -> None:
        self._held = ""
        self._place = "start"  # then "thoughts" and "after", where there are tags; then "text"

    def take(self, text: str) -> Iterator[Said | Thought]:
        """What a piece of the text tells, as far as it is clear."""
        self._held += text
        if self._place == "start":
            self._begin()
        if self._place == "thoughts":
            yield from self._think()
        if self._place == "after" and (rest := self._held.lstrip()):
            self._held, self._place = rest, "text"
        if self._place == "text" and self._held:
            yield Said(self._held)
            self._held = ""

    def end(self) -> Iterator[Said | Thought]:
        """What was held, when something else than text comes."""
        if self._held.strip():
            yield Thought(self._held) if self._place == "thoughts" else Said(self._held)
        self._held = ""

    def _begin(self) -> None:
        text = self._held.lstrip()
        if text.startswith(OPENING):
            self._held, self._place = text.removeprefix(OPENING), "thoughts"
        elif not OPENING.startswith(text):
            self._place = "text"

    def _think(self) -> Iterator[Thought]:
        before, tag, after = self._held.partition(CLOSING)
        if tag:
            self._held, self._place = after, "after"
        else:
            self._held = begun_tag(before)
            before = before.removesuffix(self._held)
        if before:
            yield Thought(before)


def begun_tag(text: str) -> str:
    """The end of the text that may be the beginning of the closing tag."""
    return next((CLOSING[:size] for size in range(len(CLOSING) - 1, 0, -1) if text.endswith(CLOSING[:size])), "")
