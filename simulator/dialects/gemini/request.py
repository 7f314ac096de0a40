"""From the bytes of a Gemini request to an `Ask`.

`Ask.body` is the JSON with camelCase keys, as `gemini.fields` reads it: a `Body`, which also bears what it costs and
what came in headers. Whether the reply streams is the method's name in the path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from simulator.ask import Ask, Request, Tool, Turn
from simulator.dialects.gemini import contents as gemini_contents
from simulator.dialects.gemini import fields, tokens
from simulator.dialects.gemini.problems import refuse
from simulator.dialects.gemini.schema import json_schema
from simulator.problem import Problem, Refused

FOREIGN_SIGNATURES_HEADER: Final = "x-windtunnel-signatures"  # "any": signatures of another fleet or vendor are taken
BODY_BYTES_MAX: Final = 32 << 20
DYNAMIC_TOKENS: Final = 8192  # the most that thinking without a budget uses here
STOP_SEQUENCES_MAX: Final = 5
BATCH_MAX: Final = 100
STREAM: Final = ":streamGenerateContent"
EFFORTS: Final = ((1024, "low"), (8192, "medium"))  # budgets up to so many tokens
_RESPONSE_TYPES: Final = ("text/plain", "application/json", "text/x.enum")


class Body(dict[str, Any]):
    """The JSON of a request with camelCase keys, what it costs, and what its headers say."""

    __slots__ = ("any_signature", "count")

    def __init__(self, data: Mapping[str, Any], headers: Mapping[str, str], count: tokens.Count) -> None:
        super().__init__(data)
        self.any_signature = headers.get(FOREIGN_SIGNATURES_HEADER) == "any"
        self.count = count


def query_of(query: str, name: str) -> str:
    """The value of a query parameter; "" without it."""
    return parse_qs(query).get(name, [""])[0]


def parsed(request: Request) -> Any:
    """The body as JSON that can be written again. Raises Refused."""
    if len(request.body) > BODY_BYTES_MAX:
        raise Refused(Problem("too_large"))
    try:
        data = orjson.loads(request.body or b"{}")
        orjson.dumps([[data]])  # refuses what is nested too deep for those who read it later
    except orjson.JSONDecodeError as error:
        shown = request.body[max(0, error.pos - 20) : error.pos + 20].decode("utf-8", "replace")
        said = f"Invalid JSON payload received. {error.msg.capitalize()}.\n{shown}"
        raise Refused(Problem("bad_json", said)) from None
    except orjson.JSONEncodeError:
        raise Refused(Problem("bad_json", "Invalid JSON payload received. Message too deep.")) from None
    return data


def decode(request: Request, operation: str) -> Ask:
    """The Ask of a request for an answer, a token count or embeddings. Raises Refused."""
    data = parsed(request)
    if operation == "embed":
        return _embed(request, [fields.message(data, "EmbedContentRequest")], operation)
    if operation == "batch_embed":
        batch = fields.message(data, "BatchEmbedContentsRequest")
        return _embed(request, batch.get("requests", []), operation)
    more = tuple(request.facts.get("request_fields", ()))
    if operation == "count_tokens":
        body = fields.message(data, request.facts.get("count_request", "CountTokensRequest"), more)
        body = body.get("generateContentRequest", body)
    else:
        body = fields.message(data, "GenerateContentRequest", more)
    gemini_contents.check(body.get("contents", []))
    _config(body.get("generationConfig", {}))
    return _ask(request, operation, body)


def _ask(request: Request, operation: str, body: Mapping[str, Any]) -> Ask:
    config = body.get("generationConfig", {})
    count = tokens.count(body, request.facts.get("document_tokens", tokens.DOCUMENT_TOKENS))
    tools, tool_choice = _tools(body)
    thinking = config.get("thinkingConfig", {})
    return Ask(
        operation=operation,
        model=request.params["model"],
        turns=gemini_contents.turns(body),
        stream=request.path.endswith(STREAM),
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(config.get("stopSequences", ())),
        choices=config.get("candidateCount", 1),
        tools=tools,
        tool_choice=tool_choice,
        schema=_schema(config),
        thinking_tokens=_shown_thinking(thinking),
        effort=_effort(thinking),
        input_tokens=count.total,
        cached_tokens=count.cached,
        body=Body(body, request.headers, count),
    )


def _config(config: Mapping[str, Any]) -> None:
    """Ranges that every model shares."""
    where = "* GenerateContentRequest.generation_config"
    if config.get("maxOutputTokens", 1) < 1:
        raise refuse(f"{where}.max_output_tokens: max_output_tokens must be positive.\n")
    if not 1 <= config.get("candidateCount", 1) <= 8:
        raise refuse(f"{where}.candidate_count: candidate_count must be in the range [1, 8].\n")
    if not 0 <= config.get("temperature", 0) <= 2:
        raise refuse(f"{where}.temperature: temperature must be in the range [0.0, 2.0].\n")
    if not 0 <= config.get("topP", 0) <= 1:
        raise refuse(f"{where}.top_p: top_p must be in the range [0.0, 1.0].\n")
    if len(config.get("stopSequences", ())) > STOP_SEQUENCES_MAX:
        raise refuse(f"{where}.stop_sequences: at most {STOP_SEQUENCES_MAX} stop sequences can be specified.\n")
    kind = config.get("responseMimeType", "text/plain")
    if kind not in _RESPONSE_TYPES:
        due = ", ".join(f"`{one}`" for one in _RESPONSE_TYPES)
        raise refuse(f"{where}.response_mime_type: allowed mimetypes are {due}.\n")
    if kind == "text/plain" and ("responseSchema" in config or "responseJsonSchema" in config):
        raise refuse(
            f"{where}.response_mime_type: only `application/json` and `text/x.enum` can be used with a response "
            "schema.\n"
        )


def _tools(body: Mapping[str, Any]) -> tuple[tuple[Tool, ...], str]:
    """The tools on offer, and which of them must be called."""
    out: list[Tool] = []
    for at, tool in enumerate(body.get("tools", ())):
        for place, function in enumerate(tool.get("functionDeclarations", ())):
            if not function.get("name"):
                where = f"* GenerateContentRequest.tools[{at}].function_declarations[{place}]"
                raise refuse(f"{where}.name: [REQUIRED_FIELD_MISSING]\n")
            out.append(Tool(function["name"], _parameters(function)))
        out += [Tool(name, {}, name) for name in tool if name != "functionDeclarations"]
    config = body.get("toolConfig", {}).get("functionCallingConfig", {})
    mode, allowed = config.get("mode", "AUTO"), config.get("allowedFunctionNames", ())
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise refuse("Allowed function names may only be set when function calling mode is set to ANY.")
    unknown = [name for name in allowed if all(tool.name != name for tool in out)]
    if unknown:
        raise refuse(f"Allowed function names must be declared: {', '.join(unknown)}")
    if allowed:
        out = [tool for tool in out if tool.kind != "function" or tool.name in allowed]
    return tuple(out), {"ANY": "required", "NONE": "none"}.get(mode, "auto")


def _parameters(function: Mapping[str, Any]) -> Mapping[str, Any]:
    given = function.get("parametersJsonSchema")
    if isinstance(given, Mapping):
        return given
    return json_schema(function["parameters"]) if "parameters" in function else {}


def _schema(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The JSON Schema that the answer's text must validate against."""
    given = config.get("responseJsonSchema")
    if isinstance(given, Mapping):
        return given
    if "responseSchema" in config:
        return json_schema(config["responseSchema"])
    return {} if config.get("responseMimeType") == "application/json" else None


