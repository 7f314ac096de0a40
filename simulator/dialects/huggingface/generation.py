"""Text Generation Inference's own replies: a list of one text, or an event for each token and the whole in the last.

Source: a recorded stream (`data:` without a space, no `[DONE]`, numbers from 1); that the prompt stands before the text
in `generated_text` is as recorded there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from zlib import crc32

import orjson

from simulator.answers.answer import Answer, Native, Stop, Text, Thinking, ToolCall
from simulator.ask import Ask
from simulator.dialects.openai.audio_request import said
from simulator.script import Frame, Script

VOCABULARY: Final = 32_000
END: Final = (2, "</s>")  # the token that ends a text
HEADERS: Final = (
    ("access-control-allow-credentials", "true"),
    ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
)


def reply(answer: Answer, ask: Ask) -> Script:
    """The text after the prompt."""
    pieces = list(_pieces(answer))
    whole = said(ask.body["inputs"]) + "".join(pieces)
    if ask.stream:
        ended = answer.choices[0].stop is not Stop.LENGTH
        headers = (("content-type", "text/event-stream"), ("cache-control", "no-cache"), *HEADERS)
        return Script(200, headers, tuple(_events(pieces, whole, ended=ended)), stream=True)
    shown = whole if ask.body["parameters"].get("return_full_text") is not False else "".join(pieces)
    frame = Frame(orjson.dumps([{"generated_text": shown}]), "body", len(pieces), len(shown.encode()))
    return Script(200, (("content-type", "application/json"), *HEADERS), (frame,))


def _pieces(answer: Answer) -> Iterator[str]:
    """What is visible of the answer, token by token."""
    for block in answer.choices[0].blocks:
        if isinstance(block, Text):
            yield from block.pieces
        elif not isinstance(block, Thinking | ToolCall | Native):
            yield block.text


def _events(pieces: list[str], whole: str, *, ended: bool) -> Iterator[Frame]:
    rows = [(crc32(piece.encode()) % VOCABULARY, piece) for piece in pieces] + ([END] if ended else [])
    for at, (number, text) in enumerate(rows, 1):
        last = at == len(rows)
        special = last and ended
        token = {"id": number, "text": text, "logprob": -(crc32(text.encode(), at) % 10_000) / 1000, "special": special}
        event = {"index": at, "token": token, "generated_text": whole if last else None, "details": None}
        visible = 0 if special else len(text.encode())
        kind = "stop" if last else "start" if at == 1 else "delta"
        yield Frame(b"data:%b\n\n" % orjson.dumps(event), kind, int(not special), visible)
