"""How the arguments of a tool call are cut, repeated or broken off.

A call's arguments travel as pieces of text: `arguments` of the chat wire, `partial_json` deltas on Anthropic's, deltas
of `response.function_call_arguments` on Responses. Gemini sends them whole, as an object: nothing of this meets it.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.payloads import Event, Json
from simulator.faults.tools import INNER, begins
from simulator.script import Script

RESPONSES: Final = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")


@dataclass(slots=True)
class Piece:
    """A piece of some call's arguments within an event: the object that holds it, and under which key."""

    call: Hashable
    holder: Json
    key: str

    @property
    def text(self) -> str:
        return str(self.holder[self.key])


def piece(event: Event) -> Piece | None:
    """The piece of arguments that an event brings, on any wire."""
    found = event.json or {}
    for choice in payloads.choices(found):
        for call in payloads.calls(choice):
            for inner in INNER:
                holder = call.get(inner)
                for key in ("arguments", "input"):
                    if isinstance(holder, dict) and isinstance(holder.get(key), str):
                        return Piece((choice.get("index"), call.get("index")), holder, key)
    delta = found.get("delta")
    if isinstance(delta, dict) and isinstance(delta.get("partial_json"), str):
        return Piece(found.get("index"), delta, "partial_json")
    if isinstance(delta, str) and event.kind in RESPONSES:
        return Piece(found.get("item_id"), found, "delta")
    return None


def by_call(told: list[Event]) -> dict[Hashable, list[tuple[Event, Piece]]]:
    """The pieces of each call, in order."""
    rows: dict[Hashable, list[tuple[Event, Piece]]] = {}
    for event in told:
        if (found := piece(event)) is not None:
            rows.setdefault(found.call, []).append((event, found))
    return rows


def rewritten(event: Event, found: Piece, text: str) -> Event:
    """An event with other arguments in it."""
    found.holder[found.key] = text
    return event.put()


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSingleChunk(Fault):
    """Send each tool call in one delta: id, name and all arguments."""

    kind: ClassVar[str] = "tool_single_chunk"
    seen_at: ClassVar[str] = "Groq, Mistral, Gemini's compatible endpoint"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, _whole)


def _whole(told: list[Event]) -> list[Event]:
    gone: set[int] = set()
    for rows in by_call(told).values():
        (event, found), *rest = rows
        if event.json is None or not payloads.choices(event.json) or not rest:
            continue
        frames = [row.frame for row, _ in rows]
        rewritten(event, found, "".join(part.text for _, part in rows))
        tokens, text_bytes = sum(f.tokens for f in frames), sum(f.text_bytes for f in frames)
        event.frame = event.frame._replace(tokens=tokens, text_bytes=text_bytes)
        gone |= {id(row) for row, _ in rest}
    return [event for event in told if id(event) not in gone]


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEmptyTail(Fault):
    """Send one more delta with `"arguments": ""` at the end of the calls."""

    kind: ClassVar[str] = "tool_empty_tail"
    seen_at: ClassVar[str] = "vLLM, Qwen; https://github.com/vercel/ai/issues/3953"
    still: ClassVar[bool] = True
    place: str = options.one_of(
        "finish", ("finish", "before"), about="in the chunk with the finish reason, or in one of its own before it"
    )

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, self._tailed)

    def _tailed(self, told: list[Event]) -> Iterator[Event]:
        last: dict[object, Json] = {}  # choice -> its latest call
        for event in told:
            for choice in payloads.choices(event.json):
                for call in payloads.calls(choice):
                    last[choice.get("index")] = _tail(call)
            row = next((row for row in payloads.choices(event.json) if row.get("finish_reason")), {})
            tail = last.get(row.get("index")) if row else None
            if tail is None:
                yield event
            elif self.place == "finish":
                row["delta"] = {"tool_calls": [tail]}
                yield event.put()
            else:
                choice = {key: value for key, value in row.items() if key != "finish_reason"}
                chunk = (event.json or {}) | {"choices": [choice | {"delta": {"tool_calls": [tail]}}]}
                yield event.like(chunk, kind="delta")
                yield event


