"""Speech louder or quieter than it is made."""

from __future__ import annotations

from array import array
from typing import Final

from simulator import draws
from simulator.media import sound
from simulator.media.store import STORE

FULL: Final = 32_767  # the loudest sample of 16 bits


def louder(samples: bytes, by_db: float) -> bytes:
    """16-bit samples by so many decibels, but never above full scale: then by less."""
    if not by_db:
        return samples
    key = draws.digest("louder", sound.digest(samples), by_db)
    return STORE.get(key, lambda: _made(samples, by_db))


def _made(samples: bytes, by_db: float) -> bytes:
    wave = array("h")
    wave.frombytes(samples[: len(samples) & ~1])
    peak = max(max(wave, default=0), -min(wave, default=0), 1)
    gain = min(10 ** (by_db / 20), FULL / peak)
    return array("h", [int(value * gain) for value in wave]).tobytes()
