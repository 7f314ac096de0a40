"""Gemini's generateContent as a Prompt, and the other way round. Names may be in camelCase or snake_case.

Source: wire reference, chapter 7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import shown
from gateway.translation.gemini import contents as gemini_contents
from gateway.translation.gemini import fields
from gateway.translation.gemini import parts as gemini_parts
from gateway.translation.gemini import thinking as gemini_thinking
from gateway.translation.gemini.schema import json_schema
from gateway.translation.prompt import CUSTOM_SCHEMA, Format, Prompt, Tool, ToolChoice, Untranslatable
from schemas.catalogue import Model

Json = dict[str, Any]

CONFIG: Final = "generationConfig"
JSON_TYPE: Final = "application/json"
TEXT_TYPES: Final = ("", "text/plain")
FUNCTIONS: Final = "functionDeclarations"
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")  # of a function
TEMPERATURE_MAX: Final = 2.0
STOPS_MAX: Final = 5
MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY", "tool": "ANY"}
BEFORE_3: Final = ("gemini-1", "gemini-2")  # neither JSON with tools nor pictures in their results


def read(body: Mapping[str, Any]) -> Prompt:
    """What a caller's body asks for. Raises Untranslatable."""
    request = fields.message(body, "the body")
    config = fields.message(request.get(CONFIG), CONFIG)
    check(request, config)
    tools, choice = read_tools(request)
    turns = gemini_contents.turns(request.get("contents"))
    if not turns:
        raise Untranslatable("`contents` say nothing")
    return Prompt(
        turns=turns,
        instructions=read_instructions(request.get("systemInstruction")),
        tools=tools,
        tool_choice=choice,
        stream=request.get("stream") is True,
        limit=fields.whole(config, "maxOutputTokens", CONFIG),
        temperature=fields.number(config, "temperature", CONFIG),
        top_p=fields.number(config, "topP", CONFIG),
        top_k=fields.whole(config, "topK", CONFIG),
        stop=fields.texts(config, "stopSequences", CONFIG),
        thinking=gemini_thinking.read(config.get("thinkingConfig"), f"{CONFIG}.thinkingConfig"),
        format=read_format(config),
    )


