"""Sessions: the cookie, how long it lasts, and that no other site can use it."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import origins
from gateway.accounts import digest
from gateway.endpoints import api_keys, auth, orgs
from gateway.people.sessions import IDLE_MS, PER_USER_MAX, WHOLE_MS, Session
from tests.gateway.lab import Lab, run
from tests.gateway.making import StillClock
from tests.gateway.people_lab import HOST, PASSWORD, Browser, close, dumped, open_dashboard, user

DAY_MS = 86_400_000
CHANGES = [
    (method, re.sub(r"{\w+}", "x", route.path))
    for module in (auth, api_keys, orgs)
    for route in module.routes(MagicMock())
    for method in sorted(route.methods or ())
    if method not in ("GET", "HEAD")
]
WITHOUT_A_SESSION = ("/api/auth/sign-up", "/api/auth/sign-in")


async def rows(lab: Lab) -> list[Any]:
    return list(await lab.services.store.read(lambda c: c.exec_driver_sql("SELECT * FROM sessions").all()))


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        answer = await Browser(lab).sign_up("a@b.c")
        [(name, morsel)] = SimpleCookie(answer.headers["set-cookie"]).items()
        assert name == "windtunnel_session"
        assert re.fullmatch(r"[0-9A-Za-z]{43}", morsel.value)
        assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "Lax", "/")
        assert morsel["domain"] == morsel["secure"] == ""
        assert int(morsel["max-age"]) == WHOLE_MS // 1000
        assert answer.headers["cache-control"] == "no-store"
        assert morsel.value not in answer.body.decode()
        [row] = await rows(lab)
        assert row.digest == digest(morsel.value)
        assert morsel.value not in repr(row)
        assert answer.json["csrfToken"] not in repr(row)
        await close(lab)

    run(work())


def test_with_https_the_cookie_goes_nowhere_else() -> None:
    async def work() -> None:
        lab = await open_dashboard(public_url="https://gateway.example")
        browser = Browser(lab)
        answer = await browser.sign_up("a@b.c")
        [(name, morsel)] = SimpleCookie(answer.headers["set-cookie"]).items()
        assert name == "__Host-windtunnel_session"
        assert morsel["secure"] is True
        assert (await browser.get("/api/auth/session"))["user"]["email"] == "a@b.c"
        browser.cookie = f"windtunnel_session={morsel.value}"  # as a plain page could have set it
        assert (await browser.ask("GET", "/api/auth/session")).status == 401
        await close(lab)

    run(work())


def test_a_session_lasts_while_it_is_used_and_ninety_days_at_most() -> None:
    async def work() -> None:
        clock = StillClock()
        lab = await open_dashboard(clock=clock)
        used, idle = await user(lab), Browser(lab)
        await idle.sign_in("ada@example.com")
        for _ in range(WHOLE_MS // (10 * DAY_MS) - 1):
            clock.advance(10 * DAY_MS)
            assert (await used.ask("GET", "/api/auth/session")).status == 200
        assert (await idle.ask("GET", "/api/auth/session")).status == 401
        clock.advance(10 * DAY_MS - 1)
        assert (await used.ask("GET", "/api/auth/session")).status == 200
        clock.advance(1)
        assert (await used.ask("GET", "/api/auth/session")).status == 401
        await close(lab)

    run(work())


def test_two_weeks_without_a_request_end_it() -> None:
    async def work() -> None:
        clock = StillClock()
        lab = await open_dashboard(clock=clock)
        ada = await user(lab)
        clock.advance(IDLE_MS - 1)
        assert (await ada.ask("GET", "/api/auth/session")).status == 200
        clock.advance(IDLE_MS)
        assert (await ada.ask("GET", "/api/auth/session")).status == 401
        await Browser(lab).sign_in("ada@example.com")
        assert len(await rows(lab)) == 1  # what has ended is cleared away
        await close(lab)

    run(work())


def test_signing_out() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada, other, third = await user(lab), Browser(lab), Browser(lab)
        await other.sign_in("ada@example.com")
        await third.sign_in("ada@example.com")
        stale = Browser(lab, cookie=ada.cookie)
        answer = await ada.ask("POST", "/api/auth/sign-out")
        assert answer.status == 204
        assert SimpleCookie(answer.headers["set-cookie"])["windtunnel_session"]["max-age"] == "0"
        assert (await stale.ask("GET", "/api/auth/session")).status == 401
        assert (await stale.ask("POST", "/api/auth/sign-out")).status == 401
        assert (await other.ask("GET", "/api/auth/session")).status == 200
        assert (await other.ask("POST", "/api/auth/sign-out", {"everywhere": True})).status == 204
        assert (await third.ask("GET", "/api/auth/session")).status == 401
        assert await rows(lab) == []
        await close(lab)

    run(work())


def test_signing_in_never_keeps_a_cookie_that_somebody_may_know() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        mallory, victim = await user(lab, "mallory@example.com"), Browser(lab)
        await user(lab)
        victim.cookie = mallory.cookie
        assert (await victim.sign_in("ada@example.com")).status == 200
        assert victim.cookie != mallory.cookie
        assert (await mallory.ask("GET", "/api/auth/session")).status == 401
        made_up = Browser(lab, cookie="windtunnel_session=" + "x" * 43)
        await made_up.sign_in("ada@example.com")
        assert made_up.cookie is not None
        assert "xxx" not in made_up.cookie
        await close(lab)

    run(work())


def test_of_two_cookies_of_the_name_none_counts() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada, mallory = await user(lab), await user(lab, "mallory@example.com")
        for both in (f"{ada.cookie}; {mallory.cookie}", f"{mallory.cookie}; {ada.cookie}"):
            assert (await Browser(lab, cookie=both).ask("GET", "/api/auth/session")).status == 401
        with_others = Browser(lab, cookie=f"theme=dark; {ada.cookie}; x_windtunnel_session=1")
        assert (await with_others.ask("GET", "/api/auth/session")).status == 200
        await close(lab)

    run(work())


def test_a_user_has_so_many_sessions_at_most() -> None:
    async def work() -> None:
        clock = StillClock()
        lab = await open_dashboard(clock=clock)
        ada = lab.services.accounts.user((await user(lab)).user_id)
        assert ada is not None
        begun = []
        for _ in range(PER_USER_MAX + 2):
            clock.advance(1)
            begun.append(await lab.services.sessions.begin(ada, "sso:x"))
        assert len(await rows(lab)) == PER_USER_MAX
        assert await lab.services.sessions.find(begun[1].token) is None
        assert await lab.services.sessions.find(begun[-1].token) == begun[-1]
        await close(lab)

    run(work())


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_nothing_is_changed_for_another_site(method: str, path: str) -> None:
    """Every route of the dashboard that is no GET: without the token, with another's, from another page."""

    async def work() -> None:
        lab = await open_dashboard()
        ada, mallory = await user(lab), await user(lab, "mallory@example.com")
        foreign = (
            "https://evil.example",
            "null",
            "https://gateway.example.evil.example",
            "x",
            "https://gateway.example:1",
        )
        for origin in foreign:
            answer = await ada.ask(method, path, {}, headers={"origin": origin})
            assert (answer.status, answer.error[0]) == (403, "access_denied"), origin
        if path in WITHOUT_A_SESSION:
            assert (await ada.ask(method, path, {}, csrf=False)).status == 400  # nothing to protect yet
            return
        for token in (None, "", mallory.csrf, ada.csrf and ada.csrf[:-1], ada.csrf and ada.csrf + "A", "\xff"):
            headers = {} if token is None else {"x-csrf-token": token}
            answer = await ada.ask(method, path, {}, csrf=False, headers=headers)
            assert (answer.status, answer.error[0]) == (403, "access_denied"), token
        assert (await Browser(lab).ask(method, path, {})).status == 401
        own = await ada.ask(method, path, {}, headers={"origin": f"https://{HOST}"})
        assert own.status in (200, 201, 204, 400, 404)
        await close(lab)

    run(work())


