"""Somebody at the dashboard's pages of a gateway in memory: a browser without a script, with all its cookies."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from tests.gateway.lab import Lab
from tests.gateway.people_lab import HOST, PASSWORD

FORM = {"content-type": "application/x-www-form-urlencoded"}
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
VOID = {"meta", "link", "input", "img", "br", "path", "rect", "circle"}


@dataclass(slots=True)
class Page:
    """An answer."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode()

    def header(self, name: str) -> str:
        """The one header of a name; empty where there is none."""
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1, found
        return found[0] if found else ""

    @property
    def location(self) -> str:
        return self.header("location")

    @property
    def tags(self) -> list[tuple[str, dict[str, str | None]]]:
        """Every element and its attributes, in order."""
        reader = Reader()
        reader.feed(self.text)
        return reader.tags


class Reader(HTMLParser):
    """Collects elements."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@dataclass
class Person:
    """A browser."""

    lab: Lab
    address: str = "198.51.100.1"
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""

    async def ask(self, method: str, target: str, raw: bytes = b"", **headers: str) -> Page:
        """One request; redirects are not followed."""
        path, _, query = target.partition("#")[0].partition("?")
        given = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            "http_version": "1.1",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": (self.address, 1),
            "root_path": "",
        }
        unread, page = [{"type": "http.request", "body": raw, "more_body": False}], Page()

        async def receive() -> Any:
            return unread.pop() if unread else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                page.status = message["status"]
                page.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
            else:
                page.body += message.get("body", b"")

        await self.lab.app(scope, receive, send)
        self._keep(page)
        return page

    def _keep(self, page: Page) -> None:
        for name, value in page.headers:
            if name == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
                if not self.cookies[key]:
                    del self.cookies[key]
        found = CSRF.search(page.text)
        if found:
            self.csrf = found[1]

    async def get(self, target: str, status: int = 200) -> Page:
        """A page of this status."""
        page = await self.ask("GET", target)
        assert page.status == status, (target, page.status, page.location, page.text[-600:])
        return page

    async def post(self, target: str, due: int = 303, csrf: str | None = None, **fields: str) -> Page:
        """A form, with the last page's CSRF token."""
        data = {"csrf": self.csrf if csrf is None else csrf, **fields}
        page = await self.ask("POST", target, urlencode(data).encode(), **FORM)  # type: ignore[arg-type]
        assert page.status == due, (target, page.status, page.location, page.text[-900:])
        return page

    async def sign_up(self, email: str, name: str = "") -> None:
        """A new user, signed in."""
        await self.get("/sign-up")
        await self.post("/sign-up", email=email, name=name, password=PASSWORD)
        await self.get("/usage")


async def person(lab: Lab, email: str, name: str = "") -> Person:
    """Somebody who has just signed up."""
    made = Person(lab)
    await made.sign_up(email, name)
    return made