def check(request: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raises Untranslatable for what no other dialect has words for."""
    if request.get("cachedContent"):
        raise Untranslatable("`cachedContent` is kept by Google")
    if (fields.whole(config, "candidateCount", CONFIG) or 1) > 1:
        raise Untranslatable(f"`{CONFIG}.candidateCount` asks for more than one answer")
    if config.get("responseLogprobs") or config.get("logprobs"):
        raise Untranslatable(f"`{CONFIG}.responseLogprobs` asks for log probabilities")
    if config.get("responseFormat"):
        raise Untranslatable(f"`{CONFIG}.responseFormat` cannot be translated; responseJsonSchema can")
    for modality in fields.texts(config, "responseModalities", CONFIG):
        if modality.upper() != "TEXT":
            raise Untranslatable(f"`{CONFIG}.responseModalities` asks for {shown(modality)}")


def read_instructions(given: Any) -> tuple[str, ...]:
    """The texts of a system instruction."""
    if isinstance(given, str):
        return (given,) if given else ()
    where = "systemInstruction"
    parts = fields.messages(fields.message(given, where).get("parts"), f"{where}.parts")
    for place, part in parts:
        if "text" not in part:
            raise Untranslatable(f"`{place}` is no text")
    return tuple(filter(None, (fields.text(part, "text", place) for place, part in parts)))


def read_format(config: Mapping[str, Any]) -> Format | None:
    """The form of the answer."""
    kind = fields.text(config, "responseMimeType", CONFIG)
    if kind in TEXT_TYPES:
        return None
    if kind != JSON_TYPE:
        raise Untranslatable(f"`{CONFIG}.responseMimeType` is {shown(kind)!r}")
    schema = fields.schema(config, "responseJsonSchema", CONFIG)
    if schema is None and "responseSchema" in config:
        schema = json_schema(config["responseSchema"], f"{CONFIG}.responseSchema")
    return Format(schema=schema)


def read_tools(request: Mapping[str, Any]) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """(The functions on offer, whether they are to be called). Google's own tools are left out."""
    tools = tuple(
        read_function(function, place)
        for where, tool in fields.messages(request.get("tools"), "tools")
        for place, function in fields.messages(tool.get(FUNCTIONS), f"{where}.{FUNCTIONS}")
    )
    where = "toolConfig.functionCallingConfig"
    config = fields.message(fields.message(request.get("toolConfig"), "toolConfig").get("functionCallingConfig"), where)
    mode = fields.text(config, "mode", where).upper()
    allowed = fields.texts(config, "allowedFunctionNames", where)
    if mode == "ANY" and not tools:
        raise Untranslatable(f"`{where}.mode` is ANY, and there is no function to call")
    unknown = [name for name in allowed if name not in {tool.name for tool in tools}]
    if unknown:
        raise Untranslatable(f"`{where}.allowedFunctionNames` names {shown(unknown[0])!r}, which is not declared")
    if mode == "ANY" and len(allowed) == 1:
        return tools, ToolChoice("tool", allowed[0])
    if mode in ("ANY", "VALIDATED") and allowed:
        tools = tuple(tool for tool in tools if tool.name in allowed)
    match mode:
        case "ANY":
            return tools, ToolChoice("required")
        case "NONE":
            return tools, ToolChoice("none")
        case "AUTO" | "VALIDATED":
            return tools, ToolChoice("auto")
        case "" | "MODE_UNSPECIFIED":
            return tools, None
    raise Untranslatable(f"`{where}.mode` is {shown(mode)!r}; AUTO, ANY, NONE or VALIDATED was due")


def read_function(function: Mapping[str, Any], where: str) -> Tool:
    """A function."""
    name = fields.text(function, "name", where)
    if not name:
        raise Untranslatable(f"`{where}` has no name")
    schema = fields.schema(function, "parametersJsonSchema", where)
    if schema is None and "parameters" in function:
        schema = json_schema(function["parameters"], f"{where}.parameters")
    return Tool(name, fields.text(function, "description", where), schema)


def write(prompt: Prompt, model: Model) -> Json:
    """The upstream's body; model and streaming stand in its URL. Raises Untranslatable."""
    later = not model.id.startswith(BEFORE_3)
    if prompt.format is not None and prompt.tools and not later:
        raise Untranslatable("JSON as the answer's form and tools in one request")
    body: Json = {"contents": gemini_parts.contents(prompt, media_in_results=later)}
    if prompt.instructions and prompt.turns:
        body["systemInstruction"] = {"parts": list(map(gemini_parts.text, prompt.instructions))}
    if prompt.tools:
        body["tools"] = [{FUNCTIONS: list(map(write_function, prompt.tools))}]
        if prompt.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": write_choice(prompt.tool_choice, prompt.tools)}
    config = write_config(prompt, model.id)
    return body | {CONFIG: config} if config else body


def write_function(tool: Tool) -> Json:
    """A function's declaration."""
    if not NAME.fullmatch(tool.name):
        raise Untranslatable(f"the tool name {shown(tool.name)!r}")
    schema = CUSTOM_SCHEMA if tool.custom else tool.schema
    return (
        {"name": tool.name}
        | ({"description": tool.description} if tool.description else {})
        | ({} if schema is None else {"parametersJsonSchema": schema})
    )


def write_choice(choice: ToolChoice, tools: tuple[Tool, ...]) -> Json:
    """Whether the model is free to call."""
    mode: Json = {"mode": MODES[choice.mode]}
    if choice.mode != "tool":
        return mode
    if choice.name not in {tool.name for tool in tools}:
        raise Untranslatable(f"a call of the tool {shown(choice.name)!r}, which is not offered")
    return mode | {"allowedFunctionNames": [choice.name]}


def write_config(prompt: Prompt, model: str) -> Json:
    """The generationConfig, without what is not asked for."""
    stop = list(filter(None, prompt.stop))
    if len(stop) > STOPS_MAX:
        raise Untranslatable(f"more than {STOPS_MAX} stop sequences")
    form = prompt.format
    config: Json = {
        "maxOutputTokens": prompt.limit,
        "temperature": None if prompt.temperature is None else min(max(prompt.temperature, 0.0), TEMPERATURE_MAX),
        "topP": prompt.top_p,
        "topK": prompt.top_k,
        "stopSequences": stop or None,
        "responseMimeType": None if form is None else JSON_TYPE,
        "responseJsonSchema": None if form is None else form.schema,
        "thinkingConfig": None if prompt.thinking is None else gemini_thinking.write(prompt.thinking, model) or None,
    }
    return {name: value for name, value in config.items() if value is not None}
