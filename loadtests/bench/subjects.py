"""What is measured: the same questions, put to the bare application, the fleet, and the gateway before it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from urllib import request as urllib_request

from loadtests import processes
from loadtests.bench import peers
from loadtests.bench.client import Shot
from loadtests.bench.peers import PEERS, Peer
from loadtests.bench.wires import WIRES, Wire
from loadtests.errors import Unmeasurable
from loadtests.ledger import Gateway
from loadtests.processes import Server

MODES = ("json", "sse")
OURS = ("bare", "fleet", "fleet-new", "gateway")  # fleet-new: no two requests alike, so none is ready-made
SUBJECTS = (*OURS, *(peer.name for peer in PEERS))
FUNDS_UC = 10**15
HOURLY_LIMIT = 10**9


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of the table: a wire, a mode, and who answers."""

    wire: str
    mode: str
    subject: str


@dataclass(frozen=True, slots=True)
class Question:
    """How one cell is asked, and what one answer holds."""

    shot: Shot
    events: int  # of a streamed answer; 0 for JSON
    server: Server


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer, taken apart."""

    content_type: str
    pieces: list[bytes]  # the body, or the events of a stream


def sample(url: str, asked: bytes, of_headers: dict[str, str]) -> Sample:
    """Ask once and take the answer apart."""
    sent = urllib_request.Request(url, data=asked, headers=of_headers, method="POST")
    opener = urllib_request.build_opener(urllib_request.ProxyHandler({}))
    with opener.open(sent, timeout=30) as response:
        data, content_type = response.read(), response.headers["content-type"]
    if not content_type.startswith("text/event-stream"):
        return Sample(content_type, [data])
    blank = b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
    events = data.split(blank)
    if events[-1]:
        raise Unmeasurable(f"{url}: the stream does not end with a whole event")
    return Sample(content_type, [event + blank for event in events[:-1]])


@dataclass(frozen=True, slots=True)
class Prepared:
    """Every cell that can be measured, and who could not be started, with the reason."""

    questions: dict[Cell, Question]
    missing: dict[str, str]


@contextmanager
def questions(folder: Path, with_peers: bool = True) -> Iterator[Prepared]:
    """Start the servers, each a process of its own, and prepare every cell."""
    with ExitStack() as started:
        fleet = started.enter_context(processes.fleet(folder))
        gateway = started.enter_context(processes.gateway(folder, fleet.told["fleet"]["base_url"]))
        prepared = Prepared({}, {})
        replies: dict[str, Any] = {}
        for door in (*fleet_doors(fleet), *gateway_doors(fleet, gateway)):
            for mode in MODES:
                _prepare(door, mode, prepared.questions, replies)
        if with_peers:
            for peer in PEERS:
                _prepare_peer(peer, folder, fleet, started, prepared)
        yardstick = started.enter_context(bare(folder, replies))
        for wire, mode in product(WIRES.values(), MODES):
            url = f"{yardstick.told['base_url']}/{wire.name}/{mode}"
            shot = Shot.post(url, wire.headers("bare"), wire.body(mode, wire.text()))
            events = prepared.questions[Cell(wire.name, mode, "fleet")].events
            prepared.questions[Cell(wire.name, mode, "bare")] = Question(shot, events, yardstick)
        yield prepared


def _prepare_peer(peer: Peer, folder: Path, fleet: Server, started: ExitStack, prepared: Prepared) -> None:
    """Start a peer, in front of the fleet if it is a gateway, and ask it once; or note why it is missing."""
    providers = fleet.told["fleet"]["providers"]
    server = started.enter_context(peers.started(peer, folder, providers))
    if isinstance(server, str):
        prepared.missing[peer.name] = server
        return
    for wire, mode in product((WIRES[name] for name in peer.wires), MODES):
        door = Door(peer.name, wire, server.told["base_url"], peer.headers(wire, providers), server)
        try:
            _prepare(door, mode, prepared.questions, {})
        except (OSError, Unmeasurable) as error:
            prepared.missing[f"{peer.name}, {wire.name} {mode}"] = str(error)


@dataclass(frozen=True, slots=True)
class Door:
    """Where one subject answers one wire."""

    subject: str
    wire: Wire
    base_url: str
    headers: dict[str, str]
    server: Server
    path: str | None = None  # in place of the wire's own

    def url(self, mode: str) -> str:
        """Where to."""
        return self.base_url + (self.wire.url_path(mode) if self.path is None else self.path)


def _prepare(door: Door, mode: str, prepared: dict[Cell, Question], replies: dict[str, Any]) -> None:
    """Ask once, to see that it answers and what; the fleet's answer is what the yardstick will say."""
    wire, url = door.wire, door.url(mode)
    asked = wire.body(mode, wire.text())
    seen = sample(url, asked, door.headers)
    events = len(seen.pieces) if mode == "sse" else 0
    prepared[Cell(wire.name, mode, door.subject)] = Question(Shot.post(url, door.headers, asked), events, door.server)
    if door.subject == "fleet":
        new = Shot.post(url, door.headers, wire.body(mode, wire.text(marked=True)))
        prepared[Cell(wire.name, mode, "fleet-new")] = Question(new, events, door.server)
        pieces = [piece.decode() for piece in seen.pieces]
        replies[f"/{wire.name}/{mode}"] = {"content_type": seen.content_type, "pieces": pieces}


def fleet_doors(fleet: Server) -> Iterator[Door]:
    """The fleet's doors, one a wire."""
    providers = fleet.told["fleet"]["providers"]
    for wire in WIRES.values():
        provider = providers[wire.provider]
        yield Door("fleet", wire, provider["base_url"], wire.headers(provider["key"]), fleet)


def gateway_doors(fleet: Server, gateway: Server) -> Iterator[Door]:
    """The gateway's doors for the wires that it serves, with the key of a user with funds without end."""
    target = processes.target_of(fleet.told["fleet"], gateway.told["gateway"])
    key = Gateway(target).provision("bench", FUNDS_UC, HOURLY_LIMIT).key
    for wire in WIRES.values():
        if wire.gateway:
            base, path = wire.gateway.split()
            yield Door("gateway", wire, target["base_urls"][base], wire.headers(key), gateway, path)


@contextmanager
def bare(folder: Path, replies: dict[str, Any]) -> Iterator[Server]:
    """The yardstick's process."""
    file = folder / "bare.json"
    file.write_text(json.dumps(replies))
    with processes.server("bare", ["-m", "loadtests.bench.bare", str(file)], folder) as started:
        yield started
