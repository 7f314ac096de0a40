"""Every example of the API reference, sent as written, is answered as documented (`examples.yaml`).

Against gateway and fleet as processes; the fleet's clock runs fast, so that clips and jobs take no time.
"""

from __future__ import annotations

import http.cookiejar
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import servers

EXAMPLES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "examples.yaml").read_text())
FUNDS_UC = 10**12
MAIL, PASSWORD = "ann@acme.example", "a password of some length"
TIMEOUT_S = 60


@dataclass
class Answer:
    """What came."""

    status: int
    kind: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Stack:
    """The gateway, a funded user with a key, and a browser that is signed in as that user."""

    base_url: str
    admin_url: str
    admin_token: str
    key: str = ""
    csrf: str = ""
    jar: http.cookiejar.CookieJar = field(default_factory=http.cookiejar.CookieJar)

    def send(self, method: str, url: str, body: Any, headers: dict[str, str], *, cookies: bool = False) -> Answer:
        """One request."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"content-type": "application/json", **headers}, method=method)
        handlers = [urllib.request.HTTPCookieProcessor(self.jar)] if cookies else []
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)
        try:
            with opener.open(request, timeout=TIMEOUT_S) as reply:
                return Answer(reply.status, reply.headers["content-type"], reply.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers["content-type"], error.read())

    def admin(self, path: str, body: Any) -> Any:
        """A call of the provisioning API."""
        head = {"authorization": f"Bearer {self.admin_token}"}
        answer = self.send("POST", self.admin_url + path, body, head)
        assert answer.status < 300, answer
        return answer.json

    def example(self, row: dict[str, Any]) -> Answer:
        """One row of the file, sent."""
        method = "POST" if "post" in row else "GET"
        form, headers = row.get("as", "bearer"), dict(row.get("headers", {}))
        if form == "bearer":
            headers["authorization"] = f"Bearer {self.key}"
        elif form == "session":
            headers |= {"x-csrf-token": self.csrf, "origin": self.base_url}
        else:
            headers[form] = self.key
        url = self.base_url + row[method.lower()]
        return self.send(method, url, row.get("body"), headers, cookies=form == "session")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, module_ground: tuple[str, ...]) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("examples")
    fleet = servers.start("simulator", "--time-scale", "1000")
    options = [*module_ground]
    for option in (
        "poll_factor=0.02",
        f"objects={folder / 'objects'}",
        "allow_private_hosts=127.0.0.1",
        "test_clock=true",
    ):
        options += ["--set", option]
    try:
        gateway = servers.start("gateway", "--fleet", fleet.told["fleet"]["base_url"], *options)
        try:
            told = gateway.told["gateway"]
            yield signed_in(Stack(told["base_url"], told["admin_url"], told["admin_token"]))
        finally:
            gateway.stop()
    finally:
        fleet.stop()


def signed_in(stack: Stack) -> Stack:
    """A user with money, a key and a session."""
    origin = {"origin": stack.base_url}
    person = {"email": MAIL, "password": PASSWORD}
    made = stack.send("POST", f"{stack.base_url}/api/auth/sign-up", person, origin, cookies=True)
    assert made.status < 300, made
    session = stack.send("GET", f"{stack.base_url}/api/auth/session", None, {}, cookies=True).json
    user_id, stack.csrf = session["user"]["id"], session["csrfToken"]
    stack.admin(f"/users/{user_id}/top-ups", {"amount_uc": FUNDS_UC})
    stack.key = stack.admin(f"/users/{user_id}/keys", {})["key"]
    return stack


def recording(stack: Stack) -> str:
    """The link to a recording of some thirty seconds."""
    text = "Every good wind tunnel has a fan, a model and a scale. " * 9
    made = stack.example({"post": "/api/v1/audio/generations", "body": {"model": "audio-tts", "text": text}})
    url = str(made.json["data"][0]["url"])
    return url if url.startswith("http") else stack.base_url + url


def found(value: Any, path: str) -> Any:
    """What stands at a dotted path; numbers index lists."""
    for part in path.split("."):
        value = value[int(part)] if part.isdecimal() else value[part]
    return value


@pytest.mark.parametrize("row", EXAMPLES, ids=[row["about"] for row in EXAMPLES])
def test_an_example_is_answered_as_documented(stack: Stack, row: dict[str, Any]) -> None:
    if row.get("needs") == "live":
        stack.admin("/clock", {"advance_ms": 120_000})
    elif row.get("needs") == "recording":
        row = {**row, "body": {**row["body"], "audio": recording(stack)}}
    answer = stack.example(row)
    assert answer.status == row.get("status", 200), answer
    if row.get("stream"):
        assert answer.kind.startswith("text/event-stream")
        assert b"data:" in answer.body
    elif row.get("csv"):
        assert answer.kind.startswith("text/csv")
        assert answer.body.count(b"\n") > 2
    else:
        for path in row.get("has", ()):
            assert found(answer.json, path) not in (None, ""), (path, answer)
        for path, due in row.get("is", {}).items():
            assert found(answer.json, path) == due, (path, answer)
