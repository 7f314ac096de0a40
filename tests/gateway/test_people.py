"""People: addresses, passwords, how often somebody may try, and that nobody learns who has an account."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts import Accounts
from gateway.errors import InvalidRequest
from gateway.people import emails, passwords
from gateway.people.passwords import Busy, Cost, Passwords, costs, hashed, matches
from gateway.people.throttle import ACCOUNT, ADDRESS, Rule, Throttle
from tests.gateway.lab import run
from tests.gateway.making import NOW_MS, StillClock
from tests.gateway.people_lab import CHEAP, PASSWORD, Browser, call_with, close, dumped, open_dashboard, user


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        (" a.b+c@d-e.co.uk\n", "a.b+c@d-e.co.uk"),
        ("a@b.c", "a@b.c"),
    ],
)
def test_addresses_have_one_form(text: str, address: str) -> None:
    assert emails.normal(text) == address
    assert emails.normal(address) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "@", "a@", "@b.c", "a@b", "a@b..c", "a@.b.c", "a@-b.c", ".a@b.c", "a.@b.c", "a..b@c.d", "a b@c.d"),
        *("a@b.c\0", "a@b@c.d", "ſ@b.c", "\u212a@b.c", "ı@b.c", "a@ｂ.c", "a" * 65 + "@b.c", "a@" + "b" * 64 + ".c"),
        "a@" + "b." * 126 + "c",
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert emails.normal(text) is None


@given(st.text(max_size=40) | st.emails())
def test_an_address_is_its_own_normal_form_and_nobody_elses(text: str) -> None:
    found = emails.normal(text)
    if found is not None:
        assert emails.normal(found) == found
        assert found.isascii()
        assert found == text.strip().lower()


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_a_password_matches_itself_alone(password: str, other: str) -> None:
    import unicodedata

    stored = hashed(password, "salt", CHEAP)
    assert matches(password, stored)
    same = unicodedata.normalize("NFKC", password) == unicodedata.normalize("NFKC", other)
    assert matches(other, stored) == same
    assert costs(stored) == CHEAP


def test_what_is_stored_tells_its_cost_and_not_the_password() -> None:
    stored = hashed("hunter2hunter2", "saltsaltsalt", Cost(4, 8, 1))
    assert stored.startswith("$scrypt$ln=4,r=8,p=1$saltsaltsalt$")
    assert "hunter" not in stored
    assert stored != hashed("hunter2hunter2", "saltsaltsalU", Cost(4, 8, 1))


def test_scrypt_is_that_of_the_rfc() -> None:
    """RFC 7914 section 12: password "password", salt "NaCl", N 1024, r 8, p 16; the first 32 of 64 bytes."""
    from base64 import b64decode

    stored = hashed("password", "NaCl", Cost(10, 8, 16))
    due = "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
    assert b64decode(stored.rpartition("$")[2]).hex() == due


@pytest.mark.parametrize(
    "stored",
    [
        *(
            "",
            "plain",
            "$scrypt$",
            "$scrypt$ln=31,r=8,p=1$s$" + "A" * 43 + "=",
            "$scrypt$ln=99,r=99,p=99$s$" + "A" * 43,
        ),
        *("$scrypt$ln=0,r=8,p=1$s$" + "A" * 43 + "=", "$bcrypt$ln=1,r=1,p=1$s$" + "A" * 43 + "="),
    ],
)
def test_a_stored_text_that_is_no_hash_matches_nothing_and_costs_nothing(stored: str) -> None:
    assert not matches("", stored)
    assert not matches("password", stored)


@pytest.mark.parametrize(
    ("password", "said"), [("short", "8 to 256"), ("x" * 257, "8 to 256"), ("A@b.cdef", "address")]
)
def test_bad_new_passwords(password: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        passwords.check(password, "a@b.cdef")


def test_few_passwords_are_hashed_at_a_time() -> None:
    async def work() -> None:
        keeper = Passwords(CHEAP)
        many = [keeper.match("password", None) for _ in range(100)]
        done = await asyncio.gather(*many, return_exceptions=True)
        refused = [outcome for outcome in done if isinstance(outcome, Busy)]
        assert len(refused) == 100 - passwords.WAITING_MAX
        assert [outcome for outcome in done if outcome is False] == [False] * passwords.WAITING_MAX
        keeper.close()

    run(work())


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.booleans()), max_size=60),
)
def test_no_window_of_attempts_has_more_than_may_be(most: int, steps: list[tuple[str, int, bool]]) -> None:
    """Against a plain list of attempts: between two moments a window apart lie at most twice as many as may be."""
    rule, throttle, now_s = Rule("r", most), Throttle(100), 0
    admitted: dict[str, list[int]] = {"a": [], "b": []}
    for whose, wait_s, forget in steps:
        now_s += wait_s
        wait = throttle.attempt(rule, whose, now_s)
        mine = admitted[whose]
        if wait:
            assert len(mine) >= most
            assert 1 <= wait <= 100
            assert Throttle.attempt(throttle, rule, whose, now_s + wait) == 0
            mine.clear()
            now_s += wait
        mine.append(now_s)
        if forget:
            throttle.forget(rule, whose)
            mine.clear()
        assert len([at for at in mine if at > now_s - 100]) <= 2 * most


def test_the_throttle_is_bounded() -> None:
    throttle = Throttle(100, entries_max=3)
    for number in range(50):
        assert throttle.attempt(ACCOUNT, str(number), 0) == 0
    assert len(throttle) == 3
    assert throttle.attempt(ACCOUNT, "x", 100) == 0
    assert len(throttle) == 1


def test_signing_up_and_in() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab, "Ada@Example.com", name="  Ada \n Lovelace\u202e ")
        told = await ada.get("/api/auth/session")
        assert told["user"]["email"] == "ada@example.com"
        assert told["user"]["name"] == "Ada Lovelace"
        assert told["user"]["emailVerified"] is False
        assert (told["orgs"], told["via"]) == ([], "password")
        again = Browser(lab)
        answer = await again.sign_in("ADA@example.com")
        assert (answer.status, again.user_id) == (200, ada.user_id)
        taken = await Browser(lab).sign_up("ada@EXAMPLE.com", "another password")
        assert (taken.status, taken.error[0]) == (409, "conflict_error")
        assert all(PASSWORD not in dumped(answer) for answer in (*ada.answers, *again.answers))
        stored = await lab.services.store.read(lambda c: c.exec_driver_sql("SELECT * FROM users").all())
        assert PASSWORD not in repr(stored)
        await close(lab)

    run(work())


def test_more_than_can_be_hashed_are_told_to_come_again() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        await user(lab)
        lab.services.people.passwords._waiting = passwords.WAITING_MAX
        answer = await Browser(lab).sign_in("ada@example.com")
        assert (answer.status, answer.error[0], answer.headers["retry-after"]) == (429, "rate_limit_error", "1")
        lab.services.people.passwords._waiting = 0
        assert (await Browser(lab).sign_in("ada@example.com")).status == 200
        await close(lab)

    run(work())


def test_two_who_sign_up_at_once_are_not_one() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        both = await asyncio.gather(*(Browser(lab).sign_up("a@b.c") for _ in range(2)))
        assert sorted(answer.status for answer in both) == [201, 409]
        await close(lab)

    run(work())


def test_what_is_wrong_is_not_told() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        await user(lab)
        made = await lab.services.accounts.create_user("No password", "np@example.com")
        assert made.login is None
        known = await Browser(lab).sign_in("ada@example.com", "a wrong password")
        for email in ("nobody@example.com", "np@example.com", "no address", "ſ@b.c"):
            other = await Browser(lab).sign_in(email, "a wrong password")
            assert (other.status, other.body) == (known.status, known.body) == (401, known.body)
        assert known.error == ("authentication_error", "The e-mail address or the password is wrong.")
        await close(lab)

    run(work())


def test_a_password_of_nobody_is_hashed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time: as many derivations at the same cost, whether there is such a user or not."""
    seen: list[tuple[int, int, int]] = []
    real = passwords._derive

    def derive(password: str, salt: str, cost: Cost) -> str:
        seen.append((cost.log_n, cost.r, cost.p))
        return real(password, salt, cost)

    async def work() -> None:
        lab = await open_dashboard()
        await user(lab)
        monkeypatch.setattr(passwords, "_derive", derive)
        for email in ("ada@example.com", "nobody@example.com", "no address"):
            await Browser(lab).sign_in(email, "a wrong password")
        assert seen == [(1, 1, 1)] * 3
        await close(lab)

    run(work())


