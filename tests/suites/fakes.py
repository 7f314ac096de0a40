"""Tiny gateways on a free port, each wrong in one named way, and folders of tiny checks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "ck_a_key_that_was_issued_00000000"


def refusal(status: int, kind: str, message: str, extra: dict[str, str] | None = None) -> Response:
    """The documented form of an error."""
    return JSONResponse({"error": {"type": kind, "message": message, **(extra or {})}}, status)


def gateway(wrong: str = "") -> Starlette:
    """A gateway that can authenticate, list one model and refuse everything else."""

    def secret(request: Request) -> str:
        return request.headers.get("authorization", "").removeprefix("Bearer ")

    def unknown_key(request: Request) -> Response:
        if wrong == "error_body_has_code":
            return refusal(401, "authentication_error", "Unknown key.", {"code": "401"})
        echoed = secret(request) if wrong == "refused_key_echoed" else ""
        return refusal(401, "authentication_error", f"Unknown key. {echoed}")

    async def chat(request: Request) -> Response:
        body = await request.body()
        if wrong == "body_judged_before_key" and not body.endswith(b"]}"):
            return refusal(400, "invalid_request_error", "No JSON object.")
        if secret(request) != KEY:
            return unknown_key(request)
        return refusal(502, "api_error", "No upstream.")

    async def models(request: Request) -> Response:
        return unknown_key(request) if secret(request) != KEY else JSONResponse({"object": "list", "data": []})

    async def healthz(request: Request) -> Response:
        return refusal(404, "not_found_error", "No such path.") if wrong == "healthz_missing" else Response("ok")

    return Starlette(
        routes=[
            Route("/api/v1/chat/completions", chat, methods=["POST"]),
            Route("/api/v1/models", models),
            Route("/healthz", healthz),
        ]
    )


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """The app on a free port, in a thread: its base URL."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    ready = threading.Event()
    started = server.startup

    async def startup(sockets: object = None) -> None:
        await started(sockets)  # type: ignore[arg-type]
        ready.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    assert ready.wait(10), "the server did not start"
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        socket.close()


def checks(folder: Path, name: str, source: str) -> Path:
    """A folder with one module of checks."""
    folder.mkdir(exist_ok=True)
    head = "import asyncio\nfrom suites.requirement import over, requirement\nfrom suites.outcomes import *\n\n"
    (folder / f"test_{name}.py").write_text(head + source)
    return folder
