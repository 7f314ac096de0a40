"""One HTTP exchange with the gateway, as a client sees it: head, pieces, end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
import orjson
from multidict import CIMultiDictProxy

from suites import anthropic_messages, gemini_generate, media, openai_chat, openai_responses
from suites.edge import now_ms
from suites.evidence import Evidence
from suites.heard import Heard
from suites.outcomes import Violation
from suites.sse import Event, EventReader


class ClientWire(Protocol):
    """How a client writes and reads one endpoint."""

    def body(self, model: str, prompt: str, stream: bool, /) -> dict[str, Any]:
        """The smallest request."""

    def read_json(self, document: Any, /) -> Heard:
        """What a JSON body says."""

    def read_stream(self, events: Iterable[Event], /) -> Heard:
        """What the events of a stream say so far."""


WIRES: Mapping[str, ClientWire] = {
    "chat": openai_chat,
    "messages": anthropic_messages,
    "responses": openai_responses,
    "gemini": gemini_generate,
    "images": media.IMAGES,
    "videos": media.VIDEOS,
    "audio": media.AUDIO,
}
PATIENCE_S = 45.0  # longer than any silence that the checks script


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it left."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    wire: str = ""  # a key of WIRES; "" for other paths
    token: str = ""  # the case token in its prompt
    document: Any = None  # the JSON of the body


@dataclass
class Reply:
    """An answer as far as it arrived."""

    sent: Sent
    status: int
    headers: CIMultiDictProxy[str]
    started_ms: float
    head_ms: float
    reader: EventReader = field(default_factory=EventReader)
    ended_ms: float = 0.0
    complete: bool = False  # the transport ended as HTTP says
    cut: str = ""  # how it ended otherwise

    @property
    def raw(self) -> bytes:
        return self.reader.raw

    @property
    def token(self) -> str:
        return self.sent.token

    @property
    def type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_stream(self) -> bool:
        return self.type == "text/event-stream"

    @property
    def events(self) -> list[Event]:
        """The events of a stream; none of a JSON body."""
        return self.reader.events if self.is_stream else []

    @cached_property
    def document(self) -> Any:
        """The parsed body; None where it is no JSON."""
        try:
            return orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            return None

    @property
    def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object. Raises Violation."""
        if not isinstance(self.document, dict):
            raise Violation(f"a JSON object was due; came {self}")
        return self.document

    @property
    def heard_so_far(self) -> Heard:
        """What the client understands of what arrived until now."""
        wire = WIRES.get(self.sent.wire, openai_chat)
        heard: Heard = wire.read_stream(self.events) if self.is_stream else wire.read_json(self.document)
        return heard

    @cached_property
    def heard(self) -> Heard:
        """What the client understood, once it has ended."""
        return self.heard_so_far

    @property
    def error(self) -> tuple[str, str] | None:
        """Type and message of the error that the reply tells of, in its body or in its stream."""
        return self.heard.error

    def __str__(self) -> str:
        return f"{self.status} {self.type}: {self.raw[:400].decode('utf-8', 'replace')}"


class OpenReply:
    """A reply that is still arriving. An async context manager: leaving it closes the connection."""

    def __init__(self, response: aiohttp.ClientResponse, reply: Reply, evidence: Evidence) -> None:
        self._response = response
        self.reply = reply
        self._evidence = evidence

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()

    async def more(self, limit_s: float = PATIENCE_S) -> bool:
        """Wait for the next piece; False at the end. Raises Violation when nothing comes within `limit_s`."""
        reply = self.reply
        try:
            async with asyncio.timeout(limit_s):
                piece = await self._response.content.readany()
        except TimeoutError:
            raise Violation(f"nothing arrived for {limit_s:g} s; the reply so far: {reply}") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            reply.cut = f"{type(error).__name__}: {error}"
            return self._end()
        if not piece:
            reply.complete = True
            return self._end()
        reply.reader.feed(piece, now_ms())
        return True

    def _end(self) -> bool:
        self.reply.ended_ms = now_ms()
        how = "complete" if self.reply.complete else f"cut off ({self.reply.cut})"
        self._evidence.note("client", f"reply {self.reply.status} {how}", self.reply.raw.decode("utf-8", "replace"))
        return False

    async def until(self, reached: Callable[[Heard], bool], limit_s: float = PATIENCE_S) -> Heard:
        """Read until the content so far satisfies `reached`. Raises Violation when the reply ends or stalls before."""
        started = now_ms()
        while not reached(heard := self.reply.heard_so_far):
            left_s = limit_s - (now_ms() - started) / 1000
            if left_s <= 0 or not await self.more(left_s):
                raise Violation(f"the reply ended before the awaited content came: {self.reply}")
        return heard

    async def rest(self, limit_s: float = PATIENCE_S) -> Reply:
        """Read to the end, `limit_s` in all."""
        started = now_ms()
        while await self.more(max(0.001, limit_s - (now_ms() - started) / 1000)):
            pass
        return self.reply

    def hang_up(self) -> Reply:
        """Close the connection, as a client that goes away."""
        self._evidence.note("client", "hangs up", f"after {len(self.reply.raw)} bytes")
        self.reply.ended_ms = now_ms()
        self._response.close()
        return self.reply


async def send(
    session: aiohttp.ClientSession, sent: Sent, evidence: Evidence, limit_s: float = PATIENCE_S
) -> OpenReply:
    """Send a request and wait for the head of its reply. Raises Violation when the gateway gives none."""
    evidence.request(sent.method, sent.url, sent.headers, sent.body)
    started = now_ms()
    try:
        async with asyncio.timeout(limit_s):
            response = await session.request(
                sent.method, sent.url, data=sent.body or None, headers=sent.headers, allow_redirects=False
            )
    except TimeoutError:
        raise Violation(f"{sent.method} {sent.url}: no answer within {limit_s:g} s") from None
    except (aiohttp.ClientError, ConnectionError) as error:
        raise Violation(f"{sent.method} {sent.url}: no answer ({type(error).__name__}: {error})") from error
    reply = Reply(sent, response.status, response.headers, started, now_ms())
    shown = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
    evidence.note("client", f"reply {response.status} begins", shown)
    return OpenReply(response, reply, evidence)
