"""Connections that break or never answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import silent, stop_after
from simulator.script import Ending, Script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Fault):
    """Reset the connection (RST): before any byte, after the head, or within the body."""

    kind: ClassVar[str] = "reset"
    when: str = options.one_of(
        "before_headers", ("before_headers", "after_headers"), about="an `after_…` option implies after_headers"
    )
    after_frames: int | None = options.whole(None, about="content frames sent before it")
    after_bytes: int | None = options.whole(None, about="bytes of the body sent before it")

    def __post_init__(self) -> None:
        if self.after_frames is not None and self.after_bytes is not None:
            raise ValueError("after_frames or after_bytes, not both")

    def script(self, script: Script, _: Scene) -> Script:
        if self.when == "before_headers" and self.after_frames is None and self.after_bytes is None:
            return silent(script, Ending.RESET)
        return stop_after(script, Ending.RESET, self.after_frames or 0, self.after_bytes)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(Fault):
    """Refuse the connection: RST at once, as from a host where nothing listens.

    The fleet's port is shared, so TCP has been accepted by then; to the client it is a connection error without a byte.
    """

    kind: ClassVar[str] = "refuse"

    def script(self, script: Script, _: Scene) -> Script:
        return silent(replace(script, head_due_ms=0.0), Ending.RESET)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Hang(Fault):
    """Accept the request and never answer; the socket stays open until the peer closes it."""

    kind: ClassVar[str] = "hang"

    def script(self, script: Script, _: Scene) -> Script:
        return silent(script, Ending.STALL)
