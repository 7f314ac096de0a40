"""Speech that can be played and read back: a humming voice with the text above it as quiet tones.

The voice goes by syllables at a pitch of its own; about 15 letters a second, where a wide character (Chinese, an
emoji) takes the time of two. The tones (`simulator.media.tones`) survive every form and most ways of encoding them
again, so `heard` needs no table of what was ever said: any worker of any fleet reads it. The same arguments give the
same bytes (of one version of PyAV). Making and hearing both take CPU time in proportion to the length, so what was
made and heard last is kept (`simulator/media/store.py`).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple
from unicodedata import east_asian_width

from simulator import draws
from simulator.media import sound, tones
from simulator.media.sound import RATE_HZ, Form
from simulator.media.store import STORE

LETTERS_PER_S: Final = 15
SHORTEST_S: Final = 1.0
LONGEST_S: Final = 2 * 3600  # of a sound: nobody listens further
VOICE_LOUDNESS: Final = 0.25
TONE_LOUDNESS: Final = 0.04
_PITCHES_HZ: Final = (98, 110, 123, 147, 165, 185, 208, 233)
_OVERTONES: Final = ((1.0, 0.5, 0.2), (1.0, 0.25, 0.35), (1.0, 0.7, 0.1), (1.0, 0.35, 0.25))  # below the tones' band
_GLIDES: Final = (-0.08, -0.03, 0.04, 0.1)  # of the pitch, within a syllable
_SYLLABLE: Final = 5  # symbols
_PAUSE_EVERY: Final = 9  # syllables, about


class Sound(NamedTuple):
    """What was heard in a file."""

    seconds: float
    text: str | None  # of speech that a fleet made


def speech(text: str, voice: str, form: Form, speed: float = 1.0, seed: int = 0) -> bytes:
    """The text spoken; longer than `duration_s` where the tones need it. Raises ValueError above 32 kB of text."""
    key = draws.digest("speech", text, voice, form, speed, seed)
    return STORE.get(key, lambda: sound.encoded(_samples(text, voice, speed, seed), form))


def duration_s(text: str, speed: float = 1.0) -> float:
    """How long it takes to say."""
    letters = len(text) + sum(east_asian_width(character) in "WF" for character in text)
    return max(SHORTEST_S, letters / LETTERS_PER_S / speed)


def heard(data: bytes) -> str | None:
    """The text of speech that a fleet made, whatever file it came in; None for any other sound, or none."""
    try:
        return listened(data).text
    except ValueError:
        return None


def listened(data: bytes) -> Sound:
    """How long a sound is, and its text if a fleet spoke it. Raises ValueError for what is no sound."""
    key = draws.digest("heard", sound.digest(data))
    told = STORE.get(key, lambda: _told(_listened(data)))
    seconds, is_speech, text = told.decode("utf-8", "surrogatepass").split(" ", 2)
    return Sound(float(seconds), text if is_speech == "1" else None)


def _samples(text: str, voice: str, speed: float, seed: int) -> bytes:
    said = tones.symbols(text, math.ceil(duration_s(text, speed) / tones.SYMBOL_S))
    hum = b"".join(_hum(voice, seed, len(said)))[: 2 * len(said) * round(tones.SYMBOL_S * RATE_HZ)]
    return sound.mixed([hum, *tones.layers(said, RATE_HZ, TONE_LOUDNESS)])


def _hum(voice: str, seed: int, count: int) -> Iterator[bytes]:
    """Syllables for that many symbols and pauses between some of them."""
    of_voice = draws.dice("voice", voice)
    pitch_hz, overtones = of_voice.choice(_PITCHES_HZ), of_voice.choice(_OVERTONES)
    dice = draws.dice("speech", voice, seed)
    known = [_syllable(pitch_hz, overtones, glide) for glide in _GLIDES]
    silence = bytes(len(known[0]))
    for nth in range(-(-count // _SYLLABLE)):
        pauses = nth > 0 and dice.random() * _PAUSE_EVERY < 1
        yield silence if pauses else dice.choice(known)


@lru_cache(maxsize=len(_PITCHES_HZ) * len(_OVERTONES) * len(_GLIDES))
def _syllable(pitch_hz: float, overtones: tuple[float, ...], glide: float) -> bytes:
    """One syllable: a glottal tone with its overtones that swells and fades."""
    length = round(_SYLLABLE * tones.SYMBOL_S * RATE_HZ)
    top, turn = 32767 * VOICE_LOUDNESS / sum(overtones), 2 * math.pi * pitch_hz / RATE_HZ
    out = array("h")
    for at in range(length):
        part = at / length
        phase = turn * at * (1 + glide * part / 2)
        wave = sum([share * math.sin(nth * phase) for nth, share in enumerate(overtones, 1)])
        out.append(round(top * math.sin(math.pi * part) ** 0.7 * wave))
    return out.tobytes()


# --- hearing ----------------------------------------------------------------------------------------------------------

_SIGNS: Final = (b"RIFF", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3")  # how files begin that are no bare samples


def _listened(data: bytes) -> Sound:
    """What is in a file; or in bare samples, which bear no sign of what they are, if a fleet made them."""
    try:
        found = _through(sound.decoded(data, tones.HEAR_HZ))
    except ValueError:
        found = None
    if (found is None or found.text is None) and not data.startswith(_SIGNS) and data[4:8] != b"ftyp":
        bare = _through(sound.raw(data, tones.HEAR_HZ))
        found = bare if bare.text is not None else found
    if found is None or not found.seconds:
        raise ValueError(f"no sound could be read from {len(data)} bytes that begin with {data[:12]!r}")
    return found


def _through(pieces: Iterator[array[float]]) -> Sound:
    """Listens to all of it."""
    count = 0

    def more() -> array[float] | None:
        nonlocal count
        piece = next(pieces, None)
        count += 0 if piece is None else len(piece)
        return piece

    text = tones.text_of(more)
    while count < LONGEST_S * tones.HEAR_HZ and more() is not None:
        pass
    return Sound(count / tones.HEAR_HZ, text)


def _told(found: Sound) -> bytes:
    """What was heard, as it is kept."""
    said = "" if found.text is None else found.text
    return f"{found.seconds} {int(found.text is not None)} {said}".encode("utf-8", "surrogatepass")
