"""Output items of a Responses stream: the events by which each begins, goes on and ends.

An event is (type, members); its number is given by the stream. Source: wire reference 2.2 and 2.3.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.translation.delta import CallOpened, Refused, Said
from gateway.translation.free_text import FreeText
from gateway.translation.responses.tools import split_name

Json = dict[str, Any]
Event = tuple[str, Json]

ADDED: Final = "response.output_item.added"
DONE: Final = "response.output_item.done"


class Reasoning:
    """Thoughts, as one part of a summary."""

    def __init__(self, token: str, at: int) -> None:
        self._at = at
        self._where = {"item_id": f"rs_{token}", "output_index": at, "summary_index": 0}
        self._pieces: list[str] = []
        self.item: Json = {"id": f"rs_{token}", "type": "reasoning", "summary": []}

    def begin(self) -> list[Event]:
        part = {"part": {"type": "summary_text", "text": ""}}
        return [
            (ADDED, {"item": self.item, "output_index": self._at}),
            ("response.reasoning_summary_part.added", {**self._where, **part}),
        ]

    def add(self, text: str) -> list[Event]:
        self._pieces.append(text)
        return [("response.reasoning_summary_text.delta", {"delta": text, **self._where})]

    def end(self, _status: str) -> list[Event]:
        part = {"type": "summary_text", "text": "".join(self._pieces)}
        self.item = {**self.item, "summary": [part]}
        return [
            ("response.reasoning_summary_text.done", {**self._where, "text": part["text"]}),
            ("response.reasoning_summary_part.done", {**self._where, "part": part}),
            (DONE, {"item": self.item, "output_index": self._at}),
        ]


class Message:
    """What is said: parts of text and of refusal."""

    def __init__(self, token: str, at: int) -> None:
        self._at = at
        self._parts: list[Json] = []
        self._pieces: list[str] = []  # of the last part's text
        self._open: tuple[str, str] | None = None  # of the last part: its type, and the member with its text
        self.item: Json = {
            "id": f"msg_{token}",
            "type": "message",
            "status": "in_progress",
            "content": [],
            "role": "assistant",
        }

    def begin(self) -> list[Event]:
        return [(ADDED, {"item": self.item, "output_index": self._at})]

    def add(self, delta: Said | Refused) -> list[Event]:
        kind = ("output_text", "text") if isinstance(delta, Said) else ("refusal", "refusal")
        events: list[Event] = []
        if self._open != kind:
            events = [*self._end_part(), self._begin_part(kind)]
        self._pieces.append(delta.text)
        more: Json = {"logprobs": []} if kind[0] == "output_text" else {}
        return [*events, (f"response.{kind[0]}.delta", {**self._where(), "delta": delta.text, **more})]

    def end(self, status: str) -> list[Event]:
        events = self._end_part()
        self.item = {**self.item, "status": status, "content": self._parts}
        return [*events, (DONE, {"item": self.item, "output_index": self._at})]

    def _where(self) -> Json:
        return {"content_index": len(self._parts) - 1, "item_id": self.item["id"], "output_index": self._at}

    def _begin_part(self, kind: tuple[str, str]) -> Event:
        text = kind[0] == "output_text"
        self._open = kind
        self._parts.append({"type": kind[0], **({"annotations": [], "logprobs": []} if text else {}), kind[1]: ""})
        return ("response.content_part.added", {**self._where(), "part": {**self._parts[-1]}})

    def _end_part(self) -> list[Event]:
        if self._open is None:
            return []
        kind, member = self._open
        part, where = self._parts[-1], self._where()
        part[member], self._pieces = "".join(self._pieces), []
        more: Json = {"logprobs": []} if kind == "output_text" else {}
        self._open = None
        return [
            (f"response.{kind}.done", {**where, **more, member: part[member]}),
            ("response.content_part.done", {**where, "part": part}),
        ]


class FunctionCall:
    """A call of a function."""

    def __init__(self, token: str, at: int, call: CallOpened) -> None:
        self._where = {"item_id": f"fc_{token}", "output_index": at}
        self._at = at
        self._pieces: list[str] = []
        self.item: Json = {
            "id": f"fc_{token}",
            "type": "function_call",
            "status": "in_progress",
            "arguments": "",
            "call_id": call.id,
            **named(call.name),
        }

    def begin(self) -> list[Event]:
        return [(ADDED, {"item": self.item, "output_index": self._at})]

    def add(self, arguments: str) -> list[Event]:
        self._pieces.append(arguments)
        return [("response.function_call_arguments.delta", {"delta": arguments, **self._where})]

    def end(self, status: str) -> list[Event]:
        empty = not any(map(str.strip, self._pieces))
        events = self.add("{}") if status == "completed" and empty else []
        arguments = "".join(self._pieces)
        self.item = {**self.item, "arguments": arguments, "status": status}
        return [
            *events,
            ("response.function_call_arguments.done", {"arguments": arguments, **self._where}),
            (DONE, {"item": self.item, "output_index": self._at}),
        ]


class CustomCall:
    """A call of a tool that takes free text."""

    def __init__(self, token: str, at: int, call: CallOpened) -> None:
        self._where = {"item_id": f"ctc_{token}", "output_index": at}
        self._at = at
        self._free_text = FreeText()
        self._pieces: list[str] = []
        self.item: Json = {
            "id": f"ctc_{token}",
            "type": "custom_tool_call",
            "status": "in_progress",
            "call_id": call.id,
            "input": "",
            **named(call.name),
        }

    def begin(self) -> list[Event]:
        return [(ADDED, {"item": self.item, "output_index": self._at})]

    def add(self, arguments: str) -> list[Event]:
        return self._tell(self._free_text.add(arguments))

    def end(self, status: str) -> list[Event]:
        events = self._tell(self._free_text.end(whole=status == "completed"))
        text = "".join(self._pieces)
        self.item = {**self.item, "input": text, "status": status}
        return [
            *events,
            ("response.custom_tool_call_input.done", {"input": text, **self._where}),
            (DONE, {"item": self.item, "output_index": self._at}),
        ]

    def _tell(self, text: str) -> list[Event]:
        self._pieces.append(text)
        return [("response.custom_tool_call_input.delta", {"delta": text, **self._where})] if text else []


Item = Reasoning | Message | FunctionCall | CustomCall


def named(full: str) -> Json:
    """The members by which a call names its tool."""
    namespace, name = split_name(full)
    return {"name": name, "namespace": namespace} if namespace else {"name": name}
