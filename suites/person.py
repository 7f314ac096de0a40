"""A person at the dashboard: signed in by a cookie, with the CSRF token that changes need.

ada = await sign_up(case)                                   # a new person of this case, signed in
reply = await ada.post("/api/api-keys", {"name": "prod"})   # a Reply, noted in the case's evidence
due(reply, 201)
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from suites.case import Case
from suites.edge import sleep_ms
from suites.exchange import PATIENCE_S, Reply, Sent, send
from suites.outcomes import Violation
from suites.provisioning import Key, User
from suites.rig import new_session

PASSWORD: Final = "a long pass phrase"
CSRF_HEADER: Final = "x-csrf-token"
SAFE: Final = ("GET", "HEAD", "OPTIONS")
PATIENCE: Final = 5  # tries more
LOOPBACK: Final = ("127.0.0.1", "localhost")


@dataclass
class Person:
    """Somebody with a browser: what the gateway set as cookies is sent with every request."""

    case: Case
    email: str
    password: str = PASSWORD
    id: str = ""
    csrf: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    address: str = ""  # where sign-ins come from, on a loopback target; "": wherever the client is

    def at(self, case: Case) -> Person:
        """The same person, in the same session, at work for another case: its evidence tells of what they do."""
        return replace(self, case=case)

    def elsewhere(self) -> Person:
        """The same person at another browser: without cookies."""
        return replace(self, csrf="", cookies={})

    async def get(self, path: str, **options: Any) -> Reply:
        """GET a path below the gateway's root, or a whole URL."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, document: Any = None, **options: Any) -> Reply:
        """POST a JSON document."""
        return await self.request("POST", path, document, **options)

    async def put(self, path: str, document: Any = None, **options: Any) -> Reply:
        """PUT a JSON document."""
        return await self.request("PUT", path, document, **options)

    async def patch(self, path: str, document: Any = None, **options: Any) -> Reply:
        """PATCH by a JSON document."""
        return await self.request("PATCH", path, document, **options)

    async def delete(self, path: str, document: Any = None, **options: Any) -> Reply:
        """DELETE."""
        return await self.request("DELETE", path, document, **options)

    async def request(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        csrf: str | None = None,
        address: str = "",
        limit_s: float = PATIENCE_S,
    ) -> Reply:
        """Any request with the cookies; with the CSRF token where it changes something.

        `body` goes instead of the document, `csrf` instead of the person's token ("" for none). Redirects are not
        followed; cookies and a `csrfToken` of the reply are kept.
        """
        url = path if "://" in path else self.case.target.root_url + path
        made = {"content-type": "application/json"} if document is not None else {}
        if self.cookies and url.startswith(self.case.target.root_url):
            made["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        token = self.csrf if csrf is None else csrf
        if token and method not in SAFE:
            made[CSRF_HEADER] = token
        if body is None:
            body = b"" if document is None else self.case.encode(document)
        reply = await exchange(self.case, Sent(method, url, {**made, **(headers or {})}, body), address, limit_s)
        self._keep(reply)
        return reply

    def _keep(self, reply: Reply) -> None:
        for line in reply.headers.getall("set-cookie", []):
            name, _, value = line.partition(";")[0].strip().partition("=")
            if value.strip('"'):
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        if reply.status < 300 and isinstance(reply.document, dict) and "csrfToken" in reply.document:
            self.csrf = str(reply.document["csrfToken"])
            self.id = str(reply.document.get("user", {}).get("id", self.id))

    @property
    def user(self) -> User:
        """Who pays for their own keys, as the books know them."""
        return User(self.id, Key("", "", self.id))

    @property
    def tag(self) -> str:
        """What the fleet's mail server files their mails by."""
        return self.email.partition("@")[0].partition("+")[2]

    # -- their session -----------------------------------------------------------------------------------------------

    async def sign_up(self, name: str | None = None) -> Reply:
        """Sign up; the person is signed in when it succeeds."""
        told = {"email": self.email, "password": self.password} | ({} if name is None else {"name": name})
        return await self.post("/api/auth/sign-up", told, address=self.address)

    async def sign_in(self, password: str | None = None, **options: Any) -> Reply:
        """Sign in, perhaps by another password than the right one."""
        told = {"email": self.email, "password": self.password if password is None else password}
        return await self.post("/api/auth/sign-in", told, **{"address": self.address, **options})

    async def session(self) -> Reply:
        """Who is signed in, by the gateway's word. Keeps the CSRF token."""
        return await self.get("/api/auth/session")


async def exchange(case: Case, sent: Sent, address: str = "", limit_s: float = PATIENCE_S) -> Reply:
    """One request, noted in the case's evidence; from an `address` of this machine if it is told."""
    if address:
        async with new_session(address) as session:
            return await _exchange(case, session, sent, limit_s)
    return await _exchange(case, case.rig.session, sent, limit_s)


async def _exchange(case: Case, session: aiohttp.ClientSession, sent: Sent, limit_s: float) -> Reply:
    async with await send(session, sent, case.evidence, limit_s) as opened:
        reply = await opened.rest(limit_s)
    case.findings.look_at(reply)
    return reply


def new_person(case: Case) -> Person:
    """Somebody whom the gateway does not know, with an e-mail address nobody had before: mails bear its tag as case."""
    token = case.fresh()
    return Person(case, f"person+{token}@people.example", address=address_of(case, token))


async def sign_up(case: Case, name: str | None = None) -> Person:
    """A new person, signed in; a busy gateway is asked again. Raises Violation when it does not let them in."""
    person = new_person(case)
    reply = await person.sign_up(name)
    for _ in range(PATIENCE):
        if reply.status != 429:
            break
        await sleep_ms(1000)
        reply = await person.sign_up(name)
    due(reply, 201)
    if not (person.csrf and person.id and person.cookies):
        raise Violation("signing up gave no session: a cookie, `csrfToken` and `user.id` were due")
    return person


def address_of(case: Case, token: str) -> str:
    """An address of this machine that stands for the token: attempts to sign in are counted by address.

    "" where the target is elsewhere, or the system has but one loopback address.
    """
    if urlsplit(case.target.root_url).hostname not in LOOPBACK or not sys.platform.startswith("linux"):
        return ""
    number = zlib.crc32(token.encode())
    return f"127.{1 + number % 254}.{(number >> 8) % 256}.{1 + (number >> 16) % 254}"


def due(reply: Reply, *statuses: int) -> dict[str, Any]:
    """The JSON object of a reply that has one of these statuses ({} of an empty body). Raises Violation."""
    if reply.status not in statuses:
        raise Violation(f"{reply.sent.method} {reply.sent.url}: due {' or '.join(map(str, statuses))}; came {reply}")
    return reply.json if reply.raw else {}