def _tail(call: Json) -> Json:
    """An empty piece of the same call."""
    inner = next((inner for inner in INNER if inner in call), "function")
    index = {"index": call["index"]} if "index" in call else {}
    return {**index, inner: {"arguments" if inner == "function" else "input": ""}}


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolArgsRepeated(Fault):
    """Send the complete arguments of each call once more at its end: who appends pieces has them twice."""

    kind: ClassVar[str] = "tool_args_repeated"
    seen_at: ClassVar[str] = "LiteLLM; https://github.com/BerriAI/litellm/issues/20480"
    still: ClassVar[bool] = True
    form: str = options.one_of(
        "summary",
        ("summary", "plain", "double_encoded"),
        about="summary: with id and name again; plain: one more piece; double_encoded: one more piece, a text in JSON",
    )

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, self._repeated)

    def _repeated(self, told: list[Event]) -> Iterator[Event]:
        rows = by_call(told)
        last = {id(pieces[-1][0]): pieces for pieces in rows.values()}
        for event in told:
            yield event
            pieces = last.get(id(event))
            if pieces is None:
                continue
            text = "".join(found.text for _, found in pieces)
            text = json.dumps(text) if self.form == "double_encoded" else text
            yield self._summary(pieces, text)

    def _summary(self, pieces: list[tuple[Event, Piece]], text: str) -> Event:
        """The event that repeats: made of the call's last piece, with what its first one said of it."""
        copy = json.loads(json.dumps(pieces[-1][0].json))
        out = pieces[-1][0].like(copy)
        found = piece(out)
        if found is None:
            return out
        if self.form == "summary" and (opening := _opening(pieces[0][0])):
            call = payloads.calls(payloads.choices(copy)[0])[0]
            payloads.first({key: opening[key] for key in ("index", "id", "type") if key in opening}, call)
            found.holder["name"] = next(opening[inner]["name"] for inner in INNER if inner in opening)
        return rewritten(out, found, text)


def _opening(event: Event) -> Json | None:
    """The call that a chunk opens."""
    rows = [call for choice in payloads.choices(event.json) for call in payloads.calls(choice)]
    return next((call for call in rows if begins(call)), None)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEarlyValidJson(Fault):
    """Let a beginning of the arguments already parse: who stops there calls the tool too early."""

    kind: ClassVar[str] = "tool_early_valid_json"
    seen_at: ClassVar[str] = "OpenAI-compatible servers (a changelog of the Vercel AI SDK)"
    still: ClassVar[bool] = True
    form: str = options.one_of(
        "braces",
        ("braces", "spaces"),
        about="braces: `{}`, then the arguments; spaces: the arguments, then white space",
    )

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.recast(script, self._early)

    def _early(self, told: list[Event]) -> Iterator[Event]:
        at = 0 if self.form == "braces" else -1
        marks = {id(pieces[at][0]): pieces[-1][0] for pieces in by_call(told).values()}
        for event in told:
            yield event
            if id(event) in marks:
                yield self._extra(event, marks[id(event)])

    def _extra(self, event: Event, last: Event) -> Event:
        """A piece that is `{}`, or white space, made of the call's last one, due with this event."""
        out = last.like(json.loads(json.dumps(last.json)))
        out.frame = out.frame._replace(due_ms=event.frame.due_ms)
        found = piece(out)
        return out if found is None else rewritten(out, found, "{}" if self.form == "braces" else " \n")


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCutArguments(Fault):
    """End the stream properly, as HTTP goes, in the middle of a tool call's arguments."""

    kind: ClassVar[str] = "tool_cut_arguments"
    seen_at: ClassVar[str] = "https://github.com/CommandCodeAI/command-code/issues/785"
    after_pieces: int | None = options.whole(None, about="pieces of arguments sent before it; half of them by default")

    def script(self, script: Script, _: Scene) -> Script:
        if not script.stream:
            return script
        places = [at for at, event in enumerate(payloads.events(script)) if (found := piece(event)) and found.text]
        if not places:
            return script
        pieces = len(places) // 2 if self.after_pieces is None else self.after_pieces
        if pieces >= len(places):
            return script
        return replace(script, frames=script.frames[: places[pieces]])
