"""Bodies as they come: JSON, MessagePack, or a form. All of them become one mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import orjson

from simulator import forms
from simulator.ask import Request
from simulator.dialects.fish.problems import unparsable, unprocessable
from simulator.problem import Problem, Refused

JSON, MSGPACK = "application/json", "application/msgpack"
MULTIPART, URLENCODED = "multipart/form-data", "application/x-www-form-urlencoded"
DATA: Final = (JSON, MSGPACK)
FORMS: Final = (MULTIPART, URLENCODED)
_LISTS: Final = frozenset({"voices", "texts", "tags"})


def read(request: Request, kinds: tuple[str, ...]) -> Mapping[str, Any]:
    """The body of a request, of one of these kinds; without a content type it counts as JSON. Raises Refused."""
    told = request.headers.get("content-type", JSON)
    kind = told.partition(";")[0].strip().lower()
    kind = MSGPACK if kind == "application/x-msgpack" else kind
    if kind not in kinds:
        raise Refused(Problem("unsupported"))
    try:
        body = _parsed(kind, told, request.body)
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise unparsable(f"Could not parse the body as {kind}: {error}") from None
    if not isinstance(body, Mapping):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise unprocessable([{"loc": ["body"], "type": "model_attributes_type", "msg": message, "in": "body"}])
    return body


def _parsed(kind: str, told: str, data: bytes) -> Any:
    if kind == JSON:
        return orjson.loads(data)
    if kind == MSGPACK:
        return msgspec.msgpack.decode(data)
    if kind == URLENCODED:
        return _gathered([(name, value) for name, value in parse_qsl(data.decode(), keep_blank_values=True)])
    rows = forms.parts(told, data)
    return _gathered([(part.name, part.text if part.filename is None else part.data) for part in rows])


def _gathered(rows: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of a form; `name[]` is `name`."""
    body: dict[str, Any] = {}
    for whole, value in rows:
        name = whole.removesuffix("[]")
        if name in _LISTS:
            body.setdefault(name, []).append(value)
        else:
            body[name] = value
    return body
