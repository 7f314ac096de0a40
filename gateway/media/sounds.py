"""How long a sound is, by its heads alone, and the head of a streamed WAV file put right. Nothing is decoded.

A length that the file does not tell in so many words is None: then the vendor is the judge. Sources: RIFF/WAVE; MPEG-1
and -2 audio frames with the Xing and VBRI heads; Ogg (RFC 3533) with Opus (RFC 7845); FLAC (RFC 9639); ISO 14496-12.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import error as TooShort
from struct import pack_into, unpack_from
from typing import Final

BITRATES: Final = {  # kbit/s of layer III, by version
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES: Final = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # 0: MPEG 2.5
OGG_TAIL: Final = 128 * 1024
STREAMED: Final = 0xF000_0000  # from this size on, a WAV head tells that nobody knew its end
SECONDS_MAX: Final = 86_400.0


def seconds_of(data: bytes) -> float | None:
    """The length of a sound in seconds; None where it is not told or the format is not known."""
    found: float | None = None
    try:
        found = reader(data)(data)
    except (TooShort, ZeroDivisionError, IndexError, StopIteration):
        return None
    return found if found is not None and 0 < found <= SECONDS_MAX else None


def reader(data: bytes) -> Callable[[bytes], float | None]:
    """Who can read it."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return of_wav
    if data[:4] == b"fLaC":
        return of_flac
    if data[:4] == b"OggS":
        return of_ogg
    if data[4:8] == b"ftyp":
        return of_mp4
    return of_mp3


def wav_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(name, where its content begins, size as told) of each chunk."""
    at = 12
    while at + 8 <= len(data):
        name, size = unpack_from("<4sI", data, at)
        yield name, at + 8, size
        at += 8 + size + size % 2


def of_wav(data: bytes) -> float | None:
    """Bytes of samples by bytes a second; of a streamed file, those that came."""
    rate = 0
    for name, at, size in wav_chunks(data):
        if name == b"fmt ":
            rate = unpack_from("<I", data, at + 8)[0]
        if name == b"data":
            return min(size, len(data) - at) / rate
    return None


def of_flac(data: bytes) -> float | None:
    """Of the STREAMINFO block, which is the first."""
    packed = int.from_bytes(data[18:26], "big")
    rate, samples = packed >> 44, packed & ((1 << 36) - 1)
    return samples / rate


def of_ogg(data: bytes) -> float | None:
    """The last granule position, by the rate: 48 kHz for Opus."""
    head = data[:256]
    if (at := head.find(b"OpusHead")) >= 0:
        rate, skip = 48_000, unpack_from("<H", data, at + 10)[0]
    elif (at := head.find(b"\x01vorbis")) >= 0:
        rate, skip = unpack_from("<I", data, at + 12)[0], 0
    else:
        return None
    last = data.rfind(b"OggS", max(0, len(data) - OGG_TAIL))
    granule = unpack_from("<q", data, last + 6)[0] if last >= 0 else -1
    return None if granule < 0 else (granule - skip) / rate


def of_mp4(data: bytes) -> float | None:
    """The movie header's duration."""
    moov = box(data, 0, len(data), b"moov")
    found = None if moov is None else box(data, *moov, b"mvhd")
    if found is None:
        return None
    at = found[0]
    if data[at] == 1:
        scale, length = unpack_from(">IQ", data, at + 20)
    else:
        scale, length = unpack_from(">II", data, at + 12)
    return float(length / scale)


def box(data: bytes, at: int, end: int, wanted: bytes) -> tuple[int, int] | None:
    """Where the content of a box begins and ends."""
    while at + 8 <= end:
        size, name = unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = unpack_from(">Q", data, at + 8)[0], 16
        elif size == 0:
            size = end - at
        if size < head:
            return None
        if name == wanted:
            return at + head, min(at + size, end)
        at += size
    return None


def of_mp3(data: bytes) -> float | None:
    """Frames as the Xing or VBRI head counts them; else the bytes by the first frame's rate, if the second agrees."""
    start = 0
    if data[:3] == b"ID3":
        size = 0
        for part in data[6:10]:
            size = size << 7 | part & 0x7F
        start = 10 + size
    at = next(place for place in range(start, min(len(data) - 4, start + 8192)) if frame(data, place) is not None)
    first = frame(data, at)
    if first is None:
        return None
    length, samples, rate, bitrate = first
    head = data[at : at + 200]
    for mark in (b"Xing", b"Info"):
        if (place := head.find(mark)) >= 0 and data[at + place + 7] & 1:
            return float(unpack_from(">I", data, at + place + 8)[0] * samples / rate)
    if (place := head.find(b"VBRI")) >= 0:
        return float(unpack_from(">I", data, at + place + 14)[0] * samples / rate)
    second = frame(data, at + length)
    if second is None or second[3] != bitrate:
        return None
    return (len(data) - at) * 8 / bitrate


def frame(data: bytes, at: int) -> tuple[int, int, int, int] | None:
    """(bytes, samples, samples a second, bits a second) of the layer III frame that begins here."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE6 != 0xE2:
        return None
    version, rated, timed = data[at + 1] >> 3 & 3, data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if version == 1 or timed == 3 or rated in (0, 15):
        return None
    rate, bitrate = RATES[version][timed], BITRATES[3 if version == 3 else 2][rated] * 1000
    samples = 1152 if version == 3 else 576
    return samples // 8 * bitrate // rate + (data[at + 2] >> 1 & 1), samples, rate, bitrate


def settled(data: bytes) -> bytes:
    """A streamed WAV file whose head tells its true sizes, now that its end is known; any other file as it is."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return data
    for name, at, size in wav_chunks(data):
        if name == b"data" and size >= STREAMED:
            whole = bytearray(data)
            pack_into("<I", whole, 4, len(data) - 8)
            pack_into("<I", whole, at - 4, len(data) - at)
            return bytes(whole)
    return data