def test_attempts_on_an_account_are_counted_from_everywhere_and_whether_it_exists_or_not() -> None:
    async def work(email: str) -> list[int]:
        clock = StillClock()
        lab = await open_dashboard(clock=clock)
        await user(lab, address="192.0.2.200")
        tries = [Browser(lab, f"192.0.2.{number}") for number in range(ACCOUNT.most + 2)]
        got = [await one.sign_in(email, "a wrong password") for one in tries]
        assert 1 <= int(got[-1].headers["retry-after"]) <= 900
        told = [got[-1].headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset")]
        assert told == [str(ACCOUNT.most), "0", str(NOW_MS // 1000 + int(got[-1].headers["retry-after"]))]
        right = await Browser(lab, "192.0.2.99").sign_in("ada@example.com")
        assert (right.status == 429) == (email == "ada@example.com")
        clock.advance(900_000)
        assert (await Browser(lab).sign_in("ada@example.com")).status == 200
        await close(lab)
        return [answer.status for answer in got]

    known, unknown = (run(work(email)) for email in ("ada@example.com", "nobody@example.com"))
    assert known == unknown == [401] * ACCOUNT.most + [429] * 2


def test_attempts_from_an_address_are_counted_over_all_accounts() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        await user(lab, address="2001:db8::1")
        for number in range(ADDRESS.most):  # of one /64
            one = Browser(lab, f"2001:db8::{number:x}")
            assert (await one.sign_in(f"{number}@example.com", "a wrong password")).status == 401
        assert (await Browser(lab, "2001:db8::ffff").sign_in("ada@example.com")).status == 429
        assert (await Browser(lab, "2001:db8:0:1::1").sign_in("ada@example.com")).status == 200
        await close(lab)

    run(work())


def test_attempts_that_come_together_are_counted_too() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        await user(lab)
        tries = [Browser(lab, f"192.0.2.{number}").sign_in("ada@example.com", "wrong wrong") for number in range(30)]
        got = [answer.status for answer in await asyncio.gather(*tries)]
        assert got.count(401) == ACCOUNT.most
        assert got.count(429) == 30 - ACCOUNT.most
        await close(lab)

    run(work())


def test_a_good_attempt_makes_room_for_the_account_again() -> None:
    async def work() -> None:
        lab = await open_dashboard(clock=StillClock())
        await user(lab, address="192.0.2.1")
        for _ in range(2 * ACCOUNT.most):
            assert (await Browser(lab).sign_in("ada@example.com")).status == 200
        await close(lab)

    run(work())


def test_another_password_ends_every_session() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await user(lab)
        other = Browser(lab)
        await other.sign_in("ada@example.com")
        body = {"currentPassword": "wrong password", "newPassword": "a new password"}
        wrong = await ada.ask("POST", "/api/auth/password", body)
        assert (wrong.status, wrong.error[0]) == (400, "invalid_request_error")
        before = ada.cookie
        body["currentPassword"] = PASSWORD
        assert (await ada.ask("POST", "/api/auth/password", body)).status == 200
        assert ada.cookie != before
        assert (await ada.get("/api/auth/session"))["user"]["id"] == ada.user_id
        assert (await other.ask("GET", "/api/auth/session")).status == 401
        stale = Browser(lab, cookie=before)
        assert (await stale.ask("GET", "/api/auth/session")).status == 401
        assert (await Browser(lab).sign_in("ada@example.com")).status == 401
        assert (await Browser(lab).sign_in("ada@example.com", "a new password")).status == 200
        await close(lab)

    run(work())


def test_a_stored_hash_follows_the_cost_of_today() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        await user(lab)
        people = lab.services.people
        people.passwords = Passwords(Cost(2, 1, 1))
        assert (await Browser(lab).sign_in("ada@example.com")).status == 200
        stored = await people.find("ada@example.com")
        assert stored is not None
        assert stored.password is not None
        assert stored.password.startswith("$scrypt$ln=2,r=1,p=1$")
        assert (await Browser(lab).sign_in("ada@example.com")).status == 200
        await close(lab)

    run(work())


def test_who_took_an_address_before_its_owner_came_by_single_sign_on_keeps_nothing() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        squatter = await user(lab)
        secret = (await squatter.post("/api/api-keys", {"name": "k"}, 201))["key"]
        owner = await lab.services.people.vouched("Ada@example.com", "Ada")
        assert owner.id == squatter.user_id
        assert owner.email_verified_at_ms is not None
        assert (await squatter.ask("GET", "/api/auth/session")).status == 401
        assert (await Browser(lab).sign_in("ada@example.com")).status == 401
        assert (await call_with(lab, secret)).status == 401
        again = await lab.services.people.vouched("ada@example.com", None)
        assert again == owner
        new = await lab.services.people.vouched("new@example.com", "New")
        assert (new.login, new.name) == ("new@example.com", "New")
        assert new.email_verified_at_ms is not None
        await close(lab)

    run(work())


def test_the_operator_gives_passwords() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        admin = {"authorization": "Bearer admin"}

        async def put(user_id: str, **body: Any) -> tuple[int, Any]:
            path = f"/admin/users/{user_id}/password"
            answer = await lab.ask(path, body, method="PUT", headers=admin)
            return answer.status, answer.json

        made = await lab.services.accounts.create_user("Bob", "Bob@Example.com")
        assert await put(made.id, password=PASSWORD) == (200, {"id": made.id, "email": "bob@example.com"})
        bob = Browser(lab)
        assert (await bob.sign_in("bob@example.com")).status == 200
        assert bob.user_id == made.id
        await user(lab)
        assert (await put(made.id, password=PASSWORD, email="ada@example.com"))[0] == 409
        assert (await put(made.id, password="short"))[0] == 400
        assert (await put(lab.user_id, password=PASSWORD))[0] == 400  # no address to sign in with
        assert (await put("usr_nobody", password=PASSWORD))[0] == 404
        assert (await put(made.id, password="another password"))[0] == 200
        assert (await bob.ask("GET", "/api/auth/session")).status == 401
        reopened = Accounts(lab.services.store, lab.services.clock)
        assert reopened.user(made.id) == lab.services.accounts.user(made.id)
        path = f"/admin/users/{made.id}/password"
        assert (await lab.ask(path, {"password": PASSWORD}, method="PUT", headers={})).status == 401
        await close(lab)

    run(work())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"email": "a@b.c"}, "`password` is missing"),
        ({"password": PASSWORD}, "`email` is missing"),
        ({"email": 5, "password": PASSWORD}, "`email` is a number"),
        ({"email": "a@b.c", "password": ["x"]}, "`password` is an array"),
        ({"email": "a@b.c", "password": PASSWORD, "admin": True}, "'admin' means nothing here"),
        ({"email": "no address", "password": PASSWORD}, "`email` is no e-mail address"),
        ({"email": "a@b.c", "password": "x" * 999}, "has 999 characters"),
        ([], "a JSON object was due"),
        (b"{", "not valid JSON"),
        (b'{"email": "' + b"x" * 70_000 + b'"}', "over 65536 bytes"),
    ],
)
def test_bad_bodies_are_told(body: Any, said: str) -> None:
    async def work() -> None:
        lab = await open_dashboard()
        answer = await Browser(lab).ask("POST", "/api/auth/sign-up", body)
        assert answer.status in (400, 413)
        assert said in answer.error[1]
        await close(lab)

    run(work())
