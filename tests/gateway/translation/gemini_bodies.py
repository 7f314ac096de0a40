"""Small bodies and prompts for tests of Gemini's wire."""

from __future__ import annotations

from typing import Any

from gateway.translation.prompt import Prompt, Text, Turn
from schemas.catalogue import Model

Json = dict[str, Any]


def model(name: str) -> Model:
    """A model of this name."""
    return Model(name, name, "Google", "llm", frozenset({"gemini"}))


FLASH_3 = model("gemini-3-flash-preview")
FLASH_2 = model("gemini-2.5-flash")


def asked(*turns: Turn, **members: Any) -> Prompt:
    """A prompt, of one text unless other turns are given."""
    return Prompt(turns or (Turn("user", (Text("hi"),)),), **members)


def contents(*parts: Json, **more: Any) -> Json:
    """A body of one user's content."""
    return {"contents": [{"role": "user", "parts": list(parts)}], **more}


def answer(name: str, response: Json, **more: Any) -> Json:
    """A functionResponse."""
    return {"functionResponse": {"name": name, "response": response, **more}}


def conversation(*turns: Json) -> Json:
    """A body whose user asked first."""
    return {"contents": [{"parts": [{"text": "hi"}]}, *turns]}
