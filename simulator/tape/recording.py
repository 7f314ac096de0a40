"""One recorded exchange, as a JSON file: what was asked, and every piece of the reply with the moment it arrived.

Times are milliseconds since the request was sent. A piece is a text, or `{"base64": …}` where its bytes are no UTF-8.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from simulator.faults.base import Flaw, Flawed

VERSION = 1
REDACTED = "REDACTED"
SECRET_HEADERS = frozenset(
    {
        "anthropic-organization-id",
        "api-key",
        "authorization",
        "cookie",
        "openai-organization",
        "openai-project",
        "proxy-authorization",
        "set-cookie",
        "x-api-key",
        "x-goog-api-key",
        "x-key",
        "xi-api-key",
    }
)
SECRET_PARAMS = frozenset({"key", "api_key", "access_token", "token"})
_SECRET = re.compile(
    r"\b(?:sk|rk|ck|pk|xai|gsk|hf|r8)[-_][A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{20,}|\bya29\.[A-Za-z0-9._-]{20,}"
)
_SECRET_PARAM = re.compile(rf"(?<![^&?])({'|'.join(sorted(SECRET_PARAMS))})=[^&]*")

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that arrived together; of a chunked reply, one chunk."""

    at_ms: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Recording:
    """One exchange."""

    method: str
    path: str
    query: str
    request_headers: Pairs
    request_body: bytes
    status: int
    headers: Pairs
    head_at_ms: float
    pieces: tuple[Piece, ...]
    chunked: bool
    ended: str = "end"  # "end" | "cut": the connection broke off | "client_gone": nobody read the rest

    def as_json(self) -> dict[str, Any]:
        """The file's content, without secrets."""
        return {
            "version": VERSION,
            "request": {
                "method": self.method,
                "path": self.path,
                "query": _SECRET_PARAM.sub(rf"\1={REDACTED}", self.query),
                "headers": redacted(self.request_headers),
                "body": _told(self.request_body),
            },
            "response": {
                "status": self.status,
                "headers": redacted(self.headers),
                "head_at_ms": round(self.head_at_ms, 3),
                "chunked": self.chunked,
                "pieces": [[round(piece.at_ms, 3), _told(piece.data)] for piece in self.pieces],
                "ended": self.ended,
            },
        }

    def save(self, path: Path) -> None:
        """Write the file at once or not at all."""
        draft = path.with_suffix(".part")
        draft.write_bytes(orjson.dumps(self.as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        draft.replace(path)


def redacted(headers: Pairs) -> list[list[str]]:
    """The headers without keys, cookies and account ids."""
    return [
        [name, REDACTED if name.lower() in SECRET_HEADERS else _SECRET.sub(REDACTED, value)] for name, value in headers
    ]


def without_secrets(data: bytes) -> bytes:
    """A body with whatever looks like a key made unreadable; one that is no text stays as it is."""
    try:
        return _SECRET.sub(REDACTED, data.decode()).encode()
    except UnicodeDecodeError:
        return data


def _told(data: bytes) -> str | dict[str, str]:
    try:
        return without_secrets(data).decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}


def _bytes(told: Any) -> bytes:
    return told.encode() if isinstance(told, str) else b64decode(told["base64"])


def read(data: Mapping[str, Any]) -> Recording:
    """The recording in parsed JSON. Raises KeyError, TypeError or ValueError when it is none."""
    if data["version"] != VERSION:
        raise ValueError(f"version {data['version']}; due {VERSION}")
    asked, told = data["request"], data["response"]
    return Recording(
        method=str(asked["method"]),
        path=str(asked["path"]),
        query=str(asked["query"]),
        request_headers=tuple((str(name), str(value)) for name, value in asked["headers"]),
        request_body=_bytes(asked["body"]),
        status=int(told["status"]),
        headers=tuple((str(name), str(value)) for name, value in told["headers"]),
        head_at_ms=float(told["head_at_ms"]),
        pieces=tuple(Piece(float(at_ms), _bytes(data)) for at_ms, data in told["pieces"]),
        chunked=bool(told["chunked"]),
        ended=str(told["ended"]),
    )


def load(folder: Path) -> list[Recording]:
    """The recordings of a folder, by name of file. Raises Flawed."""
    if not folder.is_dir():
        raise Flawed([Flaw(str(folder), "no such folder", "a folder of recordings (windtunnel record)")])
    flaws: list[Flaw] = []
    found: list[Recording] = []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(read(orjson.loads(path.read_bytes())))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            flaws.append(Flaw(str(path), f"{type(error).__name__}: {error}", f"a recording of version {VERSION}"))
    if not found and not flaws:
        flaws.append(Flaw(str(folder), "no recording in it", "files that `windtunnel record` wrote"))
    if flaws:
        raise Flawed(flaws)
    return found