def _shown_thinking(thinking: Mapping[str, Any]) -> int:
    """The most tokens of thinking that the reply shows."""
    if not thinking.get("includeThoughts"):
        return 0
    budget: int = thinking.get("thinkingBudget", -1)
    return DYNAMIC_TOKENS if budget < 0 else budget


def _effort(thinking: Mapping[str, Any]) -> str:
    """How hard to think where the reply does not show it."""
    level = str(thinking.get("thinkingLevel", "")).lower()
    budget = thinking.get("thinkingBudget", -1)
    if level and level != "thinking_level_unspecified":
        return level
    if budget < 0:
        return ""
    return "none" if budget == 0 else next((word for most, word in EFFORTS if budget <= most), "high")


def _embed(request: Request, wanted: list[dict[str, Any]], operation: str) -> Ask:
    """What to embed, as `requests` of the body."""
    message = "BatchEmbedContentsRequest.requests" if operation == "batch_embed" else "EmbedContentRequest"
    if operation == "batch_embed" and not wanted:
        raise refuse(f"* {message}: requests is not specified\n")
    if len(wanted) > BATCH_MAX:
        raise refuse(f"* {message}: at most {BATCH_MAX} requests can be in one batch\n")
    for at, one in enumerate(wanted):
        where = f"{message}[{at}]" if operation == "batch_embed" else message
        if "content" not in one:
            raise refuse(f"* {where}.content: content is not specified\n")
        gemini_contents.parts(one["content"], f"{where}.content")
        one.update(one.pop("embedContentConfig", {}))
    contents = [one["content"] for one in wanted]
    count = tokens.count({"contents": contents})
    return Ask(
        operation,
        request.params["model"],
        tuple(Turn("user", gemini_contents.text_of(content)) for content in contents),
        input_tokens=count.total,
        body=Body({"requests": wanted}, request.headers, count),
    )
