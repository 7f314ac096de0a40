"""The event log of a conformance run: one JSON object a line, appended as things happen.

Everything a report says is derived from this log, so a run that dies half-way still leaves a readable (incomplete)
report. The format is `schemas/report/event.schema.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

SCHEMA = "windtunnel-report/1"
LOG_NAME = "events.ndjson"

Event = dict[str, Any]


class LogError(Exception):
    """An event log that cannot be read: not there, not NDJSON, or not of this format. The message is one line."""


@dataclass(frozen=True, slots=True)
class EventLog:
    """The events of one run in order, with the SHA-256 of the bytes they were read from."""

    events: tuple[Event, ...]
    digest: str  # "sha256:<hex>"


class EventWriter:
    """Appends events to `path`, one flushed line each, so that a crash loses at most the line being written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("wb")

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one event; values that JSON does not know are written as text."""
        self._file.write(orjson.dumps(dict(event), default=str, option=orjson.OPT_APPEND_NEWLINE))
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def find_log(path: Path) -> Path:
    """The event log meant by `path`: the file itself, or `events.ndjson` in that folder. Raises LogError."""
    if path.is_dir():
        path = path / LOG_NAME
    if not path.is_file():
        raise LogError(f"{path}: no event log there")
    return path


def read_log(path: Path) -> EventLog:
    """The events of the log at `path` (a file or a report folder). Raises LogError.

    A last line without its newline is a write cut short by a crash: it is left out, as if it had not happened.
    """
    path = find_log(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise LogError(f"{path}: {error.strerror or error}") from error
    complete = raw[: raw.rfind(b"\n") + 1]
    events = tuple(parse_lines(complete.split(b"\n"), str(path)))
    if not events or events[0]["event"] != "run_started":
        raise LogError(f"{path}: not an event log: the first event must be run_started")
    schema = events[0].get("schema")
    if schema != SCHEMA:
        raise LogError(f"{path}: event log of format {schema!r}, this version reads {SCHEMA!r}")
    return EventLog(events, "sha256:" + hashlib.sha256(raw).hexdigest())


def parse_lines(lines: Iterable[bytes], name: str) -> Iterator[Event]:
    """Each non-blank line as an event. Raises LogError naming the line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise LogError(f"{name}, line {number}: not JSON: {error}") from error
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            raise LogError(f'{name}, line {number}: not an event: an object with a string "event" is due')
        yield event
