"""Validation of a Messages request's system prompt and messages, and what they say to the model.

The rules that span messages are here too: a tool_use needs its tool_result in the next message, and the other way
round. Sentences are Anthropic's where a public issue or recording has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from simulator.ask import Turn
from simulator.dialects.anthropic.fields import (
    MESSAGES_MAX,
    VERSION_WITHOUT_SAMPLING,
    array,
    cache_control,
    dictionary,
    one_of,
    required,
    string,
    tagged,
)
from simulator.dialects.anthropic.problems import refuse
from simulator.problem import Refused

BLOCKS: Final = frozenset(
    [
        "text",
        "image",
        "document",
        "search_result",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "tool_result",
        "server_tool_use",
        "mcp_tool_use",
        "mcp_tool_result",
        "mcp_tool_listing",
        "container_upload",
        "compaction",
        "fallback",
        "tool_addition",
        "tool_removal",
        "advisor_tool_result",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
    ]
)
_RESULT_BLOCKS: Final = frozenset(["text", "image", "document", "search_result", "tool_reference"])
_IMAGE_SOURCES: Final = ("base64", "file", "url")
_DOCUMENT_SOURCES: Final = ("base64", "content", "file", "text", "url")
_ASSISTANT_ONLY: Final = frozenset({"tool_use", "thinking", "redacted_thinking", "server_tool_use", "mcp_tool_use"})


def system(value: Any) -> None:
    """The top-level system prompt: a string or text blocks."""
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise refuse("system: Input should be a valid string or list")
    for at, block in enumerate(value):
        tagged(block, f"system.{at}", ("text",))
        _text(block, f"system.{at}")


def messages(value: Any, version: str) -> None:
    """Every message and the pairing of tool calls and results."""
    array(value, "messages")
    if not value:
        raise refuse("messages: at least one message is required")
    if len(value) > MESSAGES_MAX:
        raise refuse(f"messages: List should have at most {MESSAGES_MAX} items after validation, not {len(value)}")
    for at, message in enumerate(value):
        _message(message, at, version, last=at == len(value) - 1)
    if value[0]["role"] == "assistant":
        raise refuse('messages: first message must use the "user" role')


def _message(message: Any, at: int, version: str, *, last: bool) -> None:
    where = f"messages.{at}"
    dictionary(message, where)
    required(message, "role", where, string)
    role = message["role"]
    if role == "system" and version != VERSION_WITHOUT_SAMPLING:
        raise refuse(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" '
            "as an input message role."
        )
    if role not in ("user", "assistant", "system"):
        raise refuse(f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant"')
    if message.get("content") is None:
        raise refuse(f"{where}.content: Field required")
    content = message["content"]
    if not isinstance(content, (str, list)):
        raise refuse(f"{where}.content: Input should be a valid list")
    if not content and not (last and role == "assistant"):
        raise refuse(
            f"{where}: all messages must have non-empty content except for the optional final assistant message"
        )
    if isinstance(content, str):
        if last and role == "assistant" and content != content.rstrip():
            raise refuse("messages: final assistant content cannot end with trailing whitespace")
        return
    for index, block in enumerate(content):
        _block(block, f"{where}.content.{index}", role, version)


def _block(block: Any, where: str, role: str, version: str) -> None:
    tag = tagged(block, where, BLOCKS)
    if tag in _ASSISTANT_ONLY and role != "assistant":
        raise refuse(f"{where.rsplit('.content', 1)[0]}: `{tag}` blocks can only be in `assistant` messages")
    if tag == "tool_result" and role != "user":
        raise refuse(f"{where.rsplit('.content', 1)[0]}: `tool_result` blocks can only be in `user` messages")
    if version == VERSION_WITHOUT_SAMPLING:
        if tag == "document" and role == "assistant":
            raise refuse(f"{where}.type: `document` blocks are not permitted in `assistant` messages")
        if tag == "text" and role == "user" and block.get("citations"):
            raise refuse(f"{where}.text.citations: Extra inputs are not permitted")
    if block.get("cache_control") is not None:
        cache_control(block["cache_control"], f"{where}.{tag}.cache_control")
    match tag:
        case "text":
            _text(block, where)
        case "image" | "document":
            _source(block, where, tag)
        case "thinking":
            required(block, "thinking", f"{where}.thinking", string)
            required(block, "signature", f"{where}.thinking", string)
        case "redacted_thinking":
            required(block, "data", f"{where}.redacted_thinking", string)
        case "tool_use":
            required(block, "id", f"{where}.tool_use", string)
            required(block, "name", f"{where}.tool_use", string)
            required(block, "input", f"{where}.tool_use", dictionary)
        case "tool_result":
            _tool_result(block, where)


def _text(block: Mapping[str, Any], where: str) -> None:
    required(block, "text", f"{where}.text", string)
    if not block["text"]:
        raise refuse(f"{where.split('.')[0]}: text content blocks must be non-empty")
    if block["text"].isspace():
        raise refuse(f"{where.split('.')[0]}: text content blocks must contain non-whitespace text")


def _source(block: Mapping[str, Any], where: str, tag: str) -> None:
    path = f"{where}.{tag}"
    required(block, "source", path, dictionary)
    source = block["source"]
    kind = tagged(source, f"{path}.source", _IMAGE_SOURCES if tag == "image" else _DOCUMENT_SOURCES)
    if kind == "base64":
        required(source, "data", f"{path}.source.base64", string)
        required(source, "media_type", f"{path}.source.base64", string)
        kinds = ("image/jpeg", "image/png", "image/gif", "image/webp") if tag == "image" else ("application/pdf",)
        one_of(*kinds)(source["media_type"], f"{path}.source.base64.media_type")
    if kind == "url":
        required(source, "url", f"{path}.source.url", string)


def _tool_result(block: Mapping[str, Any], where: str) -> None:
    required(block, "tool_use_id", f"{where}.tool_result", string)
    content = block.get("content")
    if content is None or isinstance(content, str):
        return
    array(content, f"{where}.tool_result.content")
    for at, inner in enumerate(content):
        path = f"{where}.tool_result.content.{at}"
        tag = tagged(inner, path, _RESULT_BLOCKS)
        if tag == "text":
            required(inner, "text", f"{path}.text", string)
        elif tag in ("image", "document"):
            _source(inner, path, tag)


def pairing(value: Sequence[Mapping[str, Any]]) -> None:
    """Each tool_use has its tool_result in the turn that follows, and no tool_result is without its tool_use."""
    if all(isinstance(message["content"], str) for message in value):
        return
    uses: list[str] = []  # ids called in the assistant turn before, and where it ends
    called_at = 0
    for role, run in groupby(enumerate(value), key=lambda item: item[1]["role"]):
        turn = list(run)
        results = [(at, i, b["tool_use_id"]) for at, m in turn for i, b in _indexed(m, "tool_result")]
        missing = [use for use in uses if use not in {result for _, _, result in results}]
        if missing:
            raise _unanswered(called_at, missing)
        for at, index, result in results:
            if result not in uses:
                raise refuse(
                    f"messages.{at}.content.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {result}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
        uses = [b["id"] for _, m in turn for b in blocks(m, "tool_use")] if role == "assistant" else []
        called_at = turn[-1][0]
    if uses:
        raise _unanswered(called_at, uses)


def _unanswered(at: int, uses: list[str]) -> Refused:
    return refuse(
        f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(uses)}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )


def blocks(message: Mapping[str, Any], *tags: str) -> Iterator[Mapping[str, Any]]:
    """The message's blocks of these types; a plain string is a text block."""
    for _, block in _indexed(message, *tags):
        yield block


