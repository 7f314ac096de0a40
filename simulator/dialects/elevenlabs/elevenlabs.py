"""ElevenLabs dialect: POST /v1/speech-to-text and POST /v1/text-to-speech/{voice}.

The key is a header of its own, `xi-api-key`. Sources: recorded bodies of transcripts; ElevenLabs' API reference and its
page on errors. Voices of one's own, history, WebSockets and agents are not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.elevenlabs import heard, problems, spoken
from simulator.dialects.elevenlabs import request as requests
from simulator.dialects.performing import Performing
from simulator.problem import Problem, Refused
from simulator.script import Script


class ElevenLabs(Performing):
    """The wire of ElevenLabs."""

    name: ClassVar[str] = "elevenlabs"
    root: ClassVar[str] = "/v1"
    nonces: ClassVar[str] = "hex"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/speech-to-text"): requests.HEAR,
        ("POST", "/text-to-speech/{voice}"): requests.SPEAK,
        ("POST", "/text-to-speech/{voice}/stream"): requests.STREAM,
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key."""
        key = request.headers.get("xi-api-key", "").strip()
        if not key:
            told = "Neither authorization header nor xi-api-key received, please provide one."
            raise Refused(Problem("authentication", told, code="needs_authorization"))
        if key not in keys:
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return requests.heard(request) if operation == requests.HEAR else requests.spoken(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what the model does not take."""
        is_voice = "input_length" in profile.facts
        if is_voice == (ask.operation == requests.HEAR):
            raise Refused(Problem("unknown_model"))
        if is_voice:
            spoken.check(ask, profile)
        else:
            heard.language(ask)
            heard.sound(ask)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The sound, or what was heard."""
        if profile is None:
            return self.error(Problem("not_found"), serving)
        does = heard.reply if ask.operation == requests.HEAR else spoken.reply
        return does(ask, profile, serving)

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal in ElevenLabs' words."""
        return problems.told(problem, serving)
