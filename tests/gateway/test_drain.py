"""The gateway as a process: what is no HTTP, hang-ups, SIGTERM in the middle of streams, restart."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.gateway import ground
from tests.gateway.lab import CHAT, HI, ROLE, USAGE_CHUNK, chunk, completion, frames, run
from tests.servers import Server, start

PATIENCE_S = 15


@dataclass
class Upstream:
    """An upstream that streams until told to finish, or answers at once; it knows who hung up."""

    base_url: str = ""
    finish: asyncio.Event = field(default_factory=asyncio.Event)
    begun: int = 0
    hung_up: int = 0
    status: int = 200
    flood: bool = False  # stream as much as the gateway takes
    sent_bytes: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
                body = json.loads(await reader.readexactly(length))
                if body.get("stream"):
                    await self.stream(reader, writer)
                else:
                    told = completion()
                    writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n" % (self.status, len(told)) + told)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n")
        self.piece(writer, frames(ROLE, chunk("begun ")))
        self.begun += 1
        while self.flood:
            try:
                self.piece(writer, frames(chunk("x" * 60_000)))
                self.sent_bytes += 60_000
                await writer.drain()
            except ConnectionError:
                self.hung_up += 1
                raise
        finish = asyncio.ensure_future(self.finish.wait())
        gone = asyncio.ensure_future(reader.read(1))
        await asyncio.wait((finish, gone), return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            self.hung_up += 1
            finish.cancel()
            raise ConnectionError
        gone.cancel()
        self.piece(writer, frames(chunk("whole"), chunk(finish="stop"), USAGE_CHUNK, "[DONE]"))
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        raise ConnectionError  # what the cancelled read may have taken is lost: another connection, please

    def piece(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/openai"
    try:
        yield made
    finally:
        server.close()


@asynccontextmanager
async def gateway(folder: Path, base_url: str, **options: Any) -> AsyncIterator[Server]:
    """A gateway with one upstream, as a process."""
    row = {"dialect": "openai_chat", "base_url": base_url, "key": "sk-test"}
    config = folder / "gateway.yaml"
    config.write_text(yaml.safe_dump({"upstreams": {"openai": row}, "chains": {"*": ["openai"]}, **options}))
    words = ("--config", str(config), *ground.options(folder), "--admin-token", "t")
    server = await asyncio.to_thread(start, "gateway", *words)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.kill()
        if server.process.stdout is not None:
            server.process.stdout.close()


async def connect(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = urlsplit(server.told["gateway"]["base_url"])
    return await asyncio.open_connection(where.hostname, where.port)


def request(method: str, path: str, key: str, body: Any = None) -> bytes:
    raw = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(raw)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + raw


async def ask(server: Server, method: str, path: str, key: str, body: Any = None) -> tuple[int, bytes]:
    """(status, body) of a request on a connection of its own."""
    reader, writer = await connect(server)
    writer.write(request(method, path, key, body))
    got = await asyncio.wait_for(reader.read(), PATIENCE_S)
    writer.close()
    head, _, rest = got.partition(b"\r\n\r\n")
    return int(head[9:12]), rest


async def account(server: Server, user_id: str) -> dict[str, Any]:
    """What a user has."""
    _, shown = await ask(server, "GET", f"/admin/users/{user_id}", "t")
    told: dict[str, Any] = json.loads(shown)
    return told


async def make_key(server: Server) -> tuple[str, str]:
    """(user id, key) of a new user with credit."""
    _, user = await ask(server, "POST", "/admin/users", "t", {"amount_uc": 10**12})
    user_id = json.loads(user)["id"]
    _, key = await ask(server, "POST", f"/admin/users/{user_id}/keys", "t", {})
    return user_id, json.loads(key)["key"]


async def until(met: Callable[[], bool]) -> None:
    """Waits for something, with a bound."""
    async with asyncio.timeout(PATIENCE_S):
        while not met():  # noqa: ASYNC110  (another process is waited for)
            await asyncio.sleep(0.005)


STREAM = {"model": "gpt-5.5", "messages": HI, "stream": True}


def test_sigterm_lets_streams_end_and_refuses_the_rest(tmp_path: Path) -> None:
    async def scene() -> None:
        async with upstream() as up, gateway(tmp_path, up.base_url) as server:
            user_id, key = await make_key(server)
            idle_reader, idle_writer = await connect(server)
            idle_writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            await idle_reader.readuntil(b"}")
            streams = [asyncio.create_task(ask(server, "POST", CHAT, key, STREAM)) for _ in range(5)]
            await until(lambda: up.begun == 5)
            server.process.terminate()
            assert await asyncio.wait_for(idle_reader.read(), PATIENCE_S) == b""
            idle_writer.close()
            try:
                await ask(server, "GET", "/healthz", "")
            except (ConnectionError, ValueError):
                refused = True
            assert refused
            assert server.process.poll() is None
            up.finish.set()
            for status, body in await asyncio.gather(*streams):
                assert status == 200
                assert b"whole" in body
                assert b"data: [DONE]\n\n" in body
            assert await asyncio.to_thread(server.process.wait, PATIENCE_S) == 0
            async with gateway(tmp_path, up.base_url) as again:
                _, shown = await ask(again, "GET", f"/admin/users/{user_id}", "t")
                user = json.loads(shown)
                assert user["held_uc"] == 0
                assert user["topped_up_uc"] - user["balance_uc"] == 5 * (10 * 25 + 5 * 145)

    run(scene())


def test_a_stream_that_outlasts_the_drain_is_cut_and_charged_for_what_it_gave(tmp_path: Path) -> None:
    async def scene() -> None:
        async with upstream() as up, gateway(tmp_path, up.base_url, drain_s=1) as server:
            user_id, key = await make_key(server)
            stream = asyncio.create_task(ask(server, "POST", CHAT, key, STREAM))
            await until(lambda: up.begun == 1)
            server.process.terminate()
            _, body = await stream
            assert b'"error"' in body
            assert b"[DONE]" not in body
            assert await asyncio.to_thread(server.process.wait, PATIENCE_S) == 0
            assert up.hung_up == 1
            async with gateway(tmp_path, up.base_url) as again:
                _, shown = await ask(again, "GET", f"/admin/users/{user_id}/usage", "t")
                (row,) = json.loads(shown)["logs"]
                assert (row["status"], row["estimated"], row["outputTokens"]) == ("upstream_failed", True, 2)
                _, audit = await ask(again, "GET", "/admin/ledger", "t")
                assert json.loads(audit)["ok"]
                assert json.loads(audit)["open_holds"] == 0

    run(scene())


def test_kill_9_holds_nothing_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with upstream() as up, gateway(tmp_path, up.base_url) as server:
            user_id, key = await make_key(server)
            stream = asyncio.create_task(ask(server, "POST", CHAT, key, STREAM))
            await until(lambda: up.begun == 1)
            server.kill()
            await asyncio.gather(stream, return_exceptions=True)
            async with gateway(tmp_path, up.base_url) as again:
                user = await account(again, user_id)
                async with asyncio.timeout(PATIENCE_S):
                    while (
                        user["held_uc"] and ground.ON != "sqlite"
                    ):  # others might serve: the dead are found in seconds
                        user = await account(again, user_id)
                assert user["available_uc"] == user["topped_up_uc"]

    run(scene())


def test_a_hang_up_reaches_the_upstream_at_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with upstream() as up, gateway(tmp_path, up.base_url) as server:
            _, key = await make_key(server)
            reader, writer = await connect(server)
            writer.write(request("POST", CHAT, key, STREAM))
            await reader.readuntil(b"begun")
            writer.transport.abort()
            async with asyncio.timeout(1):
                await until(lambda: up.hung_up == 1)
            _, shown = await ask(server, "GET", "/api/api-usage", key)
            while not (rows := json.loads(shown)["logs"]):
                _, shown = await ask(server, "GET", "/api/api-usage", key)
            assert rows[0]["status"] == "client_closed"

    run(scene())


def test_a_client_that_does_not_read_makes_the_upstream_wait(tmp_path: Path) -> None:
    async def scene() -> None:
        async with upstream() as up, gateway(tmp_path, up.base_url) as server:
            _, key = await make_key(server)
            up.flood = True
            before_kb = resident_kb(server)
            clients = [await connect(server) for _ in range(5)]
            for reader, writer in clients:
                reader._transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(request("POST", CHAT, key, STREAM))
            await until(lambda: up.begun == 5)
            last = -1
            while up.sent_bytes != last:
                last = up.sent_bytes
                await asyncio.sleep(0.2)
            assert up.sent_bytes < 5 * 20_000_000  # what the sockets hold, of an endless stream
            assert resident_kb(server) - before_kb < 60_000
            for _, writer in clients:
                writer.transport.abort()
            await until(lambda: up.hung_up == 5)

    run(scene())


def resident_kb(server: Server) -> int:
    """Memory of the process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def test_what_is_no_http_gets_the_error_shape(tmp_path: Path) -> None:
    async def scene() -> None:
        async with gateway(tmp_path, "http://127.0.0.1:9") as server:
            for garbage in (
                b"GARBAGE\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00",
                b"GET / HTTP/9.9\r\n\r\n",
                b"GET /\x00 HTTP/1.1\r\n\r\n",
                b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
                b"GET / HTTP/1.1\r\na: b\x00c\r\n\r\n",
                b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
                b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
                b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
                b"GET / HTTP/1.1\r\nx: " + b"a" * 300_000,
            ):
                reader, writer = await connect(server)
                writer.write(garbage)
                if garbage.startswith(b"GET / HTTP/1.1\r\nx:"):
                    for _ in range(20):
                        writer.write(b"a" * 50_000)
                        await asyncio.sleep(0)
                try:
                    got = await asyncio.wait_for(reader.read(), PATIENCE_S)
                except ConnectionError:
                    got = b""
                writer.close()
                head, _, body = got.partition(b"\r\n\r\n")
                if b"\r\ntransfer-encoding: chunked" in garbage:
                    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))
                    continue
                if got or not garbage.startswith(b"GET / HTTP/1.1\r\nx:"):
                    assert head.startswith(b"HTTP/1.1 400"), (garbage[:40], got)
                    assert json.loads(body)["error"]["type"] == "invalid_request_error"
                    assert b"x-request-id: req_" in head
            assert (await ask(server, "GET", "/healthz", ""))[0] == 200

    run(scene())


