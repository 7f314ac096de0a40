"""What can be asked about a response that is kept: itself, its events again, its input, that it stop or be forgotten.

A response in the background is a function of the time: queued for its first second, then in progress, then done. It
takes longer the more it says; one that was streamed is done at once, as its stream was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from simulator.answers.answer import Answer, Usage
from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai import headers as openai_headers
from simulator.dialects.openai.problems import refuse
from simulator.dialects.responses import items as responses_items
from simulator.dialects.responses import object, secrets
from simulator.dialects.responses import stream as responses_stream
from simulator.dialects.responses.ids import item_id, response_id
from simulator.dialects.responses.input import Item
from simulator.dialects.responses.object import Responses
from simulator.dialects.responses.problems import not_found
from simulator.dialects.responses.request import Body, conversation, number
from simulator.problem import Refused
from simulator.script import Frame, Script

QUEUED_S: Final = 1
TOKENS_PER_S: Final = 50
LIMIT: Final = (1, 100)
LIMIT_DEFAULT: Final = 20


def output(kept: Kept) -> list[responses_items.Item]:
    """What the response said."""
    answer = _answer(kept)
    return responses_items.written(answer, kept.ask, kept.profile, kept.serving)


def _answer(kept: Kept) -> Answer:
    if kept.answer is None:
        raise Refused(not_found(kept.ask.needs))
    return kept.answer.at(kept.serving.nonce, kept.serving.now_s)


def is_background(ask: Ask) -> bool:
    """Whether it was asked for in the background."""
    return bool(ask.body.get("background"))


def completed_s(ask: Ask, output_tokens: int, created_s: int) -> int:
    """When a response is done."""
    if not is_background(ask) or ask.stream:
        return created_s
    return created_s + QUEUED_S + 1 + output_tokens // TOKENS_PER_S


def status(kept: Kept, now_s: int) -> str:
    """The state of a response at a moment: cancelled, or what time made of it."""
    answer, created_s = _answer(kept), kept.serving.now_s
    done_s = completed_s(kept.ask, answer.usage.output_tokens, created_s)
    if is_background(kept.ask) and kept.cancelled_s is not None and kept.cancelled_s < done_s:
        return "cancelled"
    if now_s >= done_s:
        return object.status_of(answer)
    return "queued" if now_s < created_s + QUEUED_S else "in_progress"


def resume(ask: Ask, kept: Kept) -> tuple[Item, ...]:
    """The conversation up to and with the earlier response. Raises Refused when that cannot be done with it."""
    named = getattr(ask.needs, "response", "")
    if named != response_id(kept.serving):
        raise Refused(not_found(ask.needs))
    if ask.operation == "cancel" and not is_background(kept.ask):
        raise refuse("Cannot cancel a synchronous response.")
    if ask.operation == "retrieve" and ask.stream and not (is_background(kept.ask) and kept.ask.stream):
        said = "This response cannot be streamed because it was not created with background=true and stream=true."
        raise refuse(said, "stream")
    return (*conversation(kept.ask), *responses_items.as_input(output(kept)))


def retrieve(ask: Ask, serving: Serving, kept: Kept) -> Script:
    """The response as it is now, or its events again from one on."""
    answer, items = _answer(kept), output(kept)
    response = Responses(answer, kept.ask, kept.profile, kept.serving, items)
    done_s = completed_s(kept.ask, answer.usage.output_tokens, kept.serving.now_s)
    body = ask.body
    if ask.stream and isinstance(body, Body):
        after = number(body, "starting_after", 0, None, -1)
        frames = responses_stream.stream(response, items, kept.ask, kept.profile, kept.serving, done_s)
        headers = openai_headers.answer(answer.usage, kept.profile, serving, True)
        return Script(200, headers, frames[after + 1 :], stream=True)
    return _json(response.as_of(status(kept, serving.now_s), done_s), serving)


def cancel(ask: Ask, serving: Serving, kept: Kept) -> Script:  # noqa: ARG001
    """The response as it is once it is told to stop: what is done stays done."""
    answer, items = _answer(kept), output(kept)
    response = Responses(answer, kept.ask, kept.profile, kept.serving, items)
    now = status(kept, serving.now_s)
    if now in ("queued", "in_progress"):
        now = "cancelled"
    done_s = completed_s(kept.ask, answer.usage.output_tokens, kept.serving.now_s)
    return _json(response.as_of(now, done_s), serving)


def delete(ask: Ask, serving: Serving, kept: Kept) -> Script:  # noqa: ARG001
    """That it is forgotten."""
    return _json({"id": response_id(kept.serving), "object": "response", "deleted": True}, serving)


def input_items(ask: Ask, serving: Serving, kept: Kept) -> Script:
    """A page of what the response answered, the newest first unless asked otherwise."""
    body = ask.body if isinstance(ask.body, Body) else Body({})
    limit = number(body, "limit", *LIMIT, LIMIT_DEFAULT)
    order = body.query.get("order", "desc")
    if order not in ("asc", "desc"):
        said = f"Invalid value: '{order}'. Supported values are: 'asc' and 'desc'."
        raise refuse(said, "order", "invalid_value")
    rows = [listed(item, at, kept.serving) for at, item in enumerate(conversation(kept.ask))]
    rows = rows if order == "asc" else rows[::-1]
    after = body.query.get("after")
    if after is not None:
        at = next((at for at, row in enumerate(rows) if row["id"] == after), None)
        if at is None:
            raise refuse(f"Item with id '{after}' not found.", "after")
        rows = rows[at + 1 :]
    page = rows[:limit]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return _json({"object": "list", "data": page} | ends | {"has_more": len(rows) > limit}, serving)


def listed(item: Item, index: int, serving: Serving) -> dict[str, Any]:
    """An input item as it is told back: with an id, a status, and its text as a part."""
    kind = item["type"]
    prefix = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}.get(kind, "item")
    head = {"type": kind, "id": item.get("id") or item_id(prefix, 0x80 + index, serving)}
    if kind != "message":
        return head | {name: value for name, value in item.items() if name not in head}
    content = item["content"]
    if isinstance(content, str):
        spoken = item["role"] == "assistant"
        part: dict[str, Any] = {"type": "output_text", "annotations": [], "logprobs": [], "text": content}
        content = [part if spoken else {"type": "input_text", "text": content}]
    return head | {"status": "completed", "role": item["role"], "content": content}


def compact(ask: Ask, profile: Profile, serving: Serving) -> Script:
    """A conversation with its answers replaced by one item that stands for them."""
    items = conversation(ask)
    said = [(at, item) for at, item in enumerate(items) if item["type"] == "message" and item["role"] != "assistant"]
    kept = [listed(item, at, serving) for at, item in said]
    seal = secrets.seal(profile, serving.now_s, 2048, serving.seed, "compaction")
    summary = {"encrypted_content": seal, "id": item_id("cmp", 1, serving), "type": "compaction"}
    used = compaction_usage(ask)
    whole = {
        "id": response_id(serving),
        "object": "response.compaction",
        "created_at": serving.now_s,
        "output": [*kept, summary],
        "usage": object.usage(used, profile),
    }
    return _json(whole, serving, usage=used)


def compaction_usage(ask: Ask) -> Usage:
    """What a compaction costs: the conversation, and a summary of a tenth of it."""
    return Usage(ask.input_tokens, 64 + ask.input_tokens // 10, ask.cached_tokens)


def _json(content: Mapping[str, Any], serving: Serving, usage: Usage | None = None) -> Script:
    frames = (Frame(object.written(content, serving.facts), "body"),)
    return Script(200, plain_headers(serving), frames, usage=usage)


def plain_headers(serving: Serving) -> tuple[tuple[str, str], ...]:
    """Headers of a 200 that no model answered, in the vendor's form where it has one."""
    return openai_headers.native(serving) if "form" in serving.facts else openai_headers.plain(serving)


PERFORMED: Final[Mapping[str, Callable[[Ask, Serving, Kept], Script]]] = {
    "retrieve": retrieve,
    "cancel": cancel,
    "delete": delete,
    "input_items": input_items,
}
