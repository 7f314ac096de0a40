"""Speech, as PyAV plays it and as the fleet hears it."""

from __future__ import annotations

import io
from array import array
from random import Random

import av
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from simulator.media import sound, speech, tones
from simulator.media.sound import FORMS, Form, encoded
from simulator.media.speech import Sound, duration_s, heard, listened

RUBY = "Ruby is a programming language designed for developer happiness."
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=60) | st.text(
    "あ漢字ひらがな。🎉😀👩‍🚀", max_size=60
)
SLOW = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def said(text: str, form: Form = "wav", speed: float = 1.0, voice: str = "alloy", seed: int = 1) -> bytes:
    return speech.speech(text, voice, form, speed, seed)


def played_s(data: bytes) -> float:
    """How long a file plays, every frame decoded."""
    with av.open(io.BytesIO(data), "r") as box:
        return sum(frame.samples / frame.sample_rate for frame in box.decode(audio=0))


def recoded(data: bytes, codec: str, container: str, rate_hz: int, bits_per_s: int) -> bytes:
    """A file as somebody on the way might encode it again."""
    out = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as source, av.open(out, "w", format=container) as box:
        track = box.add_stream(codec, rate=rate_hz, layout="mono")
        track.bit_rate = bits_per_s
        resampler = av.AudioResampler(format=track.format, layout="mono", rate=rate_hz)
        for frame in [*source.decode(audio=0), None]:
            for piece in resampler.resample(frame):
                piece.pts = None
                box.mux(track.encode(piece))
        box.mux(track.encode(None))
    return out.getvalue()


@pytest.mark.parametrize("form", ["wav", "pcm"])
@SLOW
@given(text=TEXTS, voice=st.sampled_from(["alloy", "nova"]), seed=st.integers(0, 3))
@example(text="", voice="alloy", seed=0)
@example(text=" \n\0", voice="alloy", seed=0)
@example(text="\ud800", voice="alloy", seed=0)
def test_what_is_said_is_heard(form: Form, text: str, voice: str, seed: int) -> None:
    assert heard(speech.speech(text, voice, form, 1.0, seed)) == text


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac"])
@settings(SLOW, max_examples=4)
@given(text=TEXTS)
@example(text=RUBY)
def test_what_is_said_is_heard_in_packed_forms(form: Form, text: str) -> None:
    assert heard(said(text, form)) == text


@pytest.mark.parametrize(
    ("form", "alphabet", "count"),
    [
        ("wav", "Aa bc. ", 2000),
        ("flac", "日本語のテキスト。", 2000),
        ("opus", "🎉😀👩🚀", 500),
        ("mp3", "Aa bc. 日本語🎉", 500),
        ("aac", "Aa bc. 日本語🎉", 500),
        ("pcm", "Aa bc. 日本語🎉", 2000),
    ],
)
def test_long_texts_are_heard(form: Form, alphabet: str, count: int) -> None:
    text = "".join(Random(count).choices(alphabet, k=count))
    assert heard(said(text, form)) == text


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("text", ["Hi.", RUBY])
def test_it_lasts_as_long_as_it_takes_to_say(form: Form, speed: float, text: str) -> None:
    due_s = max(1.0, len(text) / 15 / speed)
    data = said(text, form, speed)
    seconds = len(data) / 2 / 24_000 if form == "pcm" else played_s(data)
    assert seconds == pytest.approx(due_s, rel=0.1)
    assert listened(data) == Sound(pytest.approx(seconds, abs=0.03), text)


def test_wide_characters_take_twice_as_long() -> None:
    assert duration_s("漢" * 30) == 2 * duration_s("a" * 30) == 4.0
    assert listened(said("漢" * 30)).seconds == pytest.approx(4.0, rel=0.1)


def test_dense_text_at_high_speed_is_slowed_down_to_what_the_tones_can_carry() -> None:
    text = "".join(map(chr, Random(1).choices(range(0x20000, 0x2A000), k=120)))
    assert listened(said(text, speed=4.0)).seconds > 1.2 * duration_s(text, 4.0)
    assert heard(said(text, speed=4.0)) == text


