"""The part of the control API that steers a scenario under way: its states, its gates, and why a rule did not match."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from simulator.control.wire import Refusal, read_body, read_json, read_object, read_whole, reply
from simulator.faults import Flaw
from simulator.fleet import Fleet
from simulator.journal import Journal, Query
from simulator.media.making import Makers
from simulator.rules.explain import explain


class Steering:
    """These handlers, over one fleet."""

    def __init__(self, fleet: Fleet, journal: Journal, makers: Makers) -> None:
        self._fleet = fleet
        self._journal = journal
        self._makers = makers

    def handlers(self) -> dict[tuple[str, str], Callable[[Request], Awaitable[Response]]]:
        """Its routes."""
        return {
            ("GET", "/scenario/state"): self.get_state,
            ("PUT", "/scenario/state"): self.put_state,
            ("GET", "/explain"): self.get_explain,
            ("GET", "/gates"): self.get_gates,
            ("POST", "/gates/{name}/release"): self.release_gate,
        }

    async def get_state(self, _: Request) -> Response:
        """The state of the scenario, and of each that it includes, where they have states."""
        now_ms = self._fleet.clock.now_ms()
        return reply({"states": [machine.as_json(now_ms) for machine in self._fleet.plan.machines.values()]})

    async def put_state(self, request: Request) -> Response:
        """Put a scenario into one of its states."""
        data = read_json(await read_body(request))
        if not isinstance(data, dict) or not isinstance(data.get("state"), str) or set(data) - {"state", "scenario"}:
            raise Refusal("The body is not sound.", [Flaw("the body", repr(data), "state and, with several, scenario")])
        machines = self._fleet.plan.machines
        name = data.get("scenario")
        found = [one for one in machines.values() if name in (None, one.declared.scenario)]
        if len(found) != 1:
            due = f"one of {', '.join(machines)}" if machines else "a scenario with states, put on before"
            raise Refusal("That names no one scenario with states.", [Flaw("scenario", repr(name), due)])
        states = found[0].declared.names
        if data["state"] not in states:
            due = f"one of {', '.join(states)}"
            raise Refusal("There is no such state.", [Flaw("state", repr(data["state"]), due)])
        found[0].go(data["state"], self._fleet.clock.now_ms())
        return await self.get_state(request)

    async def get_explain(self, request: Request) -> Response:
        """Why each rule hit the requests of a case, or the one of a number, or did not."""
        params = request.query_params
        if set(params) not in ({"case"}, {"n"}):
            raise Refusal("The query is not sound.", [Flaw("the query", str(params) or "nothing", "case or n")])
        n = read_whole(params, "n")
        query = Query(params.get("case"), since=n or 0, limit=None if n is None else 1)
        found = [(number, entry) for number, entry in self._journal.find(query) if n in (None, number)]
        told = [await self._makers.done(partial(explain, self._fleet, number, entry)) for number, entry in found]
        return reply({"requests": told})

    async def get_gates(self, _: Request) -> Response:
        """The gates that requests came to."""
        return reply({"gates": self._fleet.gates.as_json()})

    async def release_gate(self, request: Request) -> Response:
        """Let requests go that are held at a gate."""
        count = read_object(await read_body(request) or b"{}", {"count"}).get("count")
        if isinstance(count, bool) or not (count is None or (isinstance(count, int) and count >= 0)):
            due = "a whole number >= 0, or null for all"
            raise Refusal("The body is not sound.", [Flaw("count", repr(count), due)])
        name = request.path_params["name"]
        try:
            released = self._fleet.gates.release(name, count)
        except KeyError:
            raise Refusal(f"No request came to a gate {name}.", status=404) from None
        return reply({"released": released, "gates": self._fleet.gates.as_json()})
