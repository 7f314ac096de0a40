"""From the bytes of an Anthropic request to an `Ask`.

What the model decides on is in the Ask's own fields; the JSON as sent stays in `Ask.body`, a `Body`, which also bears
what came in headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from simulator.ask import Ask, Request, Tool
from simulator.dialects.anthropic import content as anthropic_content
from simulator.dialects.anthropic import fields as anthropic_fields
from simulator.dialects.anthropic import images, tokens
from simulator.dialects.anthropic.problems import MAX_BODY_BYTES, refuse
from simulator.problem import Problem, Refused

VERSIONS: Final = ("2023-01-01", "2023-06-01", anthropic_fields.VERSION_WITHOUT_SAMPLING)
FOREIGN_SIGNATURES_HEADER: Final = (
    "x-windtunnel-signatures"  # "any": thinking that another fleet or vendor signed is taken
)
THREADS_BETA: Final = "message-threads-"
OF_THE_THREAD: Final = ("system", "tools")  # what a thread keeps of its first request
_MESSAGE_ID: Final = re.compile(r"msg_01([A-Za-z0-9]{22})")
ADAPTIVE_TOKENS: Final = 8192  # the most that adaptive thinking uses here, where max_tokens leaves room for it

# Tools that the client runs but whose schema the model knows by heart: the arguments that a call of each bears.
CLIENT_TOOLS: Final[Mapping[str, Mapping[str, Any]]] = {
    "bash": {"command": {"const": "ls -la"}},
    "computer": {"action": {"const": "screenshot"}},
    "memory": {"command": {"const": "view"}, "path": {"const": "/memories"}},
    "text_editor": {"command": {"const": "view"}, "path": {"const": "/repo"}},
}


class Body(dict[str, Any]):
    """The JSON of a request as sent, and what its headers say of it."""

    __slots__ = ("any_signature", "betas", "version")

    def __init__(self, data: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(data)
        self.version = headers.get("anthropic-version", "")
        self.betas = frozenset(beta.strip() for beta in headers.get("anthropic-beta", "").split(",") if beta.strip())
        self.any_signature = headers.get(FOREIGN_SIGNATURES_HEADER) == "any"

    def has_beta(self, prefix: str) -> bool:
        """Whether a beta whose name starts so is switched on."""
        return any(beta.startswith(prefix) for beta in self.betas)

    def over(self, fields: Mapping[str, Any]) -> Body:
        """The same request with these fields in place of its own; None takes one away."""
        made = Body({name: value for name, value in {**self, **fields}.items() if value is not None}, {})
        made.version, made.betas, made.any_signature = self.version, self.betas, self.any_signature
        return made


def version(headers: Mapping[str, str]) -> str:
    """The API version asked for. Raises Refused when the header is missing or names none."""
    value = headers.get("anthropic-version")
    if value is None:
        raise refuse("anthropic-version: header is required")
    if value not in VERSIONS:
        raise refuse(f'anthropic-version: "{value}" is not a valid API version')
    return value


def parsed(request: Request) -> dict[str, Any]:
    """The body as an object, at most 254 levels deep and 32 MB long. Raises Refused."""
    if len(request.body) > MAX_BODY_BYTES:
        raise Refused(Problem("too_large"))
    try:
        data = orjson.loads(request.body)
        orjson.dumps(data)  # refuses what is nested too deep for those who read it later
    except ValueError as error:
        raise Refused(Problem("bad_json", f"The request body is not valid JSON: {error}")) from None
    except TypeError:
        raise refuse("The request body is nested too deeply") from None
    if not isinstance(data, dict):
        raise refuse("Input should be a valid dictionary or object to extract fields from")
    return data


def decode(request: Request, operation: str) -> Ask:
    """The Ask of a request for an answer or for a token count. Raises Refused."""
    api_version = version(request.headers)
    data = parsed(request)
    counting = operation == "count_tokens"
    anthropic_fields.fields(
        data, anthropic_fields.COUNT_FIELDS if counting else anthropic_fields.GENERATE_FIELDS, api_version
    )
    body = Body(data, request.headers)
    if counting or data.get("thread") is None or not request.facts.get("threads", True):
        return understood(body, operation)
    if not body.has_beta(THREADS_BETA):
        raise refuse(f"thread: {anthropic_fields.EXTRA}")
    if data["thread"]["type"] == "create":
        return understood(body, operation)._replace(keep=True)
    return _continuing(body)


def _continuing(body: Body) -> Ask:
    """The Ask of a request that brings only what is new to a conversation; the rest is known once that is found."""
    for name in OF_THE_THREAD:
        if body.get(name) is not None:
            raise refuse(f"{name}: may not be sent when `thread` is continued, which keeps the one it was created with")
    if "messages" not in body:
        raise refuse("messages: Field required")
    anthropic_content.messages(body["messages"], body.version)
    previous = body["thread"]["previous_message_id"]
    named = _MESSAGE_ID.fullmatch(previous)
    if named is None:
        raise Refused(Problem("not_kept", param=previous))
    new, stream = anthropic_content.turns(body), body.get("stream") or False
    return Ask("generate", body["model"], new, stream, body=body, keep=True, needs=named[1])


def understood(data: Body, operation: str) -> Ask:
    """The Ask of a whole conversation whose fields were looked at. Raises Refused."""
    counting = operation == "count_tokens"
    if data.get("system") is not None:
        anthropic_content.system(data["system"])
    if "messages" not in data:
        raise refuse("messages: Field required")
    anthropic_content.messages(data["messages"], data.version)
    images.check(data["messages"])
    _thinking_fits(data, counting)
    tools = _tools(data.get("tools") or ())
    tool_choice, parallel = _tool_choice(data.get("tool_choice") or {}, tools)
    used = tokens.count(data)
    return Ask(
        operation=operation,
        model=data["model"],
        turns=anthropic_content.turns(data),
        stream=data.get("stream") or False,
        max_tokens=data.get("max_tokens"),
        stop=tuple(data.get("stop_sequences") or ()),
        tools=tools,
        tool_choice=tool_choice,
        parallel_tools=parallel,
        schema=_schema(data),
        thinking_tokens=_thinking_tokens(data),
        effort=(data.get("output_config") or {}).get("effort") or "",
        input_tokens=used.total,
        cached_tokens=used.cached,
        cache_write_tokens=used.written,
        body=data,
    )


def _tools(tools: Any) -> tuple[Tool, ...]:
    out: list[Tool] = []
    for tool in tools:
        kind = tool.get("type") or "custom"
        client = next((known for known in CLIENT_TOOLS if kind.startswith(f"{known}_")), None)
        if kind == "custom":
            out.append(Tool(tool["name"], tool["input_schema"]))
        elif client is not None:
            properties = CLIENT_TOOLS[client]
            schema = {"type": "object", "properties": properties, "required": list(properties)}
            out.append(Tool(tool["name"], schema))
        else:
            out.append(Tool(tool.get("name", kind), {}, kind))
    return tuple(out)


def _tool_choice(choice: Mapping[str, Any], tools: tuple[Tool, ...]) -> tuple[str, bool]:
    """What `tool_choice` asks for, and whether several calls at once are allowed."""
    parallel = not choice.get("disable_parallel_tool_use")
    kind = choice.get("type", "auto")
    if choice and kind != "none" and not tools:
        raise refuse("tool_choice: tool_choice may only be specified while providing tools")
    if kind == "tool":
        if all(tool.name != choice["name"] for tool in tools):
            raise refuse(f"Tool '{choice['name']}' not found in provided tools")
        return choice["name"], parallel
    return {"auto": "auto", "any": "required", "none": "none"}[kind], parallel


def _schema(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The JSON Schema that the answer's text must validate against."""
    form = (data.get("output_config") or {}).get("format") or data.get("output_format")
    return form["schema"] if form else None


