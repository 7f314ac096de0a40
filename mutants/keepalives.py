"""Keepalives that do not come, or that no client can read."""

from __future__ import annotations

from typing import Any

from gateway import edge, relay
from gateway.wires.chat import ChatWire
from gateway.wires.messages import MessagesWire
from mutants._patch import around, replace
from mutants.registry import mutant


@mutant()
def keepalives_never_sent() -> None:
    """A silent stream stays silent."""

    async def keepalive(self: relay.StreamAnswer) -> None:
        self._written_at = edge.monotonic()

    replace(relay.StreamAnswer, "keepalive", keepalive)


@mutant()
def keepalives_only_after_first_event() -> None:
    """A stream is kept alive only once the upstream has begun to answer."""

    @around(relay.StreamAnswer, "keepalive")
    async def keepalive(old: Any, self: relay.StreamAnswer) -> None:
        if self.committed:
            await old(self)
        else:
            self._written_at = edge.monotonic()


@mutant()
def keepalive_as_comment_on_messages() -> None:
    """Messages streams are kept alive by comments instead of pings."""
    replace(MessagesWire, "keepalive", b": keepalive\n\n")


@mutant("GD-096")
def keepalive_as_bare_event() -> None:
    """Chat streams are kept alive by an event without data."""
    replace(ChatWire, "keepalive", b"event: keepalive\n\n")


@mutant()
def keepalive_as_data() -> None:
    """Chat streams are kept alive by data that is no chunk."""
    replace(ChatWire, "keepalive", b'data: {"type": "ping"}\n\n')
