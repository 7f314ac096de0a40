"""The OpenAI Responses wire as a client writes and reads it.

Source: api-reference#responses; OpenAI's Responses API reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from suites.heard import Call, Heard, Told
from suites.openai_chat import read_error
from suites.sse import Event

NAME = "responses"
TERMINALS = ("response.completed", "response.incomplete", "response.failed")


def body(model: str, prompt: str, stream: bool) -> dict[str, Any]:
    """The smallest request."""
    asked: dict[str, Any] = {"model": model, "input": prompt}
    return asked | {"stream": True} if stream else asked


def read_usage(usage: Any) -> Told | None:
    """The usage object of a response."""
    if not isinstance(usage, dict):
        return None
    read, spent = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    return Told(
        input_tokens=usage.get("input_tokens", 0),
        output_tokens=usage.get("output_tokens", 0),
        cached_tokens=read.get("cached_tokens") or 0,
        cache_write_tokens=read.get("cache_write_tokens") or 0,
        reasoning_tokens=spent.get("reasoning_tokens") or 0,
    )


def read_json(document: Any) -> Heard:
    """What a JSON body says."""
    heard = Heard()
    if isinstance(document, dict):
        heard.error = read_error(document)
        _read_response(heard, document)
    return heard


def _read_response(heard: Heard, response: Mapping[str, Any]) -> None:
    """Takes in a whole response: its text, calls and usage are the last word."""
    heard.id, heard.model = str(response.get("id", "")), str(response.get("model", ""))
    text = ""
    calls: list[Call] = []
    for item in response.get("output") or ():
        if item.get("type") == "function_call":
            calls.append(Call(item["call_id"], item["name"], item["arguments"], len(calls)))
        for part in item.get("content") or ():
            text += part.get("text") or "" if part.get("type") == "output_text" else ""
    heard.texts[0], heard.calls = text, calls
    heard.stops[0] = str(response.get("status"))
    usage = read_usage(response.get("usage"))
    if usage is not None:
        heard.usage, heard.usages = usage, heard.usages + 1


def read_stream(events: Iterable[Event]) -> Heard:
    """What the events of a stream say so far. `blocks` are the finished output items; text is that of the deltas."""
    heard = Heard()
    for event in events:
        heard.after_terminal += bool(heard.terminals)
        if event.is_comment:
            heard.pings += 1
        elif isinstance(event.json, dict):
            _read_event(heard, event.json, event.at_ms)
    return heard


def _read_event(heard: Heard, told: Mapping[str, Any], at_ms: float) -> None:
    kind = told.get("type")
    if kind == "error" or (kind is None and told.get("error")):
        heard.error = read_error(told) or ("error", str(told.get("message")))
    elif kind == "response.created":
        heard.starts += 1
        heard.id, heard.model = told["response"].get("id", ""), told["response"].get("model", "")
    elif kind == "response.output_text.delta":
        heard.texts[0] = heard.texts.get(0, "") + told["delta"]
        heard.deltas.append(at_ms)
    elif kind == "response.output_item.done":
        heard.blocks.append(told["item"])
    elif kind in TERMINALS:
        heard.terminals += 1
        _read_terminal(heard, told["response"])


def _read_terminal(heard: Heard, response: Mapping[str, Any]) -> None:
    """The last event: usage and status; the text stays what the deltas said."""
    text = heard.texts.get(0, "")
    _read_response(heard, response)
    heard.texts[0] = text
    failure = response.get("error")
    if isinstance(failure, dict) and heard.error is None:
        heard.error = (str(failure.get("code")), str(failure.get("message")))


def stream_problems(events: Sequence[Event], *, ended: bool = True) -> list[str]:
    """How a stream departs from the wire's order: created first, numbers without gaps, one terminal event, last.

    One that was cut off (not `ended`) owes no terminal event.
    """
    told = [event.json for event in events if isinstance(event.json, dict)]
    kinds = [str(one.get("type")) for one in told]
    problems = [f"the first event is {kinds[:1]}"] if kinds[:1] != ["response.created"] else []
    numbers = [one.get("sequence_number") for one in told]
    if numbers != list(range(len(numbers))):
        problems.append(f"the sequence numbers are {numbers}")
    if kinds.count("response.created") != 1:
        problems.append(f"{kinds.count('response.created')} times response.created")
    if (count := sum(kind in TERMINALS for kind in kinds)) > 1 or (ended and not count):
        problems.append(f"terminal events: {[kind for kind in kinds if kind in TERMINALS]}")
    elif count and kinds[-1] not in TERMINALS:
        problems.append(f"{kinds[-1]} comes after the terminal event")
    named = [event.name for event in events if isinstance(event.json, dict)]
    problems += [f"event {kind} is named {name!r}" for kind, name in zip(kinds, named, strict=True) if name != kind]
    return problems
