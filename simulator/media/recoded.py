"""Speech at other rates and in other codecs than it is made in: what telephones and vendors' output formats ask for."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Final, cast

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from simulator import draws
from simulator.media import sound
from simulator.media.store import STORE

CODECS: Final[Mapping[str, tuple[str, str, str]]] = {  # name -> container, codec, layout of its samples
    "pcm": ("s16le", "pcm_s16le", "s16"),
    "wav": ("wav", "pcm_s16le", "s16"),
    "mulaw": ("mulaw", "pcm_mulaw", "s16"),
    "alaw": ("alaw", "pcm_alaw", "s16"),
    "mp3": ("mp3", "libmp3lame", "s16p"),
}
PACKED: Final[Mapping[str, tuple[str, str, str]]] = {  # the same, of what only some vendors offer
    "opus": ("ogg", "libopus", "s16"),
    "flac": ("flac", "flac", "s16"),
    "aac": ("adts", "aac", "fltp"),
}
_RATED: Final = ("mp3", "opus", "aac")  # those that a bit rate makes smaller
RATES_HZ: Final = (8000, 16000, 22050, 24000, 44100, 48000)
_OPTIONS: Final = {"fflags": "+bitexact"}
_BARE: Final = {"id3v2_version": "0", "write_xing": "0"}


def recoded(samples: bytes, codec: str, rate_hz: int, bits_per_s: int | None = None) -> bytes:
    """16-bit samples at `sound.RATE_HZ` as one of CODECS or PACKED, at a rate of RATES_HZ that the codec has.

    The same arguments give the same bytes.
    """
    key = draws.digest("recoded", sound.digest(samples), codec, rate_hz, bits_per_s)
    return STORE.get(key, lambda: _made(samples, codec, rate_hz, bits_per_s))


def _made(samples: bytes, codec: str, rate_hz: int, bits_per_s: int | None) -> bytes:
    container, name, layout = CODECS[codec] if codec in CODECS else PACKED[codec]
    out = io.BytesIO()
    options = {**_OPTIONS, **_BARE} if codec == "mp3" else dict(_OPTIONS)
    with av.open(out, "w", format=container, options=options) as box:
        stream = cast(AudioStream, box.add_stream(name, rate=rate_hz, layout="mono"))
        if bits_per_s is not None and codec in _RATED:
            stream.bit_rate = bits_per_s
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        resampler = AudioResampler(format=layout, layout="mono", rate=rate_hz)
        for block in (sound.frame(samples), None):
            for piece in resampler.resample(block):
                box.mux(stream.encode(piece))
        box.mux(stream.encode(None))
    return out.getvalue()
