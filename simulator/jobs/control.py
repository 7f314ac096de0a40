"""The part of the control API that tells of jobs: how each truly stands, what was charged, the webhooks called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from simulator.control.wire import Refusal, read_whole, reply
from simulator.faults import Flaw
from simulator.fleet import Fleet
from simulator.jobs import bills
from simulator.jobs.accounts import charged
from simulator.jobs.job import look, renders, told_run_ms
from simulator.jobs.webhooks import Webhooks
from simulator.journal import Journal, Query

WAIT_MS_MAX = 120_000


class JobControl:
    """These handlers, over one fleet."""

    def __init__(self, fleet: Fleet, journal: Journal, webhooks: Webhooks) -> None:
        self._fleet = fleet
        self._journal = journal
        self._webhooks = webhooks

    def handlers(self) -> dict[tuple[str, str], Callable[[Request], Awaitable[Response]]]:
        """Its routes."""
        return {
            ("GET", "/jobs"): self.get_jobs,
            ("GET", "/bills"): self.get_bills,
            ("GET", "/webhooks"): self.get_webhooks,
        }

    async def get_jobs(self, request: Request) -> Response:
        """The jobs, of one case or provider if so asked, as they stand now and whatever a poll is told."""
        return reply({"jobs": self._of(_known(request, {"case", "provider"}))})

    def _of(self, params: dict[str, str]) -> list[dict[str, Any]]:
        wanted = [params.get(name) for name in ("case", "provider")]
        return [
            row for row in self._jobs() if wanted[0] in (None, row["case"]) and wanted[1] in (None, row["provider"])
        ]

    async def get_bills(self, request: Request) -> Response:
        """What was charged for each case and provider, and for what; of one case or provider if so asked."""
        params = _known(request, {"case", "provider", "of"})
        if params.get("of", "all") not in ("all", "requests"):
            raise Refusal("The query is not sound.", [Flaw("of", repr(params["of"]), "all or requests")])
        found = self._journal.find(Query(params.get("case"), params.get("provider")))
        rows = bills.of_requests((entry for _, entry in found), self._fleet.providers)
        jobs = [] if params.get("of") == "requests" else self._of(params)
        return reply({"bills": bills.total(rows, jobs), "dropped": self._journal.dropped})

    def _jobs(self) -> Iterator[dict[str, Any]]:
        now_ms = self._fleet.clock.now_ms()
        for provider in self._fleet.providers:
            for nonce, held in self._fleet.shelf.of(provider):
                job, ask = held.job, held.known.ask
                if job is None or ask is None:
                    continue
                view, kept = look(job, now_ms), self._fleet.desk.kept(provider, nonce)
                charges = {} if kept is None else charged(held.known.mount.dialect, kept, now_ms)
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
                    "renders": renders(job, now_ms),
                    "charged": charges,
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
