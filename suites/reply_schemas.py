"""The schema layer: every reply and event that a check sees is held against schemas/replies and its wire's grammar."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from suites.exchange import Reply
from suites.reply_kinds import kind_of
from suites.sse import Event
from suites.stream_grammars import GRAMMARS

FOLDER: Final = Path(__file__).parent.parent / "schemas" / "replies"
REQUIREMENTS: Final[Mapping[str, str]] = {  # kind -> requirement
    "chat_completion": "SCH-001",
    "chat_chunk": "SCH-002",
    "message": "SCH-003",
    "message_event": "SCH-004",
    "error": "SCH-005",
    "models": "SCH-006",
    "usage_log": "SCH-007",
    "token_count": "SCH-008",
    "gpu_models": "SCH-009",
    "gpu_submission": "SCH-010",
    "gpu_job": "SCH-011",
    "gpu_jobs": "SCH-012",
    "deployment": "SCH-013",
    "deployments": "SCH-014",
    "api_key": "SCH-015",
    "api_keys": "SCH-016",
    "organisation": "SCH-017",
    "members": "SCH-018",
    "audit_log": "SCH-019",
    "session": "SCH-020",
    "statement": "SCH-021",
    "credits": "SCH-022",
    "stored_file": "SCH-023",
    "stored_files": "SCH-024",
    "deleted_file": "SCH-025",
    "identity_provider": "SCH-026",
    "way_to_sign_in": "SCH-027",
    "response": "SCH-028",
    "response_event": "SCH-029",
    "gemini_reply": "SCH-030",
    "gemini_chunk": "SCH-031",
    "google_error": "SCH-032",
    "pictures": "SCH-033",
    "clip": "SCH-034",
    "sound": "SCH-035",
    "usage_export": "SCH-036",
    "response_token_count": "SCH-037",
    "gemini_token_count": "SCH-038",
    "gemini_models": "SCH-039",
    "gemini_model": "SCH-040",
}
COMMENTED: Final = ("chat_chunk", "response_event")  # streams in which a comment is a keepalive
UNNAMED: Final = ("chat_chunk", "gemini_chunk")  # streams whose events are data alone
MOST = 5  # problems told of one reply


def _read(name: str) -> Any:
    """A schema, by its file name or by an address that ends in it."""
    return json.loads((FOLDER / name.rpartition("/")[2]).read_text())


@cache
def _validator(kind: str) -> Any:
    return jsonschema_rs.Draft202012Validator(_read(f"{kind}.json"), validate_formats=True, retriever=_read)


def problems_of(kind: str, document: Any) -> list[str]:
    """How a document departs from the schema of its kind; [] where it does not."""
    if _validator(kind).is_valid(document):
        return []
    errors = _validator(kind).iter_errors(document)
    return [f"{kind} at /{'/'.join(map(str, e.instance_path))}: {e.message[:300]}" for e in errors][:MOST]


@dataclass(slots=True)
class Findings:
    """What the schema layer saw in one check: how many documents of each kind, and what was wrong."""

    seen: dict[str, int] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, problems: Iterable[str]) -> None:
        """Note one more document of a kind."""
        self.seen[kind] = self.seen.get(kind, 0) + 1
        found = list(problems)
        if found:
            known = self.problems.setdefault(kind, [])
            known += [problem for problem in found if problem not in known][:MOST]

    def look_at(self, reply: Reply) -> None:
        """Hold a finished reply against its schema."""
        kind = kind_of(reply)
        if kind is not None:
            self.add(kind, reply_problems(kind, reply))


def reply_problems(kind: str, reply: Reply) -> list[str]:
    """How a reply departs from the schema of its kind, or a stream from its grammar."""
    if reply.is_stream and kind in GRAMMARS:
        problems = [problem for event in reply.events for problem in event_problems(kind, event)]
        return [*problems[:MOST], *GRAMMARS[kind](reply)]
    due = "text/csv" if kind == "usage_export" else "application/json"
    if reply.type != due:
        return [f"{kind}: content-type is {reply.headers.get('content-type')!r}; due {due}"]
    if kind == "usage_export":
        return problems_of(kind, read_csv(reply.raw))
    return array_problems(kind, reply) if kind in GRAMMARS else problems_of(kind, reply.document)


def array_problems(kind: str, reply: Reply) -> list[str]:
    """How a stream that is one JSON array departs from its wire. One that was cut off is no JSON."""
    if not isinstance(reply.document, list):
        return [f"{kind}: no JSON array: {reply.raw[:200]!r}"] if reply.complete else []
    problems = [problem for chunk in reply.document for problem in problems_of(kind, chunk)]
    return [*problems[:MOST], *GRAMMARS[kind](reply)]


def read_csv(raw: bytes) -> Mapping[str, Any]:
    """A CSV file as its schema has it: the names of the first line, and the lines after it by these names."""
    first: Sequence[str]
    first, *lines = list(csv.reader(io.StringIO(raw.decode("utf-8", "replace"), newline=""))) or [[]]
    rows = [
        dict(zip(first, line, strict=False)) | ({"": "ragged"} if len(line) != len(first) else {}) for line in lines
    ]
    return {"columns": first, "rows": rows}


def event_problems(kind: str, event: Event) -> list[str]:
    """How one event departs from its wire."""
    if event.strange:
        return [f"lines that are no field of an event: {event.strange}"]
    if event.is_comment:
        return [] if kind in COMMENTED else [f"comment {event.comments}, which is no keepalive of this wire"]
    if event.data == "[DONE]" and kind == "chat_chunk":
        return []
    if event.data is None:
        return [f"event {event.name!r} without data"]
    if not isinstance(event.json, dict):
        return [f"data is no JSON object: {event.data[:200]!r}"]
    if kind in UNNAMED and event.name:
        return [f"event: {event.name!r}; this wire has data alone"]
    if kind not in UNNAMED and event.name != event.json.get("type"):
        return [f"event: {event.name!r} bears data of type {event.json.get('type')!r}"]
    return problems_of(kind, event.json)
