"""What images cost on OpenAI's wires."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

import orjson
import pytest
from PIL import Image

from simulator.dialects.openai.vision import ASSUMED_PX, image_tokens, size
from tests.simulator.openai_exchange import payload, replied


def data_url(width: int, height: int, form: str = "PNG") -> str:
    out = BytesIO()
    Image.new("RGB", (width, height)).save(out, form)
    return f"data:image/{form.lower()};base64,{b64encode(out.getvalue()).decode()}"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_the_size_is_read_from_the_bytes(form: str) -> None:
    assert size(data_url(37, 91, form)) == (37, 91)


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "data:image/png;base64,AAAA", "data:image/png;base64,é", ""]
)
def test_what_cannot_be_read_has_an_assumed_size(url: str) -> None:
    assert size(url) == ASSUMED_PX


@pytest.mark.parametrize(
    ("model", "width", "height", "detail", "cost"),
    [
        ("gpt-4o", 1024, 1024, "high", 85 + 170 * 4),
        ("gpt-4o", 2048, 4096, "high", 85 + 170 * 6),
        ("gpt-4o", 512, 512, "auto", 85 + 170),
        ("gpt-4o", 4096, 4096, "low", 85),
        ("gpt-4o-mini", 1024, 1024, None, 2833 + 5667 * 4),
        ("o3", 512, 512, None, 75 + 150),
        ("gpt-5", 512, 1024, None, 70 + 140 * 2),
        ("gpt-5-mini", 1024, 1024, None, 1659),  # 32 x 32 patches, times 1.62
        ("gpt-4.1-nano", 1024, 1024, "low", 2520),  # a patch model has no low detail
        ("o4-mini", 4000, 4000, None, 2642),  # 1536 patches, times 1.72
        ("glm-4.5v", 1024, 1024, None, 85 + 170 * 4),
    ],
)
def test_costs(model: str, width: int, height: int, detail: str | None, cost: int) -> None:
    assert image_tokens(model, data_url(width, height), detail) == cost


def test_an_image_is_part_of_the_prompt() -> None:
    def prompt(*parts: object) -> int:
        text = {"type": "text", "text": "What is it?"}
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": [text, *parts]}]}
        found: int = orjson.loads(payload(replied(body)))["usage"]["prompt_tokens"]
        return found

    image = {"type": "image_url", "image_url": {"url": data_url(512, 512)}}
    low = {"type": "image_url", "image_url": {"url": data_url(512, 512), "detail": "low"}}
    assert (prompt(image) - prompt(), prompt(low) - prompt()) == (255, 85)
