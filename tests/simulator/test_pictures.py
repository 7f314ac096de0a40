"""Pictures, as Pillow reads them back."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from simulator.media import pictures
from simulator.media.pictures import Form, picture

PROMPT = "A white siamese cat"


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def tones(data: bytes) -> int:
    """How many colours cover at least 2 % of a picture."""
    image = opened(data).convert("RGB")
    found = image.getcolors(1 << 24) or []
    return sum(count > image.width * image.height / 50 for count, _ in found)


@pytest.mark.parametrize("form", pictures.FORMS)
@pytest.mark.parametrize("size", [(256, 256), (320, 192), (16, 48)])
def test_size_and_format_are_those_asked_for(form: Form, size: tuple[int, int]) -> None:
    image = opened(picture(PROMPT, *size, form, seed=1))
    assert image.size == size
    assert image.format == form.upper()
    assert image.mode == "RGB"


def test_the_same_arguments_give_the_same_bytes() -> None:
    one = pictures._made(PROMPT, 128, 128, "png", 5, None, None, 1.0)
    again = pictures._made(PROMPT, 128, 128, "png", 5, None, None, 1.0)
    assert one == again == picture(PROMPT, 128, 128, "png", 5)


@pytest.mark.parametrize("seed", range(8))
def test_a_picture_is_two_tones_and_a_text_panel(seed: int) -> None:
    assert tones(picture("", 256, 256, "png", seed)) == 2
    assert tones(picture(PROMPT, 256, 256, "png", seed)) >= 3


def test_seed_and_prompt_both_show() -> None:
    made = {picture(prompt, 128, 128, "png", seed) for prompt in ("cat", "dog") for seed in range(8)}
    assert len(made) == 16


def test_the_text_is_written_large_and_whole() -> None:
    """The white of a longer text does not grow without bound: its font shrinks, and what has no room is cut."""
    whites = []
    for words in (3, 30, 3000):
        image = opened(picture("word " * words, 256, 256, "png", 1)).convert("L")
        whites.append(sum(image.histogram()[200:]))
        assert image.crop((0, 0, 256, 8)).getextrema()[1] < 200  # nothing is written on the edge
    assert min(whites) > 100
    assert max(whites) < 256 * 256 / 4


def test_a_transparent_background_is_left_out() -> None:
    for form in ("png", "webp"):
        image = opened(picture(PROMPT, 128, 128, form, 3, background="transparent"))  # type: ignore[arg-type]
        assert image.mode == "RGBA"
        assert image.getchannel("A").getextrema() == (0, 255)
    assert opened(picture(PROMPT, 128, 128, "jpeg", 3, background="transparent")).mode == "RGB"


@pytest.mark.parametrize("form", ["jpeg", "webp"])
def test_compression_makes_smaller_files(form: Form) -> None:
    sizes = [len(picture(PROMPT, 256, 256, form, 3, compression=level)) for level in (0, 50, 100)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 3


def test_a_blunt_picture_has_the_blocks_of_the_sharp_one() -> None:
    sharp, blunt = (opened(picture(PROMPT, 256, 256, "png", 3, sharpness=level)) for level in (1.0, 1 / 32))
    assert blunt.size == sharp.size
    assert len(blunt.getcolors(1 << 16) or []) <= 64
    again = sharp.resize((8, 8), Image.Resampling.BOX).resize((256, 256), Image.Resampling.NEAREST)
    assert again.tobytes() == blunt.tobytes()
