"""The provisioning API: what it does, what it refuses, and that nothing happens without its token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway import config
from gateway.endpoints import admin, usage
from gateway.services import Services, open_services
from gateway.upstreams.memory import MemoryReply, MemoryTransport
from tests.gateway.asgi import Reply, application, call
from tests.gateway.making import CREDIT, NOW_MS, StillClock, open_money, open_store, run, take, usage_row

TOKEN = "a token of the test"
Call = Callable[..., Awaitable[Reply]]


def with_api(folder: Path, test: Callable[[Call, Services], Awaitable[None]], **options: Any) -> None:
    """Runs `test(call, services)`; `call` sends the admin token unless it is given another."""

    async def work() -> None:
        store, clock = open_store(folder), StillClock()
        settings = config.load(flags={"test_clock": True, **options})
        transport = MemoryTransport(lambda _request: MemoryReply(500))  # nobody is asked
        services = open_services(settings, store, transport, TOKEN, clock=clock, money=open_money(store))
        app = application([*admin.routes(services), *usage.routes(services)])

        async def send(method: str, path: str, body: Any = None, token: str | None = TOKEN, **further: Any) -> Reply:
            return await call(app, method, path, body, token, **further)

        await test(send, services)
        store.close()

    run(work())


async def made_user(send: Call, **fields: Any) -> dict[str, Any]:
    reply = await send("POST", "/admin/users", fields)
    assert reply.status == 201, reply.body
    return dict(reply.json())


def test_a_user_from_first_to_last(tmp_path: Path) -> None:
    async def test(send: Call, services: Services) -> None:
        user = await made_user(send, name="Ada", email="a@b.c", amount_uc=5 * CREDIT, limits={"chat": 2})
        path = f"/admin/users/{user['id']}"
        assert user == {
            "id": user["id"],
            "name": "Ada",
            "email": "a@b.c",
            "limits": {"chat": 2, "image": 500, "video": 200, "audio": 200},
            "balance_uc": 5 * CREDIT,
            "available_uc": 5 * CREDIT,
            "held_uc": 0,
            "topped_up_uc": 5 * CREDIT,
        }
        bought = await send("POST", path + "/top-ups", {"amount_uc": CREDIT, "idempotency_key": "once"})
        again = await send("POST", path + "/top-ups", {"amount_uc": CREDIT, "idempotency_key": "once"})
        assert (bought.status, bought.json()["balance_uc"]) == (201, 6 * CREDIT)
        assert again.json() == bought.json()
        other = await send("POST", path + "/top-ups", {"amount_uc": 2, "idempotency_key": "once"})
        assert other.error() == (409, "conflict_error")

        key = (await send("POST", path + "/keys", {"name": "laptop", "expires_at": 99})).json()
        assert key.pop("key").startswith("ck_")
        changed = (await send("PATCH", f"/admin/keys/{key['id']}", {"status": "disabled", "expires_at": None})).json()
        assert changed == {**key, "status": "disabled", "expires_at": None}
        patched = (await send("PATCH", path, {"limits": {"image": 0}})).json()
        assert patched["limits"] == {"chat": 2, "image": 0, "video": 200, "audio": 200}

        hold = await take(services.money, CREDIT, user["id"])
        seen = (await send("GET", path)).json()
        assert (seen["balance_uc"], seen["available_uc"], seen["held_uc"]) == (6 * CREDIT, 5 * CREDIT, CREDIT)
        assert seen["keys"] == [changed]
        await services.money.settle(hold, charge_uc=9, row=usage_row(user["id"]))
        moved = (await send("GET", path + "/transfers")).json()["transfers"]
        assert [t["kind"] for t in moved] == ["TOP_UP", "TOP_UP", "HOLD", "SETTLE", "RELEASE"]
        assert moved[1]["id"] == bought.json()["transfer_id"]
        assert moved[3] == {
            "id": moved[3]["id"],
            "kind": "SETTLE",
            "source": f"held:{user['id']}",
            "destination": "revenue",
            "amount_uc": 9,
            "request_id": "req_1",
            "closes": moved[2]["id"],
            "created_at_ms": NOW_MS,
            "note": None,
        }
        newest = await send("GET", path + "/transfers", query={"limit": 1})
        assert [t["kind"] for t in newest.json()["transfers"]] == ["HOLD", "SETTLE", "RELEASE"]
        assert (await send("GET", path + "/transfers", query={"limit": 0})).error() == (400, "invalid_request_error")
        assert [row["costUc"] for row in (await send("GET", path + "/usage")).json()["logs"]] == [9]
        assert (await send("DELETE", f"/admin/keys/{key['id']}")).status == 204
        assert (await send("DELETE", f"/admin/keys/{key['id']}")).error() == (404, "not_found_error")
        assert (await send("GET", "/admin/ledger")).json() == {
            "ok": True,
            "problems": [],
            "sum_uc": 0,
            "accounts": 4,
            "transfers": 5,
            "open_holds": 0,
            "held_uc": 0,
            "counters": 0,
        }

    with_api(tmp_path, test)


def test_nothing_happens_without_the_token(tmp_path: Path) -> None:
    async def test(send: Call, services: Services) -> None:
        user = await made_user(send)
        _, secret = await services.accounts.create_key(services.accounts._users[user["id"]])
        doors = [(m, r.path) for r in admin.routes(services) for m in r.methods or () if m != "HEAD"]
        assert len(doors) == 12
        for method, path in doors:
            place = path.replace("{user_id}", user["id"]).replace("{key_id}", "key_1")
            for token in (None, "", "wrong", TOKEN[:-1], TOKEN + "a", TOKEN.upper(), secret, "ü"):
                assert (await send(method, place, {}, token)).error() == (401, "authentication_error")
        assert len(services.accounts._users) == 1

    with_api(tmp_path, test)


WRONG_BODIES: list[tuple[str, str, Any]] = [
    ("POST", "/admin/users", {"name": 5}),
    ("POST", "/admin/users", {"name": ""}),
    ("POST", "/admin/users", {"email": "x" * 201}),
    ("POST", "/admin/users", {"amount_uc": -1}),
    ("POST", "/admin/users", {"amount_uc": 1.5}),
    ("POST", "/admin/users", {"amount_uc": "5"}),
    ("POST", "/admin/users", {"amount_uc": True}),
    ("POST", "/admin/users", {"amount_uc": 10**16}),
    ("POST", "/admin/users", {"limits": []}),
    ("POST", "/admin/users", {"limits": {"chess": 1}}),
    ("POST", "/admin/users", {"limits": {"chat": -1}}),
    ("POST", "/admin/users", {"limits": {"chat": None}}),
    ("POST", "/admin/users", {"surprise": 1}),
    ("POST", "/admin/users", [1]),
    ("PATCH", "/admin/users/{user}", {"limits": {"chat": "many"}}),
    ("POST", "/admin/users/{user}/top-ups", {}),
    ("POST", "/admin/users/{user}/top-ups", {"amount_uc": 0}),
    ("POST", "/admin/users/{user}/top-ups", {"amount_uc": None}),
    ("POST", "/admin/users/{user}/top-ups", {"amount_uc": 5, "idempotency_key": 5}),
    ("POST", "/admin/users/{user}/keys", {"expires_at": "tomorrow"}),
    ("POST", "/admin/users/{user}/keys", {"expires_at": -1}),
    ("POST", "/admin/users/{user}/keys", {"key": "sk-other-people-have-these"}),
    ("POST", "/admin/users/{user}/keys", {"key": "ck_short"}),
    ("POST", "/admin/users/{user}/keys", {"key": "ck_with a blank in it"}),
    ("POST", "/admin/users/{user}/keys", {"key": "ck_" + "x" * 300}),
    ("PATCH", "/admin/keys/{key}", {"status": "gone"}),
    ("PATCH", "/admin/keys/{key}", {"status": 1}),
    ("POST", "/admin/clock", {}),
    ("POST", "/admin/clock", {"advance_ms": -1}),
    ("POST", "/admin/clock", {"advance_ms": 10**13}),
]


def test_wrong_bodies_are_told_and_change_nothing(tmp_path: Path) -> None:
    async def test(send: Call, services: Services) -> None:
        user = await made_user(send)
        key = (await send("POST", f"/admin/users/{user['id']}/keys")).json()
        before = (await send("GET", f"/admin/users/{user['id']}")).json()
        for method, place, body in WRONG_BODIES:
            path = place.format(user=user["id"], key=key["id"])
            reply = await send(method, path, body)
            assert reply.error() == (400, "invalid_request_error"), (path, body, reply.body)
            assert " due" in reply.json()["error"]["message"] or "missing" in reply.json()["error"]["message"]
        for raw in (b"{", b"nonsense", b'"\xff"', b'{"a":1}{'):
            assert (await send("POST", "/admin/users", raw=raw)).error() == (400, "invalid_request_error")
        assert (await send("GET", f"/admin/users/{user['id']}")).json() == before
        assert len(services.accounts._users) == 1
        assert services.clock.offset_ms == 0

    with_api(tmp_path, test)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/users/nobody"),
        ("PATCH", "/admin/users/nobody"),
        ("POST", "/admin/users/nobody/top-ups"),
        ("POST", "/admin/users/nobody/keys"),
        ("GET", "/admin/users/nobody/transfers"),
        ("GET", "/admin/users/nobody/usage"),
        ("PATCH", "/admin/keys/nothing"),
        ("DELETE", "/admin/keys/nothing"),
    ],
)
def test_nobody_is_not_found(tmp_path: Path, method: str, path: str) -> None:
    async def test(send: Call, _services: Services) -> None:
        assert (await send(method, path)).error() == (404, "not_found_error")

    with_api(tmp_path, test)


def test_a_key_of_ones_own_can_be_brought_once(tmp_path: Path) -> None:
    async def test(send: Call, services: Services) -> None:
        path = f"/admin/users/{(await made_user(send))['id']}/keys"
        assert (await send("POST", path, {"key": "ck_brought_by_the_test"})).json()["key"] == "ck_brought_by_the_test"
        assert services.accounts.find("ck_brought_by_the_test") is not None
        assert (await send("POST", path, {"key": "ck_brought_by_the_test"})).error() == (409, "conflict_error")

    with_api(tmp_path, test)


def test_the_clock_moves_only_where_allowed(tmp_path: Path) -> None:
    async def allowed(send: Call, services: Services) -> None:
        assert (await send("POST", "/admin/clock", {"advance_ms": 5})).json() == {"offset_ms": 5}
        assert (await send("POST", "/admin/clock", {"advance_ms": 0})).json() == {"offset_ms": 5}
        assert services.clock.now_ms() == NOW_MS + 5

    async def forbidden(send: Call, services: Services) -> None:
        assert (await send("POST", "/admin/clock", {"advance_ms": 5})).error() == (403, "access_denied")
        assert services.clock.now_ms() == NOW_MS

    with_api(tmp_path, allowed)
    with_api(tmp_path, forbidden, test_clock=False)


def test_upstreams_show_their_breakers_and_no_keys(tmp_path: Path) -> None:
    async def test(send: Call, services: Services) -> None:
        told = (await send("GET", "/admin/upstreams")).json()
        assert sorted(told) == ["chains", "upstreams"]
        assert told["chains"]
        assert told["upstreams"].keys() == services.config.upstreams.keys()
        for upstream in told["upstreams"].values():
            assert sorted(upstream) == ["base_url", "breaker", "dialects"]
            assert upstream["breaker"] == "closed"

    with_api(tmp_path, test)


def test_the_log_shows_a_key_its_own_user_only(tmp_path: Path) -> None:
    async def test(send: Call, services: Services) -> None:
        secrets = {}
        for name in ("a", "b"):
            user = await made_user(send, name=name, amount_uc=CREDIT)
            secrets[name] = (await send("POST", f"/admin/users/{user['id']}/keys")).json()["key"]
            row = usage_row(user["id"], request_id=f"req_{name}")
            await services.money.settle(await take(services.money, 10, user["id"]), charge_uc=5, row=row)
        for path in usage.PATHS:
            told = (await send("GET", path, token=secrets["a"], query={"days": 1, "limit": 10})).json()
            assert [row["requestId"] for row in told["logs"]] == ["req_a"]
            assert [row["costUc"] for row in told["costByModel"]] == [5]
        assert (await send("GET", usage.PATHS[0], token="ck_unknown")).error() == (401, "authentication_error")
        assert (await send("GET", usage.PATHS[0], token=TOKEN)).error() == (401, "authentication_error")
        wrong = await send("GET", usage.PATHS[0], token=secrets["a"], query={"days": "x"})
        assert wrong.error() == (400, "invalid_request_error")

    with_api(tmp_path, test)


def test_the_same_key_of_twenty_top_ups_at_once_buys_once(tmp_path: Path) -> None:
    async def test(send: Call, _services: Services) -> None:
        path = f"/admin/users/{(await made_user(send))['id']}"
        body = {"amount_uc": CREDIT, "idempotency_key": "once"}
        replies = await asyncio.gather(*(send("POST", path + "/top-ups", body) for _ in range(20)))
        assert {reply.json()["transfer_id"] for reply in replies} == {replies[0].json()["transfer_id"]}
        assert (await send("GET", path)).json()["balance_uc"] == CREDIT

    with_api(tmp_path, test)