def _thinking_tokens(data: Mapping[str, Any]) -> int:
    thinking = data.get("thinking") or {}
    match thinking.get("type"):
        case "enabled":
            budget: int = thinking["budget_tokens"]
            return budget
        case "adaptive" | "between_tools":
            return min(ADAPTIVE_TOKENS, max(1, (data.get("max_tokens") or ADAPTIVE_TOKENS) // 2))
        case _:
            return 0


_THINKING_DOCS: Final = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"


def _thinking_fits(data: Body, counting: bool) -> None:
    """The rules that thinking with a budget puts on the rest of the request."""
    thinking = data.get("thinking") or {}
    if thinking.get("type") != "enabled":
        return
    interleaved = data.has_beta("interleaved-thinking")
    if not counting:
        if thinking["budget_tokens"] >= data["max_tokens"] and not (interleaved and data.get("tools")):
            raise refuse(
                "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
                f"{_THINKING_DOCS}#max-tokens-and-context-window-size"
            )
        if data.version != anthropic_fields.VERSION_WITHOUT_SAMPLING:
            _sampling_fits(data)
        if (data.get("tool_choice") or {}).get("type") in ("any", "tool"):
            raise refuse("Thinking may not be enabled when tool_choice forces tool use.")
    _last_turn_thinks(data["messages"])


def _sampling_fits(data: Mapping[str, Any]) -> None:
    if data.get("temperature") not in (None, 1):
        raise refuse(
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at "
            f"{_THINKING_DOCS}#important-considerations-when-using-extended-thinking"
        )
    if data.get("top_k") is not None:
        raise refuse(
            f"`top_k` must be unset when thinking is enabled. Please consult our documentation at {_THINKING_DOCS}"
            "#important-considerations-when-using-extended-thinking"
        )


def _last_turn_thinks(messages: list[Mapping[str, Any]]) -> None:
    """A tool loop that goes on must begin with the thinking that led to it."""
    at = max((i for i, message in enumerate(messages) if message["role"] == "assistant"), default=None)
    if at is None or not any(anthropic_content.blocks(messages[at], "tool_use")):
        return
    content = messages[at]["content"]
    found = content[0]["type"]
    if found not in ("thinking", "redacted_thinking"):
        raise refuse(
            f"messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. "
            "When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the "
            "lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from "
            "previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at "
            f"{_THINKING_DOCS}"
        )
