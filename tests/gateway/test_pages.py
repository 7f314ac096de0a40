"""The dashboard's pages in memory: every page for every role, what is refused, what is escaped, what is shown once."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import sys
import warnings
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.edge import Clock
from gateway.endpoints.usage import DAY_MS
from gateway.orgs import audit, permissions
from gateway.orgs.audit import Actor
from gateway.pages import charts, figures, forms
from gateway.sign_on import settings as settings_
from gateway.sign_on.providers import Provider
from gateway.usage import UsageRow
from schemas.catalogue import UC_PER_USD
from tests.gateway.lab import CREDIT, HI, Lab, run
from tests.gateway.pages_lab import FORM, Page, Person, person
from tests.gateway.people_lab import PASSWORD, close, events, open_dashboard

PUBLIC = ("/", "/sign-in", "/sign-up")
PRIVATE = ("/usage", "/manage-api-keys", "/settings/organization", "/settings/organization/new", "/settings/account")
HOSTILE = """"><script>alert(1)</script>'<img src=x onerror=alert(2)>{{7*7}}&amp;"""
ROLES = permissions.table().roles
SECTIONS = {
    "members": "members.read",
    "invite": "members.manage",
    "budget": "billing.read",
    "sso": "sso.read",
    "audit": "audit.read",
}
EVIL = st.one_of(
    st.sampled_from(["//evil.test", "/\\evil.test", "https://evil.test/", "javascript:alert(1)", "/\t/evil.test", ""]),
    st.builds("".join, st.lists(st.sampled_from(["/", "\\", "evil.test", "http:", "@", "?", "#", "\r\n", "%2f", " "]))),
    st.text(max_size=40),
)


def secret_of(page: Page) -> str:
    """The secret that a page shows; empty where there is none."""
    found = re.search(r'id="secret"[^>]*>([^<]+)<', page.text)
    return unescape(found[1]) if found else ""


