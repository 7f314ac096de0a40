"""What one model of the Audio wire takes. Every rule is switched by a fact of the model's row.

Source: public issues for the sentences about files, their length and `response_format`; those about voices, `sse`,
logprobs, granularities and chunking are not confirmed.
"""

from __future__ import annotations

from typing import Any

from simulator.ask import Ask
from simulator.dialects.base import Profile
from simulator.dialects.openai.audio_request import SPEECH, UNREADABLE
from simulator.dialects.openai.fields import one_of
from simulator.dialects.openai.problems import refuse
from simulator.media.speech import Sound, listened

SHORTEST_S = 0.1
BYTES_PER_S = 16_000  # of a file that is taken for a sound whatever it is


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    if ask.operation not in profile.facts["operations"]:
        one_of(*profile.facts["instead"][ask.operation])(profile.model, "model")
    if ask.operation == SPEECH:
        _speech(ask, profile)
    else:
        _upload(ask, profile)


def sound(ask: Ask, profile: Profile) -> Sound:
    """What is heard in the file. Raises Refused."""
    data: bytes = ask.body["file"].data
    try:
        found = listened(data)
    except ValueError:
        found = None
    if ask.body["any_file"] and (found is None or found.seconds < SHORTEST_S):
        return Sound(max(1.0, len(data) / BYTES_PER_S), None)
    if found is None:
        if profile.facts["unreadable"] == "format":
            raise refuse(UNREADABLE)
        raise refuse("Audio file might be corrupted or unsupported", "file", "invalid_value")
    if found.seconds < SHORTEST_S:
        said = f"Audio file is too short. Minimum audio length is {SHORTEST_S} seconds."
        raise refuse(said, "file", "audio_too_short")
    return found


def _speech(ask: Ask, profile: Profile) -> None:
    body, facts = ask.body, profile.facts
    if len(body["input"]) > facts["input_length"]:
        shown = f"Expected a string with maximum length {facts['input_length']}, but got a string with length"
        said = f"Invalid 'input': string too long. {shown} {len(body['input'])} instead."
        raise refuse(said, "input", "string_above_max_length")
    if isinstance(body["voice"], str):
        one_of(*facts["voices"])(body["voice"], "voice")
    if ask.stream and not profile.has("sse"):
        raise _unsupported("stream_format", "sse", profile, "'audio'")


def _upload(ask: Ask, profile: Profile) -> None:
    body, facts = ask.body, profile.facts
    form = body.get("response_format") or "json"
    if form not in facts["formats"]:
        *others, last = (f"'{name}'" for name in facts["formats"])
        raise _unsupported("response_format", form, profile, f"{', '.join(others)} or {last}")
    if body.get("timestamp_granularities"):
        _only(profile.has("granularities"), "timestamp_granularities", profile)
        if profile.facts["granularities"] != "any":
            _with(form, "verbose_json", "timestamp_granularities")
    if body.get("include"):
        _only(profile.has("logprobs"), "include", profile)
        _with(form, "json", "include")
    heard = sound(ask, profile)
    longest, chunked = facts.get("seconds_max"), facts.get("chunked_s")
    if longest is not None and heard.seconds > longest:
        said = f"audio duration {heard.seconds:g} seconds is longer than {longest} seconds which is the maximum for"
        raise refuse(f"{said} this model", None, "invalid_value")
    if chunked is not None and heard.seconds > chunked and not body.get("chunking_strategy"):
        said = f"chunking_strategy is required for audio longer than {chunked} seconds with this model."
        raise refuse(said, "chunking_strategy", "missing_required_parameter")


def _unsupported(name: str, value: Any, profile: Profile, due: str) -> Exception:
    said = f"{name} '{value}' is not compatible with model '{profile.model}'. Use {due} instead."
    return refuse(said, name, "unsupported_value")


def _only(holds: bool, name: str, profile: Profile) -> None:
    if not holds:
        raise refuse(f"{name} is not supported with model '{profile.model}'.", name, "unsupported_parameter")


def _with(form: str, due: str, name: str) -> None:
    if form != due:
        raise refuse(f"{name} is only supported with response_format '{due}', got '{form}'.", name, "unsupported_value")
