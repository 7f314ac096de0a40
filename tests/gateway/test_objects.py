"""Kept files: shelves, what is served of them and how, and what becomes of them in time."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import config
from gateway.endpoints.files import part_of
from gateway.errors import InvalidRequest
from gateway.objects.files import DAY_MS, shelf_of
from gateway.objects.folder import Folder
from gateway.objects.incoming import filename_of, incoming
from gateway.objects.kept import Kept
from gateway.objects.shelf import NAME, Missing, ShelfError
from schemas.catalogue import storage
from tests.gateway.lab import Answer, Lab, run
from tests.gateway.making import StillClock
from tests.gateway.media_lab import HOST, file_of, scripted
from tests.gateway.picture_wires import PNG, by_path, png

SITE = f"http://{HOST}"
A, B = "a" * 32 + ".png", "b" * 32 + ".bin"


async def opened(folder: Path, **options: Any) -> Lab:
    return await scripted(by_path({}), folder, clock=StillClock(), **options)


async def read(shelf: Any, name: str, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in shelf.read(name, start, end)])


async def all_names(found: AsyncIterator[list[str]]) -> list[str]:
    return sorted([name async for names in found for name in names])


# --- the folder -------------------------------------------------------------------------------------------------------


def test_a_folder_keeps_whole_files(tmp_path: Path) -> None:
    async def work() -> None:
        shelf = Folder(str(tmp_path / "deep" / "objects"))
        assert not (tmp_path / "deep").exists()
        await shelf.put(A, io.BytesIO(PNG))
        assert await read(shelf, A, 0, len(PNG)) == PNG
        assert await read(shelf, A, 3, 7) == PNG[3:7]
        assert await read(shelf, A, 0, 10**9) == PNG
        assert oct((tmp_path / "deep" / "objects").stat().st_mode)[-3:] == "700"
        await shelf.drop([A, B])
        with pytest.raises(Missing):
            await read(shelf, A, 0, 1)

    run(work())


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    class Breaks(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError("no space left")
            return super().read(3)

    async def work() -> None:
        shelf = Folder(str(tmp_path))
        with pytest.raises(OSError, match="no space"):
            await shelf.put(A, Breaks(PNG))

    run(work())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "../" + "a" * 29 + ".png",
        "a" * 31 + ".png",
        "a" * 32,
        "a" * 32 + ".PNG",
        "a" * 32 + ".p/g",
        "a" * 32 + ".png\n",
        "",
    ],
)
def test_only_names_of_ours_are_looked_up(tmp_path: Path, name: str) -> None:
    async def work() -> None:
        shelf = Folder(str(tmp_path))
        for use in (read(shelf, name, 0, 1), shelf.put(name, io.BytesIO(b"x")), shelf.drop([name])):
            with pytest.raises(Missing):
                await use

    run(work())
    assert list(tmp_path.iterdir()) == []


def test_old_names_and_half_written_files(tmp_path: Path) -> None:
    async def work() -> None:
        shelf = Folder(str(tmp_path))
        assert await all_names(shelf.names(2**40)) == []
        for name in (A, B, f"{A}.part", "README", ".hidden"):
            (tmp_path / name).write_bytes(b"x")
            os.utime(tmp_path / name, (1000, 1000))
        os.utime(tmp_path / B, (9000, 9000))
        assert await all_names(shelf.names(5000)) == [A]

    run(work())
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "README", A, B]


@pytest.mark.parametrize("url", ["s3://", "s3://bucket?endpint=http://x", "s3:///prefix"])
def test_a_bucket_that_is_named_wrongly_is_told_at_start(url: str) -> None:
    with pytest.raises(ShelfError, match="objects"):
        shelf_of(url)


# --- made files -------------------------------------------------------------------------------------------------------


async def made(lab: Lab, data: bytes = PNG, mime: str = "image/png") -> str:
    return await lab.services.objects.publish(data, mime, "req_1", owner=lab.user_id, site=SITE)


def test_a_made_file_is_served_to_whoever_has_its_link(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        url = await made(lab)
        assert NAME.fullmatch(url.removeprefix(f"{SITE}/files/"))
        answer = await file_of(lab, url)
        assert (answer.status, answer.body) == (200, PNG)
        told = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        assert told == {
            "content-type": "image/png",
            "content-length": str(len(PNG)),
            "content-disposition": "inline; filename=\"file.png\"; filename*=UTF-8''file.png",
            "etag": told["etag"],
            "cache-control": f"public, max-age={30 * 86400}, immutable",
            "accept-ranges": "bytes",
            "x-content-type-options": "nosniff",
            "content-security-policy": "default-src 'none'; sandbox",
            "cross-origin-resource-policy": "cross-origin",
            "access-control-allow-origin": "*",
            "referrer-policy": "no-referrer",
        }

    run(work())


@pytest.mark.parametrize(
    ("headers", "status", "due", "told"),
    [
        ({"range": "bytes=0-3"}, 206, PNG[:4], f"bytes 0-3/{len(PNG)}"),
        ({"range": "bytes=5-"}, 206, PNG[5:], f"bytes 5-{len(PNG) - 1}/{len(PNG)}"),
        ({"range": "bytes=-4"}, 206, PNG[-4:], f"bytes {len(PNG) - 4}-{len(PNG) - 1}/{len(PNG)}"),
        ({"range": "bytes=-99999"}, 206, PNG, f"bytes 0-{len(PNG) - 1}/{len(PNG)}"),
        ({"range": "bytes=2-99999"}, 206, PNG[2:], f"bytes 2-{len(PNG) - 1}/{len(PNG)}"),
        ({"range": "bytes=99999-"}, 416, b"", f"bytes */{len(PNG)}"),
        ({"range": "bytes=-0"}, 416, b"", f"bytes */{len(PNG)}"),
        ({"range": "bytes=5-2"}, 200, PNG, None),
        ({"range": "bytes=0-1,3-4"}, 200, PNG, None),
        ({"range": "items=0-1"}, 200, PNG, None),
        ({"range": "bytes=-"}, 200, PNG, None),
        ({"range": "bytes=0-3", "if_range": '"other"'}, 200, PNG, None),
        ({"if_none_match": '"other"'}, 200, PNG, None),
        ({"if_none_match": "*"}, 304, b"", None),
    ],
    ids=str,
)
def test_parts_and_conditions(
    tmp_path: Path, headers: dict[str, str], status: int, due: bytes, told: str | None
) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        answer = await file_of(lab, await made(lab), **headers)
        assert (answer.status, answer.body, answer.headers.get("content-range")) == (status, due, told)
        if status != 304:
            assert answer.headers["content-length"] == str(len(due))

    run(work())


def test_a_tag_spares_the_bytes(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        url = await made(lab)
        tag = (await file_of(lab, url)).headers["etag"]
        for told in (tag, f"W/{tag}", f'"x", {tag}'):
            assert (await file_of(lab, url, if_none_match=told)).status == 304
        assert (await file_of(lab, url, range="bytes=0-1", if_range=tag)).status == 206
        again = await file_of(lab, await made(lab))
        assert again.headers["etag"] == tag

    run(work())


def test_a_head_has_the_same_headers_and_no_body(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        path = (await made(lab)).removeprefix(SITE)
        whole = await lab.ask(path, method="GET", headers={"host": HOST})
        head = await lab.ask(path, method="HEAD", headers={"host": HOST})
        assert head.body == b""
        assert {**head.headers, "x-request-id": ""} == {**whole.headers, "x-request-id": ""}
        assert (await lab.ask(path, method="PUT", headers={"host": HOST})).status == 405

    run(work())


@pytest.mark.parametrize(
    ("data", "mime", "served"),
    [
        (b"<script>alert(1)</script>", "text/html", "application/octet-stream"),
        (b"<svg onload='alert(1)'/>", "image/svg+xml", "application/octet-stream"),
        (b"<svg onload='alert(1)'/>", "image/png", "application/octet-stream"),
        (b"<?xml version='1.0'?>", "application/xhtml+xml", "application/octet-stream"),
        (b"alert(1)", "text/javascript", "application/octet-stream"),
        (b"a,b\n1,2\n", "text/csv", "text/csv"),
        (b"%PDF-1.7 <script>", "application/pdf", "application/pdf"),
        (b"RIFF\0\0\0\0WAVE", "text/html", "application/octet-stream"),
    ],
)
def test_what_could_act_as_a_page_is_a_download(tmp_path: Path, data: bytes, mime: str, served: str) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        answer = await file_of(lab, await made(lab, data, mime))
        assert answer.headers["content-type"] == served
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]

    run(work())


@pytest.mark.parametrize(
    "path",
    [
        "/files/",
        "/files",
        "/files/../gateway.yaml",
        "/files/..%2f..%2fetc%2fpasswd",
        f"/files/{A}",
        f"/files/{A}/x",
        "/files/%00",
    ],
)
def test_there_is_no_list_and_no_way_out(tmp_path: Path, path: str) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        await made(lab)
        answer: Answer = await lab.ask(path, method="GET", headers={"host": HOST})
        assert (answer.status, answer.error[0]) == (404, "not_found_error")

    run(work())


def test_a_made_file_is_gone_when_its_days_are_over(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path, made_days=2)
        url = await made(lab)
        lab.services.clock.advance(2 * DAY_MS - 60_000)
        answer = await file_of(lab, url)
        assert (answer.status, answer.headers["cache-control"]) == (200, "public, max-age=60, immutable")
        lab.services.clock.advance(60_000)
        assert (await file_of(lab, url)).status == 404  # also before anybody has swept
        assert len(list((tmp_path / "objects").iterdir())) == 1
        assert await lab.services.objects.expire() == 1
        assert list((tmp_path / "objects").iterdir()) == []

    run(work())


def test_no_days_are_for_ever(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path, made_days=0)
        url = await made(lab)
        lab.services.clock.advance(4000 * DAY_MS)
        assert await lab.services.objects.expire() == 0
        assert (await file_of(lab, url)).status == 200

    run(work())


def test_bytes_that_no_row_knows_are_dropped(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        url = await made(lab)
        folder = tmp_path / "objects"
        (folder / A).write_bytes(b"left by a crash")
        for path in folder.iterdir():
            os.utime(path, (1000, 1000))
        (folder / B).write_bytes(b"being written")
        assert await lab.services.objects.drop_orphans() == 1
        assert sorted(path.name for path in folder.iterdir()) == sorted([B, url.rpartition("/")[2]])

    run(work())


def test_a_file_whose_row_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        lab.services.store.close()
        with pytest.raises(Exception, match="closed"):
            await made(lab)
        assert list((tmp_path / "objects").iterdir()) == []

    run(work())


def test_a_file_that_is_gone_from_the_shelf_is_not_found(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        url = await made(lab)
        for path in (tmp_path / "objects").iterdir():
            path.unlink()
        assert (await file_of(lab, url)).status == 404

    run(work())


def test_files_are_made_side_by_side(tmp_path: Path) -> None:
    async def work() -> None:
        lab = await opened(tmp_path)
        pictures = [png(number, 4) for number in range(1, 30)]
        urls = await asyncio.gather(*(made(lab, data) for data in pictures))
        assert len(set(urls)) == len(pictures)
        for url, data in zip(urls, pictures, strict=True):
            assert (await file_of(lab, url)).body == data

    run(work())


# --- what comes in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "due"),
    [
        ("training-image.png", "training-image.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cat.png", "cat.png"),
        ("/abs/olute.bin", "olute.bin"),
        ("a\x00b\r\nset-cookie: x.png", "abset-cookie: x.png"),
        ("..", "file.png"),
        ("", "file.png"),
        (None, "file.png"),
        ("日本語.png", "日本語.png"),
        ("x" * 300 + ".png", ("x" * 300 + ".png")[-200:]),
    ],
)
def test_names_of_files(told: str | None, due: str) -> None:
    assert filename_of(told, "image/png") == due


@given(st.text(max_size=80), st.text(max_size=60), st.binary(max_size=60))
def test_nothing_that_is_told_of_a_file_breaks_anything(name: str, mime: str, data: bytes) -> None:
    try:
        found = incoming(io.BytesIO(data), name, mime, None, False)
    except InvalidRequest:
        return
    assert found.bytes == len(data)
    assert found.filename.isprintable()
    assert not set("/\\\r\n\0") & set(found.filename)
    assert found.kind in storage.kinds()
    if storage.is_inline(found.mime):
        assert data  # it begins as such files do


@given(st.text(alphabet="bytes=-,0123456789 ", max_size=30), st.integers(0, 50))
def test_ranges_stay_within_the_file(told: str, size: int) -> None:
    kept = Kept("obj", A, "o", None, None, "made", "image", "f", "image/png", size, "d", "s", True, 0, None)
    part = part_of({"range": told}, kept)
    assert 0 <= part.start <= part.end <= size
    assert part.status in (200, 206, 416)
    assert (part.start, part.end) == (0, size) if part.status == 200 else True


def test_every_kind_and_type_of_the_data_file_is_sound() -> None:
    assert set(storage.kinds()) >= {"dataset", "image", "video", "audio", "model", "other"}
    for mime in ("image/png", "video/mp4", "audio/mpeg"):
        assert storage.is_inline(mime)
        assert storage.told(mime) == mime
        assert storage.kind_of(mime) == mime.split("/")[0]
    for mime in ("text/html", "image/svg+xml", "application/xhtml+xml", "text/xml"):
        assert not storage.is_inline(mime)
        assert storage.told(mime) == storage.UNKNOWN
    assert storage.kind_of("text/csv") == "other"


@pytest.mark.parametrize("option", ["made_days", "link_s", "file_bytes_max", "account_bytes_max"])
def test_limits_are_whole_numbers(option: str) -> None:
    with pytest.raises(config.ConfigError, match=option):
        config.load(flags={option: "many"})
