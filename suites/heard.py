"""What a client understood of a reply, the same for both wires and for JSON and streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Call:
    """A tool call as the client got it."""

    id: str
    name: str
    arguments: str  # JSON text; pieces of a stream joined
    index: int = 0  # as the wire numbers it


@dataclass(frozen=True, slots=True)
class Told:
    """Usage as the reply tells it. `input_tokens` includes what came from or went to a cache."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(slots=True)
class Heard:
    """The content of one reply."""

    id: str = ""
    model: str = ""
    texts: dict[int, str] = field(default_factory=dict)  # by choice
    thinking: str = ""
    refusal: str = ""
    signatures: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    stops: dict[int, str] = field(default_factory=dict)  # by choice, in the wire's own word
    stop_sequence: str | None = None
    usage: Told | None = None
    usages: int = 0  # how often a stream told usage
    blocks: list[dict[str, Any]] = field(default_factory=list)  # Anthropic content, streamed pieces joined
    error: tuple[str, str] | None = None  # type and message, from the body or from inside the stream
    terminals: int = 0  # [DONE] or message_stop
    starts: int = 0  # role chunks of choice 0, or message_start
    pings: int = 0  # keepalives of any form
    after_terminal: int = 0  # events after the terminal one
    deltas: list[float] = field(default_factory=list)  # arrival of each piece of content

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.texts.get(0, "")

    @property
    def stop(self) -> str | None:
        """Why the first choice stopped."""
        return self.stops.get(0)

    @property
    def delivered(self) -> str:
        """Everything that counts as output: text, refusal, thinking and tool arguments."""
        return (
            "".join(self.texts.values()) + self.refusal + self.thinking + "".join(call.arguments for call in self.calls)
        )
