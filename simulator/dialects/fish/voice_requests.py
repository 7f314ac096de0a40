"""Requests about voices: to make one of sounds, to change, find, list and delete it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from simulator.ask import Ask, Request, Turn
from simulator.dialects.fish import bodies
from simulator.dialects.fish import request as requests
from simulator.dialects.fish.fields import Fields
from simulator.dialects.fish.problems import bad
from simulator.dialects.fish.voices import library
from simulator.dialects.openai.audio_request import ANY_FILE_HEADER
from simulator.media.speech import listened
from simulator.problem import Problem, Refused

VISIBILITIES: Final = ("public", "unlist", "private")
SOUNDS_MAX: Final = 20
SECONDS_MAX: Final = 270
_PAGE_MAX: Final = 100
_KINDS: Final = (bodies.MULTIPART, bodies.URLENCODED, bodies.JSON, bodies.MSGPACK)


def created(request: Request) -> Ask:
    """A request for a new voice. Raises Refused."""
    fields = Fields(bodies.read(request, _KINDS))
    cover = fields.body.get("cover_image")
    body: dict[str, Any] = {
        "type": fields.option("type", ("tts",), None),
        "title": fields.text("title", None),
        "description": fields.text("description"),
        "train_mode": fields.option("train_mode", ("fast",), None),
        "visibility": fields.option("visibility", VISIBILITIES, "public"),
        "sounds": fields.files("voices", SOUNDS_MAX),
        "texts": fields.texts("texts", SOUNDS_MAX),
        "tags": fields.texts("tags"),
        "enhance_audio_quality": fields.boolean("enhance_audio_quality", True),
        "generate_sample": fields.boolean("generate_sample", False),
        "has_cover": bool(cover),
        "any_file": request.headers.get(ANY_FILE_HEADER) == "any",
    }
    fields.done()
    if body["visibility"] == "public" and not cover:
        raise bad("cover_image is required when the model is public")
    return Ask(requests.CREATE, requests.MODELS[requests.CREATE], _turns(body), body=body, fresh=True)


def updated(request: Request) -> Ask:
    """A request to change a voice. Raises Refused."""
    fields = Fields(bodies.read(request, _KINDS))
    body: dict[str, Any] = {"id": request.params["id"]}
    for name in ("title", "description"):
        if fields.body.get(name) is not None:
            body[name] = fields.text(name)
    if fields.body.get("visibility") is not None:
        body["visibility"] = fields.option("visibility", VISIBILITIES, "public")
    if fields.body.get("tags") is not None:
        body["tags"] = fields.texts("tags")
    if fields.body.get("cover_image"):
        body["has_cover"] = True
    fields.done()
    return Ask(requests.UPDATE, requests.MODELS[requests.UPDATE], _turns(body), body=body, fresh=True, among=True)


def _turns(body: Mapping[str, Any]) -> tuple[Turn, ...]:
    return (Turn("user", "\n".join(body[name] for name in ("title", "description") if body.get(name))),)


def about(request: Request, operation: str) -> Ask:
    """A request about one voice."""
    own = request.params["id"]
    nonce = own[-requests.NONCE_LENGTH :]
    if operation == requests.DELETE:
        if any(row["id"] == own for row in library()["voices"]):
            raise Refused(Problem("permission"))
        return Ask(operation, "", body={"id": own}, needs=nonce, fresh=True)
    return Ask(operation, "", body={"id": own}, about=(nonce,), fresh=True)


def listing(request: Request) -> Ask:
    """A request for a list of voices. Raises Refused."""
    asked = parse_qs(request.query, errors="replace")
    fields = Fields({name: rows[0] for name, rows in asked.items()}, "query")
    body = {
        "size": fields.integer("page_size", 10, 1, _PAGE_MAX),
        "number": fields.integer("page_number", 1, 1),
        "own": fields.boolean("self", False),
        "title": fields.text("title"),
        "author": fields.text("author_id"),
        "sort_by": fields.option("sort_by", ("score", "task_count", "created_at"), "score"),
        "tags": frozenset(asked.get("tag", ())),
        "languages": frozenset(asked.get("language", ())),
    }
    for flaw in fields.flaws:
        flaw["in"] = "query"
    fields.done()
    return Ask(requests.LIST, "", body=body, fresh=True)


def check(ask: Ask) -> None:
    """Raise Refused for sounds of which no voice can be made."""
    total_s = 0.0
    for sound in () if ask.body["any_file"] else ask.body["sounds"]:
        try:
            total_s += listened(sound).seconds
        except ValueError:
            raise bad("Could not decode one of the voices") from None
    if total_s >= SECONDS_MAX:
        raise bad(f"The total length of the voices must be less than {SECONDS_MAX} seconds")
