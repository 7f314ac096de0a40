"""Replies that depart from the published shape."""

from __future__ import annotations

from typing import Any

import orjson

from gateway import sse
from gateway.endpoints import models
from gateway.upstreams.reading import Told, Whole
from gateway.wires.chat import ChatWire
from gateway.wires.messages import CountWire, MessagesWire
from mutants._edits import CHAT, MESSAGES, without
from mutants._patch import around, edit_answers, edit_events, edit_frames, edit_wholes
from mutants.registry import mutant


@mutant()
def total_tokens_missing() -> None:
    """The usage of a completion lacks its total."""

    def bare(value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "usage": without("total_tokens")(value["usage"])} if value.get("usage") else value

    edit_wholes(bare, CHAT)


@mutant()
def chunk_object_wrong() -> None:
    """Chunks say that they are whole completions."""
    edit_events(lambda chunk: {**chunk, "object": "chat.completion"} if "object" in chunk else chunk, CHAT)


@mutant()
def message_type_missing() -> None:
    """A message does not say that it is one."""
    edit_wholes(without("type"), MESSAGES)


@mutant()
def event_line_missing() -> None:
    """Events of a Messages stream have no event line."""
    edit_frames(lambda reader, _frame: sse.frame(reader._data), (MessagesWire,))


@mutant()
def block_index_wrong() -> None:
    """The content blocks of a stream are counted from 1."""
    edit_events(lambda event: {**event, "index": event["index"] + 1} if "index" in event else event, MESSAGES)


@mutant()
def model_list_without_created() -> None:
    """Models in the list do not say when they were made."""

    @around(models, "entry")
    def entry(old: Any, model: Any) -> dict[str, Any]:
        return without("created")(old(model))


@mutant()
def token_count_renamed() -> None:
    """A token count goes by another name."""

    @around(CountWire, "read_whole")
    def read_whole(old: Any, self: CountWire, body: bytes) -> Any:
        answer = old(self, body)
        return (
            Whole(answer.body.replace(b"input_tokens", b"tokens"), Told(), 0) if isinstance(answer, Whole) else answer
        )


@mutant()
def usage_rewritten() -> None:
    """The usage told to the client is the gateway's own estimate, a quarter of the bytes."""

    def guess(value: dict[str, Any]) -> dict[str, Any]:
        usage = value.get("usage")
        if not isinstance(usage, dict):
            return value
        tokens = len(orjson.dumps(value)) // 4
        names = [name for name in usage if name.endswith("_tokens")]
        return {**value, "usage": {**usage, **dict.fromkeys(names, tokens)}}

    edit_answers(guess, (ChatWire, MessagesWire))