@pytest.mark.parametrize(
    ("form", "codec", "rate_hz"),
    [
        ("wav", "pcm_s16le", 24_000),
        ("mp3", "mp3float", 24_000),
        ("opus", "opus", 48_000),
        ("aac", "aac", 24_000),
        ("flac", "flac", 24_000),
    ],
)
def test_a_file_is_what_it_says(form: Form, codec: str, rate_hz: int) -> None:
    with av.open(io.BytesIO(said(RUBY, form)), "r") as box:
        (track,) = box.streams.audio
        assert (track.codec_context.name, track.rate, track.channels) == (codec, rate_hz, 1)


def test_the_same_arguments_give_the_same_bytes() -> None:
    for form in FORMS:
        made = [encoded(speech._samples(RUBY, "alloy", 1.0, 5), form) for _ in range(2)]
        assert made[0] == made[1] == said(RUBY, form, seed=5)


def test_voice_seed_and_text_all_sound_different() -> None:
    made = {said(text, "pcm", voice=voice, seed=seed) for text in ("a", "b") for voice in ("x", "y") for seed in (1, 2)}
    assert len(made) == 8


@pytest.mark.parametrize(
    ("codec", "container", "rate_hz", "bits_per_s"),
    [
        ("libmp3lame", "mp3", 16_000, 32_000),
        ("libopus", "webm", 48_000, 24_000),
        ("aac", "mp4", 44_100, 48_000),
        ("pcm_mulaw", "wav", 8_000, 64_000),
        ("libopus", "ogg", 16_000, 16_000),
    ],
)
@pytest.mark.parametrize("form", ["mp3", "opus"])
def test_it_is_heard_when_it_was_encoded_again(
    form: Form, codec: str, container: str, rate_hz: int, bits_per_s: int
) -> None:
    assert heard(recoded(said(RUBY, form), codec, container, rate_hz, bits_per_s)) == RUBY


def test_it_is_heard_behind_silence_quietly_and_cut_short() -> None:
    samples = array("h", said(RUBY * 3, "pcm"))
    silence = bytes(2 * 24_000)
    assert heard(encoded(silence + samples.tobytes(), "mp3")) == RUBY * 3
    assert heard(encoded(array("h", [value // 8 for value in samples]).tobytes(), "wav")) == RUBY * 3
    assert heard(encoded(samples[: len(samples) * 2 // 3].tobytes(), "wav")) == RUBY * 3


def test_frames_that_came_damaged_are_summed_up() -> None:
    """No repetition of the text is whole, and yet together they are."""
    symbols = tones.symbols(RUBY, 240)
    first = 5
    count = (len(symbols) - first) // 3
    damaged = [bytes(6) if at >= first and at % 3 == (at - first) // count % 3 else it for at, it in enumerate(symbols)]
    assert heard(encoded(sound.mixed(tones.layers(damaged, sound.RATE_HZ, 0.03)), "wav")) == RUBY


def test_other_sounds_say_nothing() -> None:
    noise = array("h", [(at * at * 7919) % 20_000 - 10_000 for at in range(48_000)]).tobytes()
    assert listened(encoded(noise, "wav")) == Sound(2.0, None)
    assert listened(encoded(bytes(48_000), "mp3")).text is None
    assert heard(noise) is None
    assert heard(b"") is None
    assert heard(b"no sound at all") is None
    with pytest.raises(ValueError, match="no sound could be read from 15 bytes that begin with b'no sound at "):
        listened(b"no sound at all")


@pytest.mark.parametrize("form", ["wav", "mp3", "opus", "aac", "flac"])
@settings(SLOW, max_examples=12)
@given(cut=st.integers(0, 6000), at=st.integers(0, 3000), junk=st.binary(max_size=40))
def test_damaged_files_are_heard_or_refused(form: Form, cut: int, at: int, junk: bytes) -> None:
    whole = said("Hi.", form)
    damaged = (whole[:at] + junk + whole[at + len(junk) :])[: len(whole) - cut]
    try:
        found = listened(damaged)
    except ValueError as error:
        assert "no sound could be read" in str(error)  # noqa: PT017
    else:
        assert found.seconds > 0
        assert found.text in (None, "Hi.")


def test_a_text_that_no_signal_can_carry_is_refused() -> None:
    text = "".join(map(chr, Random(1).choices(range(0x4E00, 0x9F00), k=20_000)))
    with pytest.raises(ValueError, match=r"a text of \d{5} bytes: due at most 32767"):
        said(text)
