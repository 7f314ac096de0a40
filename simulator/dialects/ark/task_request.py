"""Requests about Seedance tasks: created, asked for, listed, deleted, and the files that links lead to."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from simulator.ask import Ask, Request, Turn
from simulator.dialects.ark import content, fields, film, options
from simulator.dialects.ark.problems import refuse
from simulator.dialects.base import Kept
from simulator.media import results
from simulator.problem import Problem, Refused

PATH: Final = "/contents/generations/tasks"
FOLDER: Final = "/ark-content-generation"  # of its files
PAGE: Final = (1, 1, 500)  # default, least, most
PAGE_SIZE: Final = (20, 1, 500)
STATES: Final = ("queued", "running", "cancelled", "succeeded", "failed", "expired")
TIERS: Final = ("default", "flex")
IDENTIFIER_LENGTH_MAX: Final = 64
PRIORITY: Final = (0, 9)
TEXTS: Final = ("callback_url", "output_format", "omni_reference_task_type")
SWITCHES: Final = ("return_last_frame", "generate_audio", "draft")
REUSED: Final = ("ratio", "duration", "seed", "camera_fixed", "watermark")  # of a draft by the clip made of it
_ID: Final = re.compile(r"cgt-\d{14}-([0-9a-z]{12})")


def nonce_of(task: str) -> str:
    """What stands for the task on the fleet's shelf. Raises Refused for what is no id."""
    found = _ID.fullmatch(task)
    if found is None:
        raise Refused(Problem("not_kept"))
    return found[1]


def decode(request: Request, operation: str) -> Ask:
    """Read a request. Raises Refused."""
    if operation == "create_task":
        return _created(request)
    if operation == "list_tasks":
        return Ask(operation, "", body=_listed(request.query), fresh=True)
    if operation == "fetch_file":
        return Ask(operation, "", fresh=True, about=(results.nonce_of(request.path, FOLDER),))
    task = request.params["id"]
    return Ask(operation, "", body={"id": task}, fresh=True, needs=nonce_of(task))


def _created(request: Request) -> Ask:
    body = fields.parsed(request)
    model: str = fields.required(body, "model", str)
    secret = request.facts["signature_secret"]
    given = content.read(fields.required(body, "content", list), FOLDER, secret)
    for name in TEXTS:
        fields.of_kind(body.get(name, ""), str, name)
    for name in SWITCHES:
        fields.of_kind(body.get(name, False), bool, name)
    fields.one_of(body.get("service_tier", TIERS[0]), "service_tier", *TIERS)
    default, *bounds = options.EXPIRES_S
    body["execution_expires_after"] = fields.whole(
        body.get("execution_expires_after", default), "execution_expires_after", *bounds
    )
    fields.whole(body.get("priority", 0), "priority", *PRIORITY)
    if len(fields.of_kind(body.get("safety_identifier", ""), str, "safety_identifier")) > IDENTIFIER_LENGTH_MAX:
        raise refuse("safety_identifier", f"at most {IDENTIFIER_LENGTH_MAX} characters are allowed")
    for tool in fields.of_kind(body.get("tools", []), list, "tools"):
        fields.one_of(fields.of_kind(tool, dict, "tools").get("type"), "tools.type", "web_search")
    turn = Turn("user", given.text, images=given.images)
    given, wish, weak = film.settings(body, given)
    read = body | {"given": given, "wish": wish, "of_prompt": weak}
    site = request.site + request.path.removesuffix(PATH)
    needs = nonce_of(given.draft) if given.draft else ""
    return Ask("create_task", model, (turn,), body=read, fresh=True, needs=needs, site=site)


def of_draft(ask: Ask, kept: Kept) -> Ask:
    """The request for a clip, with what it takes over from its draft. Raises Refused for what is no draft."""
    if not kept.ask.body.get("draft"):
        raise refuse("content", "the task is not a draft")
    draft = kept.ask.body
    wish = {name: value for name, value in draft["wish"].items() if name in REUSED} | ask.body["wish"]
    body = {**ask.body, "given": draft["given"], "wish": wish, "draft_task_id": ask.body["given"].draft}
    if "generate_audio" in draft:
        body["generate_audio"] = draft["generate_audio"]
    return ask._replace(model=kept.ask.model, body=body)


def _listed(query: str) -> dict[str, Any]:
    """Page and filters. Raises Refused."""
    pairs = parse_qsl(query)
    told = dict(pairs)
    found: dict[str, Any] = {
        "page_num": _number(told.get("page_num"), "page_num", *PAGE),
        "page_size": _number(told.get("page_size"), "page_size", *PAGE_SIZE),
        "task_ids": frozenset(value for name, value in pairs if name == "filter.task_ids"),
        "model": told.get("filter.model", ""),
        "service_tier": told.get("filter.service_tier", ""),
        "status": told.get("filter.status", ""),
    }
    if found["status"]:
        fields.one_of(found["status"], "filter.status", *STATES)
    return found


def _number(told: str | None, name: str, default: int, low: int, high: int) -> int:
    if told is None:
        return default
    if not told.isdecimal() or len(told) > 6:
        raise refuse(name, "expected integer, but got string instead")
    return fields.whole(int(told), name, low, high)
