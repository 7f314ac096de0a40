"""Keys that must not open anything."""

from __future__ import annotations

import orjson

from suites.case import Case, expect_status
from suites.doors import DOORS, bearer, knock
from suites.edge import unix_s
from suites.exchange import Reply
from suites.outcomes import Violation
from suites.requirement import over, requirement

NEVER_ISSUED = "ck_" + "0123456789abcdef" * 2
MALFORMED = {
    "empty": "",
    "prefix alone": "ck_",
    "hyphen": "ck-abc",
    "other vendor": "sk-1234567890abcdef",
    "upper case": "CK_0123456789abcdef",
    "null": "null",
    "undefined": "undefined",
    "long": "x" * 4000,
    "not ascii": "ck_\xe9\xe9",
    "blank inside": "ck_a b",
}


async def refused(case: Case, reply: Reply) -> None:
    """The documented refusal, and silence upstream."""
    expect_status(reply, 401, "authentication_error")
    await case.nothing_upstream()


@requirement("AUT-005")
@over(door=DOORS)
async def test_without_key(case: Case, door: str) -> None:
    """No credential at all."""
    await refused(case, await knock(case, door, {}))


@requirement("AUT-006")
@over(what=tuple(MALFORMED))
async def test_malformed_key(case: Case, what: str) -> None:
    """Not a ck_ key, in each header form."""
    malformed = MALFORMED[what]
    for headers in (bearer(malformed), {"x-api-key": malformed}, {"x-goog-api-key": malformed}):
        await refused(case, await knock(case, "chat", headers))


@requirement("AUT-006")
@over(header=("Basic Y2tfOng=", "ck_0123456789abcdef", "Bearer", "Digest x", ","))
async def test_other_schemes(case: Case, header: str) -> None:
    """An Authorization header that bears no key in Bearer form."""
    await refused(case, await knock(case, "messages", {"authorization": header}))


@requirement("AUT-007")
@over(door=DOORS)
async def test_never_issued(case: Case, door: str) -> None:
    """The right form, but nobody's."""
    await refused(case, await knock(case, door, bearer(NEVER_ISSUED)))


@requirement("AUT-008")
@over(door=DOORS)
async def test_expired(case: Case, door: str) -> None:
    """Issued with an end in the past, and one in the future beside it."""
    user = await case.user()
    expired = await case.admin.key(user.id, expires_at=int(unix_s()) - 60)
    await refused(case, await knock(case, door, bearer(expired.secret)))
    valid = await case.admin.key(user.id, expires_at=int(unix_s()) + 900)
    expect_status(await knock(case, door, bearer(valid.secret)), 200)


@requirement("AUT-009")
@over(door=DOORS)
async def test_disabled(case: Case, door: str) -> None:
    """Used, then disabled, then used again."""
    user = await case.user()
    expect_status(await knock(case, "models", bearer(user.key.secret)), 200)
    await case.admin.call("PATCH", f"keys/{user.key.id}", {"status": "disabled"})
    await refused(case, await knock(case, door, bearer(user.key.secret)))


@requirement("AUT-010")
@over(door=DOORS)
async def test_deleted(case: Case, door: str) -> None:
    """Used, then deleted, then used again; the user's other key lives on."""
    user = await case.user()
    doomed = await case.admin.key(user.id)
    expect_status(await knock(case, "models", bearer(doomed.secret)), 200)
    await case.admin.call("DELETE", f"keys/{doomed.id}")
    await refused(case, await knock(case, door, bearer(doomed.secret)))
    expect_status(await knock(case, "models", bearer(user.key.secret)), 200)


@requirement("AUT-011")
async def test_active_again(case: Case) -> None:
    """Disabled, refused, made active, served."""
    user = await case.user()
    await case.admin.call("PATCH", f"keys/{user.key.id}", {"status": "disabled"})
    await refused(case, await knock(case, "chat", bearer(user.key.secret)))
    await case.admin.call("PATCH", f"keys/{user.key.id}", {"status": "active"})
    expect_status(await knock(case, "chat", bearer(user.key.secret)), 200)


@requirement("AUT-012")
async def test_refusal_leaves_no_trace(case: Case) -> None:
    """Three refusals by a disabled key, then one good call: the books know of the good one alone."""
    user = await case.use(limits={"chat": 5})
    second = await case.admin.key(user.id)
    await case.admin.call("PATCH", f"keys/{second.id}", {"status": "disabled"})
    for _ in range(3):
        await refused(case, await knock(case, "chat", bearer(second.secret)))
    reply = await case.chat()
    expect_status(reply, 200)
    assert reply.headers["x-ratelimit-remaining"] == "4", f"one of five was used: {dict(reply.headers)}"
    books = await case.books(rows=1)
    assert books.charged_uc == books.row["costUc"], "only the served call was charged"


VARIANTS = ("{}/", "{}//", "{}%20", "{}?", "{};x=1", "{}/..", "{}/%2e%2e/chat/completions")
BEFORE = (
    "/api//v1/chat/completions",
    "//api/v1/chat/completions",
    "/API/V1/CHAT/COMPLETIONS",
    "/api/v1/chat%2Fcompletions",
    "/api/v1/./chat/completions",
)


@requirement("AUT-013")
@over(method=("GET", "POST", "HEAD", "OPTIONS", "PUT"))
async def test_no_back_door(case: Case, method: str) -> None:
    """Every spelling of a known path, without a key."""
    urls = [variant.format(case.url("chat")) for variant in VARIANTS] + [case.target.root_url + path for path in BEFORE]
    urls += [case.url(door) for door in DOORS]
    for url in urls:
        turn = {"role": "user", "content": case.marks(case.fresh())}
        body = orjson.dumps({"model": case.model("chat"), "messages": [turn]})
        headers = {"content-type": "application/json"}
        reply = await case.request(method, url, headers=headers, body=body if method in ("POST", "PUT") else b"")
        empty_options = method == "OPTIONS" and reply.status in (200, 204) and not reply.raw
        if not 400 <= reply.status < 500 and not empty_options:
            raise Violation(f"{method} {url} without a key: {reply}")
    await case.nothing_upstream()


@requirement("AUT-014")
async def test_key_before_body(case: Case) -> None:
    """Nothing about this request is right."""
    for body in (b"{", b"[]", b'{"model":"no-such-model"}'):
        expect_status(await knock(case, "chat", bearer(NEVER_ISSUED), body=body), 401, "authentication_error")


@requirement("AUT-016")
async def test_key_not_repeated(case: Case) -> None:
    """The refusal of an unknown key and of a malformed one."""
    for secret in (NEVER_ISSUED, "sk-proj-abcdefghijklmnop"):
        reply = await knock(case, "chat", bearer(secret))
        expect_status(reply, 401, "authentication_error")
        assert secret.encode() not in reply.raw, f"the reply repeats the key: {reply}"
