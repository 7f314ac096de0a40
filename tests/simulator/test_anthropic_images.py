"""What the Messages wire refuses of images, and what it makes of real ones."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from simulator.media.pictures import Form, picture
from tests.simulator.anthropic_wire import CALL, TOOL, asked, body, refusal, text, turn, user

SOURCE = "messages.0.content.0.image.source.base64"


def encoded(form: Form = "png", width: int = 60, height: int = 40) -> str:
    """A real picture in base64."""
    return base64.b64encode(picture("a boat", width, height, form, 1)).decode()


def image(data: str, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


PNG = encoded()


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (image(""), f"{SOURCE}: image cannot be empty"),
        (image("not base64!"), f"{SOURCE}: invalid base64 data"),
        (image(base64.b64encode(b"not a picture").decode()), "Could not process image"),
        (image(base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()), "Could not process image"),
        (
            image(PNG, "image/jpeg"),
            f"{SOURCE}: The image was specified using the image/jpeg media type, but the image appears to be a "
            "image/png image",
        ),
        (image("A" * (5_242_880 + 4)), f"{SOURCE}: image exceeds 5 MB maximum: 5242884 bytes > 5242880 bytes"),
    ],
)
def test_what_is_no_image_is_refused(block: dict[str, Any], said: str) -> None:
    """In a count of tokens too."""
    sent = body(messages=[user(block, text("What is this?"))])
    assert refusal(sent) == {"status": 400, "type": "invalid_request_error", "message": said}


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_a_real_image_costs_its_pixels_once_it_fits(form: Form) -> None:
    """(width x height) / 750, after the longer side was brought to 1568 pixels."""
    plain = asked(body(messages=[user(text("What is this?"))])).input_tokens
    for width, height, cost in ((60, 40, 3), (1500, 1000, 2000), (3136, 1000, 1568 * 500 // 750)):
        block = image(encoded(form, width, height), f"image/{form}")
        assert asked(body(messages=[user(block, text("What is this?"))])).input_tokens == plain + cost


def test_an_image_with_a_long_side_is_refused_by_its_path() -> None:
    """Those in results of tools too; the details name all of them."""
    large = image(encoded(width=8001, height=8))
    result = {"type": "tool_result", "tool_use_id": "toolu_01A", "content": [text("Look."), large]}
    messages = [user(image(PNG), large), turn(CALL), user(result)]
    assert refusal(body(messages=messages, tools=[TOOL])) == {
        "status": 400,
        "type": "invalid_request_error",
        "message": "messages.0.content.1.image.source.base64.data: At least one of the image dimensions exceed max "
        "allowed size: 8000 pixels",
        "details": {
            "error_code": "image_dimensions_too_large",
            "max_side_length_pixels": 8000,
            "paths": ["messages.0.content.1", "messages.2.content.0.content.1"],
        },
    }


def test_many_images_must_be_smaller() -> None:
    """Up to 20 of them may have sides of 8000 pixels, more of them of 2000."""
    large = image(encoded(width=2001, height=8))
    asked(body(messages=[user(*[large] * 20)]))
    told = refusal(body(messages=[user(large, *[image(PNG)] * 20)]))
    assert told["message"].endswith("exceed max allowed size for many-image requests: 2000 pixels")
    assert told["details"]["paths"] == ["messages.0.content.0"]
