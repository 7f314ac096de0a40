"""Clips, as FFmpeg reads them back."""

from __future__ import annotations

import io

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from simulator.media import clips
from simulator.media.clips import clip, probe
from simulator.media.pictures import picture
from simulator.media.speech import heard

PROMPT = "A cat on a roof at dawn"


def frames(data: bytes) -> list[Image.Image]:
    with av.open(io.BytesIO(data), "r") as box:
        return [frame.to_image() for frame in box.decode(video=0)]


def distance(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures' values, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean) / 3


@pytest.mark.parametrize(
    ("seconds", "size", "fps"),
    [(5, (640, 360), 24), (1.5, (360, 640), 30), (0.5, (64, 64), 16), (12, (256, 144), 25), (2, (101, 77), 24)],
)
@pytest.mark.parametrize("audio", [False, True])
def test_length_size_and_rate_are_those_asked_for(seconds: float, size: tuple[int, int], fps: int, audio: bool) -> None:
    facts = probe(clip(PROMPT, seconds, *size, fps, audio=audio))
    assert "mp4" in facts.container
    assert (facts.codec, facts.width, facts.height, facts.fps) == ("h264", *size, fps)
    assert facts.seconds == pytest.approx(seconds, abs=1 / fps)
    assert facts.frames == round(seconds * fps)
    assert (facts.sound, facts.title) == ("aac" if audio else "", PROMPT)


def test_a_large_clip_is_playable_from_any_key_frame() -> None:
    data = clip(PROMPT, 3, 1280, 720)
    with av.open(io.BytesIO(data), "r") as box:
        keys = [float(packet.pts * packet.time_base) for packet in box.demux(video=0) if packet.is_keyframe]
        assert keys == [0.0, 1.0, 2.0]
        box.seek(2_000_000)
        first = next(box.decode(video=0))
    assert first.time == 2.0
    assert distance(first.to_image(), frames(data)[0]) < 1


def test_it_shows_the_picture_of_its_prompt_and_moves() -> None:
    shown = frames(clip(PROMPT, 1, 320, 192, seed=3))
    assert distance(shown[0], Image.open(io.BytesIO(picture(PROMPT, 320, 192, "png", 3)))) < 6
    assert distance(shown[0], shown[-1]) > 0.5


def test_seed_and_prompt_both_show() -> None:
    made = {clip(prompt, 1, 64, 64, seed=seed) for prompt in ("cat", "dog") for seed in range(4)}
    assert len(made) == 8


@pytest.mark.parametrize("size", [(320, 192), (192, 320)])
def test_a_first_frame_is_shown_and_the_prompt_below_it_later(size: tuple[int, int]) -> None:
    first = Image.new("RGB", (400, 240), (200, 30, 30))
    out = io.BytesIO()
    first.save(out, "PNG")
    shown = frames(clip(PROMPT, 2, *size, first_frame=out.getvalue()))
    assert distance(shown[0], Image.new("RGB", size, (200, 30, 30))) < 4
    below = (0, size[1] * 4 // 5, *size)
    assert distance(shown[20].crop(below), shown[0].crop(below)) > 20
    above = (0, 0, size[0], size[1] * 3 // 4)
    assert distance(shown[20].crop(above), shown[0].crop(above)) < 4


def test_the_sound_is_the_prompt_and_lasts_as_long_as_the_clip() -> None:
    data = clip(PROMPT, 4, 64, 64, audio=True)
    assert heard(data) == PROMPT
    with av.open(io.BytesIO(data), "r") as box:
        assert sum(frame.samples for frame in box.decode(audio=0)) / 24_000 == pytest.approx(4, rel=0.05)


def test_the_same_arguments_give_the_same_bytes() -> None:
    made = [clips._made(PROMPT, 2, (64, 64), 24, 1, None, True) for _ in range(2)]
    assert made[0] == made[1] == clip(PROMPT, 2, 64, 64, 24, 1, audio=True)


@pytest.mark.parametrize(("seconds", "size", "fps"), [(0, (64, 64), 24), (1, (64, 8), 24), (1, (64, 64), 0)])
def test_what_no_clip_can_be_is_refused(seconds: float, size: tuple[int, int], fps: int) -> None:
    with pytest.raises(ValueError, match="due more than 0 s, at least 1 frame a second and 16 pixels a side"):
        clip(PROMPT, seconds, *size, fps)


def test_what_is_no_picture_or_no_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="the first frame is no picture"):
        clip(PROMPT, 1, 64, 64, first_frame=b"GIF or what")
    with pytest.raises(ValueError, match="no clip could be read"):
        probe(b"nothing")
