"""The storage API: uploads in every form, lists, links that die, and whose file is whose."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.endpoints.storage import position
from gateway.errors import InvalidRequest
from tests.gateway.lab import Answer, Lab, run
from tests.gateway.making import StillClock
from tests.gateway.media_lab import HOST, STORAGE, draw, file_of, headers, scripted
from tests.gateway.picture_wires import PNG, by_path, openai

CSV = b"prompt,answer\nhi,hello\n"
MARK = "----WebKitFormBoundary7MA4YWxkTrZu0gW"


async def opened(folder: Path, **options: Any) -> Lab:
    return await scripted(by_path({"/": openai()}), folder, clock=StillClock(), **options)


def form(data: bytes, filename: str = "training-image.png", mime: str = "image/png", **fields: str) -> bytes:
    """A form as browsers and fetch send it."""
    parts = [
        f'--{MARK}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    about = f'form-data; name="file"; filename="{filename}"'
    head = f"--{MARK}\r\nContent-Disposition: {about}\r\nContent-Type: {mime}\r\n\r\n"
    return b"".join((*parts, head.encode(), data, f"\r\n--{MARK}--\r\n".encode()))


async def upload(lab: Lab, data: bytes = PNG, *, filename: str = "training-image.png", **fields: str) -> Answer:
    """Uploads a form."""
    named = headers(lab, content_type=f"multipart/form-data; boundary={MARK}")
    return await lab.ask(STORAGE, form(data, filename, **fields), headers=named)


async def bring(lab: Lab, data: bytes, query: str = "", mime: str = "image/png", path: str = STORAGE) -> Answer:
    """Uploads bytes as they are."""
    return await lab.ask(path, data, headers=headers(lab, content_type=mime), query=query)


async def ask(lab: Lab, path: str = "", method: str = "GET", query: str = "", **more: str) -> Answer:
    return await lab.ask(f"{STORAGE}{path}", method=method, headers=headers(lab, **more), query=query)


async def another(lab: Lab) -> Lab:
    """The same gateway with another user's key."""
    user = await lab.services.accounts.create_user()
    key, secret = await lab.services.accounts.create_key(user)
    return Lab(lab.services, lab.app, lab.transport, key, secret, user.id)


# --- uploads ----------------------------------------------------------------------------------------------------------


def test_the_upload_of_the_reference(tmp_path: Path) -> None:
    """client.storage.uploadFile(file, {filename, contentType, kind}), then client.storage.list({kind})."""

    async def work() -> None:
        lab = await opened(tmp_path)
        answer = await upload(lab, contentType="image/png", kind="dataset")
        assert answer.status == 201, answer.body
        told = answer.json
        assert {**told, "id": "", "url": ""} == {
            "id": "",
            "url": "",
            "filename": "training-image.png",
            "contentType": "image/png",
            "kind": "dataset",
            "bytes": len(PNG),
            "sha256": sha256(PNG).hexdigest(),
            "public": False,
            "origin": "upload",
            "createdAt": "2026-05-10T00:00:00.000Z",
            "expiresAt": None,
        }
        file = await file_of(lab, told["url"])
        assert (file.status, file.body, file.headers["content-type"]) == (200, PNG, "image/png")
        listed = (await ask(lab, query="kind=dataset")).json
        assert listed == {"data": [told], "hasMore": False, "nextCursor": None}
        assert (await ask(lab, query="kind=video")).json["data"] == []
        assert (await ask(lab, f"/{told['id']}")).json == told

    run(work())


