"""Requests on Replicate's wire: bodies, the `Prefer` and `Cancel-After` headers, ids, uploaded files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from simulator import forms
from simulator.ask import Ask, Request, Turn
from simulator.dialects.predictions.inputs import texts
from simulator.dialects.replicate import catalog
from simulator.dialects.replicate.cog import EVENTS
from simulator.dialects.replicate.problems import refused
from simulator.problem import Problem, Refused

BODY_BYTES: Final = 100 << 20
WAIT_S: Final = (60, 1, 60)  # default, least, most
CANCEL_AFTER_S: Final = 5  # least
SUBMISSIONS: Final = frozenset({"predict", "predict_model", "predict_deployment", "train"})
ALWAYS: Final = {"input", "webhook", "webhook_completed", "webhook_events_filter", "stream"}
KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "predict": frozenset({*ALWAYS, "version"}),
    "predict_model": frozenset(ALWAYS),
    "predict_deployment": frozenset(ALWAYS),
    "train": frozenset({*ALWAYS, "destination"}),
}
CROCKFORD: Final = "[0-9a-hjkmnp-tv-z]"
_ID: Final = {
    "prediction": re.compile(rf"{CROCKFORD}{{4}}({CROCKFORD}{{22}})"),
    "stream": re.compile(rf"[a-z0-9]{{30}}({CROCKFORD}{{22}})"),
    "file": re.compile(rf"[A-Za-z0-9]{{26}}({CROCKFORD}{{22}})"),
}
_ROOT: Final = re.compile(
    r"/(?:predictions|models|collections|trainings|deployments|files|hardware|account|webhooks|streams|delivery)(?:/.*)?\Z"
)
_PREFER: Final = re.compile(r"wait(?:=(\d{1,4}))?")
_SPAN: Final = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s?)?")
_DESTINATION: Final = re.compile(r"[\w.-]{1,64}/[\w.-]{1,64}")
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "webhook": (str, "string"),
    "webhook_completed": (str, "string"),
    "webhook_events_filter": (list, "array"),
    "stream": (bool, "boolean"),
}


def decode(request: Request, operation: str) -> Ask:
    """Read a request. Raises Refused."""
    if operation in SUBMISSIONS:
        return _submission(request, operation)
    if operation == "create_file":
        return _file(request)
    body: dict[str, Any] = {"query": request.query, **request.params}
    model, needs = "", ""
    if "name" in request.params and "deployments" not in request.path:
        model = f"{request.params['owner']}/{request.params['name']}"
    if "id" in request.params:
        kind = "stream" if operation == "stream" else "file" if "/files/" in request.path else "prediction"
        found = _ID[kind].fullmatch(request.params["id"])
        if found is None:
            raise Refused(Problem("not_kept"))
        needs = found[1]
    if operation == "search_models":
        body["words"] = request.body.decode("utf-8", "replace")
    if operation == "create_model":
        body |= _model(_json(request))
    if operation == "list_files":
        model = catalog.STORED
    stream = operation == "stream"
    return Ask(operation, model, body=body, stream=stream, fresh=True, needs=needs, site=_site(request))


def _site(request: Request) -> str:
    """Where the API's paths begin, and with them all links."""
    return request.site + _ROOT.sub("", request.path)


def _json(request: Request) -> dict[str, Any]:
    if len(request.body) > BODY_BYTES:
        raise Refused(Problem("too_large"))
    try:
        body = orjson.loads(request.body or b"{}")
    except orjson.JSONDecodeError:
        raise Refused(Problem("invalid_request", "The request body is not valid JSON.")) from None
    if not isinstance(body, dict):
        raise refused([("invalid_type", "", "Invalid type. Expected: object")])
    return body


def _submission(request: Request, operation: str) -> Ask:
    wait_s, applied = _wait(request)
    body = _json(request)
    _check(body, operation, applied)
    model, version = _model_of(request, operation, body)
    told: dict[str, Any] = {
        "input": body["input"],
        "version": version,
        "wait_ms": None if wait_s is None else 1000 * wait_s,
        "applied": applied,
        "deadline_ms": _deadline_ms(request),
        "webhook": body.get("webhook") or body.get("webhook_completed") or "",
        "events": body.get("webhook_events_filter") or list(EVENTS[1:2] + EVENTS[3:]),
        "stream": bool(body.get("stream")),
        "deployment": None,
    }
    if operation == "predict_deployment":
        told["deployment"] = f"{request.params['owner']}/{request.params['name']}"
    if operation == "train":
        told["destination"] = body["destination"]
    turns = (Turn("user", "\n".join(texts(body["input"]))),)
    return Ask(operation, model, turns, body=told, fresh=True, site=_site(request))


