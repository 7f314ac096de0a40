"""Somebody at the dashboard of a gateway in memory: a browser with its cookie, at an address of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from typing import Any

from gateway import config
from gateway.app import App
from gateway.people.passwords import Cost, Passwords
from gateway.services import open_services
from gateway.storage.store import Store
from gateway.upstreams.memory import MemoryTransport
from tests.gateway.lab import Answer, Lab, completion, ok, open_lab
from tests.gateway.making import StillClock

CHEAP = Cost(1, 1, 1)
PASSWORD = "correct horse battery"
HOST = "gateway.example"


class From:
    """The application, asked from an address."""

    def __init__(self, app: Any, address: str) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app({**scope, "client": (self._address, 1234)}, receive, send)


@dataclass
class Browser:
    """Keeps its cookie and its CSRF token, and sends both."""

    lab: Lab
    address: str = "198.51.100.1"
    cookie: str | None = None
    csrf: str | None = None
    user_id: str = ""
    email: str = ""
    answers: list[Answer] = field(default_factory=list)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        csrf: bool = True,
    ) -> Answer:
        given = {"host": HOST}
        if self.cookie is not None:
            given["cookie"] = self.cookie
        if csrf and self.csrf is not None:
            given["x-csrf-token"] = self.csrf
        lab = replace(self.lab, app=From(self.lab.app, self.address))  # type: ignore[arg-type]
        answer = await lab.ask(path, body, method=method, headers={**given, **(headers or {})}, query=query)
        self.answers.append(answer)
        if "set-cookie" in answer.headers:
            self._take(answer)
        return answer

    def _take(self, answer: Answer) -> None:
        [(name, morsel)] = SimpleCookie(answer.headers["set-cookie"]).items()
        self.cookie = f"{name}={morsel.value}" if morsel.value else None
        self.csrf = answer.json["csrfToken"] if self.cookie else None
        if self.cookie:
            self.user_id, self.email = answer.json["user"]["id"], answer.json["user"]["email"]

    async def get(self, path: str, query: str = "") -> Any:
        """The JSON of a 200."""
        answer = await self.ask("GET", path, query=query)
        assert answer.status == 200, answer.body
        return answer.json

    async def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON of a good answer."""
        answer = await self.ask("POST", path, body)
        assert answer.status == status, answer.body
        return answer.json if answer.body else None

    async def sign_up(self, email: str, password: str = PASSWORD, **more: Any) -> Answer:
        return await self.ask("POST", "/api/auth/sign-up", {"email": email, "password": password, **more})

    async def sign_in(self, email: str, password: str = PASSWORD) -> Answer:
        return await self.ask("POST", "/api/auth/sign-in", {"email": email, "password": password})

    async def org(self, name: str = "Acme Inc") -> str:
        """A new organisation's id."""
        return str((await self.post("/api/orgs", {"name": name}, 201))["id"])

    async def invited(self, org_id: str, other: Browser, role: str) -> None:
        """Makes another user a member, by invitation."""
        body = {"email": other.email, "role": role}
        made = await self.post(f"/api/orgs/{org_id}/invitations", body, 201)
        await other.post("/api/orgs/invitations/accept", {"token": made["token"]})


async def open_dashboard(**options: Any) -> Lab:
    """A gateway whose upstreams say hello, with passwords that cost nothing."""
    lab = await open_lab(lambda _request: ok(completion()), **options)
    lab.services.people.passwords = Passwords(CHEAP)
    return lab


async def dashboard_on(store: Store) -> Lab:
    """A gateway on this store."""
    settings = config.load(flags={"database": store.url})
    transport = MemoryTransport(lambda _request: ok(completion()))
    services = open_services(settings, store, transport, "admin", clock=StillClock())
    services.people.passwords = Passwords(CHEAP)
    user = await services.accounts.create_user()
    key, secret = await services.accounts.create_key(user)
    return Lab(services, App(services), transport, key, secret, user.id)


async def user(lab: Lab, email: str = "ada@example.com", address: str = "198.51.100.1", **more: Any) -> Browser:
    """Somebody who has just signed up."""
    browser = Browser(lab, address)
    answer = await browser.sign_up(email, **more)
    assert answer.status == 201, answer.body
    return browser


async def call_with(lab: Lab, secret: str, path: str = "/api/v1/models", **headers: str) -> Answer:
    """A call of the API with a key."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await lab.ask(path, method="GET", headers={"authorization": f"Bearer {secret}", **named})


async def close(lab: Lab) -> None:
    """Lets go of threads."""
    await lab.services.close()


def events(answer: Any) -> list[tuple[str, str | None, str]]:
    """(action, target, outcome) of an audit log, oldest first."""
    return [(event["action"], event["target"], event["outcome"]) for event in reversed(answer["events"])]


def dumped(answer: Answer) -> str:
    """Everything that the answer says, for finding what it must not."""
    return answer.body.decode() + json.dumps(answer.headers)
