"""The schema layer: every reply and event that a check sees is held against schemas/replies and its wire's grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from suites.exchange import Reply
from suites.sse import Event

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
}
GPU_REPLIES: Final[Sequence[tuple[str, str, int, str]]] = (  # method, end of the path, status, kind
    ("GET", r"/gpu", 200, "gpu_models"),
    ("GET", r"/gpu/jobs", 200, "gpu_jobs"),
    ("GET", r"/gpu/jobs/[^/]+", 200, "gpu_job"),
    ("POST", r"/gpu/jobs/[^/]+/cancel", 200, "gpu_job"),
    ("POST", r"/gpu/(run/)?[^/]+", 200, "gpu_job"),
    ("POST", r"/gpu/(run/)?[^/]+", 202, "gpu_submission"),
    ("GET", r"/deployments", 200, "deployments"),
    ("POST", r"/deployments", 201, "deployment"),
    ("GET", r"/deployments/[^/]+", 200, "deployment"),
    ("PATCH", r"/deployments/[^/]+", 200, "deployment"),
)
KEPT_REPLIES: Final[Sequence[tuple[str, str, int, str]]] = (  # the same, of files and of single sign-on
    ("POST", r"/v1/storage", 201, "stored_file"),
    ("GET", r"/v1/storage", 200, "stored_files"),
    ("GET", r"/v1/storage/[^/]+", 200, "stored_file"),
    ("DELETE", r"/v1/storage/[^/]+", 200, "deleted_file"),
    ("POST", r"/api/orgs/[^/]+/sso", 201, "identity_provider"),
    ("GET", r"/api/orgs/[^/]+/sso/[^/]+", 200, "identity_provider"),
    ("PATCH", r"/api/orgs/[^/]+/sso/[^/]+", 200, "identity_provider"),
    ("POST", r"/api/auth/sso/start", 200, "way_to_sign_in"),
)
ACCOUNT_REPLIES: Final[Sequence[tuple[str, str, int, str]]] = (  # the same, of what people do at the dashboard
    ("POST", r"/api/api-keys", 201, "api_key"),
    ("GET", r"/api/api-keys", 200, "api_keys"),
    ("GET", r"/api/api-keys/[^/]+", 200, "api_key"),
    ("PATCH", r"/api/api-keys/[^/]+", 200, "api_key"),
    ("POST", r"/api/api-keys/[^/]+/rotate", 200, "api_key"),
    ("POST", r"/api/orgs", 201, "organisation"),
    ("GET", r"/api/orgs/[^/]+", 200, "organisation"),
    ("PATCH", r"/api/orgs/[^/]+", 200, "organisation"),
    ("POST", r"/api/orgs/invitations/accept", 200, "organisation"),
    ("GET", r"/api/orgs/[^/]+/members", 200, "members"),
    ("GET", r"/api/orgs/[^/]+/audit-log", 200, "audit_log"),
    ("GET", r"/api/orgs/[^/]+/usage", 200, "usage_log"),
    ("POST", r"/api/auth/sign-up", 201, "session"),
    ("POST", r"/api/auth/(sign-in|password)", 200, "session"),
    ("GET", r"/api/auth/session", 200, "session"),
    ("GET", r"/api(/orgs/[^/]+)?/statement", 200, "statement"),
    ("GET", r"/api/credits", 200, "credits"),
)
MOST = 5  # problems told of one reply


@cache
def _validator(kind: str) -> Any:
    return jsonschema_rs.Draft202012Validator(json.loads((FOLDER / f"{kind}.json").read_text()), validate_formats=True)


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
        if kind is None:
            return
        if reply.is_stream and kind in GRAMMARS:
            problems: list[str] = []
            for event in reply.events:
                problems += event_problems(kind, event)
            self.add(kind, [*problems[:MOST], *GRAMMARS[kind](reply)])
        elif reply.type != "application/json":
            self.add(kind, [f"{kind}: content-type is {reply.headers.get('content-type')!r}; due application/json"])
        else:
            self.add(kind, problems_of(kind, reply.document))


def kind_of(reply: Reply) -> str | None:
    """Which schema a reply must obey; None for what has none."""
    path = reply.sent.url.partition("?")[0]
    if reply.sent.method == "HEAD" or not path.startswith("http"):
        return None
    if reply.status >= 400:
        return "error"
    for method, ending, status, kind in GPU_REPLIES:
        if (reply.sent.method, reply.status) == (method, status) and re.search(f"/v1{ending}$", path):
            return kind
    for method, ending, status, kind in (*KEPT_REPLIES, *ACCOUNT_REPLIES):
        if (reply.sent.method, reply.status) == (method, status) and re.search(f"{ending}$", path):
            return kind
    if reply.status != 200:
        return None
    endings = (("/count_tokens", "token_count"), ("/models", "models"), ("/api-usage", "usage_log"))
    for ending, kind in endings:
        if path.endswith(ending):
            return kind
    kinds = {"chat": ("chat_completion", "chat_chunk"), "messages": ("message", "message_event")}
    return kinds[reply.sent.wire][reply.is_stream] if reply.sent.wire in kinds else None


def event_problems(kind: str, event: Event) -> list[str]:
    """How one event departs from its wire."""
    if event.strange:
        return [f"lines that are no field of an event: {event.strange}"]
    if event.is_comment:
        return [] if kind == "chat_chunk" else [f"comment {event.comments} on a wire whose keepalive is event: ping"]
    if event.data == "[DONE]" and kind == "chat_chunk":
        return []
    if event.data is None:
        return [f"event {event.name!r} without data"]
    if event.json is None:
        return [f"data is no JSON: {event.data[:200]!r}"]
    if kind == "message_event" and event.name != event.json.get("type"):
        return [f"event: {event.name!r} bears data of type {event.json.get('type')!r}"]
    if kind == "chat_chunk" and event.name:
        return [f"event: {event.name!r}; this wire has data alone"]
    return problems_of(kind, event.json)


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


def _transport(reply: Reply) -> list[str]:
    """What holds for the bytes of any stream that was read to its end."""
    if reply.complete and reply.reader.tail:
        return [f"the last event has no blank line after it: {reply.reader.tail[:200]!r}"]
    return []


GRAMMARS: Final[Mapping[str, Callable[[Reply], list[str]]]] = {
    "chat_chunk": chat_grammar,
    "message_event": message_grammar,
}
