"""A reply that ends too early, by a clean FIN, without what HTTP and the wire still owe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.streams import stop_after
from simulator.script import Ending, Script


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class CutStream(Fault):
    """Close the connection (FIN) after some content frames: no terminal event, no last chunk.

    With fewer content frames than that, every frame leaves and only the last chunk is missing. A JSON body is cut
    in its middle.
    """

    kind: ClassVar[str] = "cut_stream"
    after_frames: int = options.whole(0, about="content frames sent before it; 0: only the head")
    after_bytes: int | None = options.whole(None, about="bytes of the body sent before it, instead")

    def script(self, script: Script, _: Scene) -> Script:
        return stop_after(script, Ending.CUT, self.after_frames, self.after_bytes)
