"""A whole gateway in memory: the application on an in-memory database, with scripted upstreams and no sockets.

WINDTUNNEL_TEST_ON=postgresql puts it on PostgreSQL and Redis (`ground.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.accounts import Key
from gateway.app import App
from gateway.edge import Clock
from gateway.services import Services, open_services
from gateway.sse import Event, Parser
from gateway.upstreams.memory import MemoryReply, MemoryTransport
from gateway.upstreams.transport import Request
from tests.gateway.ground import opened

CREDIT = 1_000_000
SSE = {"content-type": "text/event-stream"}
CHAT_UC = 10 * 25 + 5 * 145  # the usage of `completion` and `chat_stream` at gpt-5.5's rates
MESSAGE_UC = 20 * 104 + 7 * 518  # the usage of `message` and `message_stream` at claude-sonnet-4-6's rates
HI = [{"role": "user", "content": "Say hi."}]
CHAT = "/api/v1/chat/completions"
MESSAGES = "/api/v1/messages"


@dataclass(slots=True)
class Answer:
    """What the client got."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    writes: list[bytes] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[str, str]:
        """(type, message)."""
        error = self.json["error"]
        assert set(error) == {"type", "message"}
        return error["type"], error["message"]

    @property
    def events(self) -> list[Event]:
        return Parser().feed(self.body)

    @property
    def data(self) -> list[Any]:
        """The decoded payloads; `[DONE]` as itself."""
        return [e.data.decode() if e.data == b"[DONE]" else json.loads(e.data) for e in self.events]

    @property
    def text(self) -> str:
        """The text that a chat or a messages stream carried."""
        parts = []
        for payload in self.data:
            if isinstance(payload, dict) and payload.get("choices"):
                parts.append(payload["choices"][0]["delta"].get("content") or "")
            elif isinstance(payload, dict) and payload.get("type") == "content_block_delta":
                parts.append(payload["delta"].get("text", ""))
        return "".join(parts)


Script = Callable[[Request], MemoryReply]


