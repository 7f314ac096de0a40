"""How late the fleet sends when it has many paced streams at once: by its own account and by its client's clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdrh.histogram import HdrHistogram

from loadtests import jsonhttp, processes
from loadtests.bench.client import Shot, Stream, cpu
from loadtests.bench.wires import Wire
from loadtests.errors import Unmeasurable

STREAMS = 1000
GAP_MS = 50  # 20 tokens a second
TOKENS = 100  # on Chat a token is a frame, so that a stream lasts five seconds; on other wires fewer and larger ones
P99_MS = 5.0  # what the fleet is held to
SPREAD_S = 1.0  # over which the streams begin


@dataclass(frozen=True, slots=True)
class Lateness:
    """Actual minus planned send time, in milliseconds."""

    wire: str
    streams: int
    tokens_s: float  # of one stream
    fleet: dict[str, float]  # frames, p50_ms, p99_ms, max_ms by the fleet's own account
    client: dict[str, float] | None  # as seen by the client, each stream from its own most punctual frame; Chat only
    fleet_cpu: float  # share of one core
    client_cpu: float


async def measure(folder: Path, wire: Wire, streams: int = STREAMS, tokens: int = TOKENS) -> Lateness:
    """Open the streams on a fleet of their own, spread over a second, and read every frame."""
    with processes.fleet(folder, name=f"paced-{wire.name}") as fleet:
        told = fleet.told["fleet"]
        provider = told["providers"][wire.provider]
        text = f"[[answer: tokens={tokens}]] [[fault: latency ttft_ms={GAP_MS} gap_ms={GAP_MS}]] Count slowly."
        url = provider["base_url"] + wire.url_path("sse")
        shot = Shot.post(url, wire.headers(provider["key"]), wire.body("sse", text))
        loop = asyncio.get_running_loop()
        before_s, client_before_s, started = fleet.cpu_s(), cpu(), time.perf_counter()
        opened: list[Stream] = []
        for i in range(streams):
            await asyncio.sleep(max(0.0, started + i * SPREAD_S / streams - time.perf_counter()))
            _, stream = await loop.create_connection(lambda: Stream(shot.data), shot.host, shot.port)
            opened.append(stream)
        await _ended(opened, tokens)
        wall_s = time.perf_counter() - started
        fleet_cpu, client_cpu = (fleet.cpu_s() - before_s) / wall_s, (cpu() - client_before_s) / wall_s
        by_fleet = await asyncio.to_thread(jsonhttp.call, "GET", f"{told['control_url']}/lateness")
    by_client = seen(opened, tokens) if wire.name == "chat" else None
    return Lateness(wire.name, streams, 1000 / GAP_MS, by_fleet, by_client, fleet_cpu, client_cpu)


async def _ended(opened: list[Stream], tokens: int) -> None:
    try:
        async with asyncio.timeout(3 * tokens * GAP_MS / 1000 + 10):
            for stream in opened:
                await stream.done.wait()
    except TimeoutError:
        left = sum(not stream.done.is_set() for stream in opened)
        raise Unmeasurable(f"{left} of {len(opened)} paced streams did not end in time") from None


def seen(opened: Iterable[Stream], tokens: int) -> dict[str, float]:
    """Lateness by the client's clock: each frame against the pace, from the stream's own most punctual frame."""
    histogram = HdrHistogram(1, 3_600_000_000, 3)
    for stream in opened:
        late = offsets(stream.arrivals, tokens)
        punctual = min(late, default=0.0)
        for each in late:
            histogram.record_value(max(1, round((each - punctual) * 1e6)))
    return summary(histogram)


def offsets(arrivals: list[tuple[int, float]], tokens: int) -> list[float]:
    """When each content frame came, less the pace: constant for a punctual stream."""
    frames = [(event, when) for event, when in arrivals if 2 <= event <= tokens]
    return [when - event * GAP_MS / 1000 for event, when in frames]


def summary(histogram: Any) -> dict[str, float]:
    """As the fleet's own account has it."""
    return {
        "frames": histogram.get_total_count(),
        "p50_ms": histogram.get_value_at_percentile(50) / 1000,
        "p99_ms": histogram.get_value_at_percentile(99) / 1000,
        "max_ms": histogram.get_max_value() / 1000,
    }
