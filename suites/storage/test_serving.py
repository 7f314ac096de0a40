"""Links to files: who they admit, for how long, and what they serve."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

from suites import samples, stored
from suites.case import Case, expect_status
from suites.own_gateway import own_gateway
from suites.requirement import over, requirement

PICTURE = base64.b64decode(samples.PIXEL)
LETTERS = b"abcdefghijklmnopqrstuvwxyz"
PAGE = b"<!doctype html><script>alert(1)</script>"
DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
UNSAFE = {  # what it says of itself, and what it is
    "html": ("text/html", PAGE),
    "html-told-as-png": ("image/png", PAGE),
    "svg": ("image/svg+xml", DRAWING),
    "svg-told-as-jpeg": ("image/jpeg", DRAWING),
    "xml": ("application/xml", b"<a/>"),
    "xhtml": ("application/xhtml+xml", b"<html xmlns='http://www.w3.org/1999/xhtml'/>"),
    "script": ("text/javascript", b"alert(1)"),
    "html-with-parameter": ("text/html; charset=utf-8", PAGE),
    "untold": ("", PAGE),
}
ACTIVE = ("html", "xml", "svg", "javascript", "ecmascript", "css")
DAY_MS = 86_400_000


@requirement("STO-007")
@over(wrong=("without", "without-signature", "later", "signature", "of-another"))
async def test_link_cannot_be_made_up(case: Case, wrong: str) -> None:
    """A private file is 404 without its signature, with another time, another signature, or another file's."""
    file, other = [await stored.kept(case, data, "text/plain") for data in (LETTERS, LETTERS * 2)]
    assert file["public"] is False, "uploads are private unless they are to be public"
    url, query = (
        urlsplit(file["url"]),
        {name: values[0] for name, values in parse_qs(urlsplit(file["url"]).query).items()},
    )
    expires, signature = query["expires"], query["signature"]
    tampered = {
        "without": "",
        "without-signature": f"expires={expires}",
        "later": f"expires={int(expires) + 3600}&signature={signature}",
        "signature": f"expires={expires}&signature={signature[:-1]}{'0' if signature[-1] != '0' else '1'}",
        "of-another": urlsplit(other["url"]).query,
    }[wrong]
    expect_status(await stored.fetched(case, file["url"]), 200)
    reply = await stored.fetched(case, url._replace(query=tampered).geturl())
    expect_status(reply, 404, "not_found_error")


@requirement("STO-007")
async def test_public_link_needs_no_signature(case: Case) -> None:
    """`public=true` makes a link that lasts: nothing in it says when it ends. Its name cannot be guessed."""
    file = await stored.kept(case, LETTERS, "text/plain", public="true")
    parts = urlsplit(file["url"])
    name = parts.path.rpartition("/")[2].partition(".")[0]
    assert (file["public"], parts.query) == (True, "")
    assert len(name) >= 22, f"{name} could be guessed"
    assert file["id"] not in file["url"], f"{file['url']} is made of what lists tell"
    assert (await stored.fetched(case, file["url"])).raw == LETTERS


@requirement("STO-008")
async def test_link_dies(case: Case) -> None:
    """A day and a minute later the link is refused; asking for the file again gives one that works."""
    async with own_gateway(case) as own:
        there = await own.start()
        await there.use()
        file = await stored.kept(there, LETTERS, "text/plain")
        public = await stored.kept(there, LETTERS, "text/plain", public="true")
        expect_status(await stored.fetched(there, file["url"]), 200)
        await there.admin.advance_clock(DAY_MS - 60_000)
        expect_status(await stored.fetched(there, file["url"]), 200)
        await there.admin.advance_clock(120_000)
        expect_status(await stored.fetched(there, file["url"]), 403)
        again = await stored.ask(there, "GET", f"/{file['id']}")
        expect_status(await stored.fetched(there, again.json["url"]), 200)
        expect_status(await stored.fetched(there, public["url"]), 200)


@requirement("STO-009")
@over(sort=tuple(UNSAFE))
async def test_nothing_acts_as_a_page(case: Case, sort: str) -> None:
    """Pages, drawings and scripts, whatever they say they are, are downloads of no type that runs, in a sandbox."""
    mime, data = UNSAFE[sort]
    file = await stored.kept(case, data, mime, filename="file")
    reply = await stored.fetched(case, file["url"])
    expect_status(reply, 200)
    assert reply.raw == data
    assert not any(word in reply.type for word in ACTIVE), f"served as {reply.type}"
    assert reply.headers.get("content-disposition", "").startswith("attachment"), dict(reply.headers)
    expect_safe(reply.headers)


