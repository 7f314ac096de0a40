"""The shelf in a bucket, against a small S3 API of our own: skipped where obstore is not installed."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gateway.objects.files import shelf_of
from gateway.objects.shelf import Missing, Shelf
from tests.gateway.making import run
from tests.gateway.test_objects import A, B, all_names, read

pytest.importorskip("obstore")

WHEN = datetime(2026, 5, 10, tzinfo=UTC)
LARGE = bytes(range(256)) * 40_000  # 10 MB: more than one part


class Api(BaseHTTPRequestHandler):
    """As much of an S3 API as a shelf needs, path style, for anybody who signs."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]
    parts: dict[str, dict[int, bytes]]

    def log_message(self, *_: object) -> None:
        """Nothing is told."""

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        assert self.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def place(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return unquote(parts.path), parse_qs(parts.query, keep_blank_values=True)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def do_PUT(self) -> None:
        path, query = self.place()
        data = self.body()
        if "partNumber" in query:
            self.parts[query["uploadId"][0]][int(query["partNumber"][0])] = data
        else:
            self.files[path] = data
        self.answer(200, etag=f'"{md5(data).hexdigest()}"')

    def do_POST(self) -> None:
        path, query = self.place()
        data = self.body()
        if "uploads" in query:
            ident = str(len(self.parts))
            self.parts[ident] = {}
            self.answer(200, xml("InitiateMultipartUploadResult", Bucket="b", Key="k", UploadId=ident))
        elif "delete" in query:
            keys = [key.decode() for key in re.findall(rb"<Key>(.*?)</Key>", data)]
            for key in keys:
                self.files.pop(f"{path.rstrip('/')}/{key}", None)
            self.answer(200, xml("DeleteResult", b"".join(xml("Deleted", Key=key) for key in keys).decode()))
        else:
            whole = self.parts.pop(query["uploadId"][0])
            self.files[path] = b"".join(whole[number] for number in sorted(whole))
            self.answer(200, xml("CompleteMultipartUploadResult", Location="l", Bucket="b", Key="k", ETag="e"))

    def do_GET(self) -> None:
        path, query = self.place()
        if "list-type" in query:
            self.answer(200, self.listing(path.strip("/"), query.get("prefix", [""])[0]))
            return
        data = self.files.get(path)
        if data is None:
            self.answer(404, b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>")
            return
        told = {"last_modified": format_datetime(WHEN, usegmt=True), "etag": '"e"'}
        asked = self.headers.get("range")
        if asked is None:
            self.answer(200, data, **told)
            return
        start, end = asked.removeprefix("bytes=").split("-")
        part = data[int(start) : int(end) + 1]
        self.answer(206, part, content_range=f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}", **told)

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        self.files.pop(self.place()[0], None)
        self.answer(204)

    def listing(self, bucket: str, prefix: str) -> bytes:
        names = sorted(path.removeprefix(f"/{bucket}/") for path in self.files)
        when = WHEN.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        rows = [
            xml("Contents", Key=name, LastModified=when, ETag="e", Size="1").decode()
            for name in names
            if name.startswith(prefix)
        ]
        return xml("ListBucketResult", "".join(rows), IsTruncated="false")


def xml(root: str, inner: str = "", **members: str) -> bytes:
    """An element with these members."""
    told = "".join(f"<{name}>{value}</{name}>" for name, value in members.items())
    return f"<{root}>{told}{inner}</{root}>".encode()


@pytest.fixture
def files() -> dict[str, bytes]:
    """What is in the bucket, by path."""
    return {}


@pytest.fixture
def shelf(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """A shelf in a bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Api,), {"files": files, "parts": {}}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield shelf_of(f"s3://pictures/kept/here?endpoint=http://127.0.0.1:{server.server_port}&region=eu-central-1")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("data", [b"", b"small", LARGE], ids=["empty", "small", "in parts"])
def test_a_file_is_put_and_read(shelf: Shelf, files: dict[str, bytes], data: bytes) -> None:
    async def work() -> None:
        await shelf.put(A, io.BytesIO(data))
        assert files == {f"/pictures/kept/here/{A}": data}
        assert await read(shelf, A, 0, len(data)) == data
        assert not data or await read(shelf, A, 1, 4) == data[1:4]
        await shelf.drop([A, B])
        assert files == {}
        await shelf.close()

    run(work())


def test_a_file_that_is_not_there(shelf: Shelf) -> None:
    async def work() -> None:
        with pytest.raises(Missing):
            await read(shelf, A, 0, 1)
        with pytest.raises(Missing):
            await read(shelf, "../secrets", 0, 1)

    run(work())


def test_old_names(shelf: Shelf, files: dict[str, bytes]) -> None:
    async def work() -> None:
        await shelf.put(A, io.BytesIO(b"x"))
        await shelf.put(B, io.BytesIO(b"x"))
        files["/pictures/kept/here/README"] = b"not ours"
        files[f"/pictures/elsewhere/{A}"] = b"not ours"
        assert await all_names(shelf.names(WHEN.timestamp() + 1)) == [A, B]
        assert await all_names(shelf.names(WHEN.timestamp())) == []

    run(work())
