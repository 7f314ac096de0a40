"""Everything that can go wrong, by name: `FAULTS` is filled by importing the modules that define the kinds."""

from __future__ import annotations

from simulator.faults import (
    body,
    connection,
    content,
    cut_stream,
    errors,
    framing,
    latency,
    noop,
    segments,
    stall,
    status,
    usage,
)
from simulator.faults.base import FAULTS, Fault, Flaw, Flawed, Scene

FAMILIES = {
    "Refusals": (status, content),
    "Time": (latency, stall),
    "Connection": (connection, cut_stream),
    "Body": (body, errors),
    "Usage": (usage,),
    "Framing": (framing, segments),
    "Nothing": (noop,),
}

__all__ = ["FAMILIES", "FAULTS", "Fault", "Flaw", "Flawed", "Scene"]
