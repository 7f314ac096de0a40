"""A gateway and a fleet as processes, and a browser that signs on through both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from tests import servers
from tests.gateway.ground import longer
from tests.simulator.neighbours import PASSWORD, TIMEOUT_S, browser, submit

DOMAIN = "acme.example"
OWNER = "olga@owners.example"
OWNER_PASSWORD = "a password of some length"
SESSION = "windtunnel_session"


@dataclass
class Stack:
    """Both of them, and an organisation with its owner signed in."""

    gateway: str
    admin_token: str
    fleet: str
    control: str
    owner: requests.Session = field(default_factory=browser)
    org_id: str = ""

    def admin(self, method: str, path: str, told: Any = None, status: int = 200) -> Any:
        """One call of the admin API."""
        headers = {"authorization": f"Bearer {self.admin_token}"}
        answer = requests.request(method, f"{self.gateway}/admin{path}", json=told, headers=headers, timeout=TIMEOUT_S)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def ask(self, method: str, path: str, told: Any = None, status: int = 200) -> Any:
        """One call of the owner's."""
        answer = self.owner.request(method, f"{self.gateway}{path}", json=told, timeout=TIMEOUT_S)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def steer(self, method: str, path: str, told: Any = None) -> Any:
        """One call of the fleet's control API."""
        answer = requests.request(method, f"{self.control}{path}", json=told, timeout=TIMEOUT_S)
        assert answer.ok, answer.text
        return answer.json()

    def hurt(self, neighbour: str, kind: str, **options: Any) -> None:
        """Puts a fault in force."""
        self.steer("POST", f"/neighbours/{neighbour}/faults", {"faults": [{"kind": kind, **options}]})

    @contextmanager
    def provider(self, told: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """An identity provider of the organisation's, for a while."""
        made = self.ask("POST", f"/api/orgs/{self.org_id}/sso", {"domain": DOMAIN, **told}, 201)
        try:
            yield made
        finally:
            self.ask("DELETE", f"/api/orgs/{self.org_id}/sso/{made['id']}", status=204)

    def oidc(self, case: str, **more: Any) -> dict[str, Any]:
        """An issuer of the fleet, for one case."""
        issuer = f"{self.fleet}/__oidc/acme~{case}"
        return {
            "type": "oidc",
            "issuer": issuer,
            "clientId": "windtunnel",
            "clientSecret": "windtunnel-secret",
            **more,
        }

    def saml(self, case: str, **more: Any) -> dict[str, Any]:
        """An entity of the fleet, for one case."""
        return {"type": "saml", "metadataUrl": f"{self.fleet}/__saml/acme~{case}/metadata", **more}

    def members(self) -> set[str]:
        """The e-mail addresses of all members."""
        return {one["email"] for one in self.ask("GET", f"/api/orgs/{self.org_id}/members")["members"]}

    def went(self, session: requests.Session, provider: dict[str, Any], **asked: str) -> requests.Response:
        """Where the gateway sends a browser."""
        return session.get(provider["loginUrl"], params=asked, allow_redirects=False, timeout=TIMEOUT_S)

    def signed_on(
        self, session: requests.Session, provider: dict[str, Any], login: str, **asked: str
    ) -> requests.Response:
        """What the gateway says in the end of somebody who signs on."""
        there = self.went(session, provider, **asked)
        if there.status_code != 303:
            return there
        return back(session, self.consented(session, there, login))

    def consented(self, session: requests.Session, there: requests.Response, login: str) -> requests.Response:
        """What the provider says when its form was filled in."""
        form = session.get(there.headers["location"], allow_redirects=False, timeout=TIMEOUT_S)
        if 'name="username"' not in form.text:  # the provider knows the browser
            return form
        return submit(session, form, username=login, password=PASSWORD)


def back(session: requests.Session, answer: requests.Response) -> requests.Response:
    """The browser goes back to the gateway: by a redirect, or by a form that submits itself."""
    if answer.status_code == 303:
        return session.get(answer.headers["location"], allow_redirects=False, timeout=TIMEOUT_S)
    assert "document.forms[0].submit()" in answer.text, answer.text
    return submit(session, answer)


def who(stack: Stack, session: requests.Session) -> str | None:
    """Whose session the browser has at the gateway."""
    answer = session.get(f"{stack.gateway}/api/auth/session", timeout=TIMEOUT_S)
    return str(answer.json()["user"]["email"]) if answer.status_code == 200 else None


def cookies(answer: requests.Response) -> list[str]:
    """The names of the cookies that an answer sets."""
    return [name for name, _ in answer.cookies.items()]


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Stack]:
    """Both of them started, with an organisation that holds acme.example."""
    with ExitStack() as ends:
        fleet = servers.start("simulator")
        ends.callback(fleet.stop)
        data = ends.enter_context(longer(folder))
        url = fleet.told["fleet"]["base_url"]
        settings = ("--set", "allow_private_hosts=127.0.0.1", "--set", "test_clock=true")
        gateway = servers.start("gateway", "--fleet", url, *data, *settings, *options)
        ends.callback(gateway.stop)
        told = gateway.told["gateway"]
        stack = Stack(told["base_url"], told["admin_token"], url, fleet.told["fleet"]["control_url"])
        sign_up(stack)
        yield stack


def sign_up(stack: Stack) -> None:
    """The owner and the organisation."""
    told = {"email": OWNER, "password": OWNER_PASSWORD, "name": "Olga"}
    csrf = stack.ask("POST", "/api/auth/sign-up", told, 201)["csrfToken"]
    stack.owner.headers["x-csrf-token"] = csrf
    stack.org_id = stack.ask("POST", "/api/orgs", {"name": "Acme Inc"}, 201)["id"]
    stack.admin("PUT", f"/sso/domains/{DOMAIN}", {"org_id": stack.org_id})


def path_of(url: str) -> str:
    """The path of a URL."""
    return urlsplit(url).path
