"""A person at the dashboard: what they send, keep and never send, before a tiny gateway."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from suites.case import Case
from suites.outcomes import Violation
from suites.person import Person, due, new_person, sign_up
from suites.rig import open_rig
from suites.target import build_target
from tests.suites.fakes import serving

T = TypeVar("T")


def dashboard() -> Starlette:
    """Lets everybody in; tells what it was sent; busy for the first who asks."""
    busy = [429]

    async def sign_up(request: Request) -> Response:
        told = await request.json()
        if busy and told["email"].startswith("person+"):
            return JSONResponse({"error": {"type": "rate_limit_error", "message": "Busy."}}, busy.pop())
        reply = JSONResponse({"user": {"id": "usr_1"}, "csrfToken": "token-1", "host": request.client.host}, 201)  # type: ignore[union-attr]
        reply.set_cookie("session", "a-secret-cookie", httponly=True)
        reply.set_cookie("other", "2")
        return reply

    async def echo(request: Request) -> Response:
        body = (await request.body()).decode()
        return JSONResponse({"headers": dict(request.headers), "method": request.method, "body": body})

    async def sign_out(request: Request) -> Response:
        reply = Response(status_code=204)
        reply.delete_cookie("session")
        return reply

    every = ["GET", "POST", "PATCH", "PUT", "DELETE"]
    return Starlette(
        routes=[
            Route("/api/auth/sign-up", sign_up, methods=["POST"]),
            Route("/api/auth/sign-out", sign_out, methods=["POST"]),
            Route("/echo", echo, methods=every),
        ]
    )


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with serving(dashboard()) as url:
        yield url


def run(root: str, work: Callable[[Case], Awaitable[T]]) -> tuple[T, Case]:
    """What a check's work comes to, and its case."""

    async def main() -> tuple[T, Case]:
        target = {"name": "t", "base_urls": {"openai": f"{root}/api/v1"}, "models": {"chat": ["m"]}}
        async with open_rig(build_target(target, "t")) as rig:
            case = Case(rig, "ACC-014/x", 3)
            return await work(case), case

    return asyncio.run(main())


def test_a_session_is_kept_and_sent(root: str) -> None:
    async def work(case: Case) -> list[dict[str, str]]:
        ada = await sign_up(case, "Ada")
        assert (ada.id, ada.csrf, ada.tag) == ("usr_1", "token-1", ada.email[7 : ada.email.index("@")])
        asked = [await ada.get("/echo"), await ada.patch("/echo", {"a": 1}), await ada.post("/echo", csrf="")]
        return [due(reply, 200)["headers"] for reply in asked]

    (read, changed, without), case = run(root, work)
    assert read["cookie"] == changed["cookie"] == "session=a-secret-cookie; other=2"
    assert "x-csrf-token" not in read
    assert changed["x-csrf-token"] == "token-1"
    assert changed["content-type"] == "application/json"
    assert "x-csrf-token" not in without
    assert any("POST" in moment.title and "sign-up" in moment.title for moment in case.evidence.moments)
    assert not any("a-secret-cookie" in line for line in case.evidence.curls)


def test_signing_in_comes_from_an_address_of_ones_own(root: str) -> None:
    async def work(case: Case) -> tuple[Person, str]:
        bob = new_person(case)
        bob.email = "bob@people.example"  # for whom the gateway is not busy
        return bob, due(await bob.sign_up(), 201)["host"]

    (bob, host), _ = run(root, work)
    assert host == (bob.address or "127.0.0.1")


def test_cookies_go_when_they_are_taken_and_nowhere_else(root: str) -> None:
    async def work(case: Case) -> Person:
        ada = await sign_up(case)
        other = ada.elsewhere()
        assert "cookie" not in due(await other.get("/echo"), 200)["headers"]
        far = await ada.get(root.replace("127.0.0.1", "localhost") + "/echo")
        assert "cookie" not in due(far, 200)["headers"], "another host was given the cookie"
        due(await ada.post("/api/auth/sign-out"), 204)
        return ada

    ada, _ = run(root, work)
    assert ada.cookies == {"other": "2"}


def test_nobody_is_signed_in_where_nothing_answers() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        root = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(Violation, match="no answer"):
        run(root, sign_up)


def test_due_names_what_came(root: str) -> None:
    async def work(case: Case) -> None:
        due(await new_person(case).get("/nowhere"), 200, 201)

    with pytest.raises(Violation, match=r"GET http.*/nowhere: due 200 or 201; came 404"):
        run(root, work)