def _check(body: Mapping[str, Any], operation: str, headers: tuple[tuple[str, str], ...]) -> None:
    """Raise Refused for fields that are unknown, missing or of another type."""
    unknown = "additional_property_not_allowed"
    fields = [(unknown, "", f"Additional property {name} is not allowed") for name in body.keys() - KNOWN[operation]]
    due = {"predict": ("version", "input"), "train": ("destination", "input")}.get(operation, ("input",))
    fields += [("required", "", f"{name} is required") for name in due if name not in body]
    if "input" in body and not isinstance(body["input"], dict):
        fields.append(("invalid_type", "input", "Invalid type. Expected: object"))
    for name, (kind, word) in _TYPES.items():
        if not isinstance(body.get(name, kind()), kind):
            fields.append(("invalid_type", name, f"Invalid type. Expected: {word}"))
    if isinstance(events := body.get("webhook_events_filter"), list) and any(one not in EVENTS for one in events):
        words = ", ".join(f'"{event}"' for event in EVENTS)
        fields.append(("enum", "webhook_events_filter", f"webhook_events_filter must be one of the following: {words}"))
    if operation == "train" and not _DESTINATION.fullmatch(str(body.get("destination", "a/b"))):
        fields.append(("pattern", "destination", "Does not match pattern 'owner/name'"))
    if fields:
        raise refused(sorted(fields), headers)


def _model_of(request: Request, operation: str, body: Mapping[str, Any]) -> tuple[str, str]:
    """(model, version) that is asked for; the version is "" where a model is run by its name. Raises Refused."""
    if operation in ("predict_model", "train"):
        return f"{request.params['owner']}/{request.params['name']}", request.params.get("version", "")
    if operation == "predict_deployment":
        found = catalog.deployment(f"{request.params['owner']}/{request.params['name']}")
        if found is None:
            raise Refused(Problem("not_found"))
        return found["current_release"]["model"], found["current_release"]["version"]
    asked = body["version"]
    if not isinstance(asked, str):
        raise refused([("invalid_type", "version", "Invalid type. Expected: string")])
    name, _, version = asked.rpartition(":")
    if "/" in version:
        return version, ""  # an official model by its name
    model = name or catalog.model_of(request.facts, version)
    if not model:
        raise Refused(Problem("unknown_version"))
    return model, version


def _wait(request: Request) -> tuple[int | None, tuple[tuple[str, str], ...]]:
    """How long the reply may be held, in seconds, and the header that says so; None: not at all."""
    found = _PREFER.search(request.headers.get("prefer", ""))
    if found is None:
        return None, ()
    default, low, high = WAIT_S
    seconds = default if found[1] is None else min(max(int(found[1]), low), high)
    return seconds, (("preference-applied", f"wait={seconds}"),)


def _deadline_ms(request: Request) -> int | None:
    """The span of the header `Cancel-After`: "1m", "90s", "1h30m45s", or bare seconds."""
    told = request.headers.get("cancel-after", "").strip()
    found = _SPAN.fullmatch(told)
    if not told:
        return None
    hours, minutes, rest = ("0", "0", "0") if found is None else (part or "0" for part in found.groups())
    seconds = 3600 * int(hours) + 60 * int(minutes) + int(rest)
    if seconds < CANCEL_AFTER_S:
        said = f"Cancel-After must be at least {CANCEL_AFTER_S} seconds, got {told}"
        raise Refused(Problem("invalid_request", said, status=400))
    return 1000 * seconds


def _model(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body that makes a model. Raises Refused."""
    due = ("owner", "name", "visibility", "hardware")
    fields = [("required", "", f"{name} is required") for name in due if name not in body]
    fields += [
        ("invalid_type", name, "Invalid type. Expected: string")
        for name, value in body.items()
        if value is not None and not isinstance(value, str)
    ]
    if fields:
        raise refused(sorted(fields))
    return body


def _file(request: Request) -> Ask:
    """An upload: the part `content` of a form, and perhaps `metadata`."""
    if len(request.body) > BODY_BYTES:
        raise Refused(Problem("too_large"))
    try:
        parts = {part.name: part for part in forms.parts(request.headers.get("content-type", ""), request.body)}
        metadata = orjson.loads(parts["metadata"].data) if "metadata" in parts else {}
    except (ValueError, KeyError):
        raise Refused(Problem("invalid_request", "The request body is not a valid form.", status=400)) from None
    content = parts.get("content")
    if content is None or not isinstance(metadata, dict):
        raise Refused(Problem("invalid_request", "Missing content", status=400))
    told = {
        "name": content.filename or "file",
        "content_type": content.content_type or "application/octet-stream",
        "content": content.data,
        "metadata": metadata,
    }
    return Ask("create_file", catalog.STORED, body=told, fresh=True, site=_site(request))
