"""Hourly limits that count wrongly, or tell it wrongly."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace as changed
from typing import Any

from gateway import admission, attempts, edge, llm
from gateway.accounts import Key
from gateway.admission import Fare
from gateway.attempts import Call
from gateway.errors import AllUpstreamsFailed, GatewayError, InvalidRequest, TooManyRequests, render
from gateway.exchange import EVENT_STREAM, Exchange
from gateway.limits import DEFAULTS, WINDOW_S, Limiter, Window
from gateway.services import Services
from mutants._patch import around, replace
from mutants.registry import mutant


def edit_windows(edit: Callable[[Window], Window]) -> None:
    """Every verdict of the limiter is told as `edit` makes it."""

    @around(Limiter, "admit")
    def admit(old: Any, self: Limiter, *args: Any) -> Window:
        return edit(old(self, *args))


def judge_by(limit_of: Callable[[int], int]) -> None:
    """Every request is judged by another limit than its user's, which the headers go on to show."""

    @around(Limiter, "admit")
    def admit(old: Any, self: Limiter, user_id: str, cls: str, limit: int, now_s: int) -> Window:
        window: Window = old(self, user_id, cls, limit_of(limit), now_s)
        return changed(window, limit=limit, remaining=min(window.remaining, limit))


def count_by(name_of: Callable[[Key, Call], str]) -> None:
    """Requests are counted under another name than their user's."""
    calls: ContextVar[Call] = ContextVar("calls")

    @around(llm, "fare")
    def fare(old: Any, services: Services, call: Call) -> Any:
        calls.set(call)
        return old(services, call)

    @around(admission, "count")
    def count(old: Any, services: Services, key: Key, cls: str) -> Window:
        window: Window = old(services, changed(key, user_id=name_of(key, calls.get())), cls)
        return window


def count_more(extra_of: Callable[[Call], int]) -> None:
    """When a call ends, it is counted so many times again."""

    @around(llm, "settle")
    async def settle(old: Any, services: Services, key: Key, call: Call, *rest: Any) -> Any:
        for _ in range(extra_of(call)):
            services.limiter.admit(key.user_id, "chat", key.limits["chat"], services.clock.now_s())
        return await old(services, key, call, *rest)


@mutant()
def limit_header_wrong() -> None:
    """X-RateLimit-Limit tells the limit of another class."""
    edit_windows(lambda window: changed(window, limit=DEFAULTS["image"]))


@mutant("GD-047")
def ratelimit_headers_missing() -> None:
    """A 429 bears none of the X-RateLimit headers."""
    tell = admission.rate_headers
    replace(admission, "rate_headers", lambda window: tell(window) if window.admitted else [])


@mutant()
def ratelimit_headers_only_on_429() -> None:
    """A request that was admitted is not told what is left."""
    tell = admission.rate_headers
    replace(admission, "rate_headers", lambda window: [] if window.admitted else tell(window))


@mutant("GD-045")
def limit_off_by_one_low() -> None:
    """A limit of N admits N - 1."""
    judge_by(lambda limit: limit - 1)


@mutant()
def limit_off_by_one_high() -> None:
    """A limit of N admits N + 1."""
    judge_by(lambda limit: limit + 1)


@mutant("GD-042")
def header_limit_policy_ignored() -> None:
    """A user's own limit is shown and not enforced."""
    judge_by(lambda _limit: 10**6)


@mutant()
def reset_in_milliseconds() -> None:
    """X-RateLimit-Reset is in milliseconds."""
    edit_windows(lambda window: changed(window, reset_s=window.reset_s * 1000))


@mutant()
def remaining_negative() -> None:
    """What is left after the last request is told as less than nothing."""
    edit_windows(lambda window: window if window.admitted else changed(window, remaining=-1))


@mutant("GD-052")
def streaming_charged_twice_by_limiter() -> None:
    """A streamed request counts twice."""
    count_more(lambda call: int(call.wanted.stream))


@mutant()
def retries_count_against_limit() -> None:
    """Every further attempt at an upstream counts as a request."""
    count_more(lambda call: call.run.attempts - 1)


@mutant()
def limit_per_key() -> None:
    """Every key of a user has a limit of its own."""
    count_by(lambda key, _call: key.id)


@mutant()
def limit_shared_by_all_users() -> None:
    """All users are counted together."""
    count_by(lambda _key, _call: "all")


@mutant()
def limit_per_endpoint() -> None:
    """Each endpoint counts for itself."""
    count_by(lambda key, call: key.user_id + call.wire.name)


@mutant("GD-043")
def limit_keyed_on_spoofable_ip() -> None:
    """Requests are counted by the address that the client says it has."""

    def address(call: Call) -> str:
        return call.exchange.headers.get(b"x-forwarded-for", b"").decode("latin-1")

    count_by(lambda key, call: key.user_id + address(call))


