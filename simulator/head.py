"""The head of a reply as bytes, and how its body is framed."""

from __future__ import annotations

import http
from email.utils import formatdate
from functools import lru_cache

from simulator.script import Script

NO_BODY = frozenset({204, 304})
LAST_CHUNK = b"0\r\n\r\n"


@lru_cache(maxsize=1024)
def status_line(status: int) -> bytes:
    """`HTTP/1.1 200 OK`, with the standard's phrase where there is one."""
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


@lru_cache(maxsize=4)
def date_line(now_s: int) -> bytes:
    """The date of the fleet's clock."""
    return f"date: {formatdate(now_s, usegmt=True)}\r\n".encode()


def head(script: Script, now_s: int, *, closes: bool = False, chunks: bool = True) -> bytes:
    """Status line and headers, ending in the blank line.

    A stream is chunked, or, for a client of HTTP/1.0, ended by the close; anything else has its length told.
    """
    headers, names = script.headers, dict(script.headers)
    if "date" in names:
        headers = tuple(pair for pair in headers if pair[0] != "date")
    lines = "\r\n".join([*map(": ".join, headers), ""])
    parts = [status_line(script.status), date_line(now_s), lines.encode("latin-1", "replace")]
    if script.stream:
        if chunks:
            parts.append(b"transfer-encoding: chunked\r\n")
    elif script.status not in NO_BODY and "content-length" not in names:
        parts.append(b"content-length: %d\r\n" % sum(len(frame.data) for frame in script.frames))
    if closes:
        parts.append(b"connection: close\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; nothing for no bytes, which would end it."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def whole(script: Script, now_s: int) -> bytes:
    """The whole reply for a client of HTTP/1.1 on a connection that stays open."""
    if script.stream:
        body = [b"%x\r\n%b\r\n" % (len(frame.data), frame.data) for frame in script.frames if frame.data]
        body.append(LAST_CHUNK)
    else:
        body = [] if script.status in NO_BODY else [frame.data for frame in script.frames]
    return b"".join([head(script, now_s), *body])
