"""The yardstick: a bare ASGI application on uvicorn that answers constants of the fleet's own sizes.

It reads the body of each POST and does nothing with it. JSON leaves in one piece; of a stream every event is
a write of its own. Start: `python -m loadtests.bench.bare FILE`, where FILE holds `{"/path": {"content_type":
…, "pieces": [text, …]}}`; one piece is a JSON reply, more are a stream. Prints `{"base_url": …}` once it is
ready.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Bare:
    """The application. `replies`: path -> (headers, pieces)."""

    def __init__(self, replies: dict[str, tuple[list[tuple[bytes, bytes]], list[bytes]]]) -> None:
        self.replies = replies

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        headers, pieces = self.replies[scope["path"]]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if len(pieces) == 1:
            await send({"type": "http.response.body", "body": pieces[0]})
            return
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def application(told: dict[str, Any]) -> Bare:
    """The application for a file's content."""
    replies = {}
    for path, reply in told.items():
        pieces = [piece.encode() for piece in reply["pieces"]]
        headers = [(b"content-type", reply["content_type"].encode())]
        if len(pieces) == 1:
            headers.append((b"content-length", str(len(pieces[0])).encode()))
        replies[path] = (headers, pieces)
    return Bare(replies)


def main() -> None:
    """Serve until a signal comes."""
    app = application(json.loads(Path(sys.argv[1]).read_text()))
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(2048)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="error")
    print(json.dumps({"base_url": f"http://127.0.0.1:{sock.getsockname()[1]}"}), flush=True)
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main()
