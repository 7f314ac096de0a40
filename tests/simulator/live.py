"""A fleet in a thread of this process, and a client of bare sockets that sees what a library would hide."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from simulator import providers
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.runtime import Runtime
from simulator.server import bind

TIMEOUT_S = 20
END, RESET = "end", "reset"


@dataclass(slots=True)
class Reply:
    """One reply, taken apart by hand."""

    status: int
    headers: dict[str, str]
    body: bytes
    chunks: list[bytes] = field(default_factory=list)
    ended: str = END  # what came where more was due: "end" for FIN, "reset", or "" when nothing was due

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """One connection."""

    def __init__(self, address: tuple[str, int], receive_bytes: int | None = None) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(TIMEOUT_S)
        if receive_bytes is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.connect(address)
        self.buffer = b""
        self.over = ""  # how the peer ended it, once it did

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close(self) -> None:
        self.sock.close()

    def _more(self) -> bool:
        if self.over:
            return False
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            self.over = RESET
            return False
        if not data:
            self.over = END
        self.buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes | None:
        """Bytes up to and including `mark`; None when the connection ended before."""
        while mark not in self.buffer:
            if not self._more():
                return None
        head, _, self.buffer = self.buffer.partition(mark)
        return head + mark

    def exactly(self, count: int) -> bytes:
        """`count` bytes, or fewer when the connection ended."""
        while len(self.buffer) < count and self._more():
            pass
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def rest(self) -> bytes:
        """All that comes until the connection ends."""
        while self._more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def head(self) -> Reply | None:
        """Status line and headers; None when the connection ended before."""
        raw = self.until(b"\r\n\r\n")
        if raw is None:
            return None
        first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return Reply(int(first.split(" ")[1]), headers, b"", ended="")

    def reply(self, method: str = "POST") -> Reply:
        """A whole reply, or what came of it."""
        reply = self.head()
        if reply is None:
            return Reply(0, {}, self.buffer, ended=self.over)
        if method == "HEAD" or reply.status in (204, 304):
            return reply
        if reply.headers.get("transfer-encoding") == "chunked":
            return self._chunked(reply)
        if "content-length" in reply.headers:
            due = int(reply.headers["content-length"])
            reply.body = self.exactly(due)
            reply.ended = self.over if len(reply.body) < due else ""
        else:
            reply.body = self.rest()
            reply.ended = self.over
        return reply

    def _chunked(self, reply: Reply) -> Reply:
        while True:
            line = self.until(b"\r\n")
            if line is None:
                reply.ended = self.over
                break
            size = int(line, 16)
            data = self.exactly(size + 2)
            if len(data) < size + 2:
                reply.ended = self.over
                reply.chunks.append(data)
                break
            if size == 0:
                break
            reply.chunks.append(data[:-2])
        reply.body = b"".join(reply.chunks)
        return reply


class Live:
    """A running fleet."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.address: tuple[str, int] = runtime.sock.getsockname()
        self._lines: list[Line] = []

    def line(self, receive_bytes: int | None = None) -> Line:
        """A new connection, of a client that takes no more than `receive_bytes` before it reads."""
        line = Line(self.address, receive_bytes)
        self._lines.append(line)
        return line

    def close(self) -> None:
        """Close every connection."""
        for line in self._lines:
            line.close()

    def call(self, raw: bytes, method: str = "POST") -> Reply:
        """One request on a connection of its own."""
        line = self.line()
        line.send(raw)
        try:
            return line.reply(method)
        finally:
            line.close()
            self._lines.remove(line)

    def control(self, method: str, path: str, content: object = None) -> Any:
        """One call of the control API, which must succeed."""
        reply = self.call(request(method, f"/__fleet/{path}", content))
        assert reply.status < 300, reply
        return reply.json

    def seen(self, case: str) -> list[dict[str, Any]]:
        """The entries of a case, pending or not, once there is one."""
        for _ in range(1000):
            found: list[dict[str, Any]] = self.control("GET", f"journal?case={case}")["entries"]
            if found:
                return found
        raise AssertionError(f"the fleet never saw {case}")

    def journal(self, case: str, wait_ms: int = 5000) -> list[dict[str, Any]]:
        """The entries of a case, once none is pending."""
        found: list[dict[str, Any]] = self.control("GET", f"journal?case={case}&wait_ms={wait_ms}")["entries"]
        return found


def request(method: str, path: str, content: object = None, headers: dict[str, str] | None = None) -> bytes:
    """A request as bytes."""
    body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: fleet", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chat(prompt: str, *, stream: bool = False, provider: str = "openai", **more: object) -> bytes:
    """A chat completion."""
    body: dict[str, object] = {"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}], **more}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    key = {"authorization": f"Bearer sk-fleet-{provider}", "content-type": "application/json"}
    return request("POST", f"/{provider}/v1/chat/completions", body, key)


def message(prompt: str, *, stream: bool = False, provider: str = "anthropic", **more: object) -> bytes:
    """An Anthropic message."""
    content = [{"role": "user", "content": prompt}]
    body = {"model": "claude-sonnet-4-5", "max_tokens": 256, "messages": content, "stream": stream, **more}
    key = {
        "x-api-key": f"sk-ant-fleet-{provider}",
        "anthropic-version": "2023-06-01",
        "content-type": "application/json",
    }
    return request("POST", f"/{provider}/v1/messages", body, key)


@contextmanager
def running(clock: Clock | None = None, seed: int = 7, rows: object = None, *, mail: bool = False) -> Iterator[Live]:
    """A fleet on a free port, in a thread; with a mail server if so wished."""
    found = providers.read(rows, DIALECTS, seed) if rows else providers.load(providers.FILE, DIALECTS, seed)
    runtime = Runtime.of(found, clock or Clock(), seed, "127.0.0.1", 0)
    if mail:
        runtime.use_mail(bind("127.0.0.1", 0))
    ready = threading.Event()

    def serve() -> None:
        with asyncio.Runner(loop_factory=runtime.loop_factory()) as runner:
            runner.run(runtime.serve(ready.set))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(TIMEOUT_S), "the fleet did not start"
    live = Live(runtime)
    try:
        yield live
    finally:
        runtime.stop()
        thread.join(TIMEOUT_S)
        live.close()
        assert not thread.is_alive(), "the fleet did not end"
