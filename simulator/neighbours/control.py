"""The part of the control API that tells of neighbours, and tells them what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from simulator.control.wire import Refusal, read_body, read_json, read_object, read_whole, reply
from simulator.faults import Flaw, Flawed
from simulator.neighbours.faults import NEIGHBOURS
from simulator.neighbours.neighbourhood import Neighbourhood, fault_kinds
from simulator.neighbours.records import Records, Wanted

WAIT_MS_MAX = 120_000
COUNT_MAX = 10_000
KNOWN = ("case", "since", "limit", "count", "wait_ms")


class NeighbourControl:
    """These handlers, over the neighbours of one fleet."""

    def __init__(self, neighbourhood: Neighbourhood) -> None:
        self._neighbourhood = neighbourhood

    def handlers(self) -> dict[tuple[str, str], Callable[[Request], Awaitable[Response]]]:
        """Its routes."""
        return {
            ("GET", "/neighbours"): self.get_neighbours,
            ("GET", "/neighbours/faults"): self.get_kinds,
            ("GET", "/neighbours/{name}"): self.get_neighbour,
            ("PUT", "/neighbours/{name}"): self.put_neighbour,
            ("DELETE", "/neighbours/{name}"): self.delete_neighbour,
            ("POST", "/neighbours/{name}/faults"): self.post_faults,
            ("DELETE", "/neighbours/{name}/faults"): self.delete_faults,
            ("DELETE", "/neighbours/{name}/faults/{id}"): self.delete_fault,
            ("GET", "/mails"): self.get_mails,
            ("GET", "/sign-ons"): self.get_sign_ons,
            ("GET", "/received"): self.get_received,
        }

    async def get_neighbours(self, _: Request) -> Response:
        """All of them: where they are, their settings, and the faults in force."""
        return reply({"neighbours": {name: self._neighbourhood.tell(name) for name in NEIGHBOURS}})

    async def get_kinds(self, _: Request) -> Response:
        """Every kind of fault, by neighbour."""
        return reply({"kinds": fault_kinds()})

    async def get_neighbour(self, request: Request) -> Response:
        """One of them."""
        return reply(self._neighbourhood.tell(_name(request)))

    async def put_neighbour(self, request: Request) -> Response:
        """Put faults and settings in place of those that are named."""
        name, data = _name(request), read_json(await read_body(request))
        if not isinstance(data, dict):
            raise Refusal("The body is not sound.", [Flaw("the body", repr(data)[:80], "an object")])
        try:
            self._neighbourhood.put(name, data)
        except Flawed as error:
            raise Refusal("The body is not sound.", error.flaws) from None
        return await self.get_neighbour(request)

    async def delete_neighbour(self, request: Request) -> Response:
        """As new, but for what is on record."""
        self._neighbourhood.renew(_name(request))
        return await self.get_neighbour(request)

    async def post_faults(self, request: Request) -> Response:
        """Put faults in force besides those that are."""
        name, data = _name(request), read_object(await read_body(request), {"faults"}).get("faults")
        if not isinstance(data, list):
            raise Refusal("The body is not sound.", [Flaw("faults", repr(data)[:80], "a list")])
        try:
            return reply({"ids": self._neighbourhood.add(name, data)}, 201)
        except Flawed as error:
            raise Refusal("The faults are not sound.", error.flaws) from None

    async def delete_faults(self, request: Request) -> Response:
        """Take off all faults of a neighbour."""
        self._neighbourhood.remove(_name(request))
        return await self.get_neighbour(request)

    async def delete_fault(self, request: Request) -> Response:
        """Take off one."""
        fault_id = request.path_params["id"]
        if not self._neighbourhood.remove(_name(request), fault_id):
            raise Refusal(f"No fault {fault_id} is in force.", status=404)
        return await self.get_neighbour(request)

    async def get_mails(self, request: Request) -> Response:
        """The mails that came, and those that were refused."""
        return await _told(request, "mails", self._neighbourhood.mail.records, lambda n, one: one.as_json(n))

    async def get_sign_ons(self, request: Request) -> Response:
        """The steps of sign-ons at the identity providers."""
        return await _told(request, "steps", self._neighbourhood.sign_ons, lambda n, one: one.as_json(n))

    async def get_received(self, request: Request) -> Response:
        """The calls of webhooks that came."""
        hooks = self._neighbourhood.hooks
        return await _told(request, "received", hooks.records, hooks.tell)


async def _told(request: Request, key: str, records: Records[Any], tell: Callable[[int, Any], Any]) -> Response:
    """The records that the query asks for, once as many are there as it wants, or the wait is over."""
    params = request.query_params
    unknown = sorted(set(params) - set(KNOWN))
    if unknown:
        raise Refusal("The query is not sound.", [Flaw(name, "an unknown key", ", ".join(KNOWN)) for name in unknown])
    wanted = Wanted(params.get("case"), read_whole(params, "since") or 0, read_whole(params, "limit"))
    wait_ms, count = read_whole(params, "wait_ms"), read_whole(params, "count")
    if wait_ms:
        await records.arrived(wanted, min(1 if count is None else count, COUNT_MAX), min(wait_ms, WAIT_MS_MAX))
    found = [(n, tell(n, one)) for n, one in records.find(wanted)]
    following = (
        found[-1][0] + 1 if wanted.limit is not None and len(found) == wanted.limit and found else records.next_n
    )
    return reply({key: [told for _, told in found], "next": following, "dropped": records.dropped})


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if name not in NEIGHBOURS:
        raise Refusal(f"No neighbour is called {name}; they are {', '.join(NEIGHBOURS)}.", status=404)
    return name
