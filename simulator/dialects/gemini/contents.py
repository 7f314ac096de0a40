"""The contents of a Gemini request: what they must obey together, and what they say to the model.

A function call is answered in the turn that follows, by as many responses as there were calls. Sentences are Gemini's,
as public issues quote them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from simulator.ask import Turn
from simulator.dialects.gemini.problems import refuse

Content = Mapping[str, Any]

ROLES: Final = {"": "user", "user": "user", "model": "assistant", "function": "user"}
DATA: Final = frozenset(
    {"text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"}
    | {"toolCall", "toolResponse", "videoMetadata"}
)


def check(contents: Sequence[Content], message: str = "GenerateContentRequest") -> None:
    """Raise Refused for contents that no model takes."""
    if not contents:
        raise refuse(f"* {message}.contents: contents is not specified\n")
    for at, content in enumerate(contents):
        if content.get("role", "") not in ROLES:
            raise refuse("Please use a valid role: user, model.")
        parts(content, f"{message}.contents[{at}]")
    _pairing(contents)


def parts(content: Content, where: str) -> None:
    """Raise Refused for a content without parts, or with one that says nothing."""
    if not content.get("parts"):
        raise refuse(f"* {where}.parts: contents.parts must not be empty.\n")
    for at, part in enumerate(content["parts"]):
        if not DATA & part.keys():
            raise refuse(f"* {where}.parts[{at}].data: required oneof field 'data' must have one initialized field\n")


def _pairing(contents: Sequence[Content]) -> None:
    """Calls and responses match, turn by turn; contents of one role in a row are one turn."""
    calls = 0
    for role, run in groupby(contents, key=role_of):
        turn = list(run)
        responses = sum(1 for _ in each(turn, "functionResponse"))
        if role == "user":
            if responses and not calls:
                raise refuse("Please ensure that function response turn comes immediately after a function call turn.")
            if responses != calls:
                raise refuse(
                    "Please ensure that the number of function response parts is equal to the number of function call "
                    "parts of the function call turn."
                )
        calls = sum(1 for _ in each(turn, "functionCall")) if role == "assistant" else 0
    if calls:
        raise refuse(
            "Please ensure that function call turn comes immediately after a user turn or after a function response "
            "turn."
        )


def role_of(content: Content) -> str:
    """Whose turn it is, in the fleet's words."""
    return ROLES.get(content.get("role", ""), "user")


def each(contents: Sequence[Content], name: str) -> Iterator[Mapping[str, Any]]:
    """The parts that hold data of this name."""
    for content in contents:
        for part in content.get("parts", ()):
            if name in part:
                yield part


def turns(body: Mapping[str, Any]) -> tuple[Turn, ...]:
    """System instruction and contents as turns; contents of one role in a row are one."""
    out: list[Turn] = []
    system = text_of(body.get("systemInstruction") or {})
    if system:
        out.append(Turn("system", system))
    for role, run in groupby(body.get("contents", ()), key=role_of):
        turn = list(run)
        out.append(
            Turn(
                role,
                "\n".join(filter(None, map(text_of, turn))),
                sum(1 for _ in each(turn, "functionResponse")),
                sum(_is_image(part) for name in ("inlineData", "fileData") for part in each(turn, name)),
            )
        )
    return tuple(out)


def text_of(content: Content) -> str:
    """All text of a content but thoughts, a line for each part."""
    return "\n".join(part["text"] for part in content.get("parts", ()) if "text" in part and not part.get("thought"))


def _is_image(part: Mapping[str, Any]) -> bool:
    data = part.get("inlineData") or part.get("fileData") or {}
    return str(data.get("mimeType", "")).startswith("image/")
