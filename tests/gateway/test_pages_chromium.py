"""The dashboard in Chromium, on a gateway and a fleet that are processes: from signing up to the downloaded CSV.

Skipped where no Chromium is on the PATH. Nothing may appear on the console, and nothing may be asked of another host.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.gateway.people_lab import PASSWORD
from tests.servers import start

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
ADMIN = "pages-admin-token"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or chromium-browser on the PATH")
PATHS = ("/", "/usage", "/manage-api-keys", "/settings/organization", "/settings/account")


@dataclass
class Desk:
    """A browser before a gateway, and what it must not have seen."""

    url: str
    browser: Any
    console: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)

    def page(self, **options: Any) -> Any:
        """A page of a new browser profile."""
        made = self.browser.new_context(**options).new_page()
        made.on("console", lambda message: self.console.append(message.text))
        made.on("pageerror", lambda error: self.console.append(str(error)))
        made.on("request", lambda request: self.asked.add(urlsplit(request.url).netloc))
        return made

    def call(self, path: str, body: Any, token: str) -> Any:
        """A JSON request that is not the browser's."""
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        with urlopen(Request(self.url + path, json.dumps(body).encode(), headers), timeout=30) as answer:
            return json.load(answer)

    def sign_up(self, page: Any, email: str) -> None:
        """A new user, signed in."""
        page.goto(f"{self.url}/sign-up")
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Create account").click()
        page.wait_for_url("**/usage")


@pytest.fixture(scope="module")
def desk(module_ground: tuple[str, ...]) -> Iterator[Desk]:
    from playwright.sync_api import sync_playwright

    fleet = start("simulator", "--no-smtp")
    try:
        url = fleet.told["fleet"]["base_url"]
        gateway = start(
            "gateway",
            "--fleet",
            url,
            *module_ground,
            "--admin-token",
            ADMIN,
            "--log-level",
            "error",
        )
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                yield Desk(gateway.told["gateway"]["base_url"], browser)
                browser.close()
        finally:
            gateway.stop()
    finally:
        fleet.stop()


@pytest.fixture(autouse=True)
def quiet(desk: Desk) -> Iterator[None]:
    """Nothing on the console, and no request to any other host."""
    desk.console.clear()
    desk.asked.clear()
    yield
    assert desk.console == []
    assert desk.asked == {urlsplit(desk.url).netloc}


def test_from_sign_up_to_csv(desk: Desk, tmp_path: Path) -> None:
    page = desk.page(accept_downloads=True)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.sign_up(page, "ada@acme.com")
    page.get_by_role("link", name="Make an API key").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Create key").click()
    secret = page.locator("#secret").inner_text()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.reload()
    assert page.locator("#secret").count() == 0
    assert page.get_by_text("laptop").count() > 0

    user_id = page.request.get(f"{desk.url}/api/auth/session").json()["user"]["id"]
    desk.call(f"/admin/users/{user_id}/top-ups", {"amount_uc": 1_000_000_000}, ADMIN)
    hi = [{"role": "user", "content": "Say hi."}]
    for model in ("gpt-5.5", "gpt-5.5", "gpt-5"):
        desk.call("/api/v1/chat/completions", {"model": model, "messages": hi}, secret)

    page.goto(f"{desk.url}/usage")
    rows = page.locator("#log tbody tr")
    assert rows.count() == 3
    assert page.get_by_role("img", name="Spending by model").is_visible()
    assert page.get_by_role("img", name="Spending by day").is_visible()
    page.get_by_label("Search").fill("gpt-5.5")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**q=gpt-5.5**")
    assert rows.count() == 2
    with page.expect_download() as found:
        page.get_by_role("link", name="Download CSV").click()
    saved = tmp_path / "usage.csv"
    found.value.save_as(saved)
    assert found.value.suggested_filename.startswith("hypereal-usage-")
    assert [row["model"] for row in csv.DictReader(saved.open(newline=""))] == ["gpt-5.5", "gpt-5.5"]


def test_a_member_is_invited_and_a_key_deleted(desk: Desk) -> None:
    owner, member = desk.page(), desk.page()
    desk.sign_up(owner, "olga@acme.com")
    desk.sign_up(member, "mia@acme.com")
    owner.goto(f"{desk.url}/settings/organization")
    owner.get_by_label("Name").fill("Acme Inc")
    owner.get_by_role("button", name="Create organisation").click()
    owner.get_by_label("E-mail address").fill("mia@acme.com")
    owner.get_by_label("Role", exact=True).select_option("admin")
    owner.get_by_role("button", name="Invite").click()
    member.goto(owner.locator("#secret").inner_text())
    member.get_by_role("button", name="Join").click()
    member.get_by_role("heading", name="Acme Inc").wait_for()
    assert member.locator("#audit").count() == 0
    owner.goto(f"{desk.url}/settings/organization")
    assert owner.locator("#members").get_by_text("mia@acme.com").count() == 1
    assert owner.locator("#audit").get_by_text("member.joined").count() == 1

    member.get_by_role("link", name="API keys").click()
    member.get_by_label("Name").fill("shared")
    member.get_by_role("button", name="Create key").click()
    member.locator("#secret").wait_for()
    for accept, left in ((False, 1), (True, 0)):
        member.once("dialog", lambda dialog, accept=accept: dialog.accept() if accept else dialog.dismiss())
        if member.locator("details.menu[open]").count() == 0:
            member.locator("details.menu summary").click()
        member.get_by_role("button", name="Delete for good").click()
        member.wait_for_load_state()
        if accept:
            member.get_by_text("shared was deleted.").wait_for()
        assert member.locator("details.menu").count() == left


def test_without_script_and_at_375_pixels(desk: Desk) -> None:
    page = desk.page(java_script_enabled=False, viewport={"width": 375, "height": 700})
    desk.sign_up(page, "nora@acme.com")
    page.goto(f"{desk.url}/manage-api-keys")
    page.get_by_label("Name").fill("plain")
    page.get_by_role("button", name="Create key").click()
    assert page.locator("#secret").inner_text().startswith("ck_")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{desk.url}/")
    page.goto(f"{desk.url}/settings/account")
    page.get_by_label("E-mail address").fill("nora@acme.com")
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/settings/account")
    for path in PATHS:
        page.goto(desk.url + path)
        wide = page.locator("body").bounding_box()
        assert wide is not None
        assert wide["width"] <= 375
        last = page.locator("main > *").last.bounding_box()
        assert last is not None
        assert last["x"] + last["width"] <= 375


def test_the_keyboard_is_enough(desk: Desk) -> None:
    page = desk.page()
    page.goto(f"{desk.url}/sign-in")
    page.keyboard.type("kim@acme.com")  # the first field has the focus
    page.keyboard.press("Enter")
    page.get_by_label("Password").wait_for()
    page.goto(f"{desk.url}/")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert page.evaluate("document.activeElement.className") == "brand"
    assert outline == "solid"
