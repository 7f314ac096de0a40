"""Requests held in flight together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.rules.gates import Hold
from simulator.script import Script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(Fault):
    """Hold the reply, its head included, at a gate until enough requests are there or the control API lets it go.

    `POST /__fleet/gates/{name}/release {"count": 2}` lets the first two go, `{"count": null}` opens the gate for good.
    The reply takes its own time from then on.
    """

    kind: ClassVar[str] = "gate"
    holds: ClassVar[bool] = True
    seen_at: ClassVar[str] = "synthetic"
    name: str = options.text("gate", about="of the gate; all who name it wait together")
    until: int | None = options.whole(None, low=1, about="opens the gate for good once so many are held")
    ttl_s: float = options.number(60.0, about="each passes after so many seconds, come what may")

    def script(self, script: Script, _: Scene) -> Script:
        return replace(script, holds=(*script.holds, Hold(self.name, self.until, self.ttl_s * 1000)))
