"""The same things asked for in the words of each endpoint's wire: members of a request body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from suites import anthropic_messages, openai_chat
from suites.exchange import WIRES
from suites.heard import Heard
from suites.outcomes import Violation

Fields = dict[str, Any]
STOPS: Final[Mapping[str, Mapping[str, str]]] = {  # why an answer ended, in the words of the wire
    "chat": {"end": "stop", "length": "length", "tool": "tool_calls"},
    "messages": {"end": "end_turn", "length": "max_tokens", "tool": "tool_use"},
    "responses": {"end": "completed", "length": "incomplete", "tool": "completed"},
    "gemini": {"end": "STOP", "length": "MAX_TOKENS", "tool": "STOP"},
}
CALL: Final = {
    "id": "call_of_earlier",
    "name": "get_weather",
    "arguments": {"city": "Oslo", "unit": "celsius", "days": 2},
}


def plain(endpoint: str, prompt: str) -> Fields:
    """A prompt alone."""
    body = WIRES[endpoint].body("", prompt, False)
    return {name: value for name, value in body.items() if name not in ("model", "max_tokens")}


def instructed(endpoint: str, prompt: str, text: str) -> Fields:
    """A prompt under a system text."""
    fields = plain(endpoint, prompt)
    match endpoint:
        case "chat":
            return {"messages": [{"role": "system", "content": text}, *fields["messages"]]}
        case "messages":
            return fields | {"system": text}
        case "responses":
            return fields | {"instructions": text}
        case _:
            return fields | {"systemInstruction": {"parts": [{"text": text}]}}


def offered(endpoint: str, name: str, schema: Mapping[str, Any]) -> Fields:
    """A tool that the model may call."""
    match endpoint:
        case "chat":
            return {"tools": [openai_chat.tool(name, schema)]}
        case "messages":
            return {"tools": [anthropic_messages.tool(name, schema)]}
        case "responses":
            return {"tools": [{"type": "function", "name": name, "description": "A tool.", "parameters": dict(schema)}]}
        case _:
            tool = {"name": name, "description": "A tool.", "parametersJsonSchema": dict(schema)}
            return {"tools": [{"functionDeclarations": [tool]}]}


def limited(endpoint: str, tokens: int) -> Fields:
    """A limit of the answer."""
    match endpoint:
        case "responses":
            return {"max_output_tokens": tokens}
        case "gemini":
            return {"generationConfig": {"maxOutputTokens": tokens}}
        case _:
            return {"max_tokens": tokens}


def limit_of(body: Any) -> int | None:
    """The limit in a request of any dialect."""
    settings = body.get("generationConfig") or body
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
    return next((settings[name] for name in names if name in settings), None)


def shown(endpoint: str, prompt: str, picture: str) -> Fields:
    """A prompt with a picture: PNG in base64."""
    url = f"data:image/png;base64,{picture}"
    match endpoint:
        case "chat":
            parts: list[Fields] = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": url}}]
            return {"messages": [{"role": "user", "content": parts}]}
        case "messages":
            source = {"type": "base64", "media_type": "image/png", "data": picture}
            parts = [{"type": "image", "source": source}, {"type": "text", "text": prompt}]
            return {"messages": [{"role": "user", "content": parts}]}
        case "responses":
            parts = [{"type": "input_text", "text": prompt}, {"type": "input_image", "image_url": url}]
            return {"input": [{"role": "user", "content": parts}]}
        case _:
            parts = [{"text": prompt}, {"inlineData": {"mimeType": "image/png", "data": picture}}]
            return {"contents": [{"role": "user", "parts": parts}]}


def called(endpoint: str, prompt: str, result: str) -> Fields:
    """A prompt, the call of CALL that the model made upon it, and what the tool told."""
    fields, arguments = plain(endpoint, prompt), orjson.dumps(CALL["arguments"]).decode()
    call: Fields
    match endpoint:
        case "chat" | "messages":
            wire = openai_chat if endpoint == "chat" else anthropic_messages
            document = {"choices": [{"message": {"tool_calls": [
                {"id": CALL["id"], "function": {"name": CALL["name"], "arguments": arguments}}]}}]}  # fmt: skip
            block = {"type": "tool_use", "id": CALL["id"], "name": CALL["name"], "input": CALL["arguments"]}
            heard = wire.read_json(document if endpoint == "chat" else {"content": [block]})
            return {"messages": [*fields["messages"], *wire.turn_with_result(heard, result)]}
        case "responses":
            call = {"type": "function_call", "call_id": CALL["id"], "name": CALL["name"], "arguments": arguments}
            told = {"type": "function_call_output", "call_id": CALL["id"], "output": result}
            return {"input": [{"role": "user", "content": prompt}, call, told]}
        case _:
            call = {"functionCall": {"name": CALL["name"], "args": CALL["arguments"]}}
            told = {"functionResponse": {"name": CALL["name"], "response": {"result": result}}}
            turns = [{"role": "model", "parts": [call]}, {"role": "user", "parts": [told]}]
            return {"contents": [*fields["contents"], *turns]}


def calls_of(heard: Heard) -> list[tuple[str, Any]]:
    """Name and parsed arguments of each call of a reply. Raises Violation where arguments are no JSON."""
    parts = [block["functionCall"] for block in heard.blocks if "functionCall" in block]
    if parts:
        return [(call["name"], call.get("args") or {}) for call in parts]
    try:
        return [(call.name, orjson.loads(call.arguments or "{}")) for call in heard.calls]
    except orjson.JSONDecodeError as error:
        raise Violation(f"the arguments of a call are no JSON ({error}): {heard.calls}") from None