def _indexed(message: Mapping[str, Any], *tags: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    content = message["content"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for at, block in enumerate(content):
        if block["type"] in tags:
            yield at, block


def turns(body: Mapping[str, Any]) -> tuple[Turn, ...]:
    """System prompt and messages as turns; consecutive turns of one role are merged, as the wire does."""
    out: list[Turn] = []
    prompt = body.get("system")
    if prompt:
        text = prompt if isinstance(prompt, str) else "\n".join(block["text"] for block in prompt)
        out.append(Turn("system", text))
    for message in body["messages"]:
        turn = _turn(message)
        if out and out[-1].role == turn.role != "system":
            before = out.pop()
            text = "\n".join(filter(None, (before.text, turn.text)))
            turn = Turn(turn.role, text, before.tool_results + turn.tool_results, before.images + turn.images)
        out.append(turn)
    return tuple(out)


def _turn(message: Mapping[str, Any]) -> Turn:
    texts: list[str] = []
    images = results = 0
    for block in blocks(message, "text", "image", "tool_result"):
        inner = block.get("content") if block["type"] == "tool_result" else None
        results += block["type"] == "tool_result"
        images += block["type"] == "image"
        if isinstance(inner, str):
            texts.append(inner)
        elif isinstance(inner, list):
            texts += [b["text"] for b in inner if b["type"] == "text"]
            images += sum(b["type"] == "image" for b in inner)
        elif block["type"] == "text":
            texts.append(block["text"])
    return Turn(message["role"], "\n".join(texts), results, images)