def test_an_api_key_is_no_session() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        for method, path in [("GET", "/api/auth/session"), ("GET", "/api/api-keys"), *CHANGES]:
            if path not in WITHOUT_A_SESSION:
                answer = await lab.ask(path, {}, method=method)
                assert answer.status == 401, path
        await close(lab)

    run(work())


def test_the_public_url_is_an_origin_of_ours() -> None:
    async def work() -> None:
        lab = await open_dashboard(public_url="https://dash.example:8443/app")
        ada = await user(lab)
        for origin, status in {
            "https://dash.example:8443": 201,
            "HTTPS://GATEWAY.example": 201,
            "https://gateway.example:443": 201,
            "https://dash.example": 403,
        }.items():
            made = await ada.ask("POST", "/api/api-keys", {}, headers={"origin": origin})
            assert made.status == status, origin
        await close(lab)

    run(work())


def test_tokens_are_of_their_session_alone() -> None:
    one, other = (Session(token, "usr_a", "password", 0, 0, 1) for token in ("a" * 43, "a" * 42 + "b"))
    assert one.allows(one.csrf_token)
    assert not one.allows(other.csrf_token)
    assert one.token not in one.csrf_token
    assert one.token not in repr(one)


@given(st.text(max_size=80))
def test_any_text_is_an_origin_in_its_one_form_or_none(text: str) -> None:
    found = origins.origin(text)
    if found is not None:
        assert origins.origin(found) == found
        assert found == found.lower()
        assert "/" not in found.partition("://")[2]


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("HTTPS://App.Example.com", "https://app.example.com"),
        ("http://a.b:80", "http://a.b"),
        ("https://a.b:443", "https://a.b"),
        ("https://a.b:0443", "https://a.b"),
        ("http://a.b:443", "http://a.b:443"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        *(
            (wrong, None)
            for wrong in ("null", "a.b", "ftp://a.b", "https://a.b/", "https://a.b:0", "https://a.b:99999")
        ),
        *(
            (wrong, None)
            for wrong in ("https://u@a.b", "https://*.a.b", "https://", "https://a b", "https://a.b https://c")
        ),
    ],
)
def test_origins_have_one_form(text: str, origin: str | None) -> None:
    assert origins.origin(text) == origin


def test_no_reply_tells_a_secret_of_the_session() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        token = (ada.cookie or "").partition("=")[2]
        await ada.org()
        for path in ("/api/auth/session", "/api/orgs", "/api/api-keys", "/api/api-usage"):
            answer = await ada.ask("GET", path)
            assert answer.status == 200
            assert token not in dumped(answer)
            assert PASSWORD not in dumped(answer)
        await close(lab)

    run(work())
