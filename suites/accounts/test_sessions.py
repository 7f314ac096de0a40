"""Signing up, in and out, and what a session lets through."""

from __future__ import annotations

import asyncio
from collections import Counter
from http.cookies import SimpleCookie

import orjson

from suites.accounts.keyring import KEYS
from suites.case import Case, expect_status
from suites.edge import token
from suites.exchange import Reply
from suites.own_gateway import own_gateway
from suites.person import Person, due, new_person, sign_up
from suites.requirement import over, requirement

DAY_MS = 86_400_000
ATTEMPTS = 10  # on an account in a quarter of an hour
OTHER_PASSWORD = "another pass phrase"


def only_cookie(reply: Reply) -> tuple[str, dict[str, str]]:
    """The value of the one cookie that a reply sets, and its attributes in lower case."""
    lines = reply.headers.getall("set-cookie", [])
    assert len(lines) == 1, f"{len(lines)} cookies were set; one was due"
    [morsel] = SimpleCookie(lines[0]).values()
    return morsel.value, {name.lower(): str(value) for name, value in morsel.items() if value}


async def expect_nobody(person: Person) -> None:
    """Their cookie opens nothing."""
    expect_status(await person.session(), 401, "authentication_error")
    expect_status(await person.get(KEYS), 401, "authentication_error")


@requirement("ACC-014")
async def test_cookie(case: Case) -> None:
    """Out of reach of scripts and of other sites' requests, and no cookie, no session."""
    ada = new_person(case)
    reply = await ada.sign_up("Ada")
    due(reply, 201)
    value, attributes = only_cookie(reply)
    assert len(value) >= 22, f"a session of {len(value)} characters can be guessed"
    assert "httponly" in attributes, f"scripts can read the cookie: {attributes}"
    assert attributes.get("samesite", "").lower() in ("lax", "strict"), f"other sites' requests bear it: {attributes}"
    assert (attributes.get("path"), attributes.get("domain")) == ("/", None), f"the cookie goes elsewhere: {attributes}"
    told = due(await ada.session(), 200)
    assert told["user"]["email"] == ada.email, f"the session is somebody else's: {told}"
    await expect_nobody(ada.elsewhere())


@requirement("ACC-014")
async def test_new_session_each_time(case: Case) -> None:
    """Signing in at the same browser: another cookie, and the one before it is worth nothing."""
    ada = await sign_up(case)
    before = Person(case, ada.email, csrf=ada.csrf, cookies=dict(ada.cookies))
    due(await ada.sign_in(), 200)
    assert ada.cookies != before.cookies, "signing in kept the cookie"
    assert ada.csrf != before.csrf, "another session has the same CSRF token"
    due(await ada.session(), 200)
    await expect_nobody(before)


@requirement("ACC-015")
@over(method=("POST", "PATCH", "DELETE"))
async def test_csrf_token(case: Case, method: str) -> None:
    """Without it, with a made-up one, with another person's, and with that of another session of one's own."""
    ada, eve = await sign_up(case), await sign_up(case)
    again = ada.elsewhere()
    due(await again.sign_in(), 200)
    key = due(await ada.post(KEYS, {"name": "mine"}), 201)["id"]
    path = KEYS if method == "POST" else f"{KEYS}/{key}"
    document = None if method == "DELETE" else {"name": "changed"}
    for wrong in ("", token(43), eve.csrf, again.csrf):
        expect_status(await ada.request(method, path, document, csrf=wrong), 403, "access_denied")
    assert [key["name"] for key in due(await ada.get(KEYS), 200)["keys"]] == ["mine"], "the change was made"
    due(await ada.request(method, path, document), 200, 201, 204)


@requirement("ACC-016")
async def test_foreign_origin(case: Case) -> None:
    """A page of another site asks with the cookie, with the token even; it cannot sign anybody in either."""
    ada = await sign_up(case)
    root = case.target.root_url
    for origin in ("https://evil.example", root.replace("http://", "https://x."), root + ".evil.example", "null"):
        headers = {"origin": origin}
        reply = await ada.post(KEYS, {"name": "evil"}, headers=headers)
        expect_status(reply, 403, "access_denied")
        expect_status(await ada.elsewhere().sign_in(headers=headers), 403, "access_denied")
    due(await ada.post(KEYS, {"name": "mine"}, headers={"origin": root}), 201)