@mutant("GD-041")
def check_then_increment_race() -> None:
    """The count is read, and written back a moment later: what came meanwhile is forgotten."""

    @around(admission, "take_hold")
    async def take_hold(old: Any, services: Services, key: Key, fare: Fare) -> Any:
        hold = await old(services, key, fare)
        name, windows = (key.user_id, fare.limit_class), services.limiter._windows
        read = windows[name][1] if name in windows else 0
        await edge.sleep(0.02)
        if name in windows and read < key.limits[fare.limit_class]:
            windows[name][1] = read
        return hold


@mutant("GD-055")
def window_boundary_double_burst() -> None:
    """All windows end at the same moments, an hour apart, whenever they began."""
    edges: list[int] = []

    @around(Limiter, "admit")
    def admit(old: Any, self: Limiter, user_id: str, cls: str, limit: int, now_s: int) -> Window:
        window: Window = old(self, user_id, cls, limit, now_s)
        edges[:] = edges or [now_s + WINDOW_S // 2]
        while edges[0] <= now_s:
            edges[0] += WINDOW_S
        if (user_id, cls) in self._windows:
            self._windows[user_id, cls][0] = edges[0]
        return changed(window, reset_s=edges[0], retry_after_s=edges[0] - now_s)


@mutant("GD-049")
def retry_after_to_wall_clock_edge() -> None:
    """Retry-After tells the time to the next full minute."""

    @around(Limiter, "admit")
    def admit(old: Any, self: Limiter, *args: Any) -> Window:
        window: Window = old(self, *args)
        return changed(window, retry_after_s=60 - args[-1] % 60)


@mutant()
def window_never_ends() -> None:
    """A window that is full stays full."""
    replace(Limiter, "_drop_expired", lambda _self, _now_s: None)


@mutant()
def invalid_requests_count() -> None:
    """A request that is refused with 400 counts."""

    @around(llm, "understand")
    async def understand(old: Any, services: Services, exchange: Exchange, wire: Any) -> Call:
        try:
            call: Call = await old(services, exchange, wire)
        except InvalidRequest:
            key = services.key_of(exchange)
            services.limiter.admit(key.user_id, "chat", key.limits["chat"], services.clock.now_s())
            raise
        return call


@mutant()
def failed_requests_refunded_to_limit() -> None:
    """A request whose upstreams failed is taken off the count."""

    @around(llm, "settle")
    async def settle(old: Any, services: Services, key: Key, call: Call, hold: Any, ending: Any) -> Any:
        if ending.status == "upstream_failed":
            services.limiter._windows[key.user_id, "chat"][1] -= 1
        return await old(services, key, call, hold, ending)


@mutant()
def limited_request_leaks_hold() -> None:
    """A request that the limit refuses keeps its hold."""

    @around(admission, "count")
    def count(old: Any, services: Services, key: Key, cls: str) -> Window:
        window: Window = old(services, key, cls)
        if not window.admitted:
            raise admission.over_limit(window, cls)
        return window


@mutant("GD-050")
def shared_upstream_quota_noisy_neighbour() -> None:
    """A 429 of the upstreams is passed on as if the user's own limit were spent."""

    @around(attempts, "failed")
    def failed(old: Any, model: str, failure: Any, secrets: Any) -> GatewayError:
        error: GatewayError = old(model, failure, secrets)
        return TooManyRequests(error.message, error.headers) if failure.status == 429 else error


@mutant("GD-048")
def retry_after_dropped() -> None:
    """The Retry-After of the upstreams is not passed on."""

    @around(attempts, "failed")
    def failed(old: Any, *args: Any) -> GatewayError:
        error: GatewayError = old(*args)
        return AllUpstreamsFailed(error.message) if isinstance(error, AllUpstreamsFailed) else error


@mutant()
def limit_checked_before_balance() -> None:
    """Who has neither money nor quota left is told of the quota."""

    @around(admission, "admit")
    async def admit(old: Any, services: Services, key: Key, fare: Fare) -> Any:
        cls = fare.limit_class
        _, count = services.limiter._windows.get((key.user_id, cls), (0, 0))
        if count >= key.limits[cls]:
            full = services.limiter.admit(key.user_id, cls, key.limits[cls], services.clock.now_s())
            raise admission.over_limit(full, cls)
        return await old(services, key, fare)


@mutant()
def limit_refusal_as_event_stream() -> None:
    """A refusal by the limit is a stream of one event."""

    @around(Exchange, "refuse")
    async def refuse(old: Any, self: Exchange, error: GatewayError) -> None:
        if not isinstance(error, TooManyRequests):
            await old(self, error)
            return
        self.extra_headers += error.headers
        await self.respond(error.status, b"data: " + render(error) + b"\n\n", EVENT_STREAM)
