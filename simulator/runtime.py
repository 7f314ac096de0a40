"""One running fleet: its parts put together, and bound to a port."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from uvicorn._types import ASGI3Application

from simulator import edge, providers
from simulator.clock import Clock
from simulator.control.api import Control
from simulator.dialects import DIALECTS
from simulator.fixtures.watch import Library
from simulator.fleet import Fleet
from simulator.journal import Journal
from simulator.lateness import Lateness
from simulator.media.making import Makers
from simulator.media.store import STORE
from simulator.neighbours.door import Door
from simulator.server import App, Server, base_url, bind

CONTROL_PATH = "/__fleet"
WATCH_MS = 500.0  # how soon a changed fixture file is read


@dataclass(slots=True)
class Runtime:
    """A fleet that is bound, and ready to serve."""

    fleet: Fleet
    journal: Journal
    lateness: Lateness
    control: Control
    app: App
    sock: socket.socket
    _server: Server | None = None

    @classmethod
    def open(
        cls, config_path: str, clock: Clock, seed: int, sock: socket.socket, *, realistic: bool = False
    ) -> Runtime:
        """Read the providers, as slow as real ones if so wished, to serve them on a bound socket. Raises Flawed."""
        rows = providers.load(config_path, DIALECTS, seed)
        return cls.on(sock, providers.realistic(rows) if realistic else rows, clock, seed)

    @classmethod
    def of(cls, rows: dict[str, providers.Provider], clock: Clock, seed: int, host: str, port: int) -> Runtime:
        """A fleet of these providers, bound. Raises OSError."""
        return cls.on(bind(host, port), rows, clock, seed)

    @classmethod
    def on(cls, sock: socket.socket, rows: dict[str, providers.Provider], clock: Clock, seed: int) -> Runtime:
        """A fleet of these providers on a bound socket."""
        fleet, journal, lateness = Fleet(rows, clock, seed), Journal(), Lateness()
        makers = Makers()
        control = Control(fleet, journal, lateness, makers, lambda: describe(fleet, base_url(sock)))
        control.neighbourhood.url = base_url(sock)
        app = App(fleet, journal, lateness, makers, _asgi(control))
        app.door = Door(control.neighbourhood, clock)
        return cls(fleet, journal, lateness, control, app, sock)

    def describe(self) -> dict[str, Any]:
        """What the ready line tells."""
        url = base_url(self.sock)
        neighbourhood = self.control.neighbourhood
        return {
            "base_url": url,
            "control_url": url + CONTROL_PATH,
            "providers": describe(self.fleet, url),
            "neighbours": neighbourhood.describe(),
            "smtp": neighbourhood.mail.address(),
        }

    async def serve(self, on_ready: Callable[[], None] | None = None) -> None:
        """Serve until SIGINT or SIGTERM."""

        def ready() -> None:
            if self.control.library is not None:
                self._watch(self.control.library)
            if on_ready is not None:
                on_ready()

        self._server = Server(self.app, self.sock, ready)
        try:
            with STORE.serving():
                await self.control.neighbourhood.mail.open()
                await self._server.serve()
        finally:
            await self.control.neighbourhood.mail.close()
            await self.control.webhooks.close()
            self.app.makers.close()

    def use_fixtures(self, sources: Sequence[Path]) -> None:
        """Answer by the fixtures of these files and folders, and read them again when they change. Raises Flawed."""
        self.control.library = Library(sources, self.fleet.put_fixtures)

    def use_mail(self, sock: socket.socket) -> None:
        """Take mails on a bound socket."""
        self.control.neighbourhood.mail.sock = sock

    def _watch(self, library: Library) -> None:
        """Look at the files now, and soon again."""
        library.look()
        edge.alarm(WATCH_MS, partial(self._watch, library))

    def stop(self) -> None:
        """End `serve`; may be called from another thread."""
        if self._server is not None:
            self._server.should_exit = True

    @staticmethod
    def loop_factory() -> Callable[[], Any]:
        """The event loop the fleet runs on."""
        return uvloop.new_event_loop


def tame_collector() -> None:
    """Collect garbage seldom: the journal's entries hold no cycles, and a pass over all of them makes frames late."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _asgi(control: Control) -> ASGI3Application:
    app: Any = control.app()
    return app  # type: ignore[no-any-return]


def describe(fleet: Fleet, url: str) -> dict[str, Any]:
    """The providers with their URLs and keys."""
    return {name: row.describe(url) for name, row in fleet.providers.items()}
