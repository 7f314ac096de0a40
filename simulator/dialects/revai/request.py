"""Requests of Rev AI's wire: a form with a sound and its options, or JSON with the address of one."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from simulator import forms
from simulator.ask import Ask, Request, Turn
from simulator.dialects.openai.audio_request import ANY_FILE_HEADER
from simulator.dialects.revai.problems import invalid
from simulator.problem import Problem, Refused

SUBMIT, LIST, GET, DELETE, TRANSCRIPT = "create_job", "list_jobs", "get_job", "delete_job", "get_transcript"
JSON_FORM, PLAIN = "application/vnd.rev.transcript.v1.0+json", "text/plain"
_TEXTS: Final = ("metadata", "callback_url", "language", "transcriber", "media_url")


def submitted(request: Request) -> Ask:
    """A new job. Raises Refused."""
    kind = request.headers.get("content-type", "application/json")
    body: dict[str, Any] = {"name": None}
    if kind.partition(";")[0].strip().lower() == "multipart/form-data":
        try:
            parts = {part.name: part for part in forms.parts(kind, request.body)}
        except ValueError:
            raise invalid("media", "The form could not be read") from None
        if "media" not in parts:
            raise invalid("media", "The media field is required")
        options = _object(parts["options"].data) if "options" in parts else {}
        body |= {"media": parts["media"].data, "name": parts["media"].filename}
    else:
        options = _object(request.body)
    for name in _TEXTS:
        body[name] = options.get(name)
        if body[name] is not None and not isinstance(body[name], str):
            raise invalid(name, f"The {name} field must be a string")
    body["media_url"] = body["media_url"] or _source(options)
    if "media" not in body and not body["media_url"]:
        raise invalid("source_config", "The source_config field is required")
    body["callback_url"] = body["callback_url"] or _address(options.get("notification_config"))
    body["skip_punctuation"] = options.get("skip_punctuation") is True
    body["any_file"] = request.headers.get(ANY_FILE_HEADER) == "any"
    turns = (Turn("user", body["metadata"] or ""),)
    return Ask(SUBMIT, body["transcriber"] or "machine", turns, body=body, fresh=True)


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise invalid("options", "The options must be a JSON object")
    return found


def _source(options: dict[str, Any]) -> str:
    return _address(options.get("source_config"))


def _address(config: Any) -> str:
    """The `url` of a configuration; "" without one."""
    url = config.get("url") if isinstance(config, dict) else None
    return url if isinstance(url, str) else ""


def about(request: Request, operation: str) -> Ask:
    """A request about one job."""
    form = request.headers.get("accept", "*/*").partition(";")[0].strip()
    form = JSON_FORM if form in ("*/*", "application/json", "") else form
    if operation == TRANSCRIPT and form not in (JSON_FORM, PLAIN):
        raise Refused(Problem("not_acceptable"))
    return Ask(operation, "", body={"form": form}, needs=request.params["id"], fresh=True)


def listing(request: Request) -> Ask:
    """A request for the jobs there are. Raises Refused."""
    query = parse_qs(request.query, errors="replace")
    limit = query.get("limit", ["100"])[0]
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 5 and 0 < int(limit) <= 1000):
        raise invalid("limit", "The limit must be between 1 and 1000")
    body = {"limit": int(limit), "after": query.get("starting_after", [""])[0]}
    return Ask(LIST, "", body=body, fresh=True)
