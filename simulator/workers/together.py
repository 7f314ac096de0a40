"""The control API of a fleet of several workers: any of them may be asked, and it speaks for all.

What changes something is carried out by every worker in the same order before the reply is given; what asks is asked of
every worker, and the replies are made one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response
from uvicorn._types import ASGI3Application

from simulator.jobs.bills import total
from simulator.workers import cursor
from simulator.workers.asgi import Asked, Told, call
from simulator.workers.keeper import KEEPER
from simulator.workers.merge import MERGES, QUERIES, jobs
from simulator.workers.peers import Handler, Lost, Peers

BODY_BYTES_MAX = 4 << 20
ASK, WAIT, CHANGE, JOURNAL = "control-ask", "control-wait", "control-change", "control-journal"
WAIT_MS_MAX = 120_000


def handlers(control: ASGI3Application, index: int) -> Mapping[str, Handler]:
    """What the worker of that index does when one speaks for all."""

    async def local(argument: Any) -> Told:
        return await call(control, Asked(*argument))

    async def journal(argument: Any) -> Told:
        *asked, since = argument
        found = Asked(*asked)
        return await call(control, found._replace(query=f"{found.query}&since={since[index]}".lstrip("&")))

    return {ASK: local, WAIT: local, CHANGE: local, JOURNAL: journal}


class Together:
    """The ASGI application in place of one worker's own."""

    def __init__(self, peers: Peers, prefix: str) -> None:
        self._peers = peers
        self._prefix = prefix

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        request = Request(scope, receive)
        try:
            told = await self._told(request)
        except Lost as error:
            why = str(error).rstrip(".")
            body = orjson.dumps({"error": {"message": f"The fleet's workers cannot be asked. {why}."}})
            told = Told(503, "application/json", body.decode())
        response = Response(told.body, told.status, media_type=told.content_type)
        await response(scope, receive, send)

    async def _told(self, request: Request) -> Told:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES_MAX:
                message = f"The body is larger than {BODY_BYTES_MAX} bytes."
                return Told(413, "application/json", orjson.dumps({"error": {"message": message}}).decode())
        path = request.url.path
        asked = Asked(request.method, path, request.url.query, body.decode("utf-8", "replace"))
        if request.method == "GET" and path == f"{self._prefix}/journal":
            return await self._journal(asked, dict(request.query_params))
        if request.method != "GET":
            return _agreed([Told(*reply) for reply in await self._peers.command(CHANGE, asked)])
        below = path.removeprefix(self._prefix)
        merge = MERGES.get(below)
        if below == "/bills":
            return await self._bills(asked)
        waits = request.query_params.get("wait_ms", "")
        wait_ms = min(int(waits), WAIT_MS_MAX) if _numeric(waits) else 0
        if merge is None:
            return Told(*await self._peers.ask(KEEPER, ASK, asked, wait_ms))
        asked = asked._replace(query=QUERIES.get(below, asked.query))
        replies = await self._all(WAIT if wait_ms else ASK, asked, wait_ms)
        wrong = [reply for reply in replies if reply.status != 200]
        return wrong[0] if wrong else merge(replies)

    async def _all(self, name: str, asked: Asked, wait_ms: float = 0.0) -> list[Told]:
        """What every worker says."""
        return [Told(*reply) for reply in await self._peers.command(name, asked, wait_ms)]

    async def _bills(self, asked: Asked) -> Told:
        """What the requests of all amount to, and the jobs of all, each once."""
        params = dict(parse_qsl(asked.query))
        of = params.pop("of", "all")
        of_requests = urlencode({**params, "of": "requests" if of == "all" else of})
        replies = await self._all(ASK, asked._replace(query=of_requests))
        if replies[0].status != 200:
            return replies[0]
        parts = [orjson.loads(reply.body) for reply in replies]
        found: list[Any] = []
        if of == "all":
            of_jobs = asked._replace(path=f"{self._prefix}/jobs", query=urlencode(params))
            found = orjson.loads(jobs(await self._all(ASK, of_jobs)).body)["jobs"]
        rows = total((row for part in parts for row in part["bills"]), found)
        content = {"bills": rows, "dropped": sum(part["dropped"] for part in parts)}
        return Told(200, "application/json", orjson.dumps(content).decode())

    async def _journal(self, asked: Asked, params: dict[str, str]) -> Told:
        """The entries of all workers in the order of arrival, once they are complete or the wait is over."""
        count = self._peers.role.workers
        form = params.pop("format", "json")
        try:
            since = cursor.read(params.pop("since", "0"), count)
        except ValueError as error:
            return _unsound("since", str(error))
        if form not in ("json", "jsonl"):
            return _unsound("format", "json or jsonl")
        wait_ms, limit = (
            int(params.get(name, "0")) if _numeric(params.get(name)) else 0 for name in ("wait_ms", "limit")
        )
        replies = await self._peers.command(
            JOURNAL, [*asked._replace(query=urlencode(params)), since], min(wait_ms, WAIT_MS_MAX)
        )
        told = [Told(*reply) for reply in replies]
        if any(reply.status != 200 for reply in told):
            return _agreed(told)
        documents = [orjson.loads(reply.body) for reply in told]
        entries, places = _merged(documents, limit)
        if form == "jsonl":
            lines = b"".join(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries)
            return Told(200, "application/x-ndjson", lines.decode())
        dropped = sum(document["dropped"] for document in documents)
        content = {"entries": entries, "next": cursor.written(places), "dropped": dropped}
        return Told(200, "application/json", orjson.dumps(content).decode())


def _merged(documents: list[dict[str, Any]], limit: int) -> tuple[list[dict[str, Any]], list[int]]:
    """The entries of all journals, numbered anew, at most `limit` unless that is 0; and each journal's place."""
    count = len(documents)
    rows = [
        (entry["arrived_ms"], index, entry) for index, document in enumerate(documents) for entry in document["entries"]
    ]
    rows.sort(key=lambda row: row[:2])
    places = [document["next"] for document in documents]
    if limit:
        for _, index, entry in reversed(rows[limit:]):
            places[index] = entry["n"]
        rows = rows[:limit]
    for _, index, entry in rows:
        entry["n"] = cursor.number(entry["n"], index, count)
    return [entry for _, _, entry in rows], places


def _unsound(name: str, due: str) -> Told:
    """A query that is wrong."""
    error = {"message": "The query is not sound.", "problems": [{"where": name, "came": "something else", "due": due}]}
    return Told(400, "application/json", orjson.dumps({"error": error}).decode())


def _numeric(raw: str | None) -> bool:
    return raw is not None and raw.isdecimal()


def _agreed(replies: list[Told]) -> Told:
    """What all said, or the first refusal."""
    return next((reply for reply in replies if reply.status >= 400), replies[0])
