"""How a mutant replaces one behaviour: by name, on the module or class that looks it up at each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any

import orjson

from gateway.exchange import Exchange
from gateway.sse import Event
from gateway.upstreams.anthropic_messages import MessagesReader
from gateway.upstreams.gemini_generate import GenerateReader
from gateway.upstreams.openai_chat import ChatReader
from gateway.upstreams.openai_responses import ResponsesReader
from gateway.wires.chat import ChatWire
from gateway.wires.gemini import GenerateWire
from gateway.wires.messages import MessagesWire
from gateway.wires.responses import ResponsesWire

Edit = Callable[[dict[str, Any]], dict[str, Any]]
WIRES: tuple[type[ChatWire] | type[MessagesWire], ...] = (ChatWire, MessagesWire)
READERS: Mapping[type[Any], type[Any]] = {
    ChatWire: ChatReader,
    MessagesWire: MessagesReader,
    ResponsesWire: ResponsesReader,
    GenerateWire: GenerateReader,
}


def replace(owner: Any, name: str, value: Any) -> Any:
    """Put `value` in place of `owner.name`; the old one. Raises AttributeError when there is nothing to replace."""
    old = getattr(owner, name)
    setattr(owner, name, value)
    return old


def around(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:
    """Decorator: the function gets the old `owner.name` as its first argument, then what that one gets."""

    def decorate(new: Callable[..., Any]) -> None:
        old = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return new(old, *args, **kwargs)

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await new(old, *args, **kwargs)

        setattr(owner, name, call_async if iscoroutinefunction(new) else call)

    return decorate


def edit_heads(edit: Callable[[list[Any]], list[Any]]) -> None:
    """Every response goes out with the headers, pairs of bytes, that `edit` makes of its own."""

    @around(Exchange, "__init__")
    def init(old: Any, self: Exchange, scope: Any, receive: Any, send: Any, *rest: Any) -> None:
        async def edited(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": edit(list(message["headers"]))}
            await send(message)

        old(self, scope, receive, edited, *rest)


def edit_request(edit: Edit, wires: tuple[type[Any], ...] = WIRES) -> None:
    """Every request body goes to the upstream as `edit` makes it."""
    for wire in wires:

        @around(wire, "upstream_body")
        def upstream_body(old: Any, *args: Any) -> bytes:
            return orjson.dumps(edit(orjson.loads(old(*args))))


def edit_events(edit: Edit, wires: tuple[type[Any], ...] = WIRES) -> None:
    """Every JSON event of an upstream's stream is read and relayed as `edit` makes it."""
    for wire in wires:

        @around(READERS[wire], "read")
        def read(old: Any, reader: Any, event: Event) -> Any:
            try:
                value = orjson.loads(event.data)
            except ValueError:
                return old(reader, event)
            data = orjson.dumps(edit(value)) if isinstance(value, dict) else event.data
            return old(reader, Event(event.name, data))


def edit_wholes(edit: Edit, wires: tuple[type[Any], ...] = WIRES) -> None:
    """Every JSON reply of an upstream is read and passed on as `edit` makes it."""
    for wire in wires:

        @around(wire, "read_whole")
        def read_whole(old: Any, wire_: Any, body: bytes) -> Any:
            try:
                value = orjson.loads(body)
            except ValueError:
                return old(wire_, body)
            return old(wire_, orjson.dumps(edit(value)) if isinstance(value, dict) else body)


def edit_answers(edit: Edit, wires: tuple[type[Any], ...] = WIRES) -> None:
    """Both: streamed events and whole replies."""
    edit_events(edit, wires)
    edit_wholes(edit, wires)


def edit_frames(edit: Callable[[Any, bytes], bytes], wires: tuple[type[Any], ...] = WIRES) -> None:
    """What is sent to the client for each event is what `edit(reader, frame)` makes of it."""
    for wire in wires:
        old = READERS[wire].frame

        def frame(reader: Any, old: Any = old) -> bytes:
            return edit(reader, old.fget(reader))

        setattr(READERS[wire], "frame", property(frame))  # noqa: B010 - mypy knows it as read-only
