"""An OpenAI Responses request, read and written.

Source: wire reference 2.1; openai-python, `types/responses/response_create_params.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import shown
from gateway.translation.chat.parts import Json, object_of, text_of
from gateway.translation.chat.request import JSON_WANTED, TEMPERATURE_MAX, number
from gateway.translation.chat.tools import names
from gateway.translation.prompt import EFFORTS, Format, Prompt, Text, Thinking, Untranslatable, effort_of
from gateway.translation.responses.items import message, read_input, write_input
from gateway.translation.responses.tools import read_choice, read_tools, write_tools
from gateway.upstreams.reading import count
from schemas.catalogue import Model

OUTPUT_TOKENS_MIN: Final = 16
KEPT_ELSEWHERE: Final = ("previous_response_id", "conversation", "prompt")
LOGPROBS: Final = "message.output_text.logprobs"


def read(fields: Mapping[str, Any]) -> Prompt:
    """What a body asks for that `ResponsesWire.check` has accepted. Raises Untranslatable."""
    refuse_the_rest(fields)
    tools, choice = read_choice(fields.get("tool_choice"), read_tools(fields))
    first = text_of(fields.get("instructions"), "instructions")
    instructions, turns = read_input(fields.get("input"), names(tools))
    if not turns:
        raise Untranslatable("`input` has nothing that could be answered.")
    parallel = fields.get("parallel_tool_calls")
    return Prompt(
        turns=turns,
        instructions=(first, *instructions) if first else instructions,
        tools=tools,
        tool_choice=choice,
        parallel_calls=parallel if isinstance(parallel, bool) else None,
        stream=fields.get("stream") is True,
        limit=count(fields.get("max_output_tokens")),
        temperature=number(fields, "temperature"),
        top_p=number(fields, "top_p"),
        thinking=read_thinking(fields.get("reasoning")),
        format=read_format(fields.get("text")),
    )


def refuse_the_rest(fields: Mapping[str, Any]) -> None:
    """Raises Untranslatable for what decides the answer and has no counterpart."""
    for name in KEPT_ELSEWHERE:
        if fields.get(name) is not None:
            raise Untranslatable(f"`{name}` refers to what is kept elsewhere and cannot be carried over.")
    include = fields.get("include")
    if fields.get("top_logprobs") or (isinstance(include, list) and LOGPROBS in include):
        raise Untranslatable("`top_logprobs` has no counterpart.")


def read_thinking(reasoning: Any) -> Thinking | None:
    """Effort, and whether there is to be a summary; None where neither is asked for. Raises Untranslatable."""
    if reasoning is None:
        return None
    members = object_of(reasoning, "reasoning")
    effort = text_of(members.get("effort"), "reasoning.effort")
    summary = members.get("summary") or members.get("generate_summary")
    if not effort:
        return Thinking() if summary else None
    effort = "xhigh" if effort == "max" else effort
    if effort != "none" and effort not in EFFORTS:
        raise Untranslatable(f"`reasoning.effort` is {shown(effort)!r}, which has no counterpart.")
    return Thinking(effort=effort, shown=bool(summary) or effort == "none")


def read_format(text: Any) -> Format | None:
    """JSON of any kind or by a schema; None for text. Raises Untranslatable."""
    if text is None or object_of(text, "text").get("format") is None:
        return None
    wanted = object_of(text["format"], "text.format")
    match wanted.get("type"):
        case "text" | None:
            return None
        case "json_object":
            return Format()
        case "json_schema":
            schema, strict = object_of(wanted.get("schema"), "text.format.schema"), wanted.get("strict")
            name = text_of(wanted.get("name"), "text.format.name") or Format().name
            return Format(name, schema, strict if isinstance(strict, bool) else None)
        case kind:
            raise Untranslatable(f"`text.format` is {shown(kind)!r}, which has no counterpart.")


def write(prompt: Prompt, model: Model) -> Json:
    """The body for a model, which keeps nothing of it. `top_k` is left out: OpenAI has none. Raises Untranslatable."""
    if prompt.stop:
        raise Untranslatable("Responses has no stop sequences.")
    body: Json = {"model": model.id, "input": write_input(prompt), "store": False}
    if prompt.instructions:
        body["instructions"] = prompt.instructions[0]
    if prompt.stream:
        body["stream"] = True
    if prompt.limit is not None:
        body["max_output_tokens"] = max(prompt.limit, OUTPUT_TOKENS_MIN)
    body |= write_sampling(prompt)
    body |= write_tools(prompt)
    if prompt.thinking is not None:
        body["reasoning"] = write_thinking(prompt.thinking)
    if prompt.format is not None:
        write_format(body, prompt, prompt.format)
    return body


def write_sampling(prompt: Prompt) -> Json:
    """Temperature and the like, within their ranges; not where the model is to think: OpenAI refuses them together."""
    if prompt.thinking is not None and effort_of(prompt.thinking) != "none":
        return {}
    made: Json = {}
    if prompt.temperature is not None:
        made["temperature"] = min(max(prompt.temperature, 0.0), TEMPERATURE_MAX)
    if prompt.top_p is not None:
        made["top_p"] = min(max(prompt.top_p, 0.0), 1.0)
    return made


def write_thinking(thinking: Thinking) -> Json:
    effort = effort_of(thinking)
    told = {} if effort is None else {"effort": effort}
    return {**told, "summary": "auto"} if thinking.shown and effort != "none" else told


def write_format(body: Json, prompt: Prompt, wanted: Format) -> None:
    """Sets `text.format`. JSON without a schema is refused where no item has the word, so one of ours has it."""
    if wanted.schema is not None:
        strict = {} if wanted.strict is None else {"strict": wanted.strict}
        form = {"type": "json_schema", "name": wanted.name, "schema": wanted.schema, **strict}
        body["text"] = {"format": form}
        return
    body["text"] = {"format": {"type": "json_object"}}
    said = (piece.text for turn in prompt.turns for piece in turn.content if isinstance(piece, Text))
    if not any("json" in text.lower() for text in (*prompt.instructions[1:], *said)):
        body["input"] = [message("developer", JSON_WANTED), *body["input"]]
