"""OpenAI Audio dialect: POST /v1/audio/speech, /transcriptions and /translations.

Keys, refusals and headers are those of the chat wire; what a model takes are facts of its row. What the fleet spoke,
it understands again (`simulator.media.speech`). Source: the public specification (2.3.0), recorded replies and public
issues.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai import audio_request, audio_rules, audio_speech, audio_transcripts
from simulator.dialects.openai.audio_transcripts import Heard
from simulator.dialects.openai.chat import OpenAIChat
from simulator.media import sound
from simulator.media.transcripts import transcript, translation
from simulator.problem import Problem
from simulator.script import Script


class OpenAIAudio(OpenAIChat):
    """The Audio wire."""

    name: ClassVar[str] = "openai_audio"
    nonces: ClassVar[str] = "hex"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/audio/speech"): audio_request.SPEECH,
        ("POST", "/audio/transcriptions"): "create_transcription",
        ("POST", "/audio/translations"): "create_translation",
    }

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return audio_request.decode(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        audio_rules.check(ask, profile)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The speech, or what was heard."""
        if profile is None:
            return self.error(Problem("missing_model"), serving)
        if ask.operation == audio_request.SPEECH:
            return audio_speech.spoken(ask, profile, serving)
        heard = audio_rules.sound(ask, profile)
        key = sound.digest(ask.body["file"].data)
        language = ask.body.get("language") or ""
        translates = ask.operation == "create_translation"
        found = translation(heard, key) if translates else transcript(heard, key, language)
        return audio_transcripts.written(Heard(found, ask, profile), serving)
