"""Chat requests for tests, and how they are read."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translation.chat import request as chat
from gateway.translation.prompt import Prompt, Text, Turn, Untranslatable
from gateway.wires.chat import WIRE
from schemas.catalogue import MODELS

OPENAI, GLM, DEEPSEEK, KIMI, QWEN, MINIMAX = (
    MODELS[ident] for ident in ("gpt-5.5", "glm-5", "deepseek-v3.2", "kimi-k2.5", "qwen3.5-plus", "MiniMax-M2.5")
)
HELLO = Prompt(turns=(Turn("user", (Text("Hello"),)),))
USER = {"role": "user", "content": "Hello"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"a":1}'}}
FIND = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}


def reading(**fields: Any) -> Prompt:
    body = {"model": "gpt-5.5", "messages": [USER], **fields}
    WIRE.check(body)
    return chat.read(body)


def refusal(**fields: Any) -> str:
    with pytest.raises(Untranslatable) as caught:
        reading(**fields)
    return str(caught.value)


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}
