"""The part of the control API that tells of jobs: how each truly stands, and the webhooks that were called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from simulator.control.wire import Refusal, read_whole, reply
from simulator.faults import Flaw
from simulator.fleet import Fleet
from simulator.jobs.job import look, told_run_ms
from simulator.jobs.webhooks import Webhooks

WAIT_MS_MAX = 120_000


class JobControl:
    """These handlers, over one fleet."""

    def __init__(self, fleet: Fleet, webhooks: Webhooks) -> None:
        self._fleet = fleet
        self._webhooks = webhooks

    def handlers(self) -> dict[tuple[str, str], Callable[[Request], Awaitable[Response]]]:
        """Its routes."""
        return {("GET", "/jobs"): self.get_jobs, ("GET", "/webhooks"): self.get_webhooks}

    async def get_jobs(self, request: Request) -> Response:
        """The jobs, of one case or provider if so asked, as they stand now and whatever a poll is told."""
        params = _known(request, {"case", "provider"})
        rows = [
            row
            for row in self._jobs()
            if params.get("case") in (None, row["case"]) and params.get("provider") in (None, row["provider"])
        ]
        return reply({"jobs": rows})

    def _jobs(self) -> Iterator[dict[str, Any]]:
        now_ms = self._fleet.clock.now_ms()
        for provider in self._fleet.providers:
            for nonce, held in self._fleet.shelf.of(provider):
                job, ask = held.job, held.known.ask
                if job is None or ask is None:
                    continue
                view = look(job, now_ms)
                yield {
                    "provider": provider,
                    "job": nonce,
                    "case": job.case,
                    "model": ask.model,
                    "operation": ask.operation,
                    "state": None if view is None else view.state,
                    "submitted_ms": job.submitted_ms,
                    "ended_ms": None if view is None else view.ended_ms,
                    "run_ms": None if view is None else view.run_ms,
                    "told_run_ms": None if view is None else told_run_ms(job, view),
                    "tries": job.tries,
                    "runs": job.plan.runs,
                    "cancelled_ms": job.cancelled_ms,
                }

    async def get_webhooks(self, request: Request) -> Response:
        """The webhooks called so far, of one case if so asked, once none is under way or the wait is over."""
        params = _known(request, {"case", "wait_ms"})
        wait_ms = read_whole(params, "wait_ms")
        if wait_ms:
            await self._webhooks.settled(min(wait_ms, WAIT_MS_MAX))
        return reply(self._webhooks.as_json(params.get("case")))


def _known(request: Request, names: set[str]) -> dict[str, str]:
    """The query. Raises Refusal for a key that is not of these names."""
    params = dict(request.query_params)
    unknown = sorted(set(params) - names)
    if unknown:
        due = ", ".join(sorted(names))
        raise Refusal("The query is not sound.", [Flaw(name, "an unknown key", due) for name in unknown])
    return params