def check_frame(page: Page) -> None:
    """What holds for every page."""
    assert page.header("content-type") == "text/html; charset=utf-8"
    policy = page.header("content-security-policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert "unsafe" not in policy
    assert page.header("cache-control") == "no-store"
    assert page.header("x-content-type-options") == "nosniff"
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        assert tag not in ("style", "iframe", "object")
        if tag == "script":
            assert (attributes["src"] or "").startswith("/static/")
        for name in ("href", "src", "action"):
            target = attributes.get(name)
            assert target is None or target.startswith(("/", "#")), (tag, name, target)
            assert not (target or "").startswith("//")
        if tag == "form" and attributes.get("method") == "post":
            assert (attributes["action"] or "").startswith("/")
    posts = sum(tag == "form" and attributes.get("method") == "post" for tag, attributes in page.tags)
    tokens = [attributes for tag, attributes in page.tags if tag == "input" and attributes.get("name") == "csrf"]
    assert len(tokens) == posts
    assert all(each["value"] for each in tokens)


async def logged(lab: Lab, payer_id: str, count: int = 1, **more: object) -> None:
    """Rows of the usage log."""
    now_ms = lab.services.clock.now_ms()
    for number in range(count):
        values = {
            "request_id": f"req_{number:04}",
            "user_id": payer_id,
            "key_id": "key_gone",
            "created_at_ms": now_ms - number * 1000,
            "endpoint": "/v1/chat/completions",
            "model": "gpt-5.5",
            "requested_model": "gpt-5.5",
            "status": "succeeded",
            "status_code": 200,
            "latency_ms": 1234,
            "stream": False,
            **more,
        }
        await lab.services.money.record(UsageRow(**values))  # type: ignore[arg-type]


async def team(lab: Lab) -> tuple[str, dict[str, Person]]:
    """An organisation, and somebody of every role."""
    owner = await person(lab, "owner@acme.com", "Olga Owner")
    await owner.post("/settings/organization", name="Acme Inc")
    page = await owner.get("/settings/organization")
    org_id = str(re.search(r"/settings/organization/(org_\w+)/", page.text)[1])  # type: ignore[index]
    people = {"owner": owner}
    for role in ROLES[1:]:
        people[role] = await person(lab, f"{role}@acme.com")
        await owner.get("/settings/organization")
        made = await owner.post(f"/settings/organization/{org_id}/invitations", email=f"{role}@acme.com", role=role)
        link = secret_of(await owner.get(made.location))
        target = link.partition("gateway.example")[2]
        await people[role].get(target)
        accepted = await people[role].post("/invitations/accept", token=parse_qs(urlsplit(link).query)["token"][0])
        assert org_id in accepted.location
    return org_id, people


def test_public_pages_and_files() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        visitor = Person(lab)
        for path in PUBLIC:
            check_frame(await visitor.get(path))
        landing = await visitor.get("/")
        for tag, attributes in landing.tags:
            for target in (attributes.get("src"), attributes.get("href")):
                if target and target.startswith("/static/"):
                    file = await visitor.get(target)
                    assert "immutable" in file.header("cache-control"), tag
                    assert file.header("x-content-type-options") == "nosniff"
        assert (await visitor.get("/static/style.css")).header("cache-control") == "public, max-age=300"
        for name in ("nothing.css", "..%2f__init__.py"):
            await visitor.get(f"/static/{name}", 404)
        assert (await visitor.ask("HEAD", "/")).status == 200
        await close(lab)

    run(work())


def test_private_pages_send_to_sign_in_and_back() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        await person(lab, "ada@acme.com")
        for path in (*PRIVATE, "/usage?days=7&q=a%26b", "/invitations/accept?token=inv_x"):
            visitor = Person(lab)
            sent = await visitor.get(path, 303)
            assert sent.location == "/sign-in?" + urlencode({"next": path})
            await visitor.get(sent.location)
            asked = await visitor.post("/sign-in", 200, email="ada@acme.com", next=path)
            assert "current-password" in asked.text
            check_frame(asked)
            done = await visitor.post("/sign-in", email="ada@acme.com", password=PASSWORD, next=path)
            assert done.location == path
            check_frame(await visitor.get(path))
        await close(lab)

    run(work())


def test_every_page_for_every_role() -> None:
    """Each section is there exactly for whom the table of permissions lets see it, and each page's frame is right."""

    async def work() -> None:
        lab = await open_dashboard()
        org_id, people = await team(lab)
        may = permissions.table().allows
        for role, one in people.items():
            for path in (*PUBLIC[:1], *PRIVATE):
                check_frame(await one.get(path))
            page = await one.get(f"/settings/organization?org={org_id}")
            shown = {name for name in SECTIONS if f'id="{name}"' in page.text}
            assert shown == {name for name, action in SECTIONS.items() if may(role, action)}, role
            assert ("Save budget" in page.text) == may(role, "billing.manage")
            assert ("Add provider" in page.text) == may(role, "sso.manage")
            assert ("Rename" in page.text) == may(role, "org.rename")
            check_frame(await one.get(f"/usage?org={org_id}"))
            keys = await one.get(f"/manage-api-keys?org={org_id}", 200 if may(role, "keys.read") else 403)
            check_frame(keys)
            assert ('id="create"' in keys.text) == (may(role, "keys.create") and keys.status == 200)
        stranger = await person(lab, "eve@evil.test")
        for path in ("/usage", "/manage-api-keys", "/settings/organization"):
            hidden = await stranger.get(f"{path}?org={org_id}", 404)
            nothing = await stranger.get(f"{path}?org=org_none", 404)
            strip = re.compile(r"org_\w+|req_\w+")
            assert strip.sub("", hidden.text) == strip.sub("", nothing.text)
        await close(lab)

    run(work())


def test_what_a_role_may_not_do_is_refused() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        org_id, people = await team(lab)
        at, may = f"/settings/organization/{org_id}", permissions.table().allows
        victim = (await lab.services.members.of(org_id))[-1].user_id
        asked = {
            f"{at}/name": "org.rename",
            f"{at}/delete": "org.delete",
            f"{at}/members/{victim}/role": "members.manage",
            f"{at}/members/{victim}/remove": "members.manage",
            f"{at}/members/{victim}/owner": "org.transfer",
            f"{at}/invitations": "members.manage",
            f"{at}/budget": "billing.manage",
            f"{at}/sso": "sso.manage",
            f"/manage-api-keys?org={org_id}": "keys.create",
        }
        for role, one in people.items():
            await one.get("/usage")
            for path, action in asked.items():
                if not may(role, action):
                    await one.post(path, 403, name="x", role="owner", email="x@y.test", monthlyLimit="1")
        assert {member.role for member in await lab.services.members.of(org_id)} == set(ROLES)
        assert lab.services.accounts.keys_of_org(org_id) == []
        await close(lab)

    run(work())


def test_forms_without_the_token_are_refused() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada, eve = await person(lab, "ada@acme.com"), await person(lab, "eve@evil.test")
        key, _ = await lab.services.accounts.create_key(lab.services.accounts.user(await whose(lab, "ada@acme.com")))  # type: ignore[arg-type]
        forms_ = [
            "/manage-api-keys",
            f"/manage-api-keys/{key.id}/delete",
            f"/manage-api-keys/{key.id}/rotate",
            f"/manage-api-keys/{key.id}/status",
            "/settings/organization",
            "/settings/account/password",
            "/settings/account/sessions",
            "/sign-out",
            "/sign-in",
            "/sign-up",
        ]
        for path in forms_:
            for token in ("", "x", eve.csrf, "é" * 43):
                refused = await ada.post(path, 403, csrf=token, name="x")
                check_frame(refused)
            elsewhere = urlencode({"csrf": ada.csrf, "name": "x"}).encode()
            there = await ada.ask("POST", path, elsewhere, origin="https://evil.test", **FORM)  # type: ignore[arg-type]
            assert there.status == 403
            assert (await ada.ask("POST", path, b"{}", content_type="application/json")).status == 400
        assert lab.services.accounts.key(key.id) == key
        assert (await ada.get("/usage")).status == 200
        await close(lab)

    run(work())


async def whose(lab: Lab, email: str) -> str:
    """The id of a user."""
    stored = await lab.services.people.find(email)
    assert stored is not None
    return stored.user_id


def test_a_secret_is_shown_once() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada, eve = await person(lab, "ada@acme.com"), await person(lab, "eve@evil.test")
        await ada.get("/manage-api-keys")
        made = await ada.post(
            "/manage-api-keys", name="prod", spendingLimit="1,234.5", autoDisable="1", ips="10.0.0.0/8"
        )
        assert made.body == b""
        note = dict(ada.cookies)
        secret = secret_of(await ada.get(made.location))
        key = lab.services.accounts.find(secret)
        assert key is not None
        assert key.spending_limit_uc == 1_234_500_000
        assert key.auto_disable
        assert secret not in "".join(note.values())
        for path in (made.location, *PRIVATE):
            assert secret not in (await ada.get(path)).text
        eve.cookies["windtunnel_note"] = note["windtunnel_note"]
        assert secret not in (await eve.get("/manage-api-keys")).text
        ada.cookies["windtunnel_note"] = note["windtunnel_note"][:-2] + "AA"
        assert (await ada.get("/manage-api-keys")).status == 200

        rotated = await ada.post(f"/manage-api-keys/{key.id}/rotate", graceSeconds="3600")
        fresh = secret_of(await ada.get(rotated.location))
        assert fresh not in ("", secret)
        assert lab.services.accounts.find(secret) == lab.services.accounts.find(fresh)
        await ada.post(f"/manage-api-keys/{key.id}/status", status="disabled")
        assert lab.services.accounts.key(key.id).status == "disabled"  # type: ignore[union-attr]
        await ada.post(f"/manage-api-keys/{key.id}/status", status="active")
        assert lab.services.accounts.key(key.id).status == "active"  # type: ignore[union-attr]
        await eve.post(f"/manage-api-keys/{key.id}/delete", 404)
        await ada.post(f"/manage-api-keys/{key.id}/delete")
        assert lab.services.accounts.key(key.id) is None
        await close(lab)

    run(work())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("name", "", "The name is missing"),
        ("spendingLimit", "lots", "is no number of credits"),
        ("spendingLimit", "-1", "were due"),
        ("expiresAt", "2020-01-01", "is over already"),
        ("expiresAt", "soon", "is no date"),
        ("origins", "javascript:alert(1)", "an origin such as"),
        ("ips", "300.1.1.1", "IP addresses and networks"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(name: str, value: str, said: str) -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await person(lab, "ada@acme.com")
        page = await ada.post("/manage-api-keys", 400, **{"name": "kept-name", name: value})
        check_frame(page)
        at = page.text.index(f'id="create-{name}-wrong"')
        assert said in page.text[at : at + 200]
        field = next(attributes for _, attributes in page.tags if attributes.get("id") == f"create-{name}")
        assert field["aria-invalid"] == "true"
        assert field["aria-describedby"] == f"create-{name}-wrong"
        assert ("kept-name" in page.text) == (name != "name")
        assert lab.services.accounts.keys_of(await whose(lab, "ada@acme.com")) == []
        await close(lab)

    run(work())


def test_signing_in_says_the_same_of_everybody_who_cannot() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        await person(lab, "ada@acme.com")
        told = []
        for email in ("ada@acme.com", "none@acme.com"):
            visitor = Person(lab)
            await visitor.get("/sign-in")
            step = await visitor.post("/sign-in", 200, email=email)
            wrong = await visitor.post("/sign-in", 401, email=email, password="wrong wrong")
            told.append([re.sub(r'value="[^"]+"', "", page.text) for page in (step, wrong)])
            assert "wrong wrong" not in wrong.text
        assert told[0] == told[1]
        visitor = Person(lab)
        await visitor.get("/sign-in")
        for _ in range(50):
            last = await visitor.ask(
                "POST",
                "/sign-in",
                urlencode({"csrf": visitor.csrf, "email": "b@c.de", "password": "x" * 9}).encode(),
                **FORM,
            )  # type: ignore[arg-type]
        assert last.status == 429
        assert int(last.header("retry-after")) > 0
        await close(lab)

    run(work())


@settings(max_examples=40)
@given(EVIL)
def test_next_never_leads_elsewhere(target: str) -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await person(lab, "ada@acme.com")
        query = urlencode({"next": target.encode("utf-8", "replace")})
        there = (await ada.get(f"/sign-in?{query}", 303)).location
        assert there.startswith("/")
        assert not there.startswith(("//", "/\\"))
        assert there.isprintable()
        assert urlsplit(there).netloc == ""
        await close(lab)

    run(work())


@settings(max_examples=12)
@given(st.just(HOSTILE) | st.text(min_size=1, max_size=60))
@example(HOSTILE)
def test_hostile_names_are_escaped(name: str) -> None:
    """Names of people, organisations, keys and models, and what a search says: the elements stay those of the page."""

    async def work() -> None:
        lab = await open_dashboard()
        plain, hostile = await shapes(lab, "a", "x@a.test"), await shapes(lab, name, "y@b.test")
        assert hostile == plain
        await close(lab)

    run(work())


async def shapes(lab: Lab, name: str, email: str) -> list[list[str]]:
    """The elements of every page where a name stands (a name that is refused is replaced by one that is not)."""
    services = lab.services
    user = await services.accounts.create_user(name, email, login=email, verified=True)
    await services.people.set_password(user, PASSWORD)
    org = await services.orgs.create(user.id, name, None, Actor(user.id))
    await services.accounts.create_key(user, name)
    await services.accounts.create_key(user, name, org_id=org.id)
    for payer in (user.id, org.id):
        await logged(lab, payer, model=name, requested_model=name, endpoint=f"/{name}", upstream=name)
    one = Person(lab)
    await one.get("/sign-in")
    await one.post("/sign-in", email=email, password=PASSWORD)
    query = urlencode({"q": name.encode("utf-8", "replace"), "model": "", "days": "7"})
    found = []
    for path in (*PRIVATE, f"/usage?org={org.id}&days=7", f"/usage?{query}", f"/manage-api-keys?org={org.id}"):
        page = await one.ask("GET", path)
        check_frame(page)
        assert "alert(1)</script>" not in page.text
        if "q=" not in path:
            assert page.status == 200, path
            found.append([tag for tag, _ in page.tags])
    return found


def test_usage_filters_and_pages() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await person(lab, "ada@acme.com")
        user_id = await whose(lab, "ada@acme.com")
        assert "No requests yet" in (await ada.get("/usage")).text
        await logged(lab, user_id, 60)
        await logged(
            lab, user_id, 2, model="claude-opus", requested_model="claude-opus", status="failed", status_code=502
        )
        seen: list[str] = []
        target = "/usage?model=gpt-5.5"
        for _ in range(4):
            page = await ada.get(target)
            check_frame(page)
            seen += re.findall(r'title="Request id">(req_\w+)<', page.text)
            older = next((a["href"] for tag, a in page.tags if tag == "a" and a.get("rel") == "next"), None)
            if older is None:
                break
            target = older
        assert seen == [f"req_{number:04}" for number in range(60)]
        failed = await ada.get("/usage?status=failed")
        assert failed.text.count(">502<") == 2
        assert "Nothing matches" in (await ada.get("/usage?q=nothing-like-it")).text
        wrong = await ada.get("/usage?minCost=lots&days=nonsense", 400)
        assert "The lowest cost is" in wrong.text
        csv = next(a["href"] for tag, a in failed.tags if tag == "a" and (a.get("href") or "").startswith("/api/"))
        assert csv is not None
        export = await ada.get(csv)
        assert export.text.count("\r\n") == 3
        assert "claude-opus" in export.text
        await close(lab)

    run(work())


def test_usage_shows_charts_and_costs() -> None:
    async def work() -> None:
        clock = Clock(-3 * DAY_MS)
        lab = await open_dashboard(clock=clock)
        ada = await person(lab, "ada@acme.com")
        user_id = await whose(lab, "ada@acme.com")
        await lab.services.money.top_up(user_id, 1000 * CREDIT)
        _, secret = await lab.services.accounts.create_key(lab.services.accounts.user(user_id), "mine")  # type: ignore[arg-type]
        for _ in range(3):
            await lab.ask(
                "/api/v1/chat/completions", {"model": "gpt-5.5", "messages": HI}, headers={"x-api-key": secret}
            )
            clock.advance(DAY_MS)
        page = await ada.get("/usage")
        check_frame(page)
        drawn = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("role") == "img"]
        assert [each["aria-label"] for each in drawn] == ["Spending by model", "Spending by day", "Spending by day"]
        cost_uc = 10 * 25 + 5 * 145
        assert f"gpt-5.5: {figures.credits(3 * cost_uc)} credits, 100.0 %" in page.text
        assert page.text.count(f"{figures.credits(cost_uc)} credits, 1 requests") == 6
        assert figures.usd(cost_uc) in page.text
        await close(lab)

    run(work())


def test_account_password_and_sessions() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        ada = await person(lab, "ada@acme.com")
        other = Person(lab, "198.51.100.7")
        await other.get("/sign-in")
        await other.post("/sign-in", email="ada@acme.com", password=PASSWORD)
        page = await ada.get("/settings/account")
        idents = re.findall(r'name="session" value="(\w{64})"', page.text)
        assert len(idents) == 1
        await ada.post("/settings/account/sessions", session=idents[0])
        await other.get("/usage", 303)
        wrong = await ada.post(
            "/settings/account/password", 400, currentPassword="nope nope", newPassword="another one"
        )
        assert "This is not your current password" in wrong.text
        assert "nope nope" not in wrong.text
        short = await ada.post("/settings/account/password", 400, currentPassword=PASSWORD, newPassword="x")
        assert 'id="password-newPassword-wrong"' in short.text
        before = dict(ada.cookies)
        await ada.post("/settings/account/password", currentPassword=PASSWORD, newPassword="another one")
        assert "password was changed" in (await ada.get("/settings/account")).text
        old = Person(lab, cookies=before)
        await old.get("/usage", 303)
        await ada.post("/sign-out")
        await ada.get("/usage", 303)
        await close(lab)

    run(work())


def test_organisation_forms() -> None:
    async def work() -> None:
        lab = await open_dashboard()
        org_id, people = await team(lab)
        owner, at = people["owner"], f"/settings/organization/{org_id}"
        members = {member.role: member.user_id for member in await lab.services.members.of(org_id)}
        await owner.get("/settings/organization")
        await owner.post(f"{at}/budget", monthlyLimit="500")
        assert lab.services.budgets.budget_uc(org_id) == 500 * CREDIT
        assert "is no number" in (await owner.post(f"{at}/budget", 400, monthlyLimit="much")).text
        await owner.post(f"{at}/name", name="Acme & Sons")
        assert "Acme &amp; Sons" in (await owner.get("/settings/organization")).text
        await owner.post(f"{at}/members/{members['viewer']}/role", role="developer")
        assert "last owner" in (await owner.post(f"{at}/members/{members['owner']}/role", 409, role="viewer")).text
        await owner.post(f"{at}/members/{members['viewer']}/remove")
        assert (
            "is a member already"
            in (await owner.post(f"{at}/invitations", 409, email="admin@acme.com", role="viewer")).text
        )
        oidc = {"type": "oidc", "domain": "acme.com", "issuer": "http://idp.acme.com", "clientId": "c"}
        plain = await owner.post(f"{at}/sso", 400, **oidc, clientSecret="hush-hush")
        assert 'id="oidc-issuer-wrong"' in plain.text or 'id="oidc--wrong"' in plain.text
        assert "hush-hush" not in plain.text
        await owner.post(f"{at}/delete", 400, name="Acme")
        page = await owner.get("/settings/organization")
        log = await lab.services.store.read(lambda c: audit.page(c, org_id, 9))
        assert ("budget.changed", org_id, "done") in events({"events": log})
        assert "budget.changed" in page.text
        await owner.post(f"{at}/delete", name="Acme & Sons")
        await owner.get(f"/settings/organization?org={org_id}", 404)
        await close(lab)

    run(work())


def test_an_identity_provider_has_its_check_and_takes_its_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    problem: list[str | None] = [None]

    async def looked_at(services: Any, _issuers: Any, provider: Provider) -> Provider:
        return replace(provider, problem=problem[0], checked_at_ms=services.clock.now_ms())

    async def work() -> None:
        lab = await open_dashboard(sso_trust_domains=True)
        org_id, people = await team(lab)
        owner, at = people["owner"], f"/settings/organization/{org_id}"
        await owner.get("/settings/organization")
        told = {"type": "oidc", "issuer": "https://idp.acme.com", "clientId": "gateway", "clientSecret": "hush-hush"}
        await owner.post(f"{at}/sso", domain="acme.com", **told)
        page = await owner.get("/settings/organization")
        check_frame(page)
        assert "✓ Reachable" in page.text
        assert "hush-hush" not in page.text
        [provider] = await lab.services.sign_on.providers.of_org(org_id)
        visitor = Person(lab)
        await visitor.get("/sign-in")
        sent = await visitor.post("/sign-in", 200, email="somebody@acme.com", next="/settings/account")
        check_frame(sent)
        way = f"/api/auth/sso/{provider.id}/login?" + urlencode(
            {"login_hint": "somebody@acme.com", "return_to": "/settings/account"}
        )
        assert [a["content"] for tag, a in sent.tags if a.get("http-equiv") == "refresh"] == [f"0; url={way}"]
        assert way in [a.get("href") for _, a in sent.tags]
        problem[0] = "nobody answers"
        await owner.post(f"{at}/sso/{provider.id}/check")
        page = await owner.get("/settings/organization")
        assert "✓ Reachable" not in page.text
        assert "nobody answers" in page.text
        await owner.post(f"{at}/sso/{provider.id}/enabled", enabled="false")
        assert "Switched off" in (await owner.get("/settings/organization")).text
        await visitor.get("/sign-in")
        assert "current-password" in (await visitor.post("/sign-in", 200, email="somebody@acme.com")).text
        await people["developer"].get("/usage")
        await people["developer"].post(f"{at}/sso/{provider.id}/delete", 403)
        await owner.post(f"{at}/sso/{provider.id}/delete")
        assert await lab.services.sign_on.providers.of_org(org_id) == []
        await close(lab)

    monkeypatch.setattr(settings_, "looked_at", looked_at)
    run(work())


def test_https_cookies_and_bugs(capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        lab = await open_dashboard(public_url="https://gateway.example")
        visitor = Person(lab)
        page = await visitor.get("/sign-in")
        cookie = page.header("set-cookie")
        assert cookie.startswith("__Host-windtunnel_browser=")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        ada = await person(lab, "ada@acme.com")

        async def broken(_user_id: str) -> None:
            raise RuntimeError("the inside")

        lab.services.orgs.of = broken  # type: ignore[assignment, method-assign]
        bug = await ada.get("/usage", 500)
        check_frame(bug)
        assert "the inside" not in bug.text
        await close(lab)

    run(work())
    assert "the inside" in "".join(capsys.readouterr())


@given(st.integers(0, 10**15))
def test_amounts_are_exact(amount_uc: int) -> None:
    assert float(figures.credits(amount_uc).replace(",", "")) == pytest.approx(amount_uc / CREDIT, rel=1e-15)
    assert re.sub(r"<[^>]+>|,", "", figures.column(amount_uc)) == f"{amount_uc // CREDIT}.{amount_uc % CREDIT:06d}"
    told = float(figures.usd(amount_uc).replace(",", "").removeprefix("$"))
    assert abs(told - amount_uc / UC_PER_USD) <= (0.005001 if amount_uc >= UC_PER_USD else 0.00005001)
    assert (told == 0) == (amount_uc == 0)


@given(st.floats(0, 1e9))
def test_the_axis_reaches_over_every_bar(value: float) -> None:
    top = charts.ceiling(value)
    assert top >= value * 0.999999
    assert top <= max(1.0, value * 2.1) or value < 0.000002


@given(st.text(max_size=50))
def test_an_amount_is_a_number_or_refused(text: str) -> None:
    try:
        found = forms.amount({"a": text}, "a")
    except forms.InvalidRequest:
        return
    assert found is None or found == found


def test_charts_leave_the_import_system_as_it_was() -> None:
    """pygal hangs a finder of an older Python into `sys.meta_path`: packages' metadata must be found all the same."""
    charts.pie([{"model": "gpt-5.5", "costUc": 5, "requests": 1, "percent": "100 %"}], "Cost by model")
    assert not [finder for finder in sys.meta_path if type(finder).__name__ == "PluginImportFixer"]
    assert importlib.metadata.version("pygal")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert importlib.util.find_spec("no_such_module") is None
