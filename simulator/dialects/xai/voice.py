"""xAI Voice dialect: POST /v1/tts (JSON in, sound out in chunks) and POST /v1/stt (a form in, words with times out).

Neither names a model: it is the one of the row, `grok-tts` or `grok-stt`. Sources: recorded replies; xAI's
documentation for fields, codecs and bounds. The form of `channels`, media types besides MP3's, the sentences of
refusals, and that fields after the file are not read, are not confirmed. Nothing is downloaded: a sound at a `url` is
an invented one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.xai import base, heard, spoken, voice_request
from simulator.problem import Problem
from simulator.script import Script


class XAIVoice(base.XAIWire):
    """The wire of speech and transcripts."""

    name: ClassVar[str] = "xai_voice"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/tts"): voice_request.SPEAK,
        ("POST", "/stt"): voice_request.HEAR,
    }

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return voice_request.decode(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what the model does not take."""
        if ask.operation == voice_request.SPEAK:
            spoken.check(ask, profile)
        else:
            heard.sound(ask)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The sound, or what was heard."""
        if profile is None:
            return self.error(Problem("not_found"), serving)
        if ask.operation == voice_request.SPEAK:
            return spoken.reply(ask, profile, serving)
        return heard.reply(ask, serving)
