"""Makes one call over FastHttp's own client and socket, and times it.

Stock clients cannot time a stream: they gather 1024 bytes before they hand out a line, and stop the clock at
the headers. Here the parser is fed from the socket directly and the clock is read once for each receive. A
POST is never sent twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError

from loadtests.calls import Call, Plan
from loadtests.watch import Seen, Watch, read_json

CONNECT_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 90.0  # longest silence on a socket; above the 60 s that gateways allow an upstream
LEAVE_SILENCE_S = 3.0  # silence after content that makes a caller leave who means to; below any keep-alive
RECEIVE_BYTES = 65536


class Closed(Exception):
    """The peer closed the connection in the middle of an answer."""


@dataclass(slots=True)
class Timing:
    """Moments of one call, by the monotonic clock, in seconds. 0.0: it never came."""

    due: float
    sent: float = 0.0
    first_content: float = 0.0
    last_content: float = 0.0
    end: float = 0.0
    gaps: list[float] = field(default_factory=list)  # between receives that bore content

    def content(self, now: float) -> None:
        """Content came in."""
        if not self.first_content:
            self.first_content = now
        else:
            self.gaps.append(now - self.last_content)
        self.last_content = now


class Caller:
    """Connections to one target, shared by all calls of a worker."""

    def __init__(self, base_urls: dict[str, str], concurrency: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._clients: dict[str, HTTPClient] = {}
        self._doors: dict[str, tuple[HTTPClient, str]] = {}
        for wire, url in (
            ("chat", f"{base_urls['openai'].rstrip('/')}/chat/completions"),
            ("messages", f"{base_urls['anthropic'].rstrip('/')}/v1/messages"),
        ):
            parts = urlsplit(url)
            origin = f"{parts.scheme}://{parts.netloc}"
            if origin not in self._clients:
                self._clients[origin] = HTTPClient.from_url(
                    origin,
                    concurrency=concurrency,
                    connection_timeout=CONNECT_TIMEOUT_S,
                    network_timeout=SILENCE_TIMEOUT_S,
                )
            self._doors[wire] = (self._clients[origin], parts.path)

    def make(self, call: Call, due: float) -> tuple[Seen, Timing]:
        """Make a call. A failing connection is told in `Seen.broken`, never raised."""
        seen, timing = Seen(), Timing(due)
        client, path = self._doors[call.wire]
        body, headers = call.body(), call.headers()
        timing.sent = self._clock()
        response = None
        try:
            response = client.request("POST", path, body, headers)
            seen.status = response.status_code
            seen.request_id = str(response.get("x-request-id") or "")
            if call.stream and seen.status == 200:
                self._read_stream(call, response, seen, timing)
            else:
                read_json(call.wire, response.read(), seen)
        except (OSError, HTTPParseError, Closed) as error:
            seen.broken = f"{type(error).__name__}: {error}"
        finally:
            if response is not None:
                response.release()  # closes the socket unless the answer was read to its end
        timing.end = self._clock()
        return seen, timing

    def _read_stream(self, call: Call, response: Any, seen: Seen, timing: Timing) -> None:
        """The read loop: until the end of the answer, or until the planned hang-up."""
        watch = Watch(call.wire, seen)
        sock, buffer = response._sock, response._body_buffer
        leave_after = call.leave_after if call.plan is Plan.HANG_UP else 0
        while True:
            if buffer:
                now = self._clock()
                data = bytes(buffer)
                del buffer[:]
                if watch.feed(data):
                    timing.content(now)
                if leave_after and seen.content_events >= leave_after:
                    seen.left = True
                    return
            if response.message_complete:
                return
            if leave_after and seen.content_events:
                sock.settimeout(LEAVE_SILENCE_S)
            try:
                received = sock.recv(RECEIVE_BYTES)
            except TimeoutError:
                if not (leave_after and seen.content_events):
                    raise
                seen.left = True  # a gateway may join frames: silence, too, says that all of them came
                return
            if not received:
                raise Closed("the connection ended in the middle of the answer")
            response.feed(received)
