"""Keys as their owner makes, changes, rotates and deletes them."""

from __future__ import annotations

import datetime
from typing import Any

import orjson

from suites.accounts.company import OUTSIDER, cast
from suites.accounts.keyring import KEYS, at, make, rich, somebody
from suites.case import Case, expect_status
from suites.edge import unix_s
from suites.person import due
from suites.requirement import over, requirement


@requirement("ACC-001")
async def test_shown_once(case: Case) -> None:
    """Made, read, listed, changed, used, rotated: two answers bear a secret, and each bears another one."""
    ada = await rich(case)
    made = due(await ada.post(KEYS, {"name": "prod"}), 201)
    first = made["key"]
    assert first.startswith("ck_"), "a secret begins with ck_"
    expect_status(await case.chat(key=first, answer="tokens=2"), 200)
    later = [
        await ada.get(at(made["id"])),
        await ada.get(KEYS),
        await ada.patch(at(made["id"]), {"name": "prod-eu"}),
        await ada.get("/api/api-usage"),
        await ada.get("/api/api-usage/export"),
        await ada.session(),
    ]
    rotated = due(await ada.post(at(made["id"], "/rotate")), 200, 201)
    later += [await ada.get(at(made["id"])), await ada.get(KEYS)]
    assert rotated["key"] != first, "rotating gave the old secret"
    for reply in later:
        due(reply, 200) if reply.type == "application/json" else expect_status(reply, 200)
        for secret in (first, rotated["key"]):
            assert secret.encode() not in reply.raw, f"{reply.sent.method} {reply.sent.url} tells the secret again"


@requirement("ACC-004")
@over(
    fields=(
        {"origin": ["https://app.example.com"]},
        {"ip": "203.0.113.5"},
        {"ips": ["everywhere"]},
        {"ips": "203.0.113.5"},
        {"origins": ["app.example.com"]},
        {"origins": ["*"]},
        {"spendingLimit": -1},
        {"spendingLimit": "50000"},
        {"spendinglimit": 5},
        {"autoDisable": "yes"},
        {"expiresAt": "tomorrow"},
    )
)
async def test_misspelled(case: Case, fields: dict[str, Any]) -> None:
    """Refused, and no key is there."""
    ada, name = await somebody(case), case.fresh()
    expect_status(await ada.post(KEYS, {"name": name, **fields}), 400, "invalid_request_error")
    names = [key["name"] for key in due(await ada.get(KEYS), 200)["keys"]]
    assert name not in names, "a key was made all the same"


@requirement("ACC-005", exclusive=True)
async def test_expires_when_told(case: Case) -> None:
    """A minute ahead, half a minute passes, then the rest; then the key is given more time."""
    ada = await rich(case)
    key = await make(ada)
    now_s = case_time_s(due(await ada.get(at(key)), 200)["createdAt"])
    ends = datetime.datetime.fromtimestamp(now_s + 60, datetime.UTC).isoformat()
    told = due(await ada.patch(at(key), {"expiresAt": ends}), 200)["expiresAt"]
    assert told is not None, f"no expiresAt is kept; due {ends!r}"
    assert case_time_s(told) == now_s + 60, f"expiresAt {told!r}; due {ends!r}"
    expect_status(await case.chat(key=key, answer="tokens=2"), 200)
    await case.admin.advance_clock(61_000)
    expect_status(await case.chat(key=key), 401, "authentication_error")
    due(await ada.patch(at(key), {"expiresAt": int(now_s + 3600)}), 200)
    expect_status(await case.chat(key=key, answer="tokens=2"), 200)


def case_time_s(text: str) -> int:
    """A moment of the gateway's, in whole Unix seconds."""
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


@requirement("ACC-006")
async def test_disable_and_enable(case: Case) -> None:
    """From the next request on."""
    ada = await somebody(case)
    key = await make(ada)
    expect_status(await case.chat(key=key, answer="tokens=2"), 200)
    for _ in range(2):
        assert due(await ada.patch(at(key), {"status": "disabled"}), 200)["status"] == "disabled"
        refused = await case.chat(key=key)
        expect_status(refused, 401, "authentication_error")
        await case.nothing_upstream(refused)
        assert due(await ada.get(at(key)), 200)["status"] == "disabled"
        assert due(await ada.patch(at(key), {"status": "active"}), 200)["status"] == "active"
        expect_status(await case.chat(key=key, answer="tokens=2"), 200)
    expect_status(await ada.patch(at(key), {"status": "off"}), 400, "invalid_request_error")


