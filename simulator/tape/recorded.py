"""The dialect of a tape: it answers what it has heard, as it heard it, and refuses everything else.

A request is the one recorded when method, path, query and body are: of a JSON body neither the order of keys counts nor
the directives in its texts. Of several recordings of one request the first is played at the first attempt, and so on;
the last one stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

import orjson

from simulator.answers.answer import Answer
from simulator.ask import Ask, Request, Turn
from simulator.dialects.base import Kept, Profile, Serving
from simulator.draws import digest
from simulator.problem import Problem, Refused
from simulator.script import Ending, Frame, Script
from simulator.tape.recording import SECRET_PARAMS, Recording, without_secrets

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_DIRECTIVE = re.compile(r"\s*\[\[\s*(?:case|fault|answer)\s*:.*?\]\]", re.DOTALL)
_NOT_TOLD = frozenset(
    {"content-length", "date", "transfer-encoding", "connection"}
)  # the fleet's own server tells these
STATUS: Final = 404


class Recorded:
    """One tape."""

    name: ClassVar[str] = "recorded"
    root: ClassVar[str] = ""
    nonces: ClassVar[str] = "letters"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {(method, "{rest}"): "replay" for method in METHODS}

    def __init__(self, recordings: Sequence[Recording], paced: bool = True) -> None:
        """`paced`: pieces leave when they arrived; else all at once."""
        self._paced = paced
        self._tracks: dict[bytes, list[Recording]] = {}
        for recording in recordings:
            self._tracks.setdefault(_key(recording), []).append(recording)
        self._known = sorted({f"{one.method} {one.path}" for one in recordings})

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Any key will do: the recorded one was not kept."""

    def decode(self, request: Request, operation: str) -> Ask:
        """What decides is the request as a whole."""
        text = request.body.decode("utf-8", "replace")
        key = _key(request)
        if key not in self._tracks:
            raise Refused(Problem("not_recorded", self._explained(request), status=STATUS))
        return Ask(operation, model="", turns=(Turn("user", text),), body={"key": key}, fresh=True)

    def _explained(self, request: Request) -> str:
        came = f"{request.method} {request.path}"
        if came in self._known:
            return f"{came} was recorded, but never with this body or query."
        return f"{came} was never recorded; recorded: {', '.join(self._known)}."

    def check(self, ask: Ask, profile: Profile) -> None:
        """A tape has no models."""

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The recorded reply."""
        track = self._tracks[ask.body["key"]]
        one = track[min(serving.attempt, len(track)) - 1]
        headers = tuple((name.lower(), value) for name, value in one.headers if name.lower() not in _NOT_TOLD)
        if not one.chunked:
            last_ms = one.pieces[-1].at_ms if one.pieces else one.head_at_ms
            data = b"".join(piece.data for piece in one.pieces)
            frames: tuple[Frame, ...] = (Frame(data, "body", due_ms=self._due_ms(last_ms)),)
        else:
            frames = tuple(Frame(piece.data, due_ms=self._due_ms(piece.at_ms), alone=True) for piece in one.pieces)
        head_due_ms = self._due_ms(one.head_at_ms)
        return Script(one.status, headers, frames, one.chunked, _ending(one), head_due_ms)

    def _due_ms(self, at_ms: float) -> float:
        return at_ms if self._paced else 0.0

    def reply(self, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Script:  # noqa: ARG002
        """No model answers on a tape."""
        return self.perform(ask, profile, serving, None)

    def count(self, ask: Ask, profile: Profile, serving: Serving) -> Script:
        """A tape counts nothing by itself."""
        return self.perform(ask, profile, serving, None)

    def models(self, snapshots: Mapping[str, str], serving: Serving, model: str = "") -> Script:  # noqa: ARG002
        """A tape lists no models by itself."""
        return self.error(Problem("not_recorded", status=STATUS), serving)

    def resume(self, ask: Ask, kept: Kept) -> Ask:  # noqa: ARG002
        """Nothing is kept."""
        return ask

    def error(self, problem: Problem, serving: Serving) -> Script:  # noqa: ARG002
        """A refusal in the fleet's own words: whose they would have been, the tape does not say."""
        content = {"error": {"type": problem.kind, "message": problem.message or problem.kind, "code": problem.code}}
        frame = Frame(orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE), "body")
        headers = (("content-type", "application/json"), *problem.headers)
        return Script(problem.status or 500, headers, (frame,))

    def error_frame(self, problem: Problem, serving: Serving) -> bytes:  # noqa: ARG002
        """The refusal as an event."""
        content = {"error": {"type": problem.kind, "message": problem.message or problem.kind}}
        return b"data: " + orjson.dumps(content) + b"\n\n"


def _ending(one: Recording) -> Ending:
    return Ending.END if one.ended == "end" else Ending.CUT


def _key(asked: Recording | Request) -> bytes:
    """What makes two requests the same."""
    body = asked.request_body if isinstance(asked, Recording) else asked.body  # of a recording, without secrets
    query = sorted(pair for pair in parse_qsl(asked.query, keep_blank_values=True) if pair[0] not in SECRET_PARAMS)
    return digest(asked.method, asked.path, query, _settled(without_secrets(body)))


def _settled(body: bytes) -> bytes:
    """A body without what may differ: directives, and in JSON the order of keys."""
    try:
        return orjson.dumps(_plain(orjson.loads(body)), option=orjson.OPT_SORT_KEYS)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return _DIRECTIVE.sub("", body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _DIRECTIVE.sub("", value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
