"""The order of the events of a stream, wire by wire: what comes first, what is open, what comes last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from suites import openai_responses
from suites.exchange import Reply

PARTS: Final[Mapping[str, str]] = {  # an event that opens or closes a part of an item -> what numbers the part
    "response.content_part": "content_index",
    "response.reasoning_summary_part": "summary_index",
}
IN_PARTS: Final = ("response.output_text.", "response.refusal.", "response.reasoning_summary_text.")


def chat_grammar(reply: Reply) -> list[str]:
    """One role chunk first, one finish a choice, usage last, [DONE] at the very end; or an error event at the end."""
    heard, problems = reply.heard, _transport(reply)
    chunks = [event.json for event in reply.events if isinstance(event.json, dict)]
    if len({chunk["id"] for chunk in chunks if "id" in chunk}) > 1:
        problems.append("the id changes within the stream")
    if heard.error:
        if heard.terminals:
            problems.append("[DONE] although the stream ended in an error")
        if chunks and "error" not in chunks[-1]:
            problems.append("events after the error event")
        return problems
    if reply.complete:
        if heard.terminals != 1 or heard.after_terminal:
            problems.append(
                f"[DONE] came {heard.terminals} times, {heard.after_terminal} events after it; due once, last"
            )
        if heard.usages != 1 or not chunks or chunks[-1].get("choices") or not chunks[-1].get("usage"):
            problems.append(f"usage was told {heard.usages} times; due once, in a last chunk with empty choices")
        if set(heard.stops) != set(heard.texts):
            problems.append(f"finish_reason for choices {sorted(heard.stops)}; due for {sorted(heard.texts)}")
    return problems


def message_grammar(reply: Reply) -> list[str]:
    """message_start, blocks that open and close in order, message_delta, message_stop; or an error event at the end."""
    problems, heard = _transport(reply), reply.heard
    state, open_block, blocks = "start", None, 0
    for event in reply.events:
        kind = event.json.get("type") if isinstance(event.json, dict) else None
        if kind == "ping" or kind is None:
            continue
        index = event.json.get("index")
        match state, kind:
            case "start", "message_start":
                state = "body"
            case "body", "content_block_start" if open_block is None and index == blocks:
                open_block, blocks = index, blocks + 1
            case "body", "content_block_delta" if index == open_block and index is not None:
                pass
            case "body", "content_block_stop" if index == open_block and index is not None:
                open_block = None
            case "body", "message_delta" if open_block is None:
                state = "closing"
            case "closing", "message_stop":
                state = "end"
            case (("start" | "body" | "closing"), "error"):
                state = "error"
            case _:
                problems.append(
                    f"{kind} (index {index}) in state {state}, block {open_block} open, {blocks} blocks so far"
                )
                return problems
    if reply.complete and state not in ("end", "error"):
        problems.append(f"the stream ended in state {state!r}, without message_stop or error")
    if heard.error and heard.terminals:
        problems.append("message_stop although the stream ended in an error")
    return problems


def responses_grammar(reply: Reply) -> list[str]:
    """Numbers without gaps, created first, one terminal event last; items and parts open and close once."""
    problems = _transport(reply) + openai_responses.stream_problems(reply.events, ended=reply.complete)
    outline = Outline()
    for event in reply.events:
        problem = outline.take(event.json) if isinstance(event.json, dict) else ""
        if problem:
            return [*problems, problem]
    return problems


@dataclass(slots=True)
class Outline:
    """Which items of a streamed response, and which of their parts, are open."""

    items: dict[int, Any] = field(default_factory=dict)  # output_index -> id
    parts: set[tuple[int, str, int]] = field(default_factory=set)  # output_index, what numbers the part, number
    seen: set[Any] = field(default_factory=set)  # all that were ever opened

    def take(self, told: Mapping[str, Any]) -> str:
        """What is wrong with one more event; nothing: ''."""
        kind, index = str(told.get("type")), told.get("output_index")
        if kind == "response.completed":
            return self._completed(told)
        if not isinstance(index, int):
            return ""
        where, number = f"{kind} (output_index {index})", PARTS.get(kind.rpartition(".")[0])
        if kind == "response.output_item.added":
            return self._open(where, index, self.items, index, (told.get("item") or {}).get("id"))
        if index not in self.items:
            return f"{where}: open are the items {sorted(self.items)}"
        if told.get("item_id", self.items[index]) != self.items[index]:
            return f"{where}: item_id {told['item_id']!r}; this item is {self.items[index]!r}"
        if kind == "response.output_item.done":
            del self.items[index]
            left = [part for part in self.parts if part[0] == index]
            return f"{where}: its parts {left} are still open" if left else ""
        return self._in_part(where, kind, number, told)

    def _open(self, where: str, key: Any, among: dict[int, Any], index: int, name: Any) -> str:
        if key in self.seen:
            return f"{where} came before"
        self.seen.add(key)
        among[index] = name
        return ""

    def _in_part(self, where: str, kind: str, number: str | None, told: Mapping[str, Any]) -> str:
        if number is None and not kind.startswith(IN_PARTS):
            return ""
        name = number or ("summary_index" if "summary" in kind else "content_index")
        part = (told["output_index"], name, told.get(name, -1))
        if number and kind.endswith(".added"):
            if part in self.seen:
                return f"{where}: the part with {name} {part[2]} came before"
            self.seen.add(part)
            self.parts.add(part)
        elif part not in self.parts:
            return f"{where}: no part with {name} {part[2]} is open"
        elif number and kind.endswith(".done"):
            self.parts.remove(part)
        return ""

    def _completed(self, told: Mapping[str, Any]) -> str:
        if self.items:
            return f"response.completed: the items {sorted(self.items)} are still open"
        streamed = sum(isinstance(one, int) for one in self.seen)
        came = len((told.get("response") or {}).get("output") or ())
        return f"response.completed tells {came} items; {streamed} were streamed" if came != streamed else ""


def gemini_grammar(reply: Reply) -> list[str]:
    """One id, a finishReason for each candidate, usage in the last chunk; or an error as the last chunk, and a cut."""
    problems, chunks = _transport(reply), chunks_of(reply)
    for name in ("responseId", "modelVersion"):
        if len({str(chunk[name]) for chunk in chunks if name in chunk}) > 1:
            problems.append(f"{name} changes within the stream")
    failed = ["error" in chunk for chunk in chunks]
    if any(failed):
        return [*problems, "chunks after the error"] if any(failed[:-1]) else problems
    if not reply.complete:
        return problems
    candidates = [one for chunk in chunks for one in chunk.get("candidates") or ()]
    begun = {one.get("index", 0) for one in candidates}
    ended = {one.get("index", 0) for one in candidates if one.get("finishReason")}
    blocked = any((chunk.get("promptFeedback") or {}).get("blockReason") for chunk in chunks)
    if begun != ended or not (begun or blocked):
        problems.append(f"finishReason for candidates {sorted(ended)}; due for {sorted(begun) or [0]}")
    if not chunks or "usageMetadata" not in chunks[-1]:
        problems.append("the last chunk bears no usageMetadata")
    return problems


def chunks_of(reply: Reply) -> list[Mapping[str, Any]]:
    """The chunks of an answer that came as events, or as one JSON array."""
    told: Sequence[Any] = [event.json for event in reply.events] if reply.is_stream else reply.document or ()
    return [chunk for chunk in told if isinstance(chunk, dict)]


def _transport(reply: Reply) -> list[str]:
    """What holds for the bytes of any stream that was read to its end."""
    if reply.is_stream and reply.complete and reply.reader.tail:
        return [f"the last event has no blank line after it: {reply.reader.tail[:200]!r}"]
    return []


GRAMMARS: Final[Mapping[str, Callable[[Reply], list[str]]]] = {
    "chat_chunk": chat_grammar,
    "message_event": message_grammar,
    "response_event": responses_grammar,
    "gemini_chunk": gemini_grammar,
}
