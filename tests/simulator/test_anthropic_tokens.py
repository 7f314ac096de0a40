"""What Anthropic requests cost in input tokens: text, images, tools, and the prompt cache."""

from __future__ import annotations

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.answers import tokens
from simulator.dialects.anthropic import tokens as anthropic_tokens
from tests.simulator.anthropic_wire import FORCED, TOOL, answered, asked, body, message, text, turn, user


@given(st.text(min_size=1, max_size=200).filter(lambda said: not said.isspace()))
def test_text_costs_its_tokens(said: str) -> None:
    assert asked(body(said)).input_tokens == 3 + 4 + tokens.count(said)
    assert asked(body(messages=[user(text(said))])).input_tokens == 3 + 4 + tokens.count(said)


def png(width: int, height: int) -> str:
    """The head of a PNG file, in base64."""
    return base64.b64encode(
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\0" * 9
    ).decode()


JPEG = base64.b64encode(
    b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08" + struct.pack(">HH", 480, 640) + b"\0" * 9
).decode()
GIF = base64.b64encode(b"GIF89a" + struct.pack("<HH", 30, 40) + b"\0" * 8).decode()
WEBP = base64.b64encode(
    b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + (99).to_bytes(3, "little") + (49).to_bytes(3, "little")
).decode()


@pytest.mark.parametrize(
    ("data", "size"),
    [(png(800, 600), (800, 600)), (JPEG, (640, 480)), (GIF, (30, 40)), (WEBP, (100, 50)), ("AAAA", None), ("é", None)],
)
def test_the_size_of_an_image(data: str, size: tuple[int, int] | None) -> None:
    assert anthropic_tokens.image_size(data) == size


@given(
    st.binary(max_size=64), st.sampled_from([b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"RIFF0000WEBP", b""])
)
def test_broken_images_have_no_size_but_no_error_either(tail: bytes, magic: bytes) -> None:
    size = anthropic_tokens.image_size(base64.b64encode(magic + tail).decode())
    assert size is None or len(size) == 2


@pytest.mark.parametrize(("width", "height", "cost"), [(750, 100, 100), (1, 1, 1), (3136, 1568, 1568 * 784 // 750)])
def test_an_image_costs_its_pixels(width: int, height: int, cost: int) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": png(width, height)}
    assert asked(body(messages=[user({"type": "image", "source": source})])).input_tokens == 3 + 4 + cost


def test_tools_cost_their_json_and_a_hidden_prompt() -> None:
    plain = asked(body()).input_tokens
    tool = tokens.count(json.dumps(TOOL, separators=(",", ":")))
    assert asked(body(tools=[TOOL])).input_tokens == plain + 346 + tool
    assert asked(body(tools=[TOOL], tool_choice=FORCED)).input_tokens == plain + 313 + tool


LONG = "word " * 2000


def test_the_cache_is_written_first_and_read_by_the_next_turn() -> None:
    marked = text(LONG, cache_control={"type": "ephemeral"})
    first = asked(body(messages=[user(marked)]))
    assert (first.cached_tokens, first.cache_write_tokens) == (0, first.input_tokens - 3)
    follow = text("And now?", cache_control={"type": "ephemeral", "ttl": "1h"})
    second = asked(body(messages=[user(marked), turn(text("Warm.")), user(follow)]))
    assert second.cached_tokens == first.cache_write_tokens
    assert second.cache_write_tokens == second.input_tokens - second.cached_tokens - 3
    usage = message(answered(second))["usage"]
    assert usage["input_tokens"] == 3
    assert usage["cache_read_input_tokens"] == second.cached_tokens
    assert usage["cache_creation"] == {
        "ephemeral_5m_input_tokens": 0,
        "ephemeral_1h_input_tokens": second.cache_write_tokens,
    }


def test_what_is_not_marked_or_too_short_is_not_cached() -> None:
    for fields in ({}, {"cache_control": {"type": "ephemeral"}}):
        ask = asked(body(**fields))
        assert (ask.cached_tokens, ask.cache_write_tokens) == (0, 0)
    assert asked(body(LONG)).cache_write_tokens == 0
    assert asked(body(LONG, cache_control={"type": "ephemeral"})).cache_write_tokens > 2000
    system = [text(LONG, cache_control={"type": "ephemeral"})]
    ask = asked(body(system=system))
    assert ask.cache_write_tokens == tokens.count(LONG)
