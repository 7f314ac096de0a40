"""Everything that can go wrong, by name: `FAULTS` is filled by importing the modules that define the kinds."""

from __future__ import annotations

from simulator.faults import (
    body,
    chunks,
    compression,
    connection,
    content,
    content_types,
    cut_stream,
    deltas,
    downloads,
    envelopes,
    error_shapes,
    errors,
    finishes,
    framing,
    gate,
    generations,
    job_polls,
    job_webhooks,
    jobs,
    keepalives,
    latency,
    modes,
    nearly,
    noop,
    padding,
    reasoning,
    refusals,
    responses,
    retry_hints,
    segments,
    slow,
    stall,
    status,
    terminals,
    tool_arguments,
    tools,
    usage,
    usage_places,
)
from simulator.faults.base import FAULTS, Fault, Flaw, Flawed, Scene

FAMILIES = {
    "Refusals": (status, refusals, error_shapes, retry_hints),
    "Content": (content, nearly),
    "Time": (latency, stall, gate),
    "Connection": (connection, cut_stream, slow),
    "Body": (body, content_types, compression, errors),
    "Usage": (usage, usage_places),
    "Chunks": (chunks, finishes, envelopes, reasoning, deltas),
    "Tool calls": (tools, tool_arguments),
    "Generations": (generations,),
    "Jobs": (jobs, job_polls, job_webhooks, downloads),
    "Framing": (framing, keepalives, terminals, padding, segments),
    "Mode": (modes, responses),
    "Nothing": (noop,),
}

__all__ = ["FAMILIES", "FAULTS", "Fault", "Flaw", "Flawed", "Scene"]
