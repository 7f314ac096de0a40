"""Text as tones: six tones at once, each one of sixteen, 25 times a second, so that whoever hears them can read it.

A signal is a preamble (which says where symbols begin), a header twice (how long the frame is) and then the frame
again and again until the signal ends: the text, packed when that is shorter, and its CRC. All tones lie between 0.8 and
3.8 kHz, where every codec and every telephone lets them through; a symbol is wider than the window it is read by, so
that a few milliseconds of shift do no harm. Read at 8 kHz by a Fourier transform of 256 samples; frames that came
damaged are summed up.
"""

from __future__ import annotations

import cmath
import math
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from operator import eq
from typing import Final

from simulator import draws

Symbol = bytes  # six numbers from 0 to 15, the lowest tone first

SYMBOL_S: Final = 0.04
HEAR_HZ: Final = 8000
LAYERS: Final = 6
CHOICES: Final = 16
WINDOW: Final = 256  # samples at HEAR_HZ
STEP: Final = round(SYMBOL_S * HEAR_HZ)
LOWEST_BIN: Final = 26  # of the transform: 812 Hz
RAMP_S: Final = 0.003  # of a tone, at both of its ends

_PREAMBLE: Final = tuple(
    bytes(draws.integer("preamble", at, layer) % CHOICES for layer in range(LAYERS)) for at in range(3)
)
_HEADERS: Final = 2
_BEFORE: Final = len(_PREAMBLE) + _HEADERS
_LENGTH_MAX: Final = 0x7FFF
_CRC_BYTES: Final = 4
_SYMBOL_BYTES: Final = LAYERS // 2
_QUIET: Final = 0.002  # of full scale: nothing begins before it is louder
_SEEK_STEP: Final = 32  # samples: 4 ms
_SEEK_S: Final = 3
_SOME_FOUND: Final = 3  # of the six tones of the preamble's second symbol: worth a closer look
_ENOUGH_FOUND: Final = 11  # of all eighteen
_FRAMES_SUMMED: Final = 12


def symbols(text: str, least: int) -> list[Symbol]:
    """The text as at least that many symbols. Raises ValueError for more than 32767 bytes of it."""
    data = text.encode("utf-8", "surrogatepass")
    packed = zlib.compress(data, 9, wbits=-15)
    is_packed = len(packed) < len(data)
    data = packed if is_packed else data
    if len(data) > _LENGTH_MAX:
        raise ValueError(f"a text of {len(data)} bytes: due at most {_LENGTH_MAX}")
    header = len(data) | is_packed << 15
    frame = _spelled(data + zlib.crc32(data).to_bytes(_CRC_BYTES, "big"))
    out = [*_PREAMBLE, *_spelled(header.to_bytes(2, "big") + bytes([_check(header)])) * _HEADERS]
    while len(out) < max(least, _BEFORE + len(frame)):
        out += frame
    return out[: max(least, _BEFORE + len(frame))]


def layers(said: Sequence[Symbol], rate_hz: int, loudness: float) -> list[bytes]:
    """The signal as six tracks of 16-bit samples, to be mixed; `loudness` is each tone's share of full scale."""
    known = _waves(rate_hz, loudness)
    return [b"".join([known[layer][symbol[layer]] for symbol in said]) for layer in range(LAYERS)]


def text_of(more: Callable[[], array[float] | None]) -> str | None:
    """The text that a signal at HEAR_HZ bears, or None. `more` gives the next samples, None at the end."""
    ear = _Ear(more)
    start = _start(ear)
    if start is None:
        return None
    heads = [ear.strengths(start + at * STEP) for at in range(len(_PREAMBLE), _BEFORE)]
    if any(head is None for head in heads):
        return None
    header = _read([_summed([head for head in heads if head is not None])])
    told, check = int.from_bytes(header[:2], "big"), header[2]
    if _check(told) != check:
        return None
    length, is_packed = told & _LENGTH_MAX, bool(told >> 15)
    return _unpacked(_frame(ear, start + _BEFORE * STEP, length), is_packed)


def _check(header: int) -> int:
    return zlib.crc32(header.to_bytes(2, "big")) & 0xFF


def _spelled(data: bytes) -> list[Symbol]:
    padded = data + bytes(-len(data) % _SYMBOL_BYTES)
    half = [part for byte in padded for part in (byte >> 4, byte & 15)]
    return [bytes(half[at : at + LAYERS]) for at in range(0, len(half), LAYERS)]


def _unpacked(data: bytes | None, is_packed: bool) -> str | None:
    if data is None:
        return None
    try:
        return (zlib.decompress(data, wbits=-15) if is_packed else data).decode("utf-8", "surrogatepass")
    except (zlib.error, UnicodeDecodeError):
        return None


@cache
def _waves(rate_hz: int, loudness: float) -> list[list[bytes]]:
    """The samples of every tone, by layer."""
    length, ramp = round(SYMBOL_S * rate_hz), RAMP_S * rate_hz
    swell = [32767 * loudness * min(1.0, (at + 1) / ramp, (length - at) / ramp) for at in range(length)]

    def wave(nth_bin: int) -> bytes:
        turn = 2 * math.pi * nth_bin * HEAR_HZ / WINDOW / rate_hz
        return array("h", [round(top * math.sin(turn * at)) for at, top in enumerate(swell)]).tobytes()

    return [[wave(LOWEST_BIN + layer * CHOICES + choice) for choice in range(CHOICES)] for layer in range(LAYERS)]


