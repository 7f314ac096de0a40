"""Responses that are read, numbered, ended or charged wrongly."""

from __future__ import annotations

from typing import Any

import orjson

from gateway import admission, counts, sse
from gateway.chain import Failure
from gateway.errors import UnknownModel
from gateway.kept_responses import KeptResponses
from gateway.upstreams import openai_responses
from gateway.upstreams.problems import broken
from gateway.wires.responses import ResponsesWire
from mutants._edits import without
from mutants._patch import around, edit_events, edit_frames, edit_request, replace
from mutants.failover import stop_chain
from mutants.registry import mutant

RESPONSES = (ResponsesWire,)


def edit_read(edit: Any) -> None:
    """Every event of an upstream's stream is read as `edit` makes it."""
    edit_events(edit, RESPONSES)


def edit_shown(edit: Any) -> None:
    """What is sent to the client for each event is what `edit(reader, frame)` makes of it."""
    edit_frames(edit, RESPONSES)


@mutant()
def responses_delta_trimmed() -> None:
    """Blanks at the ends of what the upstream says are trimmed."""

    def trim(told: dict[str, Any]) -> dict[str, Any]:
        delta = told.get("delta")
        return {**told, "delta": delta.strip()} if isinstance(delta, str) else told

    edit_read(trim)


@mutant("GD-135")
def responses_number_constant_on_one_event() -> None:
    """One kind of event always has the number 0."""
    fixed = "response.content_part.added"
    edit_read(lambda told: {**told, "sequence_number": 0} if told.get("type") == fixed else told)


@mutant("GD-134")
def responses_events_dropped_leave_gaps() -> None:
    """Events that carry nothing are dropped, and the others keep their numbers."""
    edit_shown(lambda reader, frame: b"" if reader._kind == b"response.in_progress" else frame)


@mutant("GD-130")
def responses_created_not_first() -> None:
    """A made-up event comes before response.created."""
    limits = b'{"type":"codex.rate_limits","sequence_number":0}'
    early = sse.frame(limits, b"codex.rate_limits")
    edit_shown(lambda reader, frame: early + frame if reader._kind == b"response.created" else frame)


@mutant("GD-131")
def responses_end_without_terminal() -> None:
    """When the upstream dies in the middle of an answer, the stream just ends."""
    replace(ResponsesWire, "error_frame", lambda _self, _message: b"")


@mutant("GD-136")
def responses_failure_numbers_repeat() -> None:
    """The events that end a failed stream have the same number."""

    @around(ResponsesWire, "error_frame")
    def error_frame(old: Any, self: ResponsesWire, message: str) -> bytes:
        frames: bytes = old(self, message)
        events = sse.Parser().feed(frames)
        number = orjson.loads(events[0].data)["sequence_number"]
        same = [{**orjson.loads(event.data), "sequence_number": number} for event in events]
        return b"".join(sse.frame(orjson.dumps(one), one["type"].encode()) for one in same)


@mutant("GD-133")
def responses_error_event_relayed_alone() -> None:
    """A failure in the middle is told by an error event that clients pass over, and nothing more."""

    @around(ResponsesWire, "error_frame")
    def error_frame(old: Any, self: ResponsesWire, message: str) -> bytes:
        frames: bytes = old(self, message)
        first = sse.Parser().feed(frames)[0]
        return sse.frame(first.data, first.name)


@mutant()
def responses_reasoning_added_to_output() -> None:
    """A response's reasoning tokens are added to its output, which includes them."""

    @around(openai_responses, "read_usage")
    def read_usage(old: Any, usage: Any, told: Any) -> None:
        old(usage, told)
        if told.output_tokens is not None:
            told.output_tokens += told.reasoning_tokens


@mutant("GD-138")
def responses_usage_of_stream_lost() -> None:
    """The usage of a streamed response is not read; an estimate is charged."""

    def lost(told: dict[str, Any]) -> dict[str, Any]:
        response = told.get("response")
        return {**told, "response": without("usage")(response)} if isinstance(response, dict) else told

    edit_read(lost)


@mutant("GD-137")
def responses_usage_details_missing() -> None:
    """A usage that the upstream did not tell is told without its details."""
    bare = without("input_tokens_details", "output_tokens_details")

    @around(counts, "responses")
    def responses_(old: Any, usage: Any) -> dict[str, Any]:
        return bare(old(usage))


@mutant("GD-132")
def responses_nested_tool_types_lost() -> None:
    """Tools within tools lose their type."""

    def flatten(body: dict[str, Any]) -> dict[str, Any]:
        tools = [
            {**tool, "tools": [without("type")(one) for one in tool["tools"]]} if "tools" in tool else tool
            for tool in body.get("tools") or ()
        ]
        return {**body, "tools": tools} if "tools" in body else body

    edit_request(flatten, RESPONSES)


@mutant()
def responses_unknown_fields_dropped() -> None:
    """Parameters that the gateway does not know are dropped."""
    known = ("model", "input", "stream", "instructions", "tools", "tool_choice", "previous_response_id",
             "max_output_tokens", "reasoning", "text", "include", "store")  # fmt: skip
    edit_request(lambda body: {name: body[name] for name in known if name in body}, RESPONSES)


@mutant()
def anthropic_on_responses_not_found() -> None:
    """An Anthropic model on Responses is said not to exist."""

    @around(admission, "find_model")
    def find_model(old: Any, name: str, wire: Any) -> Any:
        if wire.name == "responses" and name.startswith("claude"):
            raise UnknownModel(f"There is no model {name!r}.", admission.available_models())
        return old(name, wire)


@mutant()
def responses_unasked_stream_refused() -> None:
    """An upstream that streams though it was not asked to is taken for broken."""

    def refuse(_self: ResponsesWire, _stream: bytes) -> Failure:
        return broken("the upstream sent a stream")

    replace(ResponsesWire, "assemble", refuse)


@mutant()
def responses_whole_for_stream_relayed() -> None:
    """A whole response in place of a stream is passed on as one event of no kind."""
    replace(ResponsesWire, "disassemble", lambda _self, whole: b"data: " + whole.body + b"\n\n")


@mutant()
def responses_kept_for_everybody() -> None:
    """Whoever knows the id of a response may go on from it."""

    @around(KeptResponses, "find")
    def find(old: Any, self: KeptResponses, response_id: str, user_id: str, now_s: int) -> Any:
        kept = self._responses.get(response_id)
        return old(self, response_id, user_id if kept is None else kept.user_id, now_s)


@mutant()
def responses_previous_id_dropped() -> None:
    """The response that a request goes on from does not reach the upstream."""
    edit_request(without("previous_response_id"), RESPONSES)


@mutant()
def responses_never_fails_over() -> None:
    """A target of Responses that fails is the last one asked."""

    stop_chain(lambda call, _failure: call.wire.name == "responses")
