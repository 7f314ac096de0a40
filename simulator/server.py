"""The fleet on a port: a raw ASGI application on uvicorn, its hot path, and the server's life."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, cast

import orjson
import uvicorn
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable

from simulator.dialects.base import Serving
from simulator.fleet import BODY_BYTES_MAX, Fleet
from simulator.head import head
from simulator.jobs.desk import effect_of
from simulator.journal import Entry, Headers, Journal, Outcome
from simulator.judge import Fate, Passage, Undecided
from simulator.lateness import Lateness
from simulator.media.making import Makers
from simulator.media.store import Unmade
from simulator.memory import Known
from simulator.neighbours.door import Door
from simulator.player import Player
from simulator.problem import Problem
from simulator.providers import Provider
from simulator.rules.selectors import Subject
from simulator.script import Frame, Script
from simulator.wire import EXTENSION, PeerGone, TooLarge, Wire, WireProtocol

CONTROL = "/__fleet"
KEEP_ALIVE_S = 75  # longer than the pools of most clients keep an idle connection
SHUTDOWN_S = 1

log = logging.getLogger(__name__)


class Shelves(Protocol):
    """What other workers keep of earlier exchanges."""

    async def bring(self, known: Known, headers: Headers) -> Known: ...


class App:
    """The ASGI application: providers by the first segment of the path, the control API beside them."""

    def __init__(
        self, fleet: Fleet, journal: Journal, lateness: Lateness, makers: Makers, control: ASGI3Application
    ) -> None:
        self.fleet = fleet
        self.journal = journal
        self.lateness = lateness
        self.control = control
        self.makers = makers
        self.shelves: Shelves | None = None  # of the other workers
        self.door: Door | None = None  # to the neighbours
        self._clock = fleet.clock
        self._providers = fleet.providers

    async def __call__(self, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """One request. The way of a ready-made reply is short on purpose: it decides how fast the fleet is."""
        path: str = scope["path"]
        end = path.find("/", 1)
        provider = self._providers.get(path[1:end] if end > 0 else path[1:])
        if provider is None:
            await self._elsewhere(path, scope, receive, send)
            return
        wire: Wire = scope["extensions"][EXTENSION]
        fleet = self.fleet
        arrived_ms = self._clock.now_ms()
        below = path[end:] if end > 0 else "/"
        body = wire.body_at_hand()
        if body is None:
            try:
                body = await wire.body(receive, BODY_BYTES_MAX)
            except PeerGone:
                return
            except TooLarge:
                await self._refuse(provider, below, scope, wire, arrived_ms, Problem("too_large"))
                return
        headers: Headers = scope["headers"]
        fate: Fate | None = None
        try:
            asked = (provider, scope["method"], below, scope["query_string"], headers, body)
            try:
                known = fleet.recognise(*asked)
            except Unmade as unmade:
                known = await self.makers.finish(unmade, partial(fleet.recognise, *asked))
            if self.shelves is not None:
                known = await self.shelves.bring(known, headers)
            subject = known.subject
            if headers == known.headers:
                headers = known.headers  # one list for all that send the same
            if wire.plain and fleet.is_quiet(known):
                attempt, call = fleet.judge.count(known)
                try:
                    ready = fleet.ready(known, attempt, arrived_ms)
                except Unmade as unmade:
                    ready = await self.makers.finish(unmade, partial(fleet.ready, known, attempt, arrived_ms))
                    ready = ready if wire.plain else None
                if ready is not None:
                    data, outcome = ready
                    wire.reply(data)
                    sent_ms = self._clock.now_ms()
                    self.journal.add(Entry(subject, headers, known.body, attempt, call, arrived_ms, outcome, sent_ms))
                    return
                fate = Fate(attempt, call)
            else:
                fate = await fleet.judge.fate(known, arrived_ms)
            try:
                script, outcome = fleet.fated(known, arrived_ms, fate)
            except Unmade as unmade:
                script, outcome = await self.makers.finish(unmade, partial(fleet.fated, known, arrived_ms, fate))
            if self.shelves is not None and effect_of(known) is not None:
                await fleet.judge.settled()
        except Undecided as error:
            script = _undecided(error)
            await self._play(wire, script, Entry(subject, headers, known.body, 1, 1, arrived_ms, Outcome()))
            return
        except Exception:
            log.exception("%s %s failed", scope["method"], path)
            if fate is not None and fate.passage is not None:
                fate.passage.leave(None, self._clock.now_ms())
            await self._refuse(provider, below, scope, wire, arrived_ms, Problem("server_error"))
            return
        entry = Entry(subject, headers, known.body, fate.attempt, fate.call, arrived_ms, outcome)
        await self._play(wire, script, entry, fate.passage)

    async def _play(self, wire: Wire, script: Script, entry: Entry, passage: Passage | None = None) -> None:
        self.journal.add(entry)
        try:
            if script.holds:
                script = await self._held(wire, script, entry)
            await Player(wire, self._clock, script, entry, self.lateness).play()
        finally:
            if passage is not None:
                passage.leave(entry.outcome, self._clock.now_ms())
            self.journal.changed()

    async def _held(self, wire: Wire, script: Script, entry: Entry) -> Script:
        """The reply once it passed its gates: from then on it takes its own time. The player sees who has gone."""
        await self.fleet.judge.hold(script.holds, wire)
        return script.later(self._clock.now_ms() - entry.arrived_ms)

    async def _refuse(
        self, provider: Provider, path: str, scope: Any, wire: Wire, arrived_ms: float, problem: Problem
    ) -> None:
        """Answer a request that was not read, in the provider's words. A body still under way is dropped."""
        if wire.unread:
            wire.refuse_rest()
        mount = provider.route(scope["method"], path).mount
        query = scope["query_string"].decode("latin-1")
        nonce, now_s = self.fleet.unread_nonce(mount), int(arrived_ms // 1000)
        serving = Serving(nonce, now_s, 0, mount.facts, path=path, query=query)
        script = mount.dialect.error(problem, serving)
        subject = _unread(provider, mount.dialect.name, path, scope)
        entry = Entry(subject, scope["headers"], b"", 1, 1, arrived_ms, Outcome())
        await self._play(wire, script, entry)

    async def _elsewhere(self, path: str, scope: Any, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """The control API, a neighbour, or the index."""
        if path == CONTROL or path.startswith(f"{CONTROL}/"):
            await self.control(scope, receive, send)
        elif self.door is not None and self.door.takes(path):
            await self.door.serve(path, scope, scope["extensions"][EXTENSION], receive)
        else:
            await self._index(path, scope["extensions"][EXTENSION], receive)

    async def _index(self, path: str, wire: Wire, receive: ASGIReceiveCallable) -> None:
        """What is here, or that the path names no provider."""
        with suppress(PeerGone, TooLarge):
            await wire.body(receive, BODY_BYTES_MAX)
        providers = {
            name: {"dialects": [mount.dialect.name for mount in row.mounts], "region": row.region}
            for name, row in self._providers.items()
        }
        content: dict[str, Any] = {"providers": providers, "control": CONTROL, "openapi": f"{CONTROL}/openapi.json"}
        status = 200
        if path != "/":
            status = 404
            message = f"No provider at {path}; the first segment of the path is one of {', '.join(providers)}"
            content = {"error": {"type": "unknown_provider", "message": message, "providers": list(providers)}}
        frame = Frame(orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE), "body")
        script = Script(status, (("content-type", "application/json"),), (frame,))
        data = b"" if wire.head_only else frame.data
        wire.transport.write(head(script, int(self._clock.now_ms() // 1000), closes=wire.closes) + data)
        wire.finish()


def _unread(provider: Provider, dialect: str, path: str, scope: Any) -> Subject:
    """The subject of a request of which only the head was read."""
    query = scope["query_string"].decode("latin-1")
    method = scope["method"]
    return Subject(provider.name, provider.region, dialect, None, None, False, method, path, query, None, "unread")


class Quiet(uvicorn.Server):
    """uvicorn's server, which ends on SIGINT and SIGTERM as on any other day, and leaves the exit code alone."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, ValueError, RuntimeError):  # not the main thread, or not this platform
                loop.add_signal_handler(number, self._stop)
        await self._serve(sockets)

    def _stop(self) -> None:
        self.should_exit = True


def _undecided(error: Undecided) -> Script:
    """A reply in the fleet's own words: no provider said this."""
    content = {"error": {"type": "windtunnel_undecided", "message": f"Windtunnel cannot decide this request: {error}."}}
    frame = Frame(orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE), "body")
    return Script(503, (("content-type", "application/json"), ("x-should-retry", "false")), (frame,))


class Server(Quiet):
    """The fleet's: with a word when it is ready, and a quick end."""

    def __init__(self, app: App, sock: socket.socket, on_ready: Callable[[], None] | None = None) -> None:
        config = uvicorn.Config(
            cast(Any, app),
            http=WireProtocol,
            ws="none",
            interface="asgi3",
            proxy_headers=False,
            lifespan="off",
            loop="uvloop",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            backlog=4096,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        super().__init__(config)
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a client's broken HTTP is not our news
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # nor is a broken form
        self._sock = sock
        self._on_ready = on_ready

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to end."""
        await super().serve(sockets or [self._sock])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn, then tell that it is ready."""
        await super().startup(sockets)
        if self._on_ready is not None:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn, but nobody is waited for: a stalled stream would never end."""
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                connection.transport.abort()
        await super().shutdown(sockets)


def bind(host: str, port: int) -> socket.socket:
    """A listening address; port 0 picks a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def base_url(sock: socket.socket) -> str:
    """The URL of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