# --- hearing ----------------------------------------------------------------------------------------------------------


class _Ear:
    """Samples as they are needed."""

    def __init__(self, more: Callable[[], array[float] | None]) -> None:
        self.samples: array[float] = array("f")
        self._more = more
        self._ended = False

    def reach(self, count: int) -> bool:
        """Whether there are that many samples."""
        while len(self.samples) < count and not self._ended:
            piece = self._more()
            if piece is None:
                self._ended = True
            else:
                self.samples.extend(piece)
        return len(self.samples) >= count

    def strengths(self, at: int) -> list[float] | None:
        """How strong each tone is in the window that begins there; None: the signal ended."""
        if not self.reach(at + WINDOW):
            return None
        spectrum = _transformed(self.samples[at : at + WINDOW].tolist())
        return [abs(value) for value in spectrum[LOWEST_BIN : LOWEST_BIN + LAYERS * CHOICES]]


def _start(ear: _Ear) -> int | None:
    """Where the first symbol's window best begins; None: no preamble is there."""
    first = _first_sound(ear)
    if first is None:
        return None
    for at in range(max(0, first - STEP), first + _SEEK_S * HEAR_HZ, _SEEK_STEP):
        if not ear.reach(at + 2 * STEP):
            return None
        if _found(ear, at, 1, 2) >= _SOME_FOUND and _found(ear, at, 0, len(_PREAMBLE)) >= _ENOUGH_FOUND:
            return max(range(at, at + 5 * _SEEK_STEP, 8), key=lambda place: _clarity(ear, place))
    return None


def _first_sound(ear: _Ear) -> int | None:
    at = 0
    while ear.reach(at + STEP):
        if max(map(abs, ear.samples[at : at + STEP])) > _QUIET:
            return at
        at += STEP
    return None


def _found(ear: _Ear, at: int, begin: int, end: int) -> int:
    """How many tones of some symbols of the preamble are the strongest of their layers."""
    count = 0
    for nth, symbol in enumerate(_PREAMBLE[begin:end], begin):
        strengths = ear.strengths(at + nth * STEP)
        if strengths is not None:
            count += sum(map(eq, _halves([strengths]), symbol))
    return count


def _clarity(ear: _Ear, at: int) -> float:
    """Share of the energy of all tones that lies in those of the preamble."""
    right = total = 0.0
    for nth, symbol in enumerate(_PREAMBLE):
        energies = [strength * strength for strength in ear.strengths(at + nth * STEP) or ()]
        total += sum(energies)
        if energies:
            right += sum([energies[layer * CHOICES + choice] for layer, choice in enumerate(symbol)])
    return right / total if total else 0.0


def _frame(ear: _Ear, start: int, length: int) -> bytes | None:
    """The data of the first frame whose CRC is right, by itself or together with those before it."""
    count = -(-(length + _CRC_BYTES) // _SYMBOL_BYTES)
    sums: list[list[float]] = []
    for nth in range(_FRAMES_SUMMED):
        places = range(start + nth * count * STEP, start + (nth + 1) * count * STEP, STEP)
        heard = [found for found in map(ear.strengths, places) if found is not None]
        if len(heard) < count and nth == 0:
            return None
        sums = [_summed([*sums[at : at + 1], found]) for at, found in enumerate(heard)] + sums[len(heard) :]
        data = _read(sums)
        body, crc = data[:length], data[length : length + _CRC_BYTES]
        if zlib.crc32(body).to_bytes(_CRC_BYTES, "big") == crc:
            return body
        if len(heard) < count:
            return None
    return None


def _summed(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) for column in zip(*rows, strict=True)]


def _read(rows: Sequence[Sequence[float]]) -> bytes:
    """The bytes of symbols, each tone the strongest of its layer."""
    halves = list(_halves(rows))
    return bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))


def _halves(rows: Sequence[Sequence[float]]) -> Iterator[int]:
    for row in rows:
        for layer in range(0, LAYERS * CHOICES, CHOICES):
            among = row[layer : layer + CHOICES]
            yield among.index(max(among))


@cache
def _turns(size: int) -> list[complex]:
    return [cmath.exp(-2j * math.pi * at / size) for at in range(size // 2)]


def _transformed(samples: Sequence[complex]) -> list[complex]:
    """The discrete Fourier transform of a power of two of samples, at least 4."""
    size = len(samples)
    if size == 4:
        a, b, c, d = samples
        even, odd, left, right = a + c, b + d, a - c, (b - d) * -1j
        return [even + odd, left + right, even - odd, left - right]
    first = _transformed(samples[::2])
    second = [turn * value for turn, value in zip(_turns(size), _transformed(samples[1::2]), strict=True)]
    return [a + b for a, b in zip(first, second, strict=True)] + [a - b for a, b in zip(first, second, strict=True)]