@dataclass
class Lab:
    """The gateway and what a test wants to know of it."""

    services: Services
    app: App
    transport: MemoryTransport
    key: Key
    secret: str
    user_id: str

    async def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        query: str = "",
        hang_up: Callable[[Answer], bool] | None = None,
        stalled: asyncio.Event | None = None,
    ) -> Answer:
        """One request. `hang_up` looks at the answer after each write and says whether the client leaves then; while
        `stalled` is not set the client reads nothing.
        """
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {"authorization": f"Bearer {self.secret}"} if headers is None else headers
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [*pairs, (b"content-length", b"%d" % len(raw))],
            "http_version": "1.1",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
            "root_path": "",
        }
        answer = Answer()
        gone = asyncio.Event()
        unread = [{"type": "http.request", "body": raw, "more_body": False}]

        async def receive() -> Any:
            if unread:
                return unread.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if stalled is not None:
                await stalled.wait()
            if gone.is_set():
                return
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
                return
            answer.body += message.get("body", b"")
            answer.writes.append(message.get("body", b""))
            answer.ended = not message.get("more_body", False)
            if hang_up is not None and hang_up(answer):
                gone.set()

        if hang_up is not None and hang_up(answer):
            asyncio.get_running_loop().call_later(0.02, gone.set)
        await self.app(scope, receive, send)
        return answer

    async def chat(self, **fields: Any) -> Answer:
        return await self.ask(CHAT, {"model": "gpt-5.5", "messages": HI, **fields})

    async def message(self, **fields: Any) -> Answer:
        return await self.ask(MESSAGES, {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": HI, **fields})

    async def log(self) -> list[dict[str, Any]]:
        """The usage log, oldest first."""
        shown = (await self.ask("/api/api-usage", method="GET")).json["logs"]
        return sorted(shown, key=lambda row: int(row["id"].removeprefix("log_")))

    async def spent_uc(self) -> int:
        """What was charged; the books must be right and nothing may be held."""
        audit = await self.services.money.audit()
        assert audit.ok, audit.problems
        balance = await self.services.money.balance(self.user_id)
        assert balance.held_uc == 0
        return balance.topped_up_uc - balance.balance_uc

    @property
    def upstreams(self) -> list[str]:
        """Which upstreams were asked, in order."""
        return [request.url.split("/")[3] for request in self.transport.requests]

    def sent(self, number: int = -1) -> Any:
        """The body an upstream got."""
        return json.loads(self.transport.requests[number].body)


async def open_lab(answer: Script | Sequence[MemoryReply], credits: int = 100_000, **options: Any) -> Lab:
    """A gateway whose upstreams answer as told: by a function, or one reply after another."""
    if not callable(answer):
        replies = iter(list(answer))
        script: Script = lambda _request: next(replies)  # noqa: E731
    else:
        script = answer
    clock = options.pop("clock", None) or Clock()
    limits = options.pop("limits", None)
    settings, store = opened({"backoff_ms": 0, **options})
    transport = MemoryTransport(script)
    services = open_services(settings, store, transport, "admin", clock=clock)
    user = await services.accounts.create_user(limits=limits)
    if credits:
        await services.money.top_up(user.id, credits * CREDIT)
    key, secret = await services.accounts.create_key(user)
    return Lab(services, App(services), transport, key, secret, user.id)


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chat chunk."""
    delta = {} if content is None else {"content": content}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return head | {"choices": choices} | more


ROLE = chunk() | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
USAGE_CHUNK = chunk() | {"choices": [], "usage": USAGE}


def frames(*payloads: Any) -> bytes:
    """Chat events in plain framing; a text is sent as it is."""
    return b"".join(
        b"data: " + (payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()) + b"\n\n"
        for payload in payloads
    )


def chat_stream(*texts: str, usage: bool = True, done: bool = True) -> bytes:
    """A whole chat stream."""
    ending = [chunk(finish="stop"), *([USAGE_CHUNK] if usage else []), *(["[DONE]"] if done else [])]
    return frames(ROLE, *(chunk(text) for text in texts), *ending)


def completion(text: str = "Hi there", usage: Any = USAGE, **more: Any) -> bytes:
    """A whole chat completion."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-2026"}
    made = head | {"choices": choices} | more
    return json.dumps(made | ({"usage": usage} if usage else {})).encode()


def named(*payloads: Mapping[str, Any]) -> bytes:
    """Messages events."""
    return b"".join(f"event: {payload['type']}\ndata: {json.dumps(payload)}\n\n".encode() for payload in payloads)


def start(input_tokens: int = 20, **usage: Any) -> dict[str, Any]:
    """A message_start."""
    told = {"input_tokens": input_tokens, "output_tokens": 1, **usage}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m", "usage": told}
    return {"type": "message_start", "message": message}


def block(index: int = 0, kind: str = "text", **more: Any) -> dict[str, Any]:
    """A content_block_start."""
    empty: dict[str, Any] = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}.get(kind, {})
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **empty, **more}}


def delta(text: str, index: int = 0) -> dict[str, Any]:
    """A text delta."""
    return {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}


def stop(index: int = 0) -> dict[str, Any]:
    """A content_block_stop."""
    return {"type": "content_block_stop", "index": index}


def message_delta(reason: str = "end_turn", **usage: Any) -> dict[str, Any]:
    """A message_delta."""
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


MESSAGE_STOP = {"type": "message_stop"}


def message_stream(*texts: str) -> bytes:
    """A whole messages stream of 20 and 7 tokens."""
    return named(start(), block(), *map(delta, texts), stop(), message_delta(output_tokens=7), MESSAGE_STOP)


def message(text: str = "Hi there", **more: Any) -> bytes:
    """A whole message of 20 and 7 tokens."""
    made = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 20, "output_tokens": 7},
    }
    return json.dumps(made | more).encode()


def ok(*pieces: Any, **headers: str) -> MemoryReply:
    """A 200."""
    return MemoryReply(200, {name.replace("_", "-"): value for name, value in headers.items()}, pieces)


def error(status: int, message: str = "boom", code: str | None = None, **headers: str) -> MemoryReply:
    """An error in OpenAI's form."""
    body = {"error": {"message": message, "type": "server_error", "param": None, "code": code}}
    named_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return MemoryReply(status, named_headers, [json.dumps(body).encode()])


def by_upstream(replies: Mapping[str, Iterable[MemoryReply]]) -> Script:
    """A script that answers each upstream from its own list; the last reply of a list is not used up."""
    left = {name: list(made) for name, made in replies.items()}

    def answer(request: Request) -> MemoryReply:
        mine = left[request.url.split("/")[3]]
        return mine.pop(0) if len(mine) > 1 else MemoryReply(mine[0].status, mine[0].headers, mine[0].pieces)

    return answer


def run(work: Any) -> Any:
    """Runs a test's coroutine."""
    return asyncio.run(work)
