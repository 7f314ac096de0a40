"""Requests that are sent again under the same Idempotency-Key, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

from gateway import idempotency
from gateway.attempts import Call
from gateway.idempotency import Replays
from gateway.upstreams.transport import Request
from mutants._patch import around, replace
from mutants.registry import mutant


@mutant("GD-023")
def idempotency_key_ignored() -> None:
    """A request that is sent again is made and charged again."""
    replace(idempotency, "key_of", lambda _value: None)


@mutant("GD-015")
def idempotency_key_only_forwarded() -> None:
    """An Idempotency-Key is left to the upstream to heed."""
    replace(idempotency, "key_of", lambda _value: None)

    @around(Call, "request")
    def request(old: Any, self: Call, upstream: Any) -> Request:
        made: Request = old(self, upstream)
        key = self.exchange.headers.get(b"idempotency-key")
        more = [] if key is None else [("idempotency-key", key.decode("latin-1"))]
        return changed(made, headers=[*made.headers, *more])


@mutant()
def failure_replayed_for_ever() -> None:
    """A request that failed and cost nothing is not made again under its key."""
    replace(Replays, "forget", lambda self, whose: self.finish(whose, b"", None))


@mutant()
def idempotency_key_shared_by_users() -> None:
    """A key that one user used is used up for all."""
    for name in ("claim", "finish", "forget"):

        @around(Replays, name)
        def call(old: Any, self: Replays, whose: idempotency.Whose, *rest: Any) -> Any:
            return old(self, ("", whose[1]), *rest)
