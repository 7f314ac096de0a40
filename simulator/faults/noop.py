"""The fault that changes nothing: it only shows in the journal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.faults.base import FAULTS, Fault, Scene
from simulator.script import Script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class Noop(Fault):
    """Change nothing, and be listed in the journal: to see that a rule hits."""

    kind: ClassVar[str] = "noop"

    def script(self, script: Script, _: Scene) -> Script:
        return replace(script)
