"""Links to pictures: fetched without a key, signed, and expired by the fleet's clock."""

from __future__ import annotations

import io
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
from PIL import Image

from simulator.clock import Clock
from tests.simulator.live import Live, Reply, request, running

HOUR_MS = 3_600_000


@pytest.fixture
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as made:
        yield made


def link(fleet: Live, model: str = "dall-e-3", prompt: str = "A cat", host: str = "fleet", **more: object) -> str:
    body = {"prompt": prompt, "model": model, **more}
    headers = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}
    raw = request("POST", "/openai/v1/images/generations", body, headers).replace(
        b"host: fleet", f"host: {host}".encode()
    )
    found: str = fleet.call(raw).json["data"][0]["url"]
    return found


def fetch(fleet: Live, url: str) -> Reply:
    parts = urlsplit(url)
    return fleet.call(request("GET", f"{parts.path}?{parts.query}"), "GET")


def test_a_link_leads_to_the_picture_without_a_key(fleet: Live) -> None:
    reply = fetch(fleet, link(fleet, size="1792x1024"))
    image = Image.open(io.BytesIO(reply.body))
    assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
    assert (image.format, image.size) == ("PNG", (1792, 1024))


def test_a_link_has_the_recorded_form(fleet: Live) -> None:
    parts = urlsplit(link(fleet, host="127.0.0.1:8080"))
    assert (parts.scheme, parts.netloc) == ("http", "127.0.0.1:8080")
    assert parts.path.startswith("/openai/v1/images/private/org-fleet/user-fleet/img-")
    query = dict(parse_qsl(parts.query))
    assert list(query)[:7] == ["st", "se", "sp", "sv", "sr", "rscd", "rsct"]
    assert (query["st"], query["se"]) == ("2025-12-31T23:00:00Z", "2026-01-01T01:00:00Z")


def test_dall_e_3_tells_how_it_rewrote_the_prompt(fleet: Live) -> None:
    headers = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}

    def entry(model: str) -> dict[str, str]:
        body = {"prompt": "A cat", "model": model}
        found: dict[str, str] = fleet.call(request("POST", "/openai/v1/images/generations", body, headers)).json[
            "data"
        ][0]
        return found

    assert set(entry("dall-e-2")) == {"url"}
    assert entry("dall-e-3")["revised_prompt"].startswith("A cat")


def test_the_manual_clock_moves_the_expiry(fleet: Live) -> None:
    url = link(fleet)
    before = fetch(fleet, url)
    fleet.control("POST", "clock", {"advance_ms": HOUR_MS - 1000})
    last = fetch(fleet, url)
    assert (before.status, last.status) == (200, 200)
    assert before.body == last.body
    assert (before.headers["cache-control"], last.headers["cache-control"]) == (
        "private, max-age=3600",
        "private, max-age=1",
    )
    fleet.control("POST", "clock", {"advance_ms": 1000})
    late = fetch(fleet, url)
    assert (late.status, late.headers["content-type"]) == (403, "application/xml")
    assert b"<Code>AuthenticationFailed</Code>" in late.body
    assert b"Expiry [Thu, 01 Jan 2026 01:00:00 GMT] - Current [Thu, 01 Jan 2026 01:00:00 GMT]" in late.body
    assert fetch(fleet, link(fleet)).status == 200


@pytest.mark.parametrize(
    ("old", "new"),
    [("se=2026", "se=2036"), ("sig=", "sig=x"), ("&sig=", "&sg="), ("img-", "img-x"), ("of=", "of=x"), ("st=", "se=")],
)
def test_a_link_that_was_changed_is_refused(fleet: Live, old: str, new: str) -> None:
    url = link(fleet)
    assert old in url
    reply = fetch(fleet, url.replace(old, new))
    assert reply.status == 403
    assert b"Signature did not match" in reply.body


def test_another_seed_does_not_know_the_link(fleet: Live) -> None:
    url = link(fleet)
    with running(Clock("manual"), seed=8) as other:
        assert fetch(other, url).status == 403
    with running(Clock("manual")) as same:
        assert fetch(same, url).body == fetch(fleet, url).body


@pytest.mark.parametrize("prompt", ["x" * 4000, "Ein süßes Kätzchen 🐈 & 'quotes' [[case:linked]]", "%00 ?#+ &sig="])
def test_any_prompt_fits_into_a_link(fleet: Live, prompt: str) -> None:
    url = link(fleet, prompt=prompt)
    assert len(url) < 2000
    assert fetch(fleet, url).status == 200


def test_the_journal_sees_the_fetch(fleet: Live) -> None:
    fetch(fleet, link(fleet))
    entries = fleet.control("GET", "journal?provider=openai")["entries"]
    assert [entry["operation"] for entry in entries] == ["create_image", "fetch_file"]
