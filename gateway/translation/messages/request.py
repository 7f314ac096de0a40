"""Anthropic Messages: what a request asks for, read and written.

Source: wire reference, 6.1; the types of the official Python client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.translation.fields import due
from gateway.translation.messages import blocks as messages_blocks
from gateway.translation.messages import content as messages_content
from gateway.translation.messages import history as messages_history
from gateway.translation.messages import thinking as messages_thinking
from gateway.translation.messages import tools as messages_tools
from gateway.translation.messages.fields import member, number, optional, plain
from gateway.translation.messages.schema import closed
from gateway.translation.prompt import Format, Prompt, Thinking, Untranslatable, joined
from schemas.catalogue import Model

Json = dict[str, Any]
TOP_P_THINKING_MIN: Final = 0.95  # less is refused together with thinking


def read(fields: Mapping[str, Any]) -> Prompt:
    """What a Messages body asks for. Raises Untranslatable."""
    if fields.get("thread") is not None:
        raise Untranslatable("`thread` names a conversation that is kept by another provider.")
    system = fields.get("system")
    instructions = [] if system is None else list(messages_content.system(system, "system"))
    turns, between = messages_content.conversation(member(fields, "messages", list))
    if not (conversation := joined(turns)):
        raise Untranslatable("`messages` has nothing that can be told to a model of another provider.")
    tools = messages_tools.read(fields)
    choice, parallel = messages_tools.read_choice(fields, [tool.name for tool in tools])
    thinking = messages_thinking.read(fields)
    return Prompt(
        turns=conversation,
        instructions=(*instructions, *between),
        tools=tools,
        tool_choice=choice,
        parallel_calls=parallel,
        stream=optional(fields, "stream", bool) or False,
        limit=_limit(fields, thinking),
        temperature=number(fields, "temperature"),
        top_p=number(fields, "top_p"),
        top_k=optional(fields, "top_k", int),
        stop=tuple(_stops(fields)),
        thinking=thinking,
        format=_format(fields),
    )


def _limit(fields: Mapping[str, Any], thinking: Thinking | None) -> int | None:
    limit = optional(fields, "max_tokens", int)
    if limit is None:
        return None
    if limit < 1:
        raise Untranslatable(f"`max_tokens` is {limit}: no answer is asked for.")
    return messages_thinking.with_room(limit, thinking)


def _stops(fields: Mapping[str, Any]) -> list[str]:
    told = optional(fields, "stop_sequences", list) or []
    return [due(text, str, f"stop_sequences[{at}]") for at, text in enumerate(told) if text != ""]


def _format(fields: Mapping[str, Any]) -> Format | None:
    """The schema of the answer, at its place or where the beta had it."""
    config = optional(fields, "output_config", dict) or {}
    for where, holder, name in (("output_config", config, "format"), ("", fields, "output_format")):
        form = optional(holder, name, dict, where)
        if form is not None:
            path = f"{where}.{name}" if where else name
            if (kind := member(form, "type", str, path)) != "json_schema":
                raise Untranslatable(f"`{path}.type` is {kind!r}; json_schema was due.")
            return Format(schema=plain(member(form, "schema", dict, path), f"{path}.schema"))
    return None


def write(prompt: Prompt, model: Model) -> Json:
    """The Messages body that asks a model for the same. Raises Untranslatable."""
    limit = model.max_output_tokens if prompt.limit is None else prompt.limit
    turns = messages_history.ordered(prompt.turns)
    thinking: Json = {}
    if prompt.thinking is not None and not messages_history.calls_last(turns):
        thinking = messages_thinking.write(prompt.thinking, limit, model.id)
    thinks = thinking.get("thinking", {}).get("type") in ("enabled", "adaptive")
    members: Json = {
        "model": model.id,
        "max_tokens": limit,
        "messages": messages_blocks.messages(turns, prompt.custom_tools()),
        "system": [{"type": "text", "text": text} for text in prompt.instructions if text.strip()] or None,
        "tools": messages_tools.write(prompt.tools) or None,
        "tool_choice": messages_tools.write_choice(prompt, free=thinks),
        "stop_sequences": _written_stops(prompt.stop) or None,
        **_sampling(prompt, thinks),
        **thinking,
        "stream": True if prompt.stream else None,
    }
    if prompt.format is not None:
        members["output_config"] = {**members.get("output_config", {}), "format": _written_format(prompt.format)}
    return {name: value for name, value in members.items() if value is not None}


def _sampling(prompt: Prompt, thinks: bool) -> Json:
    """Temperature or top_p, which newer models refuse together: the temperature, unless it is what it is anyway."""
    temperature = None if prompt.temperature is None else min(1, max(0, prompt.temperature))
    top_p = None if prompt.top_p is None else min(1, max(0, prompt.top_p))
    if thinks:
        return {"top_p": top_p} if top_p is not None and top_p >= TOP_P_THINKING_MIN else {}
    top_k = {"top_k": prompt.top_k}
    if top_p is None or (temperature not in (None, 1)):
        return {"temperature": temperature, **top_k}
    return {"top_p": top_p, **top_k}


def _written_stops(stops: tuple[str, ...]) -> list[str]:
    for text in stops:
        if not text.strip():
            raise Untranslatable(f"The stop sequence {text!r} is white space, which this dialect refuses.")
    return list(stops)


def _written_format(form: Format) -> Json:
    if form.schema is None:
        raise Untranslatable("JSON without a schema cannot be asked for in this dialect.")
    return {"type": "json_schema", "schema": closed(form.schema)}
