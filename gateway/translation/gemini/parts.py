"""Turns as Gemini's `contents`.

A call is answered in the content that follows. The first call of a model's turn bears a signature: Gemini 3 refuses it
without. Source: wire reference, 7.1 and 7.5.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from gateway.errors import shown
from gateway.translation.prompt import (
    CUSTOM_ARGUMENT,
    Content,
    File,
    Image,
    Prompt,
    Sound,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Untranslatable,
)

Json = dict[str, Any]

SKIP_VALIDATION: Final = "skip_thought_signature_validator"  # Google's word for calls that its models did not make
IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})


def contents(prompt: Prompt, media_in_results: bool) -> list[Json]:
    """The contents; `media_in_results`: pictures stand inside the response that they belong to, else after it.

    Raises Untranslatable.
    """
    custom = prompt.custom_tools()
    calls: dict[str, ToolCall] = {}  # of the turn before
    made: list[Json] = []
    for turn in prompt.turns:
        results = [item for item in turn.content if isinstance(item, ToolResult)]
        check_answered(calls, results)
        if turn.role == "user":
            made.append({"role": "user", "parts": answers(turn, calls, media_in_results)})
        else:
            made.append({"role": "model", "parts": spoken(turn, custom)})
        calls = calls_of(turn)
    check_answered(calls, [])
    if not made and not prompt.instructions:
        raise Untranslatable("a request that says nothing")
    return made or [{"role": "user", "parts": list(map(text, prompt.instructions))}]


def calls_of(turn: Turn) -> dict[str, ToolCall]:
    """The calls of a turn by their ids."""
    calls = [item for item in turn.content if isinstance(item, ToolCall)]
    made = {call.id: call for call in calls}
    if len(made) < len(calls):
        raise Untranslatable("two tool calls of one turn have the same id")
    return made


def check_answered(calls: Mapping[str, ToolCall], results: Sequence[ToolResult]) -> None:
    """Each call of the turn before is answered once. Raises Untranslatable."""
    answered = [result.id for result in results]
    for ident in calls:
        if ident not in answered:
            raise Untranslatable(f"the tool call {shown(ident)!r} is not answered in the turn that follows it")
    for ident in answered:
        if ident not in calls:
            raise Untranslatable(f"the tool result {shown(ident)!r} answers no call of the turn before it")
    if len(set(answered)) < len(answered):
        raise Untranslatable("a tool call is answered twice")


def spoken(turn: Turn, custom: frozenset[str]) -> list[Json]:
    """The parts of what the model said."""
    made: list[Json] = []
    signed = False
    for item in turn.content:
        if isinstance(item, ToolCall):
            signature = {} if signed else {"thoughtSignature": SKIP_VALIDATION}
            made.append({"functionCall": function_call(item, item.name in custom)} | signature)
            signed = True
        else:
            made.append(part(item))
    return made


def answers(turn: Turn, calls: Mapping[str, ToolCall], media_in_results: bool) -> list[Json]:
    """The parts of what the user's side said: results, in the order of their calls, then the rest."""
    order = list(calls)
    results = sorted(
        (item for item in turn.content if isinstance(item, ToolResult)), key=lambda one: order.index(one.id)
    )
    made: list[Json] = []
    after: list[Json] = []
    for result in results:
        media = [part(item) for item in result.content if not isinstance(item, Text)]
        response = function_response(result, calls[result.id].name)
        if media and media_in_results:
            response["parts"] = media
        else:
            after += media
        made.append({"functionResponse": response})
    return made + after + [part(item) for item in turn.content if not isinstance(item, ToolResult)]


def function_call(call: ToolCall, custom: bool) -> Json:
    """A call of the history. Raises Untranslatable for arguments that are no JSON object."""
    args: Any = {CUSTOM_ARGUMENT: call.arguments}
    if not custom:
        try:
            args = orjson.loads(call.arguments or "{}")
        except ValueError:
            args = None
    if not isinstance(args, dict):
        raise Untranslatable(f"the arguments of the tool call {shown(call.id)!r} are no JSON object")
    return with_id(call.id, {"name": call.name, "args": args})


def function_response(result: ToolResult, name: str) -> Json:
    """What a tool answered, without pictures; its texts are lines of one."""
    said = "\n".join(item.text for item in result.content if isinstance(item, Text))
    return with_id(result.id, {"name": name, "response": {"error" if result.failed else "result": said}})


def with_id(ident: str, members: Json) -> Json:
    """The members, after the id if there is one."""
    return {"id": ident} | members if ident else members


def part(item: Content) -> Json:
    """One part. Raises Untranslatable."""
    match item:
        case Text():
            return text(item.text)
        case Image():
            return picture(item)
        case File():
            return document(item)
        case Sound():
            return {"inlineData": {"mimeType": item.media_type, "data": item.data}}
        case _:
            raise Untranslatable("a tool call or a tool result stands on the wrong side")


def text(said: str) -> Json:
    """A part of text."""
    return {"text": said}


def picture(image: Image) -> Json:
    """A picture, of a type that the models see."""
    kind = image.media_type or guessed(image.url)
    if kind and kind not in IMAGES:
        raise Untranslatable(f"a picture of type {shown(kind)}")
    return data(kind, image.data, image.url)


def document(file: File) -> Json:
    """A document."""
    return data(file.media_type or guessed(file.name) or guessed(file.url), file.data, file.url)


def data(kind: str, inline: str, url: str) -> Json:
    """Data or the address of some. A type that nothing tells is left out of an address: Google asks the server then."""
    told = {"mimeType": kind} if kind else {}
    if url:
        return {"fileData": told | {"fileUri": url}}
    if not kind:
        raise Untranslatable("a file whose type is not told")
    return {"inlineData": told | {"data": inline}}


def guessed(address: str) -> str:
    """The media type that a name or URL tells by its ending; "" for none."""
    try:
        return mimetypes.guess_type(urlsplit(address).path)[0] or ""
    except ValueError:
        return ""
