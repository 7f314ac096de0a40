"""A request to a neighbour as values, and its answer as values: who plays it owns the socket and the clock.

Values, so that any worker of a fleet can pass a request on to the one that keeps the neighbours' memory.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

import msgspec
import orjson

from simulator.script import Ending, Frame, Script

HOST: Final = re.compile(r"^[A-Za-z0-9._-]+(:\d{1,5})?$|^\[[0-9a-fA-F:.]+\](:\d{1,5})?$")
PAIRS_MAX: Final = 200  # of a query or a form
Pairs = tuple[tuple[str, str], ...]


class Asked(msgspec.Struct, frozen=True, dict=True):
    """One request. Header names are in lower case; `path` is decoded, `query` is not."""

    method: str
    path: str
    query: str
    headers: Pairs
    body: bytes
    now_ms: float

    @cached_property
    def now_s(self) -> int:
        """The fleet's time in whole seconds."""
        return int(self.now_ms // 1000)

    @cached_property
    def seen(self) -> Mapping[str, str]:
        """The headers; of several alike the last one."""
        return dict(self.headers)

    @cached_property
    def site(self) -> str:
        """Where the client thinks the fleet is, without a slash at the end."""
        host = self.seen.get("host", "")
        return f"http://{host if HOST.match(host) else 'localhost'}"

    @cached_property
    def params(self) -> Mapping[str, str]:
        """The query, of several alike the first one."""
        return pairs(self.query)

    @cached_property
    def form(self) -> Mapping[str, str]:
        """A form in the body; nothing for any other body."""
        kind = self.seen.get("content-type", "").partition(";")[0].strip().lower()
        return pairs(self.body.decode("utf-8", "replace")) if kind == "application/x-www-form-urlencoded" else {}

    @cached_property
    def told(self) -> Mapping[str, str]:
        """The form of a POST, the query of anything else."""
        return self.form if self.method == "POST" else self.params

    @cached_property
    def cookies(self) -> Mapping[str, str]:
        """The cookies; none when they cannot be read."""
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(self.seen.get("cookie", ""))
        except CookieError:
            return {}
        return {name: morsel.value for name, morsel in jar.items()}

    @cached_property
    def basic(self) -> tuple[str, str] | None:
        """Name and password of HTTP Basic, each form-decoded as RFC 6749 section 2.3.1 has it."""
        scheme, _, coded = self.seen.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, colon, password = b64decode(coded, validate=True).decode().partition(":")
        except (Error, ValueError):
            return None
        return (unquote_plus(name), unquote_plus(password)) if colon else None

    @cached_property
    def bearer(self) -> str | None:
        """The token of `Authorization: Bearer`."""
        scheme, _, token = self.seen.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None


def pairs(text: str) -> Mapping[str, str]:
    """Name and value of a query or a form; the first of several alike counts."""
    try:
        found = parse_qsl(text, keep_blank_values=True, max_num_fields=PAIRS_MAX)
    except ValueError:
        return {}
    return dict(reversed(found))


class Answer(msgspec.Struct, frozen=True):
    """One reply: after `delay_ms` all of it, or no head at all when the status is None."""

    status: int | None
    headers: Pairs = ()
    body: bytes = b""
    delay_ms: float = 0.0
    ending: Ending = Ending.END

    def script(self) -> Script:
        """The same as a plan of frames."""
        due_ms = None if self.status is None else self.delay_ms
        frames = (Frame(self.body, "body", due_ms=self.delay_ms),) if self.status is not None and self.body else ()
        return Script(self.status or 0, self.headers, frames, ending=self.ending, head_due_ms=due_ms)

    def later(self, ms: float) -> Answer:
        """The same answer, `ms` later."""
        return msgspec.structs.replace(self, delay_ms=self.delay_ms + ms)


NO_STORE: Final = ("cache-control", "no-store")


def json_answer(content: Any, status: int = 200, *headers: tuple[str, str]) -> Answer:
    """A JSON document."""
    return Answer(status, (("content-type", "application/json"), *headers), orjson.dumps(content))


def page(html: str, status: int = 200, *headers: tuple[str, str]) -> Answer:
    """An HTML page, which nobody keeps."""
    return Answer(status, (("content-type", "text/html; charset=utf-8"), NO_STORE, *headers), html.encode())


def redirect(location: str, *headers: tuple[str, str]) -> Answer:
    """On to another place, by GET."""
    return Answer(303, (("location", location), NO_STORE, *headers))
