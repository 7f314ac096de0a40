"""Speech on Deepgram's wire: POST /v1/speak, in the combinations of encoding, container and rates that it has.

Headers and the sizes in the head of a WAV file as recorded; combinations, media types and sentences by Deepgram's
documentation (TTS media output settings, errors). Opus is made with at most 256 kbit/s, all that its codec takes for
one channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.deepgram import problems
from simulator.dialects.deepgram.problems import QUERY, bad
from simulator.dialects.openai.audio_request import said
from simulator.media import streamed
from simulator.media.recoded import recoded
from simulator.media.speech import speech
from simulator.script import Frame, Script

CHUNK_BYTES: Final = 8192
WAVE_BYTES: Final = 0x7FFF_0000  # of samples, that the head of a WAV file tells: it is sent before its end is known
OPUS_BITS_MAX: Final = 256_000


class Encoding(NamedTuple):
    """What one encoding offers; the first of a list is the default."""

    codec: str
    media: str  # {rate}: Hz
    containers: tuple[str, ...] = ()
    rates_hz: tuple[int, ...] = ()
    set_hz: int = 0  # where no rate can be asked for
    bits: tuple[int, ...] = ()  # per second, if only some can be asked for
    range: tuple[int, int, int] | None = None  # default, least, most


ENCODINGS: Final[Mapping[str, Encoding]] = {
    "linear16": Encoding("pcm", "audio/l16;rate={rate}", ("wav", "none"), (24_000, 8000, 16_000, 32_000, 48_000)),
    "mulaw": Encoding("mulaw", "audio/mulaw;rate={rate}", ("wav", "none"), (8000, 16_000)),
    "alaw": Encoding("alaw", "audio/alaw;rate={rate}", ("wav", "none"), (8000, 16_000)),
    "mp3": Encoding("mp3", "audio/mpeg", set_hz=22_050, bits=(48_000, 32_000)),
    "opus": Encoding("opus", "audio/ogg;codecs=opus", ("ogg",), set_hz=48_000, range=(12_000, 4000, 650_000)),
    "flac": Encoding("flac", "audio/flac", rates_hz=(48_000, 8000, 16_000, 22_050, 32_000)),
    "aac": Encoding("aac", "audio/aac", set_hz=22_050, range=(48_000, 4000, 192_000)),
}


class Output(NamedTuple):
    """What a request asks for, in one of the combinations there are."""

    encoding: Encoding
    container: str
    rate_hz: int
    bits_per_s: int | None


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    output(ask, profile)
    most = profile.facts["input_length"]
    if len(said(ask.body["text"])) > most:
        raise bad("Payload Too Large", f"Input text exceeds maximum character limit of {most}.", 413)


def output(ask: Ask, profile: Profile) -> Output:
    """The form of the sound. Raises Refused."""
    body = ask.body
    name = body["encoding"] or profile.facts["encoding"]
    encoding = ENCODINGS.get(name)
    if encoding is None:
        raise _unsupported(f"`encoding={name}` is invalid")
    container = body["container"] or next(iter(encoding.containers), "")
    if body["container"] and not encoding.containers:
        raise _unsupported(f"`container` is not applicable when `encoding={name}`")
    if container and container not in encoding.containers:
        raise _unsupported(f"`container={container}` is invalid when `encoding={name}`")
    rate = _picked("sample_rate", body["sample_rate"], encoding.rates_hz, name) or encoding.set_hz
    return Output(encoding, container, rate, _bits(body["bit_rate"], encoding, name))


def _picked(what: str, given: str, options: tuple[int, ...], name: str) -> int:
    """The number that is asked for, or the first of the options; 0 where there are none."""
    if not given:
        return options[0] if options else 0
    if not options:
        raise _unsupported(f"`{what}` is not applicable when `encoding={name}`")
    if given not in map(str, options):
        raise _unsupported(f"`{what}` must be {', '.join(map(str, sorted(options)))} when `encoding={name}`")
    return int(given)


def _bits(given: str, encoding: Encoding, name: str) -> int | None:
    if encoding.range is None:
        return _picked("bit_rate", given, encoding.bits, name) or None
    usual, low, high = encoding.range
    if not given:
        return usual
    if not (given.isascii() and given.isdecimal() and len(given) < 10 and low <= int(given) <= high):
        raise _unsupported(f"`bit_rate` must be between {low} and {high} when `encoding={name}`")
    return int(given)


def _unsupported(why: str) -> Exception:
    return bad(QUERY, f"Unsupported audio format: {why}")


def reply(ask: Ask, profile: Profile, serving: Serving) -> Script:
    """The text as sound."""
    text, (encoding, container, rate_hz, bits_per_s) = said(ask.body["text"]), output(ask, profile)
    samples = speech(text, profile.snapshot, "pcm", 1.0, serving.seed)
    if encoding.codec == "opus" and bits_per_s is not None:
        bits_per_s = min(bits_per_s, OPUS_BITS_MAX)
    data = recoded(samples, encoding.codec, rate_hz, bits_per_s)
    media = encoding.media.format(rate=rate_hz)
    if container == "wav":
        data, media = streamed.wave(data, rate_hz, WAVE_BYTES, encoding.codec), "audio/wav"
    model = profile.facts.get("uuid") or problems.uuid("model", profile.snapshot)
    headers = (
        ("content-type", media),
        ("dg-model-name", profile.snapshot),
        ("dg-model-uuid", model),
        ("dg-additional-model-uuids", ",".join(problems.uuid("part", nth) for nth in range(2))),
        ("dg-char-count", str(len(text))),
        ("dg-breaks-applied", "0"),
        ("dg-pronunciations-applied", "0"),
        *problems.HEADERS,
        ("dg-request-id", problems.request_id(serving)),
        ("dg-project-id", serving.facts["project_id"]),
    )
    frames = tuple(Frame(data[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES))
    return Script(200, headers, frames, stream=True, billed=(("characters", float(len(text))),))
