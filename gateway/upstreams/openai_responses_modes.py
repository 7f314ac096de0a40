"""Responses replies from one mode into the other: a stream as one response, and one response as a stream.

For upstreams that stream without being asked, or do not when asked. Source: wire reference, 2.3 and "Mode mismatch".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from gateway import splice, sse
from gateway.chain import Failure
from gateway.upstreams.openai_responses import ResponsesReader
from gateway.upstreams.problems import broken
from gateway.upstreams.reading import Part

Told = dict[str, Any]


def assemble(stream: bytes) -> bytes | Failure:
    """The response that a stream amounts to, as its last event tells it; or why it amounts to none."""
    reader = ResponsesReader()
    parser = sse.Parser()
    for event in [*parser.feed(stream), *parser.end()]:
        part = reader.read(event)
        if part in (Part.ERROR, Part.BROKEN):
            return reader.failure or broken("the upstream's stream is broken")
        if reader.complete:
            return member(reader.data, "response") or broken("the upstream's stream ended without a response")
    return broken("the upstream's stream ended in mid-answer")


def member(data: bytes, name: str) -> bytes | None:
    """The JSON text of one member of an object."""
    return next((data[m.value.start : m.value.end] for m in splice.members(data) if m.name == name), None)


def disassemble(body: bytes) -> bytes:
    """A stream that amounts to a response, in the order of the real one."""
    response = orjson.loads(body)
    opening = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    told: list[Told] = [{"type": f"response.{state}", "response": opening} for state in ("created", "in_progress")]
    for at, item in enumerate(response["output"]):
        told += item_events(item, at)
    told.append({"type": f"response.{response.get('status') or 'completed'}", "response": response})
    frames = (
        sse.frame(orjson.dumps({**event, "sequence_number": number}), event["type"].encode())
        for number, event in enumerate(told)
    )
    return b"".join(frames)


def item_events(item: Told, at: int) -> Iterator[Told]:
    """The events that tell one output item."""
    where = {"item_id": item.get("id"), "output_index": at}
    started, pieces = emptied(item)
    yield {"type": "response.output_item.added", "output_index": at, "item": started}
    for stem, name, value in pieces:
        yield {"type": f"response.{stem}.delta", **where, "delta": value}
        yield {"type": f"response.{stem}.done", **where, name: value}
    for number, part in enumerate(parts_of(item, "summary")):
        place = {**where, "summary_index": number}
        yield from part_events("reasoning_summary_part", "reasoning_summary_text", place, part)
    for number, part in enumerate(parts_of(item, "content")):
        yield from part_events("content_part", part.get("type"), {**where, "content_index": number}, part)
    yield {"type": "response.output_item.done", "output_index": at, "item": item}


def parts_of(item: Told, name: str) -> list[Told]:
    """The parts of a message or of reasoning."""
    parts = item.get(name)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def emptied(item: Told) -> tuple[Told, list[tuple[str, str, str]]]:
    """An item as it begins, and the texts of its own that follow: (event, member, text)."""
    match item.get("type"):
        case "message":
            return {**item, "status": "in_progress", "content": []}, []
        case "reasoning":
            return {**item, "summary": [], **({"content": []} if "content" in item else {})}, []
        case "function_call":
            text = item.get("arguments") or ""
            piece = ("function_call_arguments", "arguments", text)
            return {**item, "status": "in_progress", "arguments": ""}, [piece]
        case "custom_tool_call":
            piece = ("custom_tool_call_input", "input", item.get("input") or "")
            return {**item, "input": ""}, [piece]
        case _:
            return item, []


def part_events(part_name: str, text_name: Any, place: Told, part: Told) -> Iterator[Told]:
    """The events that tell one part of a message or of reasoning."""
    member_name = "refusal" if "refusal" in part else "text"
    text = part.get(member_name)
    yield {"type": f"response.{part_name}.added", **place, "part": {**part, member_name: ""} if text else part}
    if isinstance(text, str):
        more: Told = {"logprobs": []} if text_name == "output_text" else {}
        yield {"type": f"response.{text_name}.delta", **place, "delta": text, **more}
        yield {"type": f"response.{text_name}.done", **place, member_name: text, **more}
    yield {"type": f"response.{part_name}.done", **place, "part": part}
