"""The OpenAI Responses wire: responses, and the counting of their tokens.

Source: api-reference#responses; wire reference, chapter 2; docs/decisions.md#kept-responses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from gateway import counts, edge, estimate, splice, sse
from gateway.billing import Bill
from gateway.body import check_object, flag, json_type, whole_number
from gateway.chain import Failure
from gateway.edge import Clock
from gateway.errors import InvalidRequest, shown
from gateway.kept_responses import KEEP_S, Kept, KeptResponses
from gateway.pricing import Usage
from gateway.translation.delta import Head, Writing
from gateway.upstreams import openai_chat, openai_responses
from gateway.upstreams.openai_responses import ResponsesReader
from gateway.upstreams.reading import StreamReader, Told, Whole
from gateway.wires.counting import Counting
from gateway.wires.wire import Wanted, Wire

if TYPE_CHECKING:
    from gateway.translation.responses.answer import Writing as ResponsesWriting
    from gateway.workers.responses import Found, SharedResponses

SELF_CONTAINED: Final = (None, "message", "function_call", "custom_tool_call")  # items whose id is looked up nowhere
STANDS_FOR_INPUT: Final = ("previous_response_id", "prompt")


class ResponsesWire(Wire):
    """Responses in, Responses out; one for each call, because it looks up and notes what is the caller's."""

    name = "responses"
    endpoint = "/v1/responses"
    dialect = "openai_responses"
    path = openai_responses.PATH
    keepalive = b": keepalive\n\n"
    terminal = b""
    looks_up = True

    def __init__(self, kept: KeptResponses, user_id: str, clock: Clock, shared: SharedResponses | None = None) -> None:
        self.kept = kept
        self.shared = shared  # where many workers keep them
        self.user_id = user_id
        self.clock = clock
        self.follower: ResponsesReader | ResponsesWriting | None = (
            None  # of the present attempt: what the client has seen
        )
        self.answer: Mapping[str, Any] = {}  # the whole response, where it did not come as a stream
        self.fields: Mapping[str, Any] = {}
        self.prior_tokens = 0

    def check(self, fields: Mapping[str, Any]) -> Wanted:
        check_input(fields)
        check_object(fields, "stream_options")
        flag(fields, "store")
        if flag(fields, "background"):
            raise InvalidRequest("`background` is not served: a response is answered and charged while you wait.")
        if fields.get("conversation") is not None:
            raise InvalidRequest("`conversation` is not served; go on with `previous_response_id`.")
        limit = whole_number(fields, "max_output_tokens", 1)
        self.fields = fields
        earlier = self.earlier(fields)
        targets = {kept.upstream for kept, _ in earlier}
        if len(targets) > 1:
            raise InvalidRequest("The request refers to responses that are kept by different upstreams.")
        self.prior_tokens = sum({id(kept): tokens for kept, tokens in earlier}.values())
        return Wanted(flag(fields, "stream"), limit, 1, next(iter(targets), None), self.prior_tokens)

    async def look_up(self, fields: Mapping[str, Any]) -> None:
        if self.shared is not None:
            previous = fields.get("previous_response_id")
            items = [item_id for item_id, _ in references(fields)] if objects_only(fields) else []
            self.kept = await self.shared.look([previous] if isinstance(previous, str) else [], items)

    async def noted(self) -> None:
        if self.shared is not None:
            await cast("Found", self.kept).written()

    def earlier(self, fields: Mapping[str, Any]) -> list[tuple[Kept, int]]:
        """The earlier responses that the request refers to, and the input tokens each brings. Raises InvalidRequest."""
        now_s = self.clock.now_s()
        found: list[tuple[Kept, int]] = []
        for item_id, is_needed in references(fields):
            kept = self.kept.holder(item_id, self.user_id, now_s)
            if kept is not None:
                found.append((kept, kept.output_tokens))
            elif is_needed or self.kept.is_known(item_id):
                raise InvalidRequest(f"Item with id '{shown(item_id)}' not found.")
        previous = text_or_none(fields, "previous_response_id")
        if previous is not None:
            kept = self.kept.find(previous, self.user_id, now_s)
            if kept is None:
                raise InvalidRequest(f"Previous response with id '{shown(previous)}' not found.")
            found.append((kept, kept.input_tokens + kept.output_tokens))
        return found

    def upstream_headers(self, key: str, caller: Mapping[bytes, bytes]) -> list[tuple[str, str]]:
        return openai_chat.headers(key, caller)

    def reader(self, _fields: Mapping[str, Any]) -> StreamReader:
        self.follower = reader = ResponsesReader()
        return reader

    def writing(self, head: Head) -> Writing:
        from gateway.translation.responses.answer import Writing as ResponsesWriting

        self.follower = writing = ResponsesWriting(head)
        return writing

    def with_usage(self, body: bytes, usage: Usage) -> bytes:
        return splice.set_member(body, "usage", orjson.dumps(counts.responses(usage)))

    def read_whole(self, body: bytes) -> Whole | Failure:
        response = openai_responses.read_object(body)
        if isinstance(response, Failure):
            return response
        self.answer = response
        return openai_responses.whole_of(response, openai_responses.without_end_mark(body))

    def assemble(self, stream: bytes) -> Whole | Failure:
        from gateway.upstreams import openai_responses_modes

        body = openai_responses_modes.assemble(stream)
        return body if isinstance(body, Failure) else self.read_whole(body)

    def disassemble(self, whole: Whole) -> bytes:
        from gateway.upstreams import openai_responses_modes

        return openai_responses_modes.disassemble(whole.body)

    def closing(self, reader: StreamReader | None, terminal: bytes, bill: Bill) -> bytes:
        """The last event; where the upstream told no usage, with the estimate that is charged."""
        if not bill.estimated or not isinstance(reader, ResponsesReader):
            return terminal
        (event,) = sse.Parser().feed(terminal)
        told = orjson.loads(event.data)
        response = {**reader.answer, "usage": counts.responses(bill.usage)}
        return sse.frame(orjson.dumps({**told, "response": response}), event.name)

    def won(self, upstream: str) -> None:
        """Notes the response for later requests, unless it was not to be stored."""
        follower = self.follower
        response = follower.answer if isinstance(follower, ResponsesReader) else self.answer
        response_id = response.get("id")
        if not isinstance(response_id, str) or self.fields.get("store") is False or response.get("store") is False:
            return
        told = Told()
        openai_responses.read_usage(response.get("usage"), told)
        input_tokens, output_tokens = told.input_tokens, told.output_tokens
        if input_tokens is None:
            input_tokens = self.prior_tokens + estimate.input_tokens(self.fields)
        if output_tokens is None:
            output_tokens = estimate.tokens(openai_responses.output_bytes(response))
        items = openai_responses.item_ids(response)
        until_s = self.clock.now_s() + KEEP_S
        self.kept.add(response_id, Kept(self.user_id, upstream, input_tokens, output_tokens, items, until_s))

    def error_frame(self, message: str) -> bytes:
        """`error`, then the response as failed, with the numbers that are due."""
        follower = self.follower
        seen = follower is not None and follower.shown
        number = follower.next_number if follower is not None and seen else 0
        began = follower.began if follower is not None and seen else {}
        problem = {"type": "api_error", "code": "server_error", "message": message, "param": None}
        error: dict[str, Any] = {"type": "error", "error": problem, "sequence_number": number}
        response = {**(began or self.unbegun()), "status": "failed"}
        response["error"] = {"code": "server_error", "message": message}
        failed: dict[str, Any] = {"type": "response.failed", "response": response, "sequence_number": number + 1}
        return b"".join(sse.frame(orjson.dumps(event), event["type"].encode()) for event in (error, failed))

    def unbegun(self) -> dict[str, Any]:
        """A response of which no upstream told anything."""
        head = {"id": f"resp_{edge.token(16)}", "object": "response", "created_at": self.clock.now_s()}
        tail = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "usage": None}
        return {**head, "incomplete_details": None, "model": self.fields.get("model"), "output": [], **tail}

    def mended(self, body: bytes, flaw: str) -> bytes:
        if flaw == "lost":
            return openai_responses.without_items(body, self.is_lost)
        return openai_responses.without_sealed_reasoning(body) if flaw == "sealed" else body

    def is_lost(self, item: Any) -> bool:
        """Whether an input item is reasoning that nobody keeps, as that of a translated response is."""
        if not isinstance(item, dict) or item.get("type") != "reasoning" or item.get("encrypted_content"):
            return False
        item_id = item.get("id")
        return not isinstance(item_id, str) or self.kept.holder(item_id, self.user_id, self.clock.now_s()) is None


