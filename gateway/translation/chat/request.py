"""A Chat Completions request, read and written.

Source: wire reference 1.1 and chapter 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.body import json_type
from gateway.errors import shown
from gateway.translation.chat.messages import read_messages, write_messages
from gateway.translation.chat.parts import Json, object_of, text_of
from gateway.translation.chat.thinking import OPENAI, read_thinking, write_thinking
from gateway.translation.chat.tools import names, read_choice, read_tools, write_tools
from gateway.translation.prompt import Format, Prompt, Text, Untranslatable
from gateway.upstreams.reading import count
from schemas.catalogue import Model

STOPS_MAX: Final = 4
TEMPERATURE_MAX: Final = 2.0
JSON_WANTED: Final = "Answer with one JSON object."


def read(fields: Mapping[str, Any]) -> Prompt:
    """What a body asks for that `ChatWire.check` has accepted. Raises Untranslatable."""
    refuse_the_rest(fields)
    offered = read_tools(fields)
    tools, choice = read_choice(fields.get("tool_choice"), offered)
    instructions, turns = read_messages(fields["messages"], names(tools))
    parallel = fields.get("parallel_tool_calls")
    newer = count(fields.get("max_completion_tokens"))
    return Prompt(
        turns=turns,
        instructions=instructions,
        tools=tools,
        tool_choice=choice,
        parallel_calls=parallel if isinstance(parallel, bool) else None,
        stream=fields.get("stream") is True,
        limit=newer if newer is not None else count(fields.get("max_tokens")),
        temperature=number(fields, "temperature"),
        top_p=number(fields, "top_p"),
        top_k=count(fields.get("top_k")) or None,
        stop=read_stop(fields.get("stop")),
        thinking=read_thinking(fields),
        format=read_format(fields.get("response_format")),
    )


def refuse_the_rest(fields: Mapping[str, Any]) -> None:
    """Raises Untranslatable for what decides the answer and has no counterpart."""
    if (count(fields.get("n")) or 1) > 1:
        raise Untranslatable("`n` asks for more than one answer.")
    if fields.get("logprobs") or fields.get("top_logprobs"):
        raise Untranslatable("`logprobs` has no counterpart.")
    modalities = fields.get("modalities")
    if isinstance(modalities, list) and any(kind != "text" for kind in modalities):
        raise Untranslatable("`modalities` asks for more than text.")


def number(fields: Mapping[str, Any], name: str) -> float | None:
    """A number that may be absent or null. Raises Untranslatable."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Untranslatable(f"`{name}` is {json_type(value)}; a number was due.")
    return float(value)


def read_stop(stop: Any) -> tuple[str, ...]:
    """One text or a list of them. Raises Untranslatable."""
    listed = [] if stop is None else stop if isinstance(stop, list) else [stop]
    return tuple(text for entry in listed if (text := text_of(entry, "stop")))


def read_format(wanted: Any) -> Format | None:
    """JSON of any kind or by a schema; None for text. Raises Untranslatable."""
    if wanted is None:
        return None
    match object_of(wanted, "response_format").get("type"):
        case "text" | None:
            return None
        case "json_object":
            return Format()
        case "json_schema":
            where = "response_format.json_schema"
            members = object_of(wanted.get("json_schema"), where)
            schema, strict = members.get("schema"), members.get("strict")
            if schema is not None:
                object_of(schema, f"{where}.schema")
            name = text_of(members.get("name"), f"{where}.name") or Format().name
            return Format(name, schema, strict if isinstance(strict, bool) else None)
        case kind:
            raise Untranslatable(f"`response_format` is {shown(kind)!r}, which has no counterpart.")


def write(prompt: Prompt, model: Model) -> Json:
    """The body for a model. `top_k` is left out: OpenAI refuses it. Raises Untranslatable."""
    if len(prompt.stop) > STOPS_MAX:
        raise Untranslatable(f"Chat Completions takes no more than {STOPS_MAX} stop sequences.")
    messages = write_messages(with_json_named(prompt))
    if not messages:
        raise Untranslatable("The prompt is empty.")
    body: Json = {"model": model.id, "messages": messages}
    if prompt.stream:
        body["stream"] = True
    if prompt.limit is not None:  # OpenAI's own models refuse the older name, many servers do not know the newer one
        body["max_completion_tokens" if model.vendor == OPENAI else "max_tokens"] = prompt.limit
    if prompt.temperature is not None:
        body["temperature"] = min(max(prompt.temperature, 0.0), TEMPERATURE_MAX)
    if prompt.top_p is not None:
        body["top_p"] = min(max(prompt.top_p, 0.0), 1.0)
    if prompt.stop:
        body["stop"] = list(prompt.stop)
    body |= write_tools(prompt)
    body |= write_thinking(prompt, model)
    if prompt.format is not None:
        body["response_format"] = write_format(prompt.format)
    return body


def write_format(wanted: Format) -> Json:
    if wanted.schema is None:
        return {"type": "json_object"}
    strict = {} if wanted.strict is None else {"strict": wanted.strict}
    return {"type": "json_schema", "json_schema": {"name": wanted.name, "schema": wanted.schema, **strict}}


def with_json_named(prompt: Prompt) -> Prompt:
    """The prompt as it may ask for JSON without a schema: that is refused where no message has the word."""
    if prompt.format is None or prompt.format.schema is not None or names_json(prompt):
        return prompt
    return replace(prompt, instructions=(*prompt.instructions, JSON_WANTED))


def names_json(prompt: Prompt) -> bool:
    """Whether a text of the prompt has the word JSON."""
    said = (piece.text for turn in prompt.turns for piece in turn.content if isinstance(piece, Text))
    return any("json" in text.lower() for text in (*prompt.instructions, *said))