def test_bodies_in_chunks_are_limited_too(tmp_path: Path) -> None:
    async def scene() -> None:
        async with gateway(tmp_path, "http://127.0.0.1:9", max_body_bytes=1_000_000) as server:
            _, key = await make_key(server)
            reader, writer = await connect(server)
            head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ntransfer-encoding: chunked\r\n\r\n"
            writer.write(head.encode())
            for _ in range(40):
                writer.write(b"ffff\r\n" + b" " * 65535 + b"\r\n")
            got = await asyncio.wait_for(reader.readuntil(b"}}"), PATIENCE_S)
            writer.close()
            assert got.startswith(b"HTTP/1.1 413")
            assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]["type"] == "request_too_large"

    run(scene())


def test_refusals_of_the_upstream_leave_no_connection_behind(tmp_path: Path) -> None:
    async def scene() -> None:
        async with upstream() as up, gateway(tmp_path, up.base_url, backoff_ms=0, breaker_failures=100_000) as server:
            _, key = await make_key(server)
            up.status = 429
            body = {"model": "gpt-5.5", "messages": HI}
            answers = await asyncio.gather(*(ask(server, "POST", CHAT, key, body) for _ in range(100)))
            assert {status for status, _ in answers} == {502}
            up.status = 200
            assert (await ask(server, "POST", CHAT, key, body))[0] == 200
            descriptors = open_files(server)
            for _ in range(20):
                await ask(server, "POST", CHAT, key, body)
            assert open_files(server) <= descriptors

    run(scene())


def open_files(server: Server) -> int:
    """File descriptors of the process."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def test_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "gateway", "--port", port]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 2
    assert result.stderr == f"gateway: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    assert result.stdout == ""
