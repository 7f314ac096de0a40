"""What the handlers of the control API share: reading a request, answering in JSON, refusing with what was due."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from simulator.faults import Flaw

BODY_BYTES_MAX = 4 << 20


def reply(content: object, status: int = 200) -> Response:
    """A JSON response."""
    return Response(orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS), status, media_type="application/json")


class Refusal(Exception):
    """A control request that is wrong."""

    def __init__(self, message: str, flaws: list[Flaw] | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.content: dict[str, Any] = {"error": {"message": message}}
        if flaws:
            self.content["error"]["problems"] = [flaw._asdict() for flaw in flaws]


async def read_body(request: Request) -> bytes:
    """The whole body. Raises Refusal when it is too large."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > BODY_BYTES_MAX:
            raise Refusal(f"The body is larger than {BODY_BYTES_MAX} bytes.", status=413)
    return bytes(parts)


def read_json(body: bytes) -> Any:
    """The data in a body. Raises Refusal."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal("The body is not JSON.", [Flaw("the body", str(error), "JSON")]) from None


def read_object(body: bytes, keys: Set[str]) -> dict[str, Any]:
    """The JSON object in a body, with none but these keys. Raises Refusal."""
    data = read_json(body)
    due = f"an object with {' and '.join(sorted(keys))}"
    if not isinstance(data, dict):
        raise Refusal("The body is not sound.", [Flaw("the body", repr(data)[:80], due)])
    if unknown := sorted(data.keys() - keys):
        raise Refusal("The body is not sound.", [Flaw(name, "an unknown key", due) for name in unknown])
    return data


def read_whole(params: Mapping[str, str], name: str) -> int | None:
    """A whole number of the query; None when it is not given. Raises Refusal."""
    raw = params.get(name)
    if raw is None:
        return None
    if not raw.isdecimal() or len(raw) > 15:
        raise Refusal("The query is not sound.", [Flaw(name, repr(raw), "a whole number >= 0")])
    return int(raw)
