"""The OpenAPI document of a model's version, as Cog writes it: what clients read of a model's input and output.

Source: documents of Cog 0.7 to 0.9 as the API serves them. Paths and schemas are Cog's; `Input` and `Output` come from
the fields of the model's row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from simulator.dialects.predictions.inputs import Fields

Json = dict[str, Any]

STATUSES: Final = ("starting", "processing", "succeeded", "canceled", "failed")
EVENTS: Final = ("start", "output", "logs", "completed")
_URI: Final = {"type": "string", "format": "uri"}
_OUTPUTS: Final[Mapping[str, Json]] = {  # the shape of an output -> its schema
    "list": {"type": "array", "items": _URI, "title": "Output"},
    "one": {"type": "string", "title": "Output", "format": "uri"},
    "text": {
        "type": "array",
        "items": {"type": "string"},
        "title": "Output",
        "x-cog-array-type": "iterator",
        "x-cog-array-display": "concatenate",
    },
    "object": {"type": "object", "title": "Output"},
}
_PREFER: Final = {"in": "header", "name": "prefer", "schema": {"type": "string", "title": "Prefer"}, "required": False}


def document(inputs: Fields, output: str, training: Fields | None, *, tells_ready: bool = False) -> Json:
    """The whole document.

    `output` is a shape of an output; `training` the input of trainings, None: it has none. `tells_ready`: this build of
    Cog has a path for it.
    """
    runs = [("prediction", "Prediction", inputs)]
    if training is not None:
        runs.append(("training", "Training", training))
    paths: Json = {"/": _plain("get", "Root", "root__get"), "/shutdown": _plain("post", "Start Shutdown", "shutdown")}
    paths["/health-check"] = _plain("get", "Healthcheck", "healthcheck_health_check_get")
    if tells_ready:
        paths["/ready"] = _plain("get", "Ready", "ready_ready_get")
    schemas: Json = {}
    for word, name, fields in runs:
        paths |= _run(word, name)
        schemas |= _schemas(name, fields, output)
    schemas |= {
        "Status": _enumeration("Status", STATUSES),
        "WebhookEvent": _enumeration("WebhookEvent", EVENTS),
        "ValidationError": _VALIDATION_ERROR,
        "HTTPValidationError": {
            "type": "object",
            "title": "HTTPValidationError",
            "properties": {"detail": {"type": "array", "items": _ref("ValidationError"), "title": "Detail"}},
        },
    }
    info = {"title": "Cog", "version": "0.1.0"}
    return {"info": info, "paths": paths, "openapi": "3.0.2", "components": {"schemas": schemas}}


_VALIDATION_ERROR: Final[Json] = {
    "type": "object",
    "title": "ValidationError",
    "required": ["loc", "msg", "type"],
    "properties": {
        "loc": {
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "title": "Location",
        },
        "msg": {"type": "string", "title": "Message"},
        "type": {"type": "string", "title": "Error Type"},
    },
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _enumeration(title: str, words: Any) -> Json:
    kind = "string" if all(isinstance(word, str) for word in words) else "integer"
    return {"enum": list(words), "type": kind, "title": title, "description": "An enumeration."}


# --- paths ------------------------------------------------------------------------------------------------------------


def _content(schema: Json) -> Json:
    return {"content": {"application/json": {"schema": schema}}}


def _plain(method: str, summary: str, operation: str) -> Json:
    answer = {**_content({"title": f"Response {summary}"}), "description": "Successful Response"}
    return {method: {"summary": summary, "responses": {"200": answer}, "operationId": operation}}


def _call(summary: str, operation: str, parameters: list[Json], answer: Json, about: str) -> Json:
    refused = {**_content(_ref("HTTPValidationError")), "description": "Validation Error"}
    return {
        "summary": summary,
        "responses": {"200": {**_content(answer), "description": "Successful Response"}, "422": refused},
        "parameters": parameters,
        "description": about,
        "operationId": operation,
    }


def _run(word: str, name: str) -> Json:
    """The paths of predictions, or of trainings."""
    verb = "Predict" if word == "prediction" else "Train"
    known = {"in": "path", "name": f"{word}_id", "schema": {"type": "string"}, "required": True}
    answer, asked = _ref(f"{name}Response"), _ref(f"{name}Request")
    begun = _call(verb, f"{verb.lower()}_{word}s_post", [_PREFER], answer, f"Run a single {word} on the model")
    again = _call(f"{verb} Idempotent", f"{verb.lower()}_idempotent", [known, _PREFER], answer, f"Run a {word} once")
    ended = _call("Cancel", f"cancel_{word}", [known], {"title": "Response Cancel"}, f"Cancel a running {word}")
    whole = {"allOf": [asked], "title": f"{name} Request"}
    return {
        f"/{word}s": {"post": {**begun, "requestBody": _content(asked)}},
        f"/{word}s/{{{word}_id}}": {"put": {**again, "requestBody": {**_content(whole), "required": True}}},
        f"/{word}s/{{{word}_id}}/cancel": {"post": ended},
    }


# --- schemas ----------------------------------------------------------------------------------------------------------


def _schemas(name: str, fields: Fields, output: str) -> Json:
    is_training = name == "Training"
    given, gives = ("TrainingInput", "TrainingOutput") if is_training else ("Input", "Output")
    weights = {
        "type": "object",
        "title": gives,
        "required": ["weights"],
        "properties": {"weights": {**_URI, "title": "Weights"}},
    }
    when = {"type": "string", "format": "date-time"}
    asked = {
        "id": {"type": "string", "title": "Id"},
        "input": _ref(given),
        "webhook": {"type": "string", "title": "Webhook", "format": "uri", "maxLength": 65536, "minLength": 1},
        "created_at": {**when, "title": "Created At"},
        "output_file_prefix": {"type": "string", "title": "Output File Prefix"},
        "webhook_events_filter": {"type": "array", "items": _ref("WebhookEvent"), "default": list(EVENTS)},
    }
    told = {
        "id": {"type": "string", "title": "Id"},
        "logs": {"type": "string", "title": "Logs", "default": ""},
        "error": {"type": "string", "title": "Error"},
        "input": _ref(given),
        "output": _ref(gives),
        "status": _ref("Status"),
        "metrics": {"type": "object", "title": "Metrics"},
        "version": {"type": "string", "title": "Version"},
        **{at: {**when, "title": at} for at in ("created_at", "started_at", "completed_at")},
    }
    return {
        given: _input(given, fields),
        gives: weights if is_training else _OUTPUTS[output],
        **{field: _enumeration(field, row["enum"]) for field, row in fields.items() if "enum" in row},
        f"{name}Request": {"type": "object", "title": f"{name}Request", "properties": asked},
        f"{name}Response": {"type": "object", "title": f"{name}Response", "properties": told},
    }


def _input(title: str, fields: Fields) -> Json:
    properties = {name: _property(name, row, order) for order, (name, row) in enumerate(fields.items())}
    required = [name for name, row in fields.items() if row.get("required")]
    found: Json = {"type": "object", "title": title, "properties": properties}
    return found | {"required": required} if required else found


def _property(name: str, row: Mapping[str, Any], order: int) -> Json:
    kind = row["type"]
    if "enum" in row:
        found: Json = {"allOf": [_ref(name)]}
    elif kind == "uri":
        found = {**_URI, "title": name.replace("_", " ").title()}
    else:
        found = {"type": kind, "title": name.replace("_", " ").title()}
    if kind == "array":
        found["items"] = _URI if row.get("item", {}).get("type") == "uri" else {"type": "string"}
    names = {"default": "default", "min": "minimum", "max": "maximum", "about": "description"}
    return found | {"x-order": order} | {told: row[own] for own, told in names.items() if own in row}
