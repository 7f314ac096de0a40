"""Calls whose own upstreams refuse the gateway, so that one of another dialect answers, and what that one said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from suites import anthropic_messages, gemini_generate, openai_chat, openai_responses
from suites.case import Case, expect_status, providers
from suites.exchange import Reply
from suites.fleet import Entry
from suites.heard import Heard
from suites.outcomes import Violation
from suites.sse import parse
from suites.target import Elsewhere

REFUSED = "status=401"  # of the gateway's key: the next target is asked at once


@dataclass(frozen=True, slots=True)
class Asked:
    """A call, and who got it."""

    reply: Reply
    row: Elsewhere
    entries: Sequence[Entry]

    @property
    def entry(self) -> Entry:
        """The last upstream's."""
        return self.entries[-1]


async def ask(
    case: Case,
    endpoint: str,
    *,
    row: Elsewhere | None = None,
    fields: Callable[[str], dict[str, Any]] | None = None,
    fault: Sequence[str] = (),
    answer: str | None = None,
    **options: Any,
) -> Asked:
    """A call that upstreams of its own dialect cannot answer. `fields`: the members that hold the (marked) prompt."""
    row = row or case.elsewhere(endpoint)
    token = case.fresh()
    faults = [*(f"{REFUSED} provider={name}" for name in row.own), *fault]
    if fields is not None:
        options |= fields(f"Say something. {case.marks(token, fault=faults, answer=answer)}")
    reply = await case.ask(endpoint, token=token, model=row.model, fault=faults, answer=answer, **options)
    return Asked(reply, row, await case.upstream(reply))


async def answered(case: Case, endpoint: str, **options: Any) -> Asked:
    """The same; its answer must be that of the first upstream of another dialect, after one try at each of its own."""
    asked = await ask(case, endpoint, **options)
    due = [*asked.row.own, asked.row.others[0]]
    if providers(asked.entries) != due:
        raise Violation(f"upstream calls {providers(asked.entries)}; due {due}: {asked.reply}")
    expect_status(asked.reply, 200)
    if asked.reply.error is not None:
        raise Violation(f"the answer ends in {asked.reply.error}")
    return asked


async def native(case: Case, entry: Entry) -> Heard:
    """What the upstream says, in its own dialect, to the request that it got."""
    raw = await case.fleet.native(entry)
    path = entry.row["path"]
    wire: Any = gemini_generate
    for end, spoken in (
        ("/completions", openai_chat),
        ("/messages", anthropic_messages),
        ("/responses", openai_responses),
    ):
        wire = spoken if path.endswith(end) else wire
    if raw.lstrip()[:1] == b"[":  # Gemini's stream, not asked for as events
        return gemini_generate.read_chunks((chunk, 0.0) for chunk in orjson.loads(raw))
    is_json = raw.lstrip()[:1] == b"{"
    heard: Heard = wire.read_json(orjson.loads(raw)) if is_json else wire.read_stream(parse(raw))
    return heard


def own_form(endpoint: str, reply: Reply) -> list[str]:
    """How a stream departs from the caller's own wire; [] of a whole answer, whose schema is looked at anyway."""
    if not reply.is_stream:
        return []
    names = [event.name for event in reply.events]
    ends = sum(event.data == "[DONE]" for event in reply.events)
    heard = reply.heard
    problems = []
    if endpoint in ("chat", "gemini") and any(names):
        problems.append(f"events are named: {sorted(set(names))}")
    if ends != (endpoint == "chat"):
        problems.append(f"{ends} times [DONE]")
    if endpoint == "messages":
        kinds = [(event.json or {}).get("type") for event in reply.events if event.data is not None]
        problems += [
            f"event {kind} is named {name!r}" for kind, name in zip(kinds, names, strict=False) if kind != name
        ]
    if endpoint == "responses":
        problems += openai_responses.stream_problems(reply.events)
    if endpoint == "gemini":
        problems += ["no finishReason"] if not heard.stops else []
    elif (heard.starts, heard.terminals, heard.after_terminal) != (1, 1, 0):
        problems.append(f"{heard.starts} starts, {heard.terminals} ends, {heard.after_terminal} events after the end")
    return problems
