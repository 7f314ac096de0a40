"""A fleet with its neighbours, and what tests of them share: a browser that fills in forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from simulator.clock import Clock
from tests.simulator import live
from tests.simulator.live import Live

TIMEOUT_S = 20
PASSWORD = "correct-horse"
ROWS = {"providers": [{"name": "openai", "dialect": "openai_chat", "region": "us"}]}
CALLBACK = "http://gateway.example/callback"


@dataclass(slots=True)
class Neighbourly:
    """A running fleet, and where its neighbours are."""

    live: Live
    url: str
    smtp: tuple[str, int]

    def control(self, method: str, path: str, content: object = None) -> Any:
        """One call of the control API, which must succeed."""
        return self.live.control(method, path, content)

    def refused(self, method: str, path: str, content: object = None) -> tuple[int, list[dict[str, str]]]:
        """One call of the control API, which must not: the status, and the problems told."""
        reply = self.live.call(live.request(method, f"/__fleet/{path}", content))
        assert reply.status >= 400, reply
        return reply.status, reply.json["error"].get("problems", [])

    def hurt(self, neighbour: str, kind: str, **options: object) -> None:
        """Put one fault in force, besides others."""
        self.control("POST", f"neighbours/{neighbour}/faults", {"faults": [{"kind": kind, **options}]})


@contextmanager
def neighbourly(clock: Clock | None = None, seed: int = 7) -> Iterator[Neighbourly]:
    """A fleet with a mail server, in a thread."""
    with live.running(clock, seed, ROWS, mail=True) as found:
        told = found.runtime.describe()
        yield Neighbourly(found, told["base_url"], (told["smtp"]["host"], told["smtp"]["port"]))


def browser() -> requests.Session:
    """A client with a jar of cookies, that follows nothing by itself."""
    session = requests.Session()
    session.trust_env = False
    return session


def get(session: requests.Session, url: str, **params: str) -> requests.Response:
    """One GET."""
    return session.get(url, params=params, allow_redirects=False, timeout=TIMEOUT_S)


def fields(page: str) -> dict[str, str]:
    """The hidden fields of the form in a page."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return {unescape(name): unescape(value) for name, value in found}


def action(page: str) -> str:
    """Where the form in a page goes."""
    found = re.search(r'<form method="post" action="([^"]*)"', page)
    assert found, page
    return unescape(found[1])


def submit(session: requests.Session, at: requests.Response, **filled: str) -> requests.Response:
    """Submit the form in a page."""
    where = urlsplit(at.url)
    url = action(at.text)
    url = url if "://" in url else f"{where.scheme}://{where.netloc}{url}"
    return session.post(url, data={**fields(at.text), **filled}, allow_redirects=False, timeout=TIMEOUT_S)


def told(response: requests.Response) -> dict[str, str]:
    """The query of the place that a response redirects to."""
    assert response.status_code == 303, (response.status_code, response.text)
    return dict(parse_qsl(urlsplit(response.headers["location"]).query))
