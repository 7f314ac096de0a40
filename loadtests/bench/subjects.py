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
from loadtests.bench.client import MARK, Shot
from loadtests.calls import ANTHROPIC_VERSION
from loadtests.errors import Unmeasurable
from loadtests.ledger import Gateway
from loadtests.processes import Server

DIALECTS = ("chat", "messages")
MODES = ("json", "sse")
SUBJECTS = ("bare", "fleet", "fleet-new", "gateway")  # fleet-new: no two requests alike, so none is ready-made
MODEL = {"chat": "gpt-5.5", "messages": "claude-sonnet-4-6"}
PROVIDER = {"chat": "openai", "messages": "anthropic"}
PATH = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}
ANSWER_TOKENS = 80
FUNDS_UC = 10**15
HOURLY_LIMIT = 10**9
TEXT = f"[[answer: tokens={ANSWER_TOKENS}]] Describe a teapot above the fog, plainly and at some length."
NEW_TEXT = f"{TEXT} {MARK.decode()}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of the table: a dialect, a mode, and who answers."""

    dialect: str
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


def body(dialect: str, mode: str, text: str, max_tokens: int = 4000) -> bytes:
    """A request's JSON."""
    limit = "max_completion_tokens" if dialect == "chat" else "max_tokens"
    asked: dict[str, Any] = {
        "model": MODEL[dialect],
        limit: max_tokens,
        "messages": [{"role": "user", "content": text}],
    }
    if mode == "sse":
        asked["stream"] = True
    return json.dumps(asked).encode()


def headers(dialect: str, key: str) -> dict[str, str]:
    """Headers as the wire's own SDK sends them."""
    if dialect == "chat":
        return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return {"x-api-key": key, "anthropic-version": ANTHROPIC_VERSION, "Content-Type": "application/json"}


def sample(url: str, asked: bytes, of_headers: dict[str, str]) -> Sample:
    """Ask once and take the answer apart."""
    sent = urllib_request.Request(url, data=asked, headers=of_headers, method="POST")
    opener = urllib_request.build_opener(urllib_request.ProxyHandler({}))
    with opener.open(sent, timeout=30) as response:
        data, content_type = response.read(), response.headers["content-type"]
    if not content_type.startswith("text/event-stream"):
        return Sample(content_type, [data])
    events = data.split(b"\n\n")
    if events[-1]:
        raise Unmeasurable(f"{url}: the stream does not end with a whole event")
    return Sample(content_type, [event + b"\n\n" for event in events[:-1]])


@contextmanager
def questions(folder: Path) -> Iterator[dict[Cell, Question]]:
    """Start the three servers, each a process of its own, and prepare every cell."""
    with ExitStack() as started:
        fleet = started.enter_context(processes.fleet(folder))
        gateway = started.enter_context(processes.gateway(folder, fleet.told["fleet"]["base_url"]))
        prepared: dict[Cell, Question] = {}
        replies: dict[str, Any] = {}
        for door in doors(fleet, gateway):
            for mode in MODES:
                asked = body(door.dialect, mode, TEXT)
                seen = sample(door.url, asked, door.headers)
                events = len(seen.pieces) if mode == "sse" else 0
                question = Question(Shot.post(door.url, door.headers, asked), events, door.server)
                prepared[Cell(door.dialect, mode, door.subject)] = question
                if door.subject == "fleet":
                    new = Shot.post(door.url, door.headers, body(door.dialect, mode, NEW_TEXT))
                    prepared[Cell(door.dialect, mode, "fleet-new")] = Question(new, events, door.server)
                    pieces = [piece.decode() for piece in seen.pieces]
                    replies[f"/{door.dialect}/{mode}"] = {"content_type": seen.content_type, "pieces": pieces}
        yardstick = started.enter_context(bare(folder, replies))
        for dialect, mode in product(DIALECTS, MODES):
            url = f"{yardstick.told['base_url']}/{dialect}/{mode}"
            shot = Shot.post(url, headers(dialect, "bare"), body(dialect, mode, TEXT))
            events = prepared[Cell(dialect, mode, "fleet")].events
            prepared[Cell(dialect, mode, "bare")] = Question(shot, events, yardstick)
        yield prepared


@dataclass(frozen=True, slots=True)
class Door:
    """Where one subject answers one dialect."""

    subject: str
    dialect: str
    url: str
    headers: dict[str, str]
    server: Server


def doors(fleet: Server, gateway: Server) -> list[Door]:
    """The fleet's and the gateway's doors for each dialect; the gateway gets a user with funds without end."""
    told = fleet.told["fleet"]
    target = processes.target_of(told, gateway.told["gateway"])
    key = Gateway(target).provision("bench", FUNDS_UC, HOURLY_LIMIT).key
    urls = {
        "chat": f"{target['base_urls']['openai']}/chat/completions",
        "messages": f"{target['base_urls']['anthropic']}/v1/messages",
    }
    found = []
    for dialect in DIALECTS:
        provider = told["providers"][PROVIDER[dialect]]
        url = provider["base_url"] + PATH[dialect]
        found.append(Door("fleet", dialect, url, headers(dialect, provider["key"]), fleet))
        found.append(Door("gateway", dialect, urls[dialect], headers(dialect, key), gateway))
    return found


@contextmanager
def bare(folder: Path, replies: dict[str, Any]) -> Iterator[Server]:
    """The yardstick's process."""
    file = folder / "bare.json"
    file.write_text(json.dumps(replies))
    with processes.server("bare", ["-m", "loadtests.bench.bare", str(file)], folder) as started:
        yield started
