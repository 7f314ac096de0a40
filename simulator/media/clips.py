"""Real clips: an MP4 of the asked length, size and frame rate that shows a picture and a line growing along its foot.

A clip is one loop of a few distinct frames, encoded once; its packets are then written again and again with later
times, so that a minute costs hardly more than a second does. A first frame that is given is shown as it is, cut to the
asked size; in the second half of each loop a strip below tells the prompt. The sound, when asked for, is the prompt
spoken. The same arguments give the same bytes (of one version of PyAV).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageOps

from simulator import draws
from simulator.media import sound
from simulator.media.pictures import picture
from simulator.media.speech import speech
from simulator.media.store import STORE

LOOP_S: Final = 1
POSES: Final = 6  # distinct frames of a loop
SMALLEST: Final = 16  # pixels a side
_EXACT: Final = {"fflags": "+bitexact"}
_X264: Final = {
    "preset": "ultrafast",
    "crf": "30",
    "bf": "0",  # frames leave in the order in which they are shown
    "sc_threshold": "0",
    "x264-params": "threads=1",
}


class Facts(NamedTuple):
    """What a file holds, as FFmpeg reads it."""

    container: str
    codec: str
    width: int
    height: int
    seconds: float
    fps: float
    frames: int
    sound: str  # its codec; "": none
    title: str


def clip(
    prompt: str,
    seconds: float,
    width: int,
    height: int,
    fps: int = 24,
    seed: int = 0,
    first_frame: bytes | None = None,
    audio: bool = False,
) -> bytes:
    """A clip of that length and size. Raises ValueError for a size or length that none can have, or no picture."""
    if seconds <= 0 or fps < 1 or min(width, height) < SMALLEST:
        due = f"due more than 0 s, at least 1 frame a second and {SMALLEST} pixels a side"
        raise ValueError(f"a clip of {seconds} s at {fps} frames a second, {width} x {height}: {due}")
    first = None if first_frame is None else sound.digest(first_frame)
    key = draws.digest("clip", prompt, seconds, width, height, fps, seed, first, audio)
    return STORE.get(key, lambda: _made(prompt, seconds, (width, height), fps, seed, first_frame, audio))


def probe(data: bytes) -> Facts:
    """The facts of a clip, every frame decoded. Raises ValueError for what is none."""
    try:
        with av.open(io.BytesIO(data), "r") as box:
            track = box.streams.video[0]
            frames = sum(1 for _ in box.decode(track))
            told = (box.format.name, track.codec_context.name, track.width, track.height)
            fps, seconds = float(track.average_rate or 0), float((track.duration or 0) * (track.time_base or 0))
            voices = [voice.codec_context.name for voice in box.streams.audio]
            return Facts(*told, seconds, fps, frames, "".join(voices[:1]), box.metadata.get("title", ""))
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"no clip could be read: {error}") from None


def _made(
    prompt: str, seconds: float, size: tuple[int, int], fps: int, seed: int, first: bytes | None, audio: bool
) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options=_EXACT) as box:
        box.metadata["title"] = prompt
        options = {**_X264, "g": str(LOOP_S * fps)}
        track = box.add_stream("libx264", rate=fps, options=options)
        track.width, track.height = size
        track.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        track.codec_context.flags |= av.codec.context.Flags.bitexact
        voice = box.add_stream("aac", rate=sound.RATE_HZ, layout="mono") if audio else None
        count = max(1, round(seconds * fps))
        loop = _encoded(track, _poses(prompt, size, seed, first), min(LOOP_S * fps, count), fps)
        _show(box, track, loop, count, fps)
        if voice is not None:
            _say(box, voice, prompt, seconds)
    return out.getvalue()


def _poses(prompt: str, size: tuple[int, int], seed: int, first: bytes | None) -> Iterator[Image.Image]:
    """The distinct frames of a loop; the line has no length yet in the first."""
    width, height = size
    ground = _opened(picture(prompt, width, height, "jpeg", seed) if first is None else first, size)
    told = ground.copy()
    if first is not None:
        strip = max(SMALLEST, height // 5)
        told.paste(_opened(picture(prompt, width, strip, "jpeg", seed), (width, strip)), (0, height - strip))
    for pose in range(POSES):
        image = (told if pose >= POSES // 2 else ground).copy()
        if pose:
            box = (0, height - max(2, height // 60), width * pose // (POSES - 1), height)
            ImageDraw.Draw(image).rectangle(box, fill=(255, 255, 255))
        yield image


def _opened(data: bytes, size: tuple[int, int]) -> Image.Image:
    """A picture cut to a size, its middle kept. Raises ValueError."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return ImageOps.fit(image.convert("RGB"), size)
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"the first frame is no picture: {error}") from None


def _encoded(track: VideoStream, poses: Iterator[Image.Image], count: int, fps: int) -> list[Packet[VideoStream]]:
    """One loop, or as much of it as a short clip has."""
    frames = [_frame(pose).reformat(format=track.pix_fmt) for pose in poses]
    out: list[Packet[VideoStream]] = []
    for at in range(count):
        frame = frames[at * POSES // count]
        frame.pts, frame.time_base = at, Fraction(1, fps)
        out += track.encode(frame)
    return out + track.encode(None)


def _frame(image: Image.Image) -> VideoFrame:
    made = VideoFrame(image.width, image.height, "rgb24")
    plane, row = made.planes[0], 3 * image.width
    pixels = image.tobytes()
    rows = (pixels[at : at + row].ljust(plane.line_size, b"\0") for at in range(0, len(pixels), row))
    plane.update(b"".join(rows))
    return made


def _show(box: OutputContainer, track: VideoStream, loop: Sequence[Packet[VideoStream]], count: int, fps: int) -> None:
    """Writes the loop again and again until there are so many frames."""
    for at in range(count):
        taken = loop[at % len(loop)]
        packet = Packet(bytes(taken))
        packet.stream, packet.time_base = track, Fraction(1, fps)
        packet.pts = packet.dts = at
        packet.duration = 1
        packet.is_keyframe = taken.is_keyframe
        box.mux(packet)


def _say(box: OutputContainer, voice: AudioStream, prompt: str, seconds: float) -> None:
    """Writes the prompt as speech, followed by silence or cut where the clip ends."""
    length = 2 * round(seconds * sound.RATE_HZ)
    samples = speech(prompt, "narrator", "pcm")[:length].ljust(length, b"\0")
    resampler = AudioResampler(format=voice.format, layout="mono", rate=sound.RATE_HZ)
    for frame in (sound.frame(samples), None):
        for piece in resampler.resample(frame):
            box.mux(voice.encode(piece))
    box.mux(voice.encode(None))