@requirement("STO-009")
@over(told=("image/png", "", "application/octet-stream", "image/gif"))
async def test_picture_by_its_bytes(case: Case, told: str) -> None:
    """A PNG is told and served as what its bytes are, to be shown, under the same sandbox."""
    file = await stored.kept(case, PICTURE, told)
    assert (file["contentType"], file["kind"]) == ("image/png", "image")
    reply = await stored.fetched(case, file["url"])
    assert reply.type == "image/png"
    assert reply.headers.get("content-disposition", "").startswith("inline"), dict(reply.headers)
    expect_safe(reply.headers)


def expect_safe(headers: Any) -> None:
    """Raise unless what is served can be no page of the gateway's, and its type is not guessed."""
    assert headers.get("x-content-type-options") == "nosniff", dict(headers)
    policy = headers.get("content-security-policy", "")
    assert {"default-src 'none'", "sandbox"} <= {part.strip() for part in policy.split(";")}, f"policy {policy!r}"


RANGES: dict[str, tuple[int, bytes, str | None]] = {  # Range -> status, bytes, Content-Range; RFC 9110 section 14
    "bytes=0-0": (206, LETTERS[:1], "bytes 0-0/26"),
    "bytes=5-9": (206, LETTERS[5:10], "bytes 5-9/26"),
    "bytes=20-": (206, LETTERS[20:], "bytes 20-25/26"),
    "bytes=20-99": (206, LETTERS[20:], "bytes 20-25/26"),
    "bytes=-4": (206, LETTERS[-4:], "bytes 22-25/26"),
    "bytes=-99": (206, LETTERS, "bytes 0-25/26"),
    "bytes=26-": (416, b"", "bytes */26"),
    "bytes=9-5": (200, LETTERS, None),
    "letters=1-2": (200, LETTERS, None),
}


@requirement("STO-010")
@over(asked=tuple(RANGES))
async def test_ranges(case: Case, asked: str) -> None:
    """A player seeks: each range gives these bytes and says which they are; one that is none gives the whole."""
    status, data, told = RANGES[asked]
    file = await stored.kept(case, LETTERS, "text/plain")
    reply = await stored.fetched(case, file["url"], range=asked)
    expect_status(reply, status)
    assert (reply.raw, reply.headers.get("content-range")) == (data, told)
    assert reply.headers.get("accept-ranges") == "bytes"


@requirement("STO-010")
async def test_conditions(case: Case) -> None:
    """HEAD tells the length; who has the bytes gets 304; a range of other bytes than those one has gets the whole."""
    file = await stored.kept(case, LETTERS, "text/plain")
    head = await stored.fetched(case, file["url"], "HEAD")
    assert (head.status, head.headers.get("content-length"), head.raw) == (200, "26", b"")
    etag = head.headers["etag"]
    kept = await stored.fetched(case, file["url"], if_none_match=etag)
    assert (kept.status, kept.raw) == (304, b"")
    expect_status(await stored.fetched(case, file["url"], range="bytes=5-9", if_range=etag), 206)
    expect_status(await stored.fetched(case, file["url"], range="bytes=5-9", if_range='"another"'), 200)
    expect_status(await stored.fetched(case, file["url"], if_none_match='"another"'), 200)


NAMES = {  # as it is told -> as it may be shown
    "../../etc/passwd": "passwd",
    "/etc/passwd": "passwd",
    "C:\\windows\\win.ini": "win.ini",
    "a\0b.csv": "ab.csv",
    "a\r\nset-cookie: x=1\r\n.csv": "aset-cookie: x=1.csv",
    'a"; filename="b.html': 'a"; filename="b.html',
    "日本 🚀.csv": "日本 🚀.csv",
    "..": None,
    "x" * 5000: "x" * 200,
}


@requirement("STO-011")
@over(number=range(len(NAMES)))
async def test_names_are_words_only(case: Case, number: int) -> None:
    """A name leads to no folder and adds no header: it is shown without them, and the file beside it is untouched."""
    told, due = list(NAMES.items())[number]
    beside = await stored.kept(case, LETTERS * 2, "text/csv", filename=told)
    file = await stored.kept(case, LETTERS, "text/csv", filename=told)
    if due is not None:
        assert file["filename"] == due
    reply = await stored.fetched(case, file["url"])
    expect_status(reply, 200)
    assert reply.raw == LETTERS
    assert (await stored.fetched(case, beside["url"])).raw == LETTERS * 2, "the file of the same name was overwritten"
    assert "set-cookie" not in reply.headers
    disposition = reply.headers["content-disposition"]
    assert (disposition.partition(";")[0], disposition.count('"')) == ("attachment", 2), disposition
    assert not any(mark in file["filename"] for mark in "/\\\0\r\n"), file["filename"]
