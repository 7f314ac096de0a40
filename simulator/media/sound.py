"""Sound in and out of files, through PyAV: mixing, encoding in six forms, and decoding whatever FFmpeg knows."""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final, Literal, NamedTuple, cast

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.filter import Graph

Form = Literal["wav", "mp3", "opus", "aac", "flac", "pcm"]

FORMS: Final = ("wav", "mp3", "opus", "aac", "flac", "pcm")
RATE_HZ: Final = 24_000  # of everything we make, 16 bits, one channel; Opus plays at 48 kHz by its nature
_BLOCK: Final = RATE_HZ  # samples that go through the mixer at once
_EXACT: Final = {"fflags": "+bitexact"}  # no random numbers and no versions in the file
_STREAMED: Final = {
    "id3v2_version": "0",
    "write_xing": "0",
}  # frames alone, as of what is sent while it is made


class _Codec(NamedTuple):
    container: str
    codec: str
    rate_hz: int = RATE_HZ
    bits_per_s: int | None = None
    options: Mapping[str, str] = {}
    container_options: Mapping[str, str] = {}


_CODECS: Final[Mapping[str, _Codec]] = {
    "wav": _Codec("wav", "pcm_s16le"),
    "flac": _Codec("flac", "flac"),
    "mp3": _Codec("mp3", "libmp3lame", RATE_HZ, 128_000, {"compression_level": "9"}, _STREAMED),
    "opus": _Codec("ogg", "libopus", 48_000, 48_000, {"compression_level": "0"}),
    "aac": _Codec("adts", "aac", bits_per_s=64_000, options={"aac_coder": "fast"}),
}


def digest(data: bytes) -> bytes:
    """16 bytes that depend on all of a file."""
    return blake2b(data, digest_size=16).digest()


def mixed(tracks: Sequence[bytes]) -> bytes:
    """The sum of tracks of the same length, of 16-bit samples at RATE_HZ."""
    graph = Graph()
    mixer = graph.add("amix", f"inputs={len(tracks)}:normalize=0")
    made = f"sample_rate={RATE_HZ}:sample_fmt=s16:channel_layout=mono:time_base=1/{RATE_HZ}"
    doors = [graph.add("abuffer", made) for _ in tracks]
    for nth, door in enumerate(doors):
        door.link_to(mixer, 0, nth)
    form, sink = graph.add("aformat", "sample_fmts=s16:channel_layouts=mono"), graph.add("abuffersink")
    mixer.link_to(form)
    form.link_to(sink)
    graph.configure()
    out: list[bytes] = []
    for at in range(0, len(tracks[0]) // 2, _BLOCK):
        for door, track in zip(doors, tracks, strict=True):
            door.push(frame(track[2 * at : 2 * (at + _BLOCK)], at))
        out += _pulled(sink)
    for door in doors:
        door.push(None)
    return b"".join([*out, *_pulled(sink)])


def encoded(samples: bytes, form: Form) -> bytes:
    """16-bit samples at RATE_HZ as a file (`pcm`: as they are)."""
    if form == "pcm":
        return samples
    how, out = _CODECS[form], io.BytesIO()
    with av.open(out, "w", format=how.container, options={**_EXACT, **how.container_options}) as box:
        options = dict(how.options)
        stream = cast(AudioStream, box.add_stream(how.codec, rate=how.rate_hz, options=options, layout="mono"))
        if how.bits_per_s is not None:
            stream.bit_rate = how.bits_per_s
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        resampler = AudioResampler(format=stream.format, layout="mono", rate=how.rate_hz)
        for block in (frame(samples), None):
            for piece in resampler.resample(block):
                box.mux(stream.encode(piece))
        box.mux(stream.encode(None))
    return out.getvalue()


def decoded(data: bytes, rate_hz: int) -> Iterator[array[float]]:
    """The samples of a file's first sound track, one channel, full scale 1. Raises ValueError when it has none."""
    try:
        yield from _decoded(data, rate_hz)
    except (av.error.FFmpegError, IndexError, StopIteration) as error:
        raise ValueError(f"no sound could be read: {error}") from None


def raw(samples: bytes, rate_hz: int) -> Iterator[array[float]]:
    """The same of bare 16-bit samples at RATE_HZ."""
    resampler = AudioResampler(format="flt", layout="mono", rate=rate_hz)
    samples = samples[: len(samples) & ~1]
    for at in range(0, len(samples) // 2, _BLOCK):
        for piece in resampler.resample(frame(samples[2 * at : 2 * (at + _BLOCK)], at)):
            yield _floats(piece)
    for piece in resampler.resample(None):
        yield _floats(piece)


def _decoded(data: bytes, rate_hz: int) -> Iterator[array[float]]:
    resampler = AudioResampler(format="flt", layout="mono", rate=rate_hz)
    with av.open(io.BytesIO(data), "r") as box:
        tracks: Sequence[AudioStream] = box.streams.audio
        if not tracks:
            raise ValueError("no sound could be read: the file has no sound track")
        for block in box.decode(tracks[0]):
            for piece in resampler.resample(block):
                yield _floats(piece)
    for piece in resampler.resample(None):
        yield _floats(piece)


def frame(samples: bytes, at: int = 0) -> AudioFrame:
    """16-bit samples at RATE_HZ; `at` is how many went before."""
    made = AudioFrame(format="s16", layout="mono", samples=len(samples) // 2)
    made.sample_rate, made.pts = RATE_HZ, at
    made.planes[0].update(samples)
    return made


def _floats(block: AudioFrame) -> array[float]:
    out: array[float] = array("f")
    out.frombytes(bytes(block.planes[0])[: 4 * block.samples])
    return out


def _pulled(sink: av.filter.context.FilterContext) -> Iterator[bytes]:
    while True:
        try:
            pulled = cast(AudioFrame, sink.pull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield bytes(pulled.planes[0])[: 2 * pulled.samples]
