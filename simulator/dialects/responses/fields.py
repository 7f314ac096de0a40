"""Validation of a Responses request's fields, complaining as OpenAI does.

Only the shape is looked at here; what the items of `input` must be is in `responses.input`, what depends on the model
in `responses.rules`. Source: the public specification (CreateResponse, 2.3.0) and recorded replies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from simulator.dialects.openai import fields
from simulator.dialects.openai.fields import Check
from simulator.dialects.openai.problems import refuse
from simulator.dialects.responses import input, tools
from simulator.dialects.responses import schema as responses_schema
from simulator.dialects.responses.problems import moved

INCLUDABLE: Final = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
SUMMARIES: Final = ("auto", "concise", "detailed")
OUTPUT_TOKENS_MIN: Final = 16
METADATA_MAX: Final = 16
MOVED: Final[Mapping[str, str]] = {  # parameters of Chat Completions
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
}
_ID = re.compile(r"[A-Za-z0-9_-]+")


def identifier(prefix: str) -> Check:
    """A check for an id of that kind."""

    def check(value: Any, where: str) -> None:
        fields.string(value, where)
        if not value.startswith(prefix):
            said = f"Invalid '{where}': '{value}'. Expected an ID that begins with '{prefix}'."
            raise refuse(said, where, "invalid_value")
        if not _ID.fullmatch(value):
            said = "Expected an ID that contains letters, numbers, underscores, or dashes, but this value contained "
            raise refuse(f"Invalid '{where}': '{value}'. {said}additional characters.", where, "invalid_value")

    return check


def include(value: Any, where: str) -> None:
    fields.array(value, where)
    for at, item in enumerate(value):
        fields.one_of(*INCLUDABLE)(item, f"{where}[{at}]")


def _known(value: Mapping[str, Any], where: str, checks: Mapping[str, Check]) -> None:
    """An object that has these members and no other."""
    fields.dictionary(value, where)
    for name, inner in value.items():
        path = f"{where}.{name}"
        if name not in checks:
            raise refuse(f"Unknown parameter: '{path}'.", path, "unknown_parameter")
        if inner is not None:
            checks[name](inner, path)


def reasoning(value: Any, where: str) -> None:
    """Effort, summary and the like; what the model takes of it is its own matter."""
    _known(
        value,
        where,
        {
            "effort": fields.one_of(*fields.EFFORTS),
            "summary": fields.one_of(*SUMMARIES),
            "generate_summary": fields.one_of(*SUMMARIES),
            "context": fields.one_of("auto", "current_turn", "all_turns"),
            "mode": fields.one_of("standard", "pro"),
        },
    )


def text(value: Any, where: str) -> None:
    """Format and verbosity."""
    _known(value, where, {"format": text_format, "verbosity": fields.one_of("low", "medium", "high")})


def text_format(value: Any, where: str) -> None:
    """Plain text, any JSON, or JSON of a schema."""
    fields.dictionary(value, where)
    if fields.required(value, "type", where, fields.one_of("json_object", "json_schema", "text")) != "json_schema":
        return
    name = fields.required(value, "name", where, fields.function_name)
    schema = fields.required(value, "schema", where, fields.dictionary)
    if value.get("strict"):
        of = f"response_format '{name}'"
        responses_schema.strict(schema, of, f"{where}.schema", "invalid_json_schema")


def metadata(value: Any, where: str) -> None:
    """Up to 16 pairs of texts."""
    fields.dictionary(value, where)
    if len(value) > METADATA_MAX:
        said = f"Expected an object with at most {METADATA_MAX} properties, but got an object with {len(value)}"
        said = f"Invalid '{where}': too many properties. {said} properties instead."
        raise refuse(said, where, "object_above_max_properties")
    for name, item in value.items():
        fields.string(item, f"{where}.{name}")


def stream_options(value: Any, where: str) -> None:
    """Only obfuscation can be chosen: usage always comes."""
    _known(value, where, {"include_obfuscation": fields.boolean})


def conversation(value: Any, where: str) -> None:
    """An id, or an object with one."""
    if isinstance(value, dict):
        fields.required(value, "id", where, identifier("conv"))
        return
    if not isinstance(value, str):
        raise fields.wrong_type(where, "one of a string or an object", value)
    identifier("conv")(value, where)


def prompt(value: Any, where: str) -> None:
    """A template by its id."""
    fields.dictionary(value, where)
    fields.required(value, "id", where, identifier("pmpt"))


def anything(value: Any, where: str) -> None:
    """A field that the fleet passes by."""


OPTIONAL: Final[Mapping[str, Check]] = {
    "access_programs": anything,
    "background": fields.boolean,
    "background_options": fields.dictionary,
    "context_management": fields.array,
    "conversation": conversation,
    "image": anything,
    "include": include,
    "input": input.check,
    "instructions": fields.string,
    "max_output_tokens": fields.integer(OUTPUT_TOKENS_MIN),
    "max_tool_calls": fields.integer(1),
    "metadata": metadata,
    "model": fields.string,
    "moderation": anything,
    "parallel_tool_calls": fields.boolean,
    "personality": anything,
    "previous_response_id": fields.string,
    "prompt": prompt,
    "prompt_cache_key": fields.string,
    "prompt_cache_options": fields.dictionary,
    "prompt_cache_retention": fields.one_of("in_memory", "24h"),
    "reasoning": reasoning,
    "safety_identifier": fields.string,
    "client_metadata": fields.dictionary,  # of the Codex CLI, with every request
    "service_tier": fields.one_of("auto", "default", "flex", "scale", "priority", "fast"),
    "store": fields.boolean,
    "stream": fields.boolean,
    "stream_options": stream_options,
    "temperature": fields.decimal(0, 2),
    "text": text,
    "tool_choice": tools.check_choice,
    "tools": tools.check,
    "top_logprobs": fields.integer(0, 20),
    "top_p": fields.decimal(0, 1),
    "truncation": fields.one_of("auto", "disabled"),
    "user": fields.string,
}


def check(body: Mapping[str, Any]) -> None:
    """Every field by itself, then those that need or exclude one another. Raises Refused."""
    if body.get("model") in (None, ""):
        raise fields.missing("model")
    for name, value in body.items():
        if name in MOVED:
            raise moved(name, MOVED[name])
        if value is not None and name in OPTIONAL:
            OPTIONAL[name](value, name)
    _together(body)


def _together(body: Mapping[str, Any]) -> None:
    if body.get("previous_response_id") and body.get("conversation"):
        both = "'previous_response_id' or 'conversation'"
        said = f"Mutually exclusive parameters. Ensure you are only providing one of: {both}."
        raise refuse(said, code="mutually_exclusive_parameters")
    if not body.get("input") and body.get("input") != "" and not _goes_on(body):
        raise fields.missing("input")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if body.get("background") and body.get("store") is False:
        raise refuse("Background mode requires 'store' to be true.", "background")
    tools.check_together(body)


def _goes_on(body: Mapping[str, Any]) -> bool:
    """Whether there is something to answer without any input."""
    return bool(body.get("previous_response_id") or body.get("prompt") or body.get("conversation"))
