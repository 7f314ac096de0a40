"""/api/api-keys: made once, shown once, scoped to origins and addresses on every endpoint, rotated, ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway import app, origins
from gateway.accounts import KEYS_MAX, Accounts, Scope
from gateway.endpoints import account_fields
from gateway.errors import InvalidRequest
from tests.gateway.lab import Answer, Lab, run
from tests.gateway.making import NOW_MS, StillClock, open_store
from tests.gateway.people_lab import From, call_with, close, dumped, open_dashboard, user

ADDRESSES = st.ip_addresses()
ENDPOINTS = sorted((method, path) for path, methods in app.table().items() for method in methods)


async def from_address(lab: Lab, address: str, secret: str, **headers: str) -> Answer:
    there = replace(lab, app=From(lab.app, address))  # type: ignore[arg-type]
    return await call_with(there, secret, **headers)


def test_a_key_from_first_to_last() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        ada = await user(lab)
        body = {
            "name": "prod-eu",
            "spendingLimit": 50000,
            "autoDisable": True,
            "expiresAt": "2027-01-01T00:00:00Z",
            "origins": ["https://App.example.com:443"],
            "ips": ["203.0.113.77/24", "::ffff:198.51.100.1", "2001:db8::/32"],
        }
        made = await ada.post("/api/api-keys", body, 201)
        secret = made.pop("key")
        assert secret.startswith(made["prefix"])
        assert len(made["prefix"]) < 12 < len(secret)
        assert made == {
            "id": made["id"],
            "name": "prod-eu",
            "prefix": made["prefix"],
            "status": "active",
            "statusReason": None,
            "spendingLimit": 50000,
            "autoDisable": True,
            "expiresAt": "2027-01-01T00:00:00.000Z",
            "origins": ["https://app.example.com"],
            "ips": ["203.0.113.0/24", "198.51.100.1/32", "2001:db8::/32"],
            "orgId": None,
            "userId": ada.user_id,
            "createdAt": "2026-05-10T00:00:00.000Z",
            "rotatedAt": None,
        }
        key = lab.services.accounts.key(made["id"])
        assert key is not None
        assert (key.spending_limit_uc, key.auto_disable, key.payer_id) == (50_000_000_000, True, ada.user_id)
        path = f"/api/api-keys/{made['id']}"
        assert await ada.get(path) == made
        assert await ada.get("/api/api-keys") == {"keys": [made]}
        body = {"spendingLimit": None, "origins": [], "ips": None, "name": "renamed", "autoDisable": False}
        changed = (await ada.ask("PATCH", path, body)).json
        assert changed == {
            **made,
            "spendingLimit": None,
            "origins": [],
            "ips": [],
            "name": "renamed",
            "autoDisable": False,
        }
        assert (await call_with(lab, secret)).status == 200
        off = (await ada.ask("PATCH", path, {"status": "disabled"})).json
        assert (off["status"], off["statusReason"]) == ("disabled", "user")
        assert (await call_with(lab, secret)).status == 401
        on = (await ada.ask("PATCH", path, {"status": "active"})).json
        assert (on["status"], on["statusReason"]) == ("active", None)
        assert (await call_with(lab, secret)).status == 200
        assert all(secret not in dumped(answer) for answer in ada.answers[2:])
        assert (await ada.ask("DELETE", path)).status == 204
        assert (await call_with(lab, secret)).status == 401
        for method, below in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
            assert (await ada.ask(method, path + below, {})).status == 404
        await close(lab)

    run(work())


def test_everything_of_a_key_survives_a_restart(tmp_path: Path) -> None:
    async def work() -> None:
        store, clock = open_store(tmp_path), StillClock()
        accounts = Accounts(store, clock)
        made = await accounts.create_user("Ada", "a@b.c", login="a@b.c", password="hash", verified=True)
        scope = Scope(5, True, ("https://a.b",), origins.networks(["10.0.0.0/8", "::1"]))
        key, old = await accounts.create_key(made, "k", org_id="org_1", scope=scope)
        key, new = await accounts.rotate_key(key, 60)
        gone, gone_secret = await accounts.create_key(made)
        gone, _ = await accounts.rotate_key(gone, 60)
        await accounts.delete_key(gone)
        other = Accounts(store, clock)
        for known in (accounts, other):
            assert known.user(made.id) == made
            assert known.find(old) == known.find(new) == known.key(key.id) == key
            assert known.keys_of_org("org_1") == known.keys_of(made.id) == [key]
            assert known.find(gone_secret) is None
        clock.advance(60_000)
        assert other.find(old) is None
        assert other.find(new) == key
        store.close()

    run(work())


def test_rotating() -> None:
    async def work() -> None:
        clock = StillClock()
        lab = await open_dashboard(clock=clock)
        ada = await user(lab)
        made = await ada.post("/api/api-keys", {"name": "k", "spendingLimit": 7}, 201)
        path, first = f"/api/api-keys/{made['id']}", made["key"]
        at_once = await ada.post(path + "/rotate")
        second = at_once["key"]
        assert (at_once["id"], at_once["spendingLimit"]) == (made["id"], 7)
        assert at_once["rotatedAt"] == "2026-05-10T00:00:00.000Z"
        assert [(await call_with(lab, each)).status for each in (first, second)] == [401, 200]
        third = (await ada.post(path + "/rotate", {"graceSeconds": 60}))["key"]
        assert [(await call_with(lab, each)).status for each in (first, second, third)] == [401, 200, 200]
        await ada.ask("PATCH", path, {"status": "disabled"})
        assert [(await call_with(lab, each)).status for each in (second, third)] == [401, 401]
        await ada.ask("PATCH", path, {"status": "active"})
        clock.advance(59_999)
        assert (await call_with(lab, second)).status == 200
        clock.advance(1)
        assert [(await call_with(lab, each)).status for each in (second, third)] == [401, 200]
        await ada.post(path + "/rotate", {"graceSeconds": 60})
        assert (await call_with(lab, third)).status == 200
        fifth = (await ada.post(path + "/rotate", {"graceSeconds": 60}))["key"]
        assert (await call_with(lab, third)).status == 401  # one old secret at a time
        await ada.ask("DELETE", path)
        assert (await call_with(lab, fifth)).status == 401
        for wrong in (-1, 10**9, 1.5, "60", True):
            assert (await ada.ask("POST", path + "/rotate", {"graceSeconds": wrong})).status in (400, 404)
        await close(lab)

    run(work())


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_a_locked_key_is_refused_on_every_endpoint(method: str, path: str) -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        headers = {"authorization": "Bearer {}", "x-api-key": "{}", "x-goog-api-key": "{}"}
        for lock in ({"ips": ["203.0.113.5"]}, {"origins": ["https://app.example.com"]}):
            secret = (await ada.post("/api/api-keys", lock, 201))["key"]
            for name, form in headers.items():
                answer = await lab.ask(path, {}, method=method, headers={name: form.format(secret)})
                assert answer.status == 403, answer.body
            assert (await lab.ask(path, {}, method=method, headers={}, query=f"key={secret}")).status == 403
        assert lab.transport.requests == []
        await close(lab)

    run(work())


def test_a_locked_key_is_refused_where_the_usage_log_is() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        secret = (await ada.post("/api/api-keys", {"ips": ["203.0.113.5"]}, 201))["key"]
        for path in ("/api/api-usage", "/api/api-usage/export", "/api/v1/models/gpt-5.5", "/v1/responses/resp_1"):
            answer = await call_with(lab, secret, path)
            assert (answer.status, answer.error[0]) == (403, "access_denied")
        wrong_method = await lab.ask("/api/v1/models", {}, headers={"x-api-key": secret})
        assert wrong_method.status == 403
        await close(lab)

    run(work())


@pytest.mark.parametrize(
    ("came", "status"),
    [
        ("https://app.example.com", 200),
        ("HTTPS://APP.EXAMPLE.COM:443", 200),
        ("http://localhost:3000", 200),
        *((wrong, 403) for wrong in ("http://app.example.com", "https://app.example.com.evil.example", "null", "")),
        *(
            (wrong, 403)
            for wrong in ("https://evil.example", "https://app.example.com:444", "https://xapp.example.com")
        ),
        (None, 403),
    ],
)
def test_keys_locked_to_origins(came: str | None, status: int) -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        allowed = ["https://app.example.com", "http://localhost:3000"]
        secret = (await ada.post("/api/api-keys", {"origins": allowed}, 201))["key"]
        headers = {} if came is None else {"origin": came}
        assert (await call_with(lab, secret, **headers)).status == status
        await close(lab)

    run(work())


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("203.0.113.5", 200),
        ("::ffff:203.0.113.5", 200),
        ("203.0.113.6", 403),
        ("10.1.2.3", 200),
        ("11.0.0.0", 403),
        ("2001:db8:1::9", 200),
        ("2001:db9::9", 403),
        ("not an address", 403),
    ],
)
def test_keys_locked_to_addresses(address: str, status: int) -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        secret = (await ada.post("/api/api-keys", {"ips": ["203.0.113.5", "10.0.0.0/8", "2001:db8::/32"]}, 201))["key"]
        assert (await from_address(lab, address, secret)).status == status
        await close(lab)

    run(work())


@pytest.mark.parametrize(
    "header",
    [
        *("x_forwarded_for", "x_real_ip", "forwarded", "cf_connecting_ip", "true_client_ip", "fly_client_ip"),
        *("x_client_ip", "x_cluster_client_ip", "fastly_client_ip", "x_original_forwarded_for"),
    ],
)
def test_no_header_of_the_caller_opens_a_locked_key(header: str) -> None:
    async def work(**options: Any) -> None:
        lab = await open_dashboard(**options)
        ada = await user(lab)
        secret = (await ada.post("/api/api-keys", {"ips": ["203.0.113.5"]}, 201))["key"]
        for value in ("203.0.113.5", "for=203.0.113.5", "203.0.113.5, 203.0.113.5"):
            told = {header: value}
            assert (await from_address(lab, "198.51.100.9", secret, **told)).status == 403
        await close(lab)

    run(work())
    run(work(trusted_proxies=["10.0.0.0/8"]))


def test_a_trusted_proxy_is_believed_as_far_as_it_saw() -> None:
    async def work() -> None:
        lab = await open_dashboard(trusted_proxies=["10.0.0.0/8", "2001:db8:aa::1"])
        ada = await user(lab)
        secret = (await ada.post("/api/api-keys", {"ips": ["203.0.113.5"]}, 201))["key"]
        for told, status in {
            "203.0.113.5": 200,
            "1.2.3.4, 203.0.113.5": 200,
            "203.0.113.5, 1.2.3.4": 403,  # the caller wrote the first
            "203.0.113.5, 10.9.9.9": 200,
            "203.0.113.5:4711, [2001:db8:aa::1]:5": 200,
            "203.0.113.5, rubbish, 10.9.9.9": 403,
            "rubbish": 403,
            "": 403,
        }.items():
            answer = await from_address(lab, "10.0.0.1", secret, x_forwarded_for=told)
            assert answer.status == status, told
        assert (await from_address(lab, "203.0.113.5", secret, x_forwarded_for="1.2.3.4")).status == 200
        await close(lab)

    run(work())


@given(st.lists(ADDRESSES, max_size=5), st.lists(ADDRESSES, max_size=3), ADDRESSES, ADDRESSES)
def test_the_client_is_the_last_that_is_no_trusted_proxy(
    said: list[Any], proxies: list[Any], seen: Any, peer: Any
) -> None:
    """Whatever the caller wrote into X-Forwarded-For before the first proxy added what it saw."""
    trusted = origins.networks([str(peer), *map(str, proxies)])
    real = origins.address(str(seen))
    assume(not origins.within(real, trusted))
    header = ", ".join(map(str, [*said, seen, *proxies])).encode()
    scope = {"client": (str(peer), 1), "headers": [(b"x-forwarded-for", header)]}
    assert origins.client(scope, trusted) == real
    halves = header.partition(b", ")
    split = {
        "client": (str(peer), 1),
        "headers": [(b"x-forwarded-for", half) for half in (halves[0], halves[2]) if half],
    }
    assert origins.client(split, trusted) == real
    assert origins.client(scope, ()) == origins.address(str(peer))


@given(ADDRESSES, st.integers(0, 128))
def test_a_network_is_what_it_says(address: Any, length: int) -> None:
    length = min(length, address.max_prefixlen)
    made = origins.network(f"{address}/{length}")
    assert origins.within(origins.address(str(address)), (made,)) or (address.version == 6 and made.prefixlen < 96)
    assert origins.network(str(made)) == made
    plain = ip_network(f"{address}/{length}", strict=False)
    if made == plain:
        assert ip_address(str(address)) in made


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"spendingLimit": -1}, "0 to 1000000000 credits"),
        ({"spendingLimit": 0.0000001}, "six decimals"),
        ({"spendingLimit": 10**10}, "0 to 1000000000 credits"),
        ({"spendingLimit": "5"}, "`spendingLimit` is a string"),
        ({"spendingLimit": True}, "`spendingLimit` is a boolean"),
        ({"autoDisable": "yes"}, "`autoDisable` is a string"),
        ({"expiresAt": "tomorrow"}, "ISO 8601"),
        ({"expiresAt": "2027-01-01T00:00:00"}, "its offset"),
        ({"expiresAt": -1}, "`expiresAt` is -1"),
        ({"expiresAt": 1.5}, "an integer was due"),
        ({"origins": ["https://a.b/path"]}, "an origin such as"),
        ({"origins": "https://a.b"}, "list of at most"),
        ({"origins": ["https://a.b"] * 51}, "list of at most"),
        ({"ips": ["300.1.1.1"]}, "IP addresses and networks"),
        ({"ips": [5]}, "list of at most"),
        ({"name": ""}, "has 0 characters"),
        ({"name": "\u200e"}, "has 0 characters"),
        ({"name": "x" * 101}, "1 to 100"),
        ({"name": 5}, "`name` is a number"),
        ({"orgId": 5}, "`orgId` is a number"),
        ({"ipAllowlist": ["10.0.0.1"]}, "'ipAllowlist' means nothing here"),
    ],
)
def test_wrong_members_are_told(body: dict[str, Any], said: str) -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        answer = await ada.ask("POST", "/api/api-keys", body)
        assert (answer.status, answer.error[0]) == (400, "invalid_request_error")
        assert said in answer.error[1]
        assert (await ada.get("/api/api-keys"))["keys"] == []
        await close(lab)

    run(work())


@given(st.integers(0, 10**15))
def test_a_spending_limit_is_exact_both_ways(amount_uc: int) -> None:
    import orjson

    told = orjson.loads(orjson.dumps({"x": account_fields.as_credits(amount_uc)}))
    assert account_fields.credits_uc(told, "x") == amount_uc


@given(st.one_of(st.floats(), st.integers(), st.text(), st.none(), st.lists(st.text())))
def test_any_value_is_an_amount_and_a_moment_or_refused(value: Any) -> None:
    for read in (
        account_fields.credits_uc,
        account_fields.expiry_s,
        account_fields.network_list,
        account_fields.origin_list,
    ):
        with suppress(InvalidRequest):
            read({"x": value}, "x")


def test_keys_expire_and_count_in_unix_seconds_too() -> None:
    async def work() -> None:
        clock = StillClock()
        lab = await open_dashboard(clock=clock)
        ada = await user(lab)
        made = await ada.post("/api/api-keys", {"expiresAt": NOW_MS // 1000 + 60}, 201)
        assert made["expiresAt"] == "2026-05-10T00:01:00.000Z"
        assert (await call_with(lab, made["key"])).status == 200
        clock.advance(60_000)
        answer = await call_with(lab, made["key"])
        assert answer.error == ("authentication_error", "The API key has expired.")
        assert (await ada.ask("PATCH", f"/api/api-keys/{made['id']}", {"expiresAt": None})).status == 200
        assert (await call_with(lab, made["key"])).status == 200
        await close(lab)

    run(work())


def test_keys_of_others_do_not_exist() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada, bob = await user(lab), await user(lab, "bob@example.com")
        made = await ada.post("/api/api-keys", {"name": "Ada's"}, 201)
        path, unknown = f"/api/api-keys/{made['id']}", "/api/api-keys/key_unknown"
        for method, below in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
            there = await bob.ask(method, path + below, {"status": "disabled"} if method == "PATCH" else {})
            nowhere = await bob.ask(method, unknown + below, {})
            assert there.status == nowhere.status == 404
            assert there.error[1].replace(made["id"], "key_unknown") == nowhere.error[1]
        assert (await bob.get("/api/api-keys"))["keys"] == []
        assert (await bob.ask("GET", "/api/api-keys", query="orgId=org_unknown")).status == 404
        assert (await call_with(lab, made["key"])).status == 200
        await close(lab)

    run(work())


def test_a_user_has_so_many_keys_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        monkeypatch.setattr("gateway.accounts.KEYS_MAX", 2)
        made = [await ada.ask("POST", "/api/api-keys", {}) for _ in range(3)]
        assert [answer.status for answer in made] == [201, 201, 409]
        await ada.ask("DELETE", f"/api/api-keys/{made[0].json['id']}")
        assert (await ada.ask("POST", "/api/api-keys", {})).status == 201
        assert KEYS_MAX > 100
        await close(lab)

    run(work())


def test_changes_at_the_same_time_do_not_undo_each_other(tmp_path: Path) -> None:
    """A key that a spending limit disables while somebody renames it stays disabled, in memory and in the database."""

    async def work() -> None:
        store, clock = open_store(tmp_path), StillClock()
        accounts = Accounts(store, clock)
        made = await accounts.create_user("Ada")
        key, secret = await accounts.create_key(made, "k", scope=Scope(1))
        await asyncio.gather(
            accounts.change_key(key, status="disabled", reason="spending_limit"),
            accounts.change_key(key, name="renamed"),
            accounts.change_key(key, scope=Scope(1, True)),
            accounts.change_key(key, scope=Scope(5)),
            accounts.change_key(key, expires_at_s=9),
            accounts.rotate_key(key, 60),
            accounts.set_limits(made, {"chat": 1}),
            accounts.set_limits(made, {"image": 2}),
        )
        for known in (accounts, Accounts(store, clock)):
            found = known.find(secret)
            assert found is not None
            assert (found.status, found.status_reason, found.name) == ("disabled", "spending_limit", "renamed")
            assert (found.scope, found.expires_at_s) == (Scope(5, True), 9)
            assert found.rotated_at_ms is not None
        store.close()

    run(work())


def test_other_processes_are_told_of_every_write_and_can_read_it_again(tmp_path: Path) -> None:
    async def work() -> None:
        store, clock = open_store(tmp_path), StillClock()
        one, other = Accounts(store, clock), Accounts(store, clock)
        told: list[tuple[str, str]] = []
        one.changed = lambda kind, ident: told.append((kind, ident))

        async def both_agree(*idents: tuple[str, str]) -> None:
            assert set(told) == set(idents)
            told.clear()
            for kind, ident in idents:
                await other.reload(kind, ident)  # type: ignore[arg-type]
            for kind, ident in idents:
                assert getattr(one, kind)(ident) == getattr(other, kind)(ident)

        ada = await one.create_user("Ada")
        await both_agree(("user", ada.id))
        key, secret = await one.create_key(ada, "k")
        await both_agree(("key", key.id))
        assert other.find(secret) == key
        key = await one.change_key(key, status="disabled", reason="spending_limit")
        await both_agree(("key", key.id))
        key, new = await one.rotate_key(key, 60)
        await both_agree(("key", key.id))
        assert other.find(secret) == other.find(new) == key
        ada = await one.set_limits(ada, {"chat": 5})
        await both_agree(("user", ada.id))
        assert other.find(new).limits["chat"] == 5  # type: ignore[union-attr]
        await one.change_user(ada, {"login": "a@b.c"})
        await both_agree(("user", ada.id))
        owned, _ = await one.create_key(ada, org_id="org_1")
        told.clear()
        await other.reload("key", owned.id)
        await one.disable_keys_of_member("org_1", ada.id, "member_removed", lambda _c: None)
        await both_agree(("key", owned.id))
        assert other.key(owned.id).status_reason == "member_removed"  # type: ignore[union-attr]
        await one.delete_keys_of_org("org_1", lambda _c: None)
        await both_agree(("key", owned.id))
        await one.delete_key(one.find(new) or key)
        await both_agree(("key", key.id))
        assert other.find(secret) is other.find(new) is None
        bob = await one.create_user("Bob")
        theirs, _ = await one.create_key(bob)
        await other.reload("key", theirs.id)  # before the user that it belongs to
        assert other.key(theirs.id) == theirs
        store.close()

    run(work())
