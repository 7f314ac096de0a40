"""Connections that break or never answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import breaks, options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.breaks import Break, silent
from simulator.script import Ending, Script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Break):
    """Reset the connection (RST): before any byte, within the head, after it, or within the body."""

    kind: ClassVar[str] = "reset"
    ending: ClassVar[Ending] = Ending.RESET
    when: str = options.one_of("before_headers", breaks.WHEN, about=breaks.ABOUT_WHEN)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(Fault):
    """Refuse the connection: RST at once, as from a host where nothing listens.

    The fleet's port is shared, so TCP was accepted and the request read by then; to the client it is a connection error
    without a byte.
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
