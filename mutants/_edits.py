"""Edits of JSON bodies that several mutants are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.wires.chat import ChatWire
from gateway.wires.messages import MessagesWire
from mutants._patch import Edit

CHAT = (ChatWire,)
MESSAGES = (MessagesWire,)


def messages_of(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Edit:
    """An edit of a request that edits each of its messages."""
    return lambda body: {**body, "messages": [edit(m) for m in body.get("messages", ()) if isinstance(m, dict)]}


def blocks_of(keep: Callable[[dict[str, Any]], bool]) -> Edit:
    """An edit of a request that keeps, in messages whose content is a list, only some blocks."""

    def edit(message: dict[str, Any]) -> dict[str, Any]:
        content = message.get("content")
        if not isinstance(content, list):
            return message
        return {**message, "content": [b for b in content if not isinstance(b, dict) or keep(b)]}

    return messages_of(edit)


def without(*names: str) -> Edit:
    """An edit that drops members."""
    return lambda value: {name: part for name, part in value.items() if name not in names}


def deltas(edit: Edit) -> Edit:
    """An edit of a chat chunk, or of a whole completion, that edits each choice's delta or message."""

    def apply(chunk: dict[str, Any]) -> dict[str, Any]:
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return chunk
        return {**chunk, "choices": [{k: edit(v) if k in ("delta", "message") and isinstance(v, dict) else v
                                      for k, v in c.items()} for c in choices]}  # fmt: skip

    return apply


def choices(edit: Edit) -> Edit:
    """An edit of a chat chunk, or of a whole completion, that edits each choice."""

    def apply(chunk: dict[str, Any]) -> dict[str, Any]:
        found = chunk.get("choices")
        return {**chunk, "choices": [edit(c) for c in found]} if isinstance(found, list) else chunk

    return apply