@pytest.mark.parametrize(
    ("query", "mime", "due"),
    [
        ("", "image/png", {"filename": "file.png", "contentType": "image/png", "kind": "image"}),
        (
            "filename=a.csv&kind=dataset",
            "text/csv",
            {"filename": "a.csv", "contentType": "text/csv", "kind": "dataset"},
        ),
        ("filename=w.bin&kind=model", "application/octet-stream", {"filename": "w.bin", "kind": "model"}),
        ("contentType=text/csv", "image/png", {"contentType": "text/csv", "kind": "other"}),
        ("", "", {"kind": "other"}),
        ("public=true", "text/csv", {"public": True}),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/storage", "/v1/storage", "/api/v1/storage/"])
def test_bytes_as_they_are(tmp_path: Path, query: str, mime: str, due: Mapping[str, Any], path: str) -> None:
    data = PNG if mime == "image/png" and "csv" not in query else CSV

    async def work() -> None:
        lab = await opened(tmp_path)
        answer = await bring(lab, data, query, mime, path)
        assert answer.status == 201, answer.body
        assert due.items() <= answer.json.items()
        assert (await file_of(lab, answer.json["url"])).body == data

    run(work())


REFUSED: dict[str, tuple[str, str, bytes, int, str]] = {
    # query, content type, body, status, words
    "a kind": ("kind=opera", "image/png", PNG, 400, "one of image, video"),
    "a kind that it is not": ("kind=video", "image/png", PNG, 400, "`kind` is video, and the file is image/png"),
    "a page that says it is a picture": ("kind=image", "image/png", b"<html>", 400, "application/octet-stream"),
    "a type": ("", "no type at all", PNG, 400, "one like image/png"),
    "public": ("public=perhaps", "image/png", PNG, 400, "true or false"),
    "nothing": ("", "image/png", b"", 400, "empty"),
    "too much": ("", "image/png", bytes(2001), 413, "over 2000 bytes"),
    "a form without a file": ("", f"multipart/form-data; boundary={MARK}", f"--{MARK}--\r\n".encode(), 400, "`file`"),
    "a form without a boundary": ("", "multipart/form-data", form(PNG), 400, "form"),
    "a form of garbage": ("", f"multipart/form-data; boundary={MARK}", b"garbage", 400, "form"),
    "too much in a form": ("", f"multipart/form-data; boundary={MARK}", form(bytes(2001)), 413, "over 2000 bytes"),
    "much too much in a form": ("", f"multipart/form-data; boundary={MARK}", form(bytes(200_000)), 413, "over 2000"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(tmp_path: Path, name: str) -> None:
    query, mime, body, status, words = REFUSED[name]

    async def work() -> None:
        lab = await opened(tmp_path, file_bytes_max=2000)
        answer = await bring(lab, body, query, mime)
        assert answer.status == status, answer.body
        assert words in answer.error[1]
        assert (await ask(lab)).json["data"] == []
        assert not (tmp_path / "objects").exists()

    run(work())


def test_the_whole_of_an_account_is_limited(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path, account_bytes_max=250)
        for _ in range(2):
            assert (await bring(lab, bytes(100), mime="")).status == 201
        answer = await bring(lab, bytes(100), mime="")
        assert (answer.status, answer.error[0]) == (413, "request_too_large")
        first = (await ask(lab)).json["data"][0]["id"]
        await ask(lab, f"/{first}", "DELETE")
        assert (await bring(lab, bytes(100), mime="")).status == 201
        assert (await bring(await another(lab), bytes(200), mime="")).status == 201  # each has its own
        await draw(lab)  # what was made does not count
        assert len(list((tmp_path / "objects").iterdir())) == 4

    run(work())


@pytest.mark.parametrize("filename", ["../../../etc/cron.d/x", "/etc/passwd", "..\\..\\x", "a\x01b.png"])
def test_a_name_leads_nowhere(tmp_path: Path, filename: str) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        told = (await upload(lab, filename=filename)).json
        assert not set("/\\\x01") & set(told["filename"])

    run(work())
    (kept,) = (tmp_path / "objects").iterdir()
    assert kept.read_bytes() == PNG
    assert [path.name for path in tmp_path.iterdir()] == ["objects"]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from(["", "; boundary=x", "; boundary=" + MARK, '; boundary="', "; charset=nope; boundary=x"]),
)
def test_no_form_is_too_strange(tmp_path: Path, body: bytes, rest: str) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        answer = await bring(lab, body, mime="multipart/form-data" + rest)
        assert answer.status in (201, 400), answer.body

    run(work())


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_private_link_is_signed_and_dies(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path, link_s=3600)
        told = (await upload(lab)).json
        url = told["url"]
        answer = await file_of(lab, url)
        assert (answer.status, answer.headers["cache-control"]) == (200, "private, max-age=3600, immutable")
        bare = url.partition("?")[0]
        expires, signature = (part.partition("=")[2] for part in url.partition("?")[2].split("&"))
        for query in (
            "",
            f"expires={expires}",
            f"expires={int(expires) + 1}&signature={signature}",
            f"expires={expires}&signature={signature[:-1]}",
            f"expires={expires}&signature={'0' * 64}",
            f"expires=-1&signature={signature}",
            f"expires={'9' * 40}&signature={signature}",
            f"expires={expires}&signature=%ff%00",
        ):
            assert (await file_of(lab, f"{bare}?{query}")).status == 404, query
        lab.services.clock.advance(3_601_000)
        late = await file_of(lab, url)
        assert (late.status, late.error[0]) == (403, "access_denied")
        fresh = (await ask(lab, f"/{told['id']}")).json["url"]
        assert fresh != url
        assert (await file_of(lab, fresh)).status == 200

    run(work())


def test_a_signature_is_good_for_one_file(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        one, other = [(await upload(lab)).json["url"] for _ in range(2)]
        mixed = f"{one.partition('?')[0]}?{other.partition('?')[2]}"
        assert (await file_of(lab, mixed)).status == 404

    run(work())


def test_a_public_link_lasts(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        url = (await upload(lab, public="true")).json["url"]
        assert "?" not in url
        lab.services.clock.advance(400 * 86_400_000)
        assert (await file_of(lab, url)).status == 200

    run(work())


def test_links_lead_where_the_configuration_says(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path, public_url="https://cdn.example.com/gw/")
        url = (await upload(lab)).json["url"]
        assert url.startswith("https://cdn.example.com/gw/files/")

    run(work())


# --- lists and owners -------------------------------------------------------------------------------------------------


def test_pages_show_every_file_once_the_newest_first(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        ids = []
        for number in range(7):
            lab.services.clock.advance(number % 2)  # some share their millisecond
            ids.append((await upload(lab, kind="dataset" if number % 3 else "image")).json["id"])
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await ask(lab, query=f"limit=3{cursor}")).json
            assert len(page["data"]) <= 3
            seen += [row["id"] for row in page["data"]]
            if not page["hasMore"]:
                break
            cursor = f"&cursor={page['nextCursor']}"
        assert sorted(seen) == sorted(ids)
        assert page["nextCursor"] is None
        times = [row["createdAt"] for row in (await ask(lab)).json["data"]]
        assert times == sorted(times, reverse=True)
        assert len((await ask(lab, query="kind=image")).json["data"]) == 3

    run(work())


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "kind=opera", "origin=stolen", "cursor=%%", "cursor=e30"]
)
def test_queries_that_mean_nothing(tmp_path: Path, query: str) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        answer = await ask(lab, query=query)
        assert (answer.status, answer.error[0]) == (400, "invalid_request_error")

    run(work())


@given(st.text(max_size=60))
def test_no_cursor_is_too_strange(cursor: str) -> None:
    try:
        found = position(cursor or None)
    except InvalidRequest:
        return
    assert found is None or (type(found[0]) is int and isinstance(found[1], str))


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_file_is_its_owners_alone(tmp_path: Path, method: str) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        ident = (await upload(lab)).json["id"]
        stranger = await another(lab)
        answer = await ask(stranger, f"/{ident}", method)
        assert (answer.status, answer.error[0]) == (404, "not_found_error")
        assert (await ask(stranger)).json["data"] == []
        assert (await ask(lab, f"/{ident}")).status == 200

    run(work())


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ""), ("GET", "/obj_1"), ("DELETE", "/obj_1")])
def test_a_key_is_needed(tmp_path: Path, method: str, path: str) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        answer = await lab.ask(f"{STORAGE}{path}", PNG, method=method, headers={"host": HOST})
        assert (answer.status, answer.error[0]) == (401, "authentication_error")
        assert (await lab.ask(f"{STORAGE}{path}", method="PATCH", headers=headers(lab))).status == 405

    run(work())


