"""Gemini's replies from one mode into the other: a stream as one reply, and one reply as a stream.

For upstreams that stream without being asked, answer with an array of chunks, or do not stream when asked.
Source: wire reference, "Mode mismatch" and 7.4.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway import sse
from gateway.chain import Failure
from gateway.upstreams import gemini_generate
from gateway.upstreams.gemini_generate import GenerateReader
from gateway.upstreams.problems import broken
from gateway.upstreams.reading import Part, Whole, decode

PLAIN_TEXT = ({"text"}, {"text", "thought"})  # parts of these members alone are joined with one of the same members


def assemble(stream: bytes) -> Whole | Failure:
    """The reply that a stream amounts to, or why it amounts to none."""
    parser = sse.Parser()
    events = [*parser.feed(stream), *parser.end()]
    reader = GenerateReader()
    chunks: list[dict[str, Any]] = []
    for event in events:
        part = reader.read(event)
        if part in (Part.ERROR, Part.BROKEN):
            return reader.failure or broken("the upstream's stream is broken")
        if part is not Part.NOTHING:
            chunk, _ = decode(event.data)
            chunks.append(chunk or {})
    if not reader.complete:
        return broken("the upstream's stream ended in mid-answer")
    return joined(chunks)


def assemble_chunks(chunks: list[Any]) -> Whole | Failure:
    """The reply that an array of chunks amounts to; an error stands in an array, too."""
    return assemble(b"".join(sse.frame(orjson.dumps(chunk)) for chunk in chunks))


def joined(chunks: list[dict[str, Any]]) -> Whole | Failure:
    """One reply of all chunks: parts are joined, of everything else the last word counts."""
    reply: dict[str, Any] = {}
    candidates: dict[Any, dict[str, Any]] = {}
    for chunk in chunks:
        reply.update({name: value for name, value in chunk.items() if name != "candidates"})
        for candidate in gemini_generate.candidates_of(chunk):
            take(candidates.setdefault(candidate.get("index", 0), {}), candidate)
    if candidates:
        reply = {"candidates": [candidates[index] for index in sorted(candidates)], **reply}
    return gemini_generate.read_reply(reply, orjson.dumps(reply))


def take(into: dict[str, Any], candidate: dict[str, Any]) -> None:
    """Adds what a chunk has of a candidate."""
    parts = gemini_generate.parts_of(into)
    for part in gemini_generate.parts_of(candidate):
        if parts and set(part) in PLAIN_TEXT and set(part) == set(parts[-1]) and isinstance(part["text"], str):
            parts[-1] = {**parts[-1], "text": parts[-1]["text"] + part["text"]}
        elif part != {"text": ""}:
            parts.append(part)
    content = {**(into.get("content") or {}), **(candidate.get("content") or {})}
    into.update(candidate)
    if content:
        into["content"] = {**content, "parts": parts} if parts else content


def disassemble(body: bytes) -> bytes:
    """A stream that amounts to a reply: one chunk, as the wire sends short answers."""
    return gemini_generate.event(body)