@requirement("ACC-017")
@over(everywhere=(False, True))
async def test_sign_out(case: Case, everywhere: bool) -> None:
    """A copy of the cookie is worth nothing any more; other sessions are as they were, or ended too."""
    ada = await sign_up(case)
    other = ada.elsewhere()
    due(await other.sign_in(), 200)
    copy = Person(case, ada.email, csrf=ada.csrf, cookies=dict(ada.cookies))
    due(await ada.post("/api/auth/sign-out", {"everywhere": True} if everywhere else None), 204)
    await expect_nobody(copy)
    if everywhere:
        await expect_nobody(other)
    else:
        due(await other.session(), 200)


@requirement("ACC-017")
async def test_new_password(case: Case) -> None:
    """The old one must be told; then it works no longer, nor does any session but the new one."""
    ada = await sign_up(case)
    other = ada.elsewhere()
    due(await other.sign_in(), 200)
    change = {"currentPassword": "wrong pass phrase", "newPassword": OTHER_PASSWORD}
    expect_status(await ada.post("/api/auth/password", change), 400, "invalid_request_error")
    due(await ada.post("/api/auth/password", change | {"currentPassword": ada.password}), 200)
    due(await ada.session(), 200)
    await expect_nobody(other)
    expect_status(await other.sign_in(), 401, "authentication_error")
    due(await other.sign_in(OTHER_PASSWORD), 200)


@requirement("ACC-018")
async def test_same_words(case: Case) -> None:
    """A wrong password, and an address that nobody has: nobody learns who has an account."""
    ada, nobody = await sign_up(case), new_person(case)
    replies = [await person.elsewhere().sign_in("not the pass phrase") for person in (ada, nobody)]
    for reply in replies:
        expect_status(reply, 401, "authentication_error")
    first, second = (orjson.dumps(reply.document) for reply in replies)
    assert first == second, f"a known address is told apart: {first!r}, {second!r}"
    names = [sorted(name.lower() for name in reply.headers) for reply in replies]
    assert names[0] == names[1], f"a known address is told apart by headers: {names}"


@requirement("ACC-019")
async def test_attempts_are_counted(case: Case) -> None:
    """Seven wrong passwords at once, then six: ten at most are judged, and then the right one is refused, too."""
    ada, bob = await sign_up(case), await sign_up(case)
    counts: Counter[int] = Counter()
    for wave in (7, 6):
        tries = [ada.elsewhere().sign_in(f"guess number {number}") for number in range(wave)]
        counts += Counter(reply.status for reply in await asyncio.gather(*tries))
    assert set(counts) == {401, 429}, f"{dict(counts)} of 13 wrong passwords"
    assert counts[401] <= ATTEMPTS, f"{counts[401]} of 13 wrong passwords were judged; at most {ATTEMPTS} were due"
    refused = await ada.elsewhere().sign_in()
    expect_status(refused, 429, "rate_limit_error")
    assert 0 < int(refused.headers.get("retry-after", "0")) <= 900, f"Retry-After: {dict(refused.headers)}"
    due(await bob.elsewhere().sign_in(), 200)


@requirement("ACC-019")
async def test_good_attempts_are_forgotten(case: Case) -> None:
    """Nine wrong passwords and the right one, then two wrong ones and the right one."""
    ada = await sign_up(case)
    for wrong in (ATTEMPTS - 1, 2):
        for _ in range(wrong):
            expect_status(await ada.elsewhere().sign_in("not the pass phrase"), 401, "authentication_error")
        due(await ada.elsewhere().sign_in(), 200)


@requirement("ACC-020", slow=True)
async def test_idle_sessions_end(case: Case) -> None:
    """Thirteen days and another thirteen with a request between, then fifteen without."""
    async with own_gateway(case) as own:
        ada = await sign_up(await own.start())
        for _ in range(2):
            await own.case.admin.advance_clock(13 * DAY_MS)
            due(await ada.session(), 200)
        await own.case.admin.advance_clock(15 * DAY_MS)
        await expect_nobody(ada)
