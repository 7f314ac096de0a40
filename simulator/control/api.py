"""The control API of a running fleet, under /__fleet: scenario, rules, journal, clock and lateness. It speaks JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson
import yaml
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator import shapes
from simulator.clock import ClockError
from simulator.control.metrics import CONTENT_TYPE, Metrics
from simulator.control.steering import Steering
from simulator.control.wire import Refusal, read_body, read_json, read_object, read_whole, reply
from simulator.faults import Flaw, Flawed
from simulator.fixtures import files
from simulator.fixtures.fixture import Fixtures
from simulator.fixtures.watch import Library
from simulator.fleet import Fleet
from simulator.jobs.control import JobControl
from simulator.jobs.webhooks import Webhooks
from simulator.journal import Journal, Query
from simulator.lateness import Lateness
from simulator.media.making import Makers
from simulator.neighbours.control import NeighbourControl
from simulator.neighbours.neighbourhood import Neighbourhood
from simulator.quotas import rows as quota_rows
from simulator.quotas.limiter import Limit
from simulator.rules import scenario
from simulator.rules.rule import read_rules
from simulator.rules.scenario import Scenario

PREFIX = "/__fleet"
OPENAPI = Path(__file__).parent / "openapi.yaml"
WAIT_MS_MAX = 120_000


def package_version() -> str:
    """The distribution's version; "0" when it is not installed."""
    try:
        return version("windtunnel")
    except PackageNotFoundError:
        return "0"


@cache
def openapi() -> dict[str, Any]:
    """The OpenAPI document of this API, as served."""
    document: dict[str, Any] = yaml.safe_load(OPENAPI.read_text("utf-8"))
    document["info"]["version"] = package_version()
    return document


