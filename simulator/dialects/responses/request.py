"""Reads a Responses request: from bytes to an `Ask`, or to OpenAI's own complaint.

The JSON as sent stays in `Ask.body`, a `Body`, which also bears the whole conversation as items: those sent, and, once
the earlier response is known, those before them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from simulator.ask import Ask, Request, Turn
from simulator.dialects.openai import fields
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.request import parsed
from simulator.dialects.responses import fields as responses_fields
from simulator.dialects.responses import input
from simulator.dialects.responses import tools as responses_tools
from simulator.dialects.responses.ids import Reference
from simulator.dialects.responses.input import Item
from simulator.dialects.responses.tokens import prompt_tokens

FOREIGN_SEALS_HEADER: Final = "x-windtunnel-signatures"  # "any": encrypted content of another fleet or vendor is taken
SUMMARY_TOKENS: Final = 8192  # the most that reasoning takes when its summary is asked for
_ROLE: Final = {"developer": "system"}
_ABOUT: Final = frozenset({"retrieve", "delete", "cancel", "input_items"})  # operations on an earlier response


class Body(dict[str, Any]):
    """The JSON of a request as sent, the conversation it goes on with, and what its headers say.

    It bears one member more where an effort is asked for: `reasoning_effort`, the word of Chat Completions (which this
    wire refuses to be sent), so that one rule says how long a model thinks.
    """

    __slots__ = ("any_seal", "history", "query")

    def __init__(
        self, data: Mapping[str, Any], items: Sequence[Item] = (), *, any_seal: bool = False, query: str = ""
    ) -> None:
        super().__init__(data)
        self.history = tuple(items)
        self.any_seal = any_seal
        self.query = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
        effort = (data.get("reasoning") or {}).get("effort")
        if effort is not None:
            self["reasoning_effort"] = effort

    def includes(self, what: str) -> bool:
        """Whether something is asked for that does not come by itself."""
        return what in (self.get("include") or ())


def conversation(ask: Ask) -> tuple[Item, ...]:
    """The whole conversation of a request, as items."""
    return ask.body.history if isinstance(ask.body, Body) else ()


def decode(request: Request, operation: str) -> Ask:
    """The request as an `Ask`. Raises Refused."""
    if operation in _ABOUT:
        body = Body({}, query=request.query)
        needs = _reference(request.params["id"], operation, "response_id", request.facts)
        return Ask(operation, "", body=body, needs=needs, stream=_wants_stream(body))
    data = parsed(request.body)
    responses_fields.check(data)
    items = input.items(data.get("input"))
    body = Body(data, items, any_seal=request.headers.get(FOREIGN_SEALS_HEADER) == "any")
    earlier = data.get("previous_response_id")
    if earlier is not None:
        needs = _reference(earlier, operation, "previous_response_id", request.facts)
        return _ask(body, operation, needs, request.facts)
    if operation == "generate":
        input.check_pairs(items)
        _says_json(body)
    return _ask(body, operation, "", request.facts)


def resumed(ask: Ask, earlier: Sequence[Item]) -> Ask:
    """The request with the items of the response it goes on from before its own. Raises Refused."""
    body = ask.body
    if not isinstance(body, Body):
        return ask
    items = (*earlier, *body.history)
    if ask.operation == "generate":
        input.check_pairs(items)
    whole = Body(body, items, any_seal=body.any_seal)
    return _ask(whole, ask.operation, ask.needs, {"stores": ask.keep})


def _wants_stream(body: Body) -> bool:
    return body.query.get("stream") == "true"


def _reference(response: str, operation: str, where: str, facts: Mapping[str, Any]) -> Reference:
    """The nonce of an earlier response. Raises Refused when its id does not even look like one."""
    if "response_id" not in facts:
        responses_fields.identifier("resp")(response, where)
    return Reference.to(response, operation, facts)


def _ask(body: Body, operation: str, needs: str, facts: Mapping[str, Any]) -> Ask:
    """What a valid body asks for."""
    input_tokens, cached_tokens = prompt_tokens(body, body.history)
    form = (body.get("text") or {}).get("format") or {"type": "text"}
    generates = operation == "generate"
    return Ask(
        operation=operation,
        model=body["model"],
        turns=_turns(body),
        stream=generates and bool(body.get("stream")),
        max_tokens=body.get("max_output_tokens"),
        tools=responses_tools.offered(body),
        tool_choice=responses_tools.choice_of(body),
        parallel_tools=body.get("parallel_tool_calls") is not False,
        schema=None if form["type"] == "text" else form.get("schema") or {},
        thinking_tokens=SUMMARY_TOKENS if _shows_reasoning(body) else 0,
        input_tokens=input_tokens,
        cached_tokens=cached_tokens,
        body=body,
        keep=generates and body.get("store") is not False and facts.get("stores", True),
        needs=needs,
    )


def _shows_reasoning(body: Mapping[str, Any]) -> bool:
    asked = body.get("reasoning") or {}
    return bool(asked.get("summary") or asked.get("generate_summary")) and asked.get("effort") != "none"


def _turns(body: Body) -> tuple[Turn, ...]:
    first = [Turn("system", body["instructions"])] if body.get("instructions") else []
    return (*first, *(_turn(item) for item in body.history))


def _turn(item: Item) -> Turn:
    """One item as a turn of the conversation."""
    kind = item["type"]
    if kind == "message":
        role = item["role"]
        return Turn(str(_ROLE.get(role, role)), _text(item["content"]), images=_images(item["content"]))
    if kind in input.OUTPUTS:
        output = item.get("output")
        return Turn("tool", _text(output), tool_results=1, images=_images(output))
    return Turn("assistant", "")


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part["text"]) for part in parts if isinstance(part, dict) and part.get("text"))


def _images(content: Any) -> int:
    parts = content if isinstance(content, list) else []
    return sum(isinstance(part, dict) and part.get("type") == "input_image" for part in parts)


def _says_json(body: Body) -> None:
    """A request for any JSON must speak of it."""
    form = (body.get("text") or {}).get("format") or {}
    said = (item.get("content", item.get("output")) for item in body.history)
    if form.get("type") == "json_object" and not any("json" in _text(content).lower() for content in said):
        raise refuse(
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
            "'json_object'.",
            "input",
        )


def number(body: Body, name: str, low: int, high: int | None, default: int) -> int:
    """A number of the query. Raises Refused."""
    raw = body.query.get(name)
    if raw is None:
        return default
    if not raw.lstrip("-").isdecimal():
        raise fields.wrong_type(name, "an integer", raw)
    fields.integer(low, high)(int(raw), name)
    return int(raw)