@requirement("ACC-007")
async def test_rotated(case: Case) -> None:
    """Without grace: the new secret alone works, for what is still the same key."""
    ada = await somebody(case)
    fields = {"spendingLimit": 12.5, "autoDisable": True, "origins": ["https://app.example.com"]}
    key = await make(ada, **fields)
    before = due(await ada.get(at(key)), 200)
    rotated = due(await ada.post(at(key, "/rotate")), 200, 201)
    origin = {"origin": "https://app.example.com"}
    expect_status(await case.chat(key=rotated["key"], headers=origin, answer="tokens=2"), 200)
    expect_status(await case.chat(key=key, headers=origin), 401, "authentication_error")
    after = due(await ada.get(at(key)), 200)
    same = set(before) - {"prefix", "rotatedAt"}
    changed = {name: (before[name], after[name]) for name in same if before[name] != after[name]}
    assert not changed, f"rotating changed {changed}"


@requirement("ACC-008", exclusive=True)
async def test_grace(case: Case) -> None:
    """Both work for a minute, then the new one alone."""
    ada = await rich(case)
    key = await make(ada)
    rotated = due(await ada.post(at(key, "/rotate"), {"graceSeconds": 60}), 200, 201)
    for secret in (key.secret, rotated["key"]):
        expect_status(await case.chat(key=secret, answer="tokens=2"), 200)
    await case.admin.advance_clock(61_000)
    expect_status(await case.chat(key=key), 401, "authentication_error")
    expect_status(await case.chat(key=rotated["key"], answer="tokens=2"), 200)


@requirement("ACC-009")
@over(change=({"name": "other"}, {"spendingLimit": 7}, {"autoDisable": True}, {"ips": ["127.0.0.0/8"]}, {}))
async def test_edit_leaves_the_rest(case: Case, change: dict[str, Any]) -> None:
    """One field at a time."""
    ada = await somebody(case)
    later = int(unix_s()) + 400 * 86_400
    told = {"spendingLimit": 40, "origins": ["https://a.example"], "ips": ["127.0.0.1/32"], "expiresAt": later}
    key = await make(ada, **told)
    before = due(await ada.get(at(key)), 200)
    answer = due(await ada.patch(at(key), change), 200)
    after = due(await ada.get(at(key)), 200)
    expected = before | change
    assert after == expected, f"{change} made {after} of {before}"
    assert answer == after, f"the answer {answer} is not what is kept, {after}"


@requirement("ACC-010")
async def test_deleted(case: Case) -> None:
    """Refused at once and not listed; what it did stays in the log."""
    ada = await rich(case)
    key = await make(ada)
    expect_status(await case.chat(key=key, answer="tokens=2"), 200)
    await case.admin.books(ada.id)
    due(await ada.delete(at(key)), 204)
    refused = await case.chat(key=key)
    expect_status(refused, 401, "authentication_error")
    await case.nothing_upstream(refused)
    assert due(await ada.get(KEYS), 200)["keys"] == []
    expect_status(await ada.get(at(key)), 404, "not_found_error")
    rows = due(await ada.get("/api/api-usage"), 200)["logs"]
    assert [row["keyId"] for row in rows] == [key.id], f"the log after the deletion: {rows}"


@requirement("ACC-011")
@over(deed=("read", "change", "rotate", "delete"))
async def test_foreign_key(case: Case, deed: str) -> None:
    """Somebody else's own key, and one that never was: the same words, and nothing happens."""
    ada, eve = await somebody(case), (await cast(case))[OUTSIDER]
    key = await make(ada)
    before = due(await ada.get(at(key)), 200)
    words = []
    for ident in (key.id, "key_0000000000000000"):
        reply = await {
            "read": lambda ident: eve.get(at(ident)),
            "change": lambda ident: eve.patch(at(ident), {"name": "eve's"}),
            "rotate": lambda ident: eve.post(at(ident, "/rotate")),
            "delete": lambda ident: eve.delete(at(ident)),
        }[deed](ident)
        expect_status(reply, 404, "not_found_error")
        words.append(orjson.dumps(reply.document).replace(ident.encode(), b"KEY"))
    assert words[0] == words[1], f"a key that is somebody's is told apart: {words}"
    assert due(await ada.get(at(key)), 200) == before, "the key was changed"
    expect_status(await case.chat(key=key, answer="tokens=2"), 200)


@requirement("ACC-012")
@over(path=("/api/api-keys", "/api/orgs", "/api/auth/session"))
async def test_keys_are_no_session(case: Case, path: str) -> None:
    """A good key, in each header, where a person is needed."""
    ada = await somebody(case)
    key, name = await make(ada), case.fresh()
    for name, value in (("authorization", f"Bearer {key.secret}"), ("x-api-key", key.secret)):
        headers = {name: value, "content-type": "application/json"}
        reply = await case.request("GET", case.target.root_url + path, headers=headers)
        expect_status(reply, 401, "authentication_error")
        if path != "/api/auth/session":
            body = orjson.dumps({"name": name})
            reply = await case.request("POST", case.target.root_url + path, headers=headers, body=body)
            expect_status(reply, 401, "authentication_error")
    names = [each["name"] for each in due(await ada.get(KEYS), 200)["keys"]]
    assert name not in names, "a key made a key"