class CountWire(Counting, ResponsesWire):
    """Token counting: a request in, a number out. Free, and counted against no limit."""

    endpoint = "/v1/responses/input_tokens"
    path = openai_responses.COUNT_PATH

    def check(self, fields: Mapping[str, Any]) -> Wanted:
        return replace(super().check(fields), stream=False, limit=0)

    def won(self, _upstream: str) -> None:
        """A count is not kept."""


def check_input(fields: Mapping[str, Any]) -> None:
    """`input`: a text or a list of one or more objects, unless something else stands for it. Raises InvalidRequest."""
    value = fields.get("input")
    if value is None:
        if not any(fields.get(name) is not None for name in STANDS_FOR_INPUT):
            raise InvalidRequest("`input` is missing; a string or an array was due.")
        return
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise InvalidRequest(f"`input` is {json_type(value)}; a string or an array was due.")
    if not value:
        raise InvalidRequest("`input` is empty; at least one item was due.")
    for number, item in enumerate(value):
        if not isinstance(item, dict):
            raise InvalidRequest(f"`input[{number}]` is {json_type(item)}; an object was due.")


def objects_only(fields: Mapping[str, Any]) -> bool:
    """Whether every item of `input` is an object, as it should be."""
    value = fields.get("input")
    return not isinstance(value, list) or all(isinstance(item, dict) for item in value)


def references(fields: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Ids of items that the upstream is to look up, and whether it cannot do without."""
    value = fields.get("input")
    for item in value if isinstance(value, list) else ():
        item_id, kind = item.get("id"), item.get("type")
        if not isinstance(item_id, str):
            continue
        if kind == "item_reference" or set(item) <= {"id", "type"}:
            yield item_id, True
        elif kind not in SELF_CONTAINED and not item.get("encrypted_content"):
            yield item_id, False


def text_or_none(fields: Mapping[str, Any], name: str) -> str | None:
    """A text that may be absent or null. Raises InvalidRequest."""
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"`{name}` is {json_type(value)}; a string was due.")
    return value