class Control:
    """The API over one fleet."""

    def __init__(
        self, fleet: Fleet, journal: Journal, lateness: Lateness, makers: Makers, describe: Callable[[], object]
    ) -> None:
        """`describe` gives what the ready line tells of the providers."""
        self._fleet = fleet
        self._journal = journal
        self._lateness = lateness
        self._steering = Steering(fleet, journal, makers)
        self.webhooks = Webhooks(fleet, makers)
        self._jobs = JobControl(fleet, journal, self.webhooks)
        self.neighbourhood = Neighbourhood(fleet.clock, fleet.seed)
        self._neighbours = NeighbourControl(self.neighbourhood)
        self._metrics = Metrics(fleet, journal, lateness)
        self._describe = describe
        self._scenario: Scenario | None = None
        self.library: Library | None = None  # of the fixture files that are watched
        self._scenario_since_ms = 0.0

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route(PREFIX + path, handler, methods=[method]) for (method, path), handler in self.handlers().items()
        ]
        handlers: Mapping[Any, Any] = {Refusal: _refused, HTTPException: _not_here, Exception: _failed}
        return Starlette(routes=routes, exception_handlers=handlers)

    def handlers(self) -> dict[tuple[str, str], Callable[[Request], Awaitable[Response]]]:
        """Every route."""
        return {
            ("GET", "/health"): self.health,
            ("GET", "/providers"): self.providers,
            ("GET", "/scenario"): self.get_scenario,
            ("PUT", "/scenario"): self.put_scenario,
            ("DELETE", "/scenario"): self.delete_scenario,
            ("GET", "/fixtures"): self.get_fixtures,
            ("PUT", "/fixtures"): self.put_fixtures,
            ("DELETE", "/fixtures"): self.delete_fixtures,
            ("GET", "/faults"): self.get_faults,
            ("POST", "/faults"): self.post_faults,
            ("DELETE", "/faults"): self.delete_faults,
            ("DELETE", "/faults/{id}"): self.delete_fault,
            ("GET", "/journal"): self.get_journal,
            ("DELETE", "/journal"): self.delete_journal,
            ("GET", "/clock"): self.get_clock,
            ("POST", "/clock"): self.post_clock,
            ("GET", "/lateness"): self.get_lateness,
            ("GET", "/metrics"): self.get_metrics,
            ("GET", "/quotas"): self.get_quotas,
            ("PUT", "/quotas"): self.put_quotas,
            ("DELETE", "/quotas"): self.delete_quotas,
            ("POST", "/reset"): self.post_reset,
            ("GET", "/openapi.json"): self.get_openapi,
            **self._steering.handlers(),
            **self._jobs.handlers(),
            **self._neighbours.handlers(),
        }

    def set_scenario(self, found: Scenario | None) -> None:
        """Put a scenario on, or take it off; its timeline begins now."""
        self._scenario = found
        self._scenario_since_ms = self._fleet.clock.now_ms()
        self._fleet.gates.reset()
        if found is None:
            self._fleet.plan.set_scenario(())
        else:
            ttl_ms = None if found.ttl_s is None else found.ttl_s * 1000
            self._fleet.plan.set_scenario(found.rules, ttl_ms, found.seed, self._expired, found.states)

    def _expired(self) -> None:
        self._scenario = None
        self._fleet.gates.reset()

    async def health(self, _: Request) -> Response:
        """That it lives, and how to repeat what it does."""
        now_ms = self._fleet.clock.now_ms()
        return reply({"status": "ok", "version": package_version(), "seed": self._fleet.seed, "now_ms": now_ms})

    async def providers(self, _: Request) -> Response:
        """Where each provider is and what it takes."""
        return reply({"providers": self._describe()})

    async def get_scenario(self, _: Request) -> Response:
        """The scenario that is on."""
        if self._scenario is None:
            return reply({"scenario": None})
        return reply({"scenario": self._scenario.data, "since_ms": self._scenario_since_ms})

    async def put_scenario(self, request: Request) -> Response:
        """Put a scenario on."""
        try:
            found = scenario.parse(await read_body(request))
        except Flawed as error:
            raise Refusal("The scenario is not sound.", error.flaws) from None
        self.set_scenario(found)
        return await self.get_scenario(request)

    async def delete_scenario(self, _: Request) -> Response:
        """Take the scenario off."""
        self.set_scenario(None)
        return reply({"scenario": None})

    async def get_fixtures(self, _: Request) -> Response:
        """The canned answers in force, and what is wrong with files that changed."""
        names = [{"name": one.name, "steps": len(one.steps)} for one in self._fleet.reader.fixtures]
        problems = [] if self.library is None else [flaw._asdict() for flaw in self.library.flaws]
        return reply({"fixtures": names, "problems": problems})

    async def put_fixtures(self, request: Request) -> Response:
        """Answer by these from now on."""
        try:
            found = files.read(scenario.parse_yaml(await read_body(request)))
        except Flawed as error:
            raise Refusal("The fixtures are not sound.", error.flaws) from None
        self._fleet.put_fixtures(found)
        return await self.get_fixtures(request)

    async def delete_fixtures(self, request: Request) -> Response:
        """Answer nothing by fixture."""
        self._fleet.put_fixtures(Fixtures())
        return await self.get_fixtures(request)

    async def get_faults(self, _: Request) -> Response:
        """The rules added and still in force."""
        return reply({"rules": self._fleet.plan.added()})

    async def post_faults(self, request: Request) -> Response:
        """Add rules."""
        data = read_json(await read_body(request))
        flaws = shapes.flaws("rules", data)
        if flaws or not isinstance(data, dict):
            raise Refusal("The rules are not sound.", flaws)
        try:
            rules = read_rules(data["rules"])
        except Flawed as error:
            raise Refusal("The rules are not sound.", error.flaws) from None
        ttl_s = data.get("ttl_s")
        ids = self._fleet.plan.add(rules, data["rules"], None if ttl_s is None else ttl_s * 1000)
        return reply({"ids": ids}, 201)

    async def delete_faults(self, _: Request) -> Response:
        """Remove all added rules."""
        self._fleet.plan.remove()
        return reply({"rules": []})

    async def delete_fault(self, request: Request) -> Response:
        """Remove one added rule."""
        rule_id = request.path_params["id"]
        if not self._fleet.plan.remove(rule_id):
            raise Refusal(f"No rule {rule_id} is in force.", status=404)
        return reply({"rules": self._fleet.plan.added()})

    async def get_journal(self, request: Request) -> Response:
        """Entries, once they are complete or the wait is over."""
        params = request.query_params
        unknown = set(params) - {"case", "provider", "since", "limit", "wait_ms", "format"}
        if unknown:
            known = "case, provider, since, limit, wait_ms, format"
            raise Refusal("The query is not sound.", [Flaw(name, "an unknown key", known) for name in sorted(unknown)])
        since, limit = read_whole(params, "since"), read_whole(params, "limit")
        query = Query(params.get("case"), params.get("provider"), since or 0, limit)
        wait_ms = read_whole(params, "wait_ms")
        if wait_ms:
            await self._journal.settled(query, min(wait_ms, WAIT_MS_MAX))
        if params.get("format", "json") not in ("json", "jsonl"):
            raise Refusal("The query is not sound.", [Flaw("format", repr(params["format"]), "json or jsonl")])
        if params.get("format") == "jsonl":
            lines = [orjson.dumps(e.as_json(n), option=orjson.OPT_APPEND_NEWLINE) for n, e in self._journal.find(query)]
            return Response(b"".join(lines), media_type="application/x-ndjson")
        found = [entry.as_json(n) for n, entry in self._journal.find(query)]
        following = found[-1]["n"] + 1 if limit is not None and len(found) == limit and found else self._journal.next_n
        return reply({"entries": found, "next": following, "dropped": self._journal.dropped})

    async def delete_journal(self, _: Request) -> Response:
        """Forget all entries."""
        self._journal.clear()
        return reply({"entries": [], "next": self._journal.next_n, "dropped": 0})

    async def get_clock(self, _: Request) -> Response:
        """The fleet's time."""
        clock = self._fleet.clock
        return reply({"mode": clock.mode, "now_ms": clock.now_ms(), "scale": clock.scale})

    async def post_clock(self, request: Request) -> Response:
        """Advance a manual clock."""
        ms = read_object(await read_body(request), {"advance_ms"}).get("advance_ms")
        if isinstance(ms, bool) or not isinstance(ms, int | float) or ms < 0:
            raise Refusal("The body is not sound.", [Flaw("advance_ms", repr(ms), "a number of milliseconds >= 0")])
        try:
            self._fleet.clock.advance(ms)
        except ClockError as error:
            raise Refusal(str(error)) from None
        return await self.get_clock(request)

    async def get_metrics(self, _: Request) -> Response:
        """Everything counted, for Prometheus."""
        return Response(await self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def get_quotas(self, request: Request) -> Response:
        """The quotas of each provider, and how they stand."""
        provider = _only_provider(request)
        if provider is not None and provider not in self._fleet.providers:
            raise Refusal(f"No provider is called {provider}.", status=404)
        return self._quotas(provider)

    def _quotas(self, provider: str | None) -> Response:
        told = self._fleet.doors.as_json(self._fleet.clock.now_ms())
        return reply({"quotas": {name: rows for name, rows in told.items() if provider in (None, name)}})

    async def put_quotas(self, request: Request) -> Response:
        """Put quotas in place of those of the providers named; others keep theirs."""
        data = read_json(await read_body(request))
        found = shapes.flaws("quotas", data)
        wanted: dict[str, tuple[Limit, ...]] = {}
        for name, rows in data.items() if isinstance(data, dict) and not found else ():
            if name not in self._fleet.providers:
                found.append(Flaw(name, "an unknown provider", f"one of {', '.join(self._fleet.providers)}"))
                continue
            try:
                wanted[name] = quota_rows.read(rows, name)
            except Flawed as error:
                found += error.flaws
        if found:
            raise Refusal("The quotas are not sound.", found)
        for name, limits in wanted.items():
            self._fleet.doors.set_quotas(name, limits)
        return self._quotas(None)

    async def delete_quotas(self, request: Request) -> Response:
        """Take off the quotas of one provider, or of all."""
        provider = _only_provider(request)
        for name in self._fleet.providers if provider is None else [provider]:
            try:
                self._fleet.doors.set_quotas(name, ())
            except KeyError:
                raise Refusal(f"No provider is called {name}.", status=404) from None
        return self._quotas(None)

    async def get_lateness(self, request: Request) -> Response:
        """How late delayed frames left; with `counts=true` also the histogram."""
        told: dict[str, Any] = dict(self._lateness.summary())
        if request.query_params.get("counts") == "true":
            told["counts"] = self._lateness.counts()
        return reply(told)

    async def post_reset(self, _: Request) -> Response:
        """As new: no scenario, no rules, no attempts counted, no journal; quotas as in the fleet's file, unused."""
        self.set_scenario(None)
        self._fleet.reset()
        self.webhooks.clear()
        self.neighbourhood.reset()
        self._journal.clear()
        self._metrics.clear()
        self._lateness.clear()
        return reply({"status": "ok"})

    async def get_openapi(self, _: Request) -> Response:
        """This API's own description."""
        return reply(openapi())


def _only_provider(request: Request) -> str | None:
    """The provider that the query names; None: it names none."""
    unknown = set(request.query_params) - {"provider"}
    if unknown:
        raise Refusal("The query is not sound.", [Flaw(name, "an unknown key", "provider") for name in sorted(unknown)])
    return request.query_params.get("provider")


async def _refused(_: Request, error: Refusal) -> Response:
    return reply(error.content, error.status)


async def _not_here(request: Request, error: HTTPException) -> Response:
    message = f"{request.method} {request.url.path}: {error.detail}. See {PREFIX}/openapi.json."
    response = reply({"error": {"message": message}}, error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _failed(_: Request, error: Exception) -> Response:
    return reply({"error": {"message": f"The fleet failed: {type(error).__name__}."}}, 500)