@pytest.mark.parametrize("ident", ["obj_none", "..", "%2e%2e%2fx", "a?b", "x" * 3000])
def test_ids_that_there_are_not(tmp_path: Path, ident: str) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        assert (await ask(lab, f"/{ident}")).status == 404

    run(work())


def test_a_deleted_file_is_gone_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        told = (await upload(lab)).json
        answer = await ask(lab, f"/{told['id']}", "DELETE")
        assert answer.json == {"id": told["id"], "deleted": True}
        assert (await ask(lab, f"/{told['id']}", "DELETE")).status == 404
        assert (await file_of(lab, told["url"])).status == 404
        assert list((tmp_path / "objects").iterdir()) == []

    run(work())


def test_what_was_made_is_listed_apart_and_can_be_deleted(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        url = (await draw(lab)).json["data"][0]["url"]
        assert (await ask(lab)).json["data"] == []
        (row,) = (await ask(lab, query="origin=made&kind=image")).json["data"]
        assert (row["url"], row["origin"], row["public"]) == (url, "made", True)
        assert row["expiresAt"] == "2026-06-09T00:00:00.000Z"
        await ask(lab, f"/{row['id']}", "DELETE")
        assert (await file_of(lab, url)).status == 404

    run(work())


def test_storage_costs_nothing_and_is_not_logged(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path, credits=0)
        assert (await upload(lab)).status == 201
        assert await lab.log() == []
        assert await lab.spent_uc() == 0

    run(work())


def test_an_uploaded_picture_can_be_referred_to(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path, public_url="https://gateway.example")
        url = (await upload(lab, kind="image")).json["url"]
        answer = await draw(lab, reference_images=[url])
        assert answer.status == 200, answer.body
        assert json.loads(lab.transport.requests[0].body)["images"] == [{"image_url": url}]

    run(work())
