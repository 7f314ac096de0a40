"""An OpenAI Responses stream, read and written. Source: wire reference, chapter 2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson

from gateway import counts, sse
from gateway.pricing import Usage
from gateway.translation.delta import CallOpened, CallPiece, Delta, Head, Refused, Said, Stopped, Thought
from gateway.translation.responses.answer_items import (
    CustomCall,
    Event,
    FunctionCall,
    Item,
    Json,
    Message,
    Reasoning,
)
from gateway.translation.responses.reading import Reading

__all__ = ["Reading", "Writing"]

INCOMPLETE: Final = {"length": "max_output_tokens", "filtered": "content_filter"}  # Reason -> why it is incomplete
REFUSED: Final = Refused("The model refused to answer.")


class Writing:
    """Tells deltas as a stream of response events; one item is open at a time."""

    def __init__(self, head: Head) -> None:
        self.began: dict[str, Any] = {}  # the response as the first event told it
        self.next_number = 0  # of the next event
        self.shown = False  # something of the answer was written
        self._head = head
        self._output: list[Json] = []
        self._open: Item | None = None
        self._call_ids: set[str] = set()
        self._stopped = Stopped("stop")

    def write(self, delta: Delta) -> bytes:
        """The frames for a delta, with all that is due before it."""
        events: list[Event] = []
        match delta:
            case Stopped():
                self._stopped = delta
            case Thought(text) if text:
                if not isinstance(self._open, Reasoning):
                    events = self._turn_to(Reasoning(self._token(), self._next_index()))
                assert isinstance(self._open, Reasoning)
                events += self._open.add(text)
            case Said(text) | Refused(text) if text:
                events = self._say(delta)
            case CallOpened():
                events = self._call(delta)
            case CallPiece(arguments) if arguments and isinstance(self._open, FunctionCall | CustomCall):
                events = self._open.add(arguments)
        self.shown = self.shown or bool(events)
        return self._frames(events) if events else b""

    def close(self, usage: Usage) -> bytes:
        """The frames that end the stream: the open item's, then the whole response."""
        why = INCOMPLETE.get(self._stopped.reason)
        events: list[Event] = []
        if why is None and self._open is None and not self._output:  # a finished response has an item
            events = self._say(REFUSED if self._stopped.reason == "refusal" else Said(""))
        status = "completed" if why is None else "incomplete"
        events += self._end_item(status)
        frames = self._frames(events)
        details = None if why is None else {"reason": why}
        told = {
            "status": status,
            "incomplete_details": details,
            "output": self._output,
            "usage": counts.responses(usage),
        }
        return frames + self._frames([(f"response.{status}", {"response": {**self.began, **told}})])

    def _say(self, delta: Said | Refused) -> list[Event]:
        events: list[Event] = []
        if not isinstance(self._open, Message):
            events = self._turn_to(Message(self._token(), self._next_index()))
        assert isinstance(self._open, Message)
        return events + self._open.add(delta)

    def _call(self, call: CallOpened) -> list[Event]:
        ident, at = call.id, self._next_index()
        if not ident or ident in self._call_ids:
            ident = f"call_{self._head.token}_{len(self._call_ids)}"
        self._call_ids.add(ident)
        made = CustomCall if call.name in self._head.custom_tools else FunctionCall
        return self._turn_to(made(self._token(), at, CallOpened(ident, call.name)))

    def _next_index(self) -> int:
        """The place of the next item in the output."""
        return len(self._output) + (self._open is not None)

    def _token(self) -> str:
        """What the id of the next item is made of."""
        return f"{self._head.token}{self._next_index():02d}"

    def _turn_to(self, item: Item) -> list[Event]:
        """Ends the open item and begins another."""
        events = [*self._end_item("completed"), *item.begin()]
        self._open = item
        return events

    def _end_item(self, status: str) -> list[Event]:
        item, self._open = self._open, None
        if item is None:
            return []
        events = item.end(status)
        self._output.append(item.item)
        return events

    def _frames(self, events: Iterable[Event]) -> bytes:
        """The events with their numbers, the first two of the stream before them."""
        if not self.began:
            self.began = opening(self._head)
            opened = [(f"response.{state}", {"response": self.began}) for state in ("created", "in_progress")]
            events = [*opened, *events]
        made = []
        for kind, members in events:
            data = {"type": kind, **members, "sequence_number": self.next_number}
            made.append(sse.frame(orjson.dumps(data), kind.encode()))
            self.next_number += 1
        return b"".join(made)


def opening(head: Head) -> Json:
    """The response as it begins. What the request asked for is not repeated: it was asked for in other words."""
    return {
        "id": f"resp_{head.token}",
        "object": "response",
        "created_at": head.created_s,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": head.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": {},
    }
