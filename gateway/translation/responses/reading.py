"""A stream of Responses events, read.

Some upstreams tell an item in pieces, some only when it is done, some only in the last event: each is told once.
Source: wire reference 2.3 and 9.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from gateway.translation.delta import CallOpened, CallPiece, Delta, Reason, Refused, Said, Stopped, Thought
from gateway.translation.prompt import CUSTOM_ARGUMENT
from gateway.upstreams.reading import count

Json = dict[str, Any]
TextDelta = type[Said] | type[Refused] | type[Thought]
Slot = tuple[str, int]  # of a text in an item: the list it is in, and its place there

TEXTS: Final[Mapping[str, tuple[TextDelta, str]]] = {  # event, without its last word -> what it tells, in which list
    "response.output_text": (Said, "content"),
    "response.refusal": (Refused, "content"),
    "response.reasoning_text": (Thought, "content"),
    "response.reasoning_summary_text": (Thought, "summary"),
}
PARTS: Final[Mapping[str, tuple[TextDelta, str]]] = {  # type of a part -> what it tells, by which member
    "output_text": (Said, "text"),
    "refusal": (Refused, "refusal"),
    "reasoning_text": (Thought, "text"),
    "summary_text": (Thought, "text"),
}
INPUTS: Final[Mapping[str, str]] = {  # event, without its last word -> the member of its call
    "response.function_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
}
CALLS: Final[Mapping[str, str]] = {"function_call": "arguments", "custom_tool_call": "input"}
CLOSINGS: Final = ("response.completed", "response.incomplete")
BETWEEN_THOUGHTS: Final = "\n\n"


@dataclass(slots=True)
class Item:
    """What was told of an output item."""

    kind: str = ""
    name: str = ""  # of the tool; calls only
    opened: bool = False  # likewise
    waiting: str = ""  # input that came before the name
    told: dict[Slot, int] = field(default_factory=dict)  # characters
    thoughts: str = ""  # the list that its thoughts are told from
    done: bool = False


class Reading:
    """Follows one stream. What comes in the middle of a call but is not of it is told after the call."""

    def __init__(self) -> None:
        self._items: dict[int | None, Item] = {}
        self._calling: Item | None = None  # the call that is open
        self._held: dict[int | None, list[Delta]] = {}  # by item
        self._seen: set[type[Delta]] = set()
        self._stopped = False

    def deltas(self, event: Json) -> Iterator[Delta]:
        kind = event.get("type")
        if self._stopped or not isinstance(kind, str):
            return
        if kind in CLOSINGS:
            response = event.get("response")
            yield from self._close(response if isinstance(response, dict) else {}, kind)
            return
        at = count(event.get("output_index"))
        yield from self._in_turn(at, list(self._of_item(at, kind, event)))

    def end(self) -> Iterator[Delta]:
        if not self._stopped:
            yield from self._close({}, "")

    def _of_item(self, at: int | None, kind: str, event: Json) -> Iterator[Delta]:
        """What an event tells of an output item."""
        stem, _, step = kind.rpartition(".")
        whole = step == "done"
        if stem in TEXTS:
            make, group = TEXTS[stem]
            place = count(event.get("summary_index" if group == "summary" else "content_index")) or 0
            text = event.get(("refusal" if make is Refused else "text") if whole else "delta")
            yield from self._text(self._item(at), make, (group, place), text, whole)
        elif stem in INPUTS:
            member = INPUTS[stem]
            kind = "function_call" if member == "arguments" else "custom_tool_call"
            yield from self._input(self._item(at, kind), event.get(member if whole else "delta"), whole)
        elif stem == "response.output_item" and isinstance(event.get("item"), dict):
            if at is None:
                yield from self._next_unnumbered(whole)
            yield from self._whole(at, event["item"]) if whole else self._opened(at, event["item"])

    def _next_unnumbered(self, whole: bool) -> Iterator[Delta]:
        """Where items have no numbers, one that begins, or that is done after another was, is the next one."""
        before = self._items.get(None)
        if before is None or (whole and not before.done):
            return
        yield from ended(before)
        self._items[None] = Item()
        self._calling = None

    def _item(self, at: int | None, kind: str = "") -> Item:
        item = self._items.setdefault(at, Item())
        item.kind = item.kind or kind
        return item

    def _text(self, item: Item, make: TextDelta, slot: Slot, text: Any, whole: bool) -> Iterator[Delta]:
        """A piece of a text, or what of a whole one was not told in pieces."""
        if not isinstance(text, str) or item.done or item.kind in CALLS:
            return
        if make is Thought and item.thoughts not in ("", slot[0]):
            return  # the same thoughts, told in another way
        before = item.told.get(slot, 0)
        piece = text[before:] if whole else text
        if not piece:
            return
        if make is Thought:
            item.thoughts = slot[0]
            piece = BETWEEN_THOUGHTS + piece if item.told and not before else piece
        item.told[slot] = len(text) if whole else before + len(text)
        yield make(piece)

    def _opened(self, at: int | None, told: Json) -> Iterator[Delta]:
        """An item begins. Only of a call this says something."""
        kind, name, ident = told.get("type"), told.get("name"), told.get("call_id")
        item = self._item(at, kind if isinstance(kind, str) else "")
        if item.kind not in CALLS or item.opened or not isinstance(name, str) or not name:
            return
        item.name, item.opened = name, True
        yield CallOpened(ident if isinstance(ident, str) else "", name)
        if item.kind == "custom_tool_call":
            yield CallPiece(f'{{"{CUSTOM_ARGUMENT}":"')
        waiting, item.waiting = item.waiting, ""
        if waiting:
            yield CallPiece(escaped(item, waiting))

    def _input(self, item: Item, text: Any, whole: bool) -> Iterator[Delta]:
        """A piece of a call's input, or what of the whole was not told in pieces."""
        if not isinstance(text, str) or item.done or item.kind not in CALLS:
            return
        before = item.told.get(("input", 0), 0)
        piece = text[before:] if whole else text
        item.told["input", 0] = before + len(piece)
        if not item.opened:
            item.waiting += piece
        elif piece:
            yield CallPiece(escaped(item, piece))

    def _whole(self, at: int | None, told: Json) -> Iterator[Delta]:
        """An item is done: what of it was not told in pieces."""
        kind = told.get("type")
        item = self._item(at, kind if isinstance(kind, str) else "")
        if item.kind != kind or item.done:
            return
        if kind in CALLS:
            yield from self._opened(at, told)
            yield from self._input(item, told.get(CALLS[kind]), True)
            yield from ended(item)
        for group in ("summary", "content"):
            parts = told.get(group)
            for place, part in enumerate(parts if isinstance(parts, list) else ()):
                part_kind = part.get("type") if isinstance(part, dict) else None
                if isinstance(part_kind, str) and part_kind in PARTS:
                    make, member = PARTS[part_kind]
                    yield from self._text(item, make, (group, place), part.get(member), True)
        item.done = True

    def _in_turn(self, at: int | None, told: list[Delta]) -> Iterator[Delta]:
        """The deltas of an item that may be told now, and those that waited for it."""
        if self._calling is not None and self._calling is not self._items.get(at):
            self._held.setdefault(at, []).extend(told)
            return
        yield from self._noted(told)
        item = self._items.get(at)
        if item is not None and item.opened:
            self._calling = None if item.done else item
        while self._held and self._calling is None:
            place = next(iter(self._held))
            yield from self._in_turn(place, self._held.pop(place))

    def _noted(self, told: Iterable[Delta]) -> Iterator[Delta]:
        for delta in told:
            self._seen.add(type(delta))
            yield delta

    def _close(self, response: Json, kind: str) -> Iterator[Delta]:
        """What of the whole response was not told, then why it ends."""
        output = response.get("output")
        if None not in self._items or not self._seen:  # else it cannot be said which is which
            for at, told in enumerate(output if isinstance(output, list) else ()):
                if isinstance(told, dict):
                    yield from self._in_turn(at, list(self._whole(at, told)))
        for place, item in self._items.items():
            yield from self._in_turn(place, list(ended(item)))
        self._stopped = True
        yield Stopped(self._reason(response, kind))

    def _reason(self, response: Json, kind: str) -> Reason:
        if kind == "response.incomplete" or response.get("status") == "incomplete":
            details = response.get("incomplete_details")
            filtered = isinstance(details, dict) and details.get("reason") == "content_filter"
            return "filtered" if filtered else "length"
        if CallOpened in self._seen:
            return "tool_calls"
        return "refusal" if Refused in self._seen and Said not in self._seen else "stop"


def escaped(item: Item, text: str) -> str:
    """Input of a call as a piece of JSON arguments."""
    return orjson.dumps(text)[1:-1].decode() if item.kind == "custom_tool_call" else text


def ended(item: Item) -> Iterator[Delta]:
    """The rest of the arguments of a call that is done."""
    if not item.opened or item.done:
        return
    item.done = True
    if item.kind == "custom_tool_call":
        yield CallPiece('"}')
    elif not item.told.get(("input", 0)):
        yield CallPiece("{}")
