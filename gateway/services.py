"""What every endpoint works with: one object, made at start, holding the parts and a few shared decisions."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway import auth
from gateway.accounts import Accounts, Key
from gateway.breaker import Breakers
from gateway.chain import Policy
from gateway.config import Config, Upstream
from gateway.edge import Clock
from gateway.errands import Errands
from gateway.errors import Unauthenticated
from gateway.exchange import Exchange
from gateway.idempotency import Replays
from gateway.kept_responses import KeptResponses
from gateway.ledger.money import Money
from gateway.limits import Limiter
from gateway.log import Log
from gateway.metrics import Metrics
from gateway.objects.folder import Folder
from gateway.objects.shelf import Objects
from gateway.storage.store import Store
from gateway.upstreams.transport import Transport

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass(slots=True)
class Services:
    """The parts of a running gateway."""

    config: Config
    clock: Clock
    store: Store
    money: Money
    accounts: Accounts
    limiter: Limiter
    transport: Transport
    breakers: Breakers
    metrics: Metrics
    log: Log
    admin_token: str
    policy: Policy
    objects: Objects
    errands: Errands = field(default_factory=Errands)
    draining: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what no message may hold
    chains: dict[str, dict[str, Upstream]] = field(default_factory=dict)  # by model, as looked up so far
    replays: Replays = field(default_factory=Replays)
    kept_responses: KeptResponses = field(default_factory=KeptResponses)
    exhausted: dict[tuple[str, str], int] = field(default_factory=dict)  # (user id, class) -> when its full hour ends

    def key_of(self, exchange: Exchange) -> Key:
        """The caller's key, from whichever place it stands in. Raises Unauthenticated."""
        return self.check_key(auth.secret(exchange.headers, exchange.query))

    def authenticate(self, request: Request) -> Key:
        """As `key_of`, of a Starlette request."""
        headers: Mapping[bytes, bytes] = dict(reversed(request.scope["headers"]))
        return self.check_key(auth.secret(headers, request.scope.get("query_string", b"")))

    def check_key(self, secret: str | None) -> Key:
        """The key of a secret, which must be good. Raises Unauthenticated."""
        if not secret:
            raise Unauthenticated(
                "No API key. Send one as `Authorization: Bearer ck_...`, `x-api-key`, `x-goog-api-key` or `?key=`."
            )
        if not auth.well_formed(secret):
            raise Unauthenticated("The API key is malformed: keys begin with `ck_`.")
        key = self.accounts.find(secret)
        if key is None:
            raise Unauthenticated("There is no such API key.")
        if not key.usable(self.clock.now_s()):
            raise Unauthenticated("The API key is disabled." if key.status != "active" else "The API key has expired.")
        return key

    def chain_of(self, model_id: str) -> dict[str, Upstream]:
        """A model's upstreams by name, in the order they are tried."""
        found = self.chains.get(model_id)
        if found is None:
            found = self.chains[model_id] = {upstream.name: upstream for upstream in self.config.chain(model_id)}
        return found

    def report(self, error: BaseException, exchange: Exchange) -> None:
        """Logs a bug."""
        trace = "".join(traceback.format_exception(error))
        self.log.write("error", "bug", request_id=exchange.request_id, path=exchange.scope["path"], trace=trace)

    def breaker_states(self) -> dict[str, str]:
        """The worst breaker of each upstream."""
        now = self.clock.monotonic()
        return {name: self.breakers.state(name, now) for name in self.config.upstreams}

    @property
    def test_clock(self) -> bool:
        """Whether the clock may be moved."""
        return self.config.test_clock

    def upstreams_view(self) -> dict[str, Any]:
        """The chains, and each upstream's address and breaker, without its key."""
        states = self.breaker_states()
        upstreams = {
            name: {
                "dialects": list(upstream.dialects),
                "base_url": upstream.base_url,
                "region": upstream.region,
                "breaker": states[name],
            }
            for name, upstream in self.config.upstreams.items()
        }
        return {
            "chains": {pattern: list(names) for pattern, names in self.config.chains.items()},
            "upstreams": upstreams,
        }

    async def close(self) -> None:
        """Ends errands, then closes connections and the database, in that order."""
        await self.errands.close()
        await self.objects.close()
        await self.transport.close()
        self.store.close()


def open_services(config: Config, store: Store, transport: Transport, admin_token: str, **parts: Any) -> Services:
    """The parts for a configuration, around an open store. `parts` replaces some of them, for tests."""
    clock = parts.pop("clock", None) or Clock()
    made: dict[str, Any] = {
        "money": Money(store, clock),
        "accounts": Accounts(store, clock),
        "limiter": Limiter(),
        "breakers": Breakers(config.breaker_failures, config.breaker_cooldown_s),
        "metrics": Metrics(),
        "objects": Folder(config.objects, config.public_url),
        "log": Log(config.log_level, clock),
        "policy": Policy(config.retries, config.backoff_ms, config.retry_after_max_s),
    }
    return Services(
        config=config,
        clock=clock,
        store=store,
        transport=transport,
        admin_token=admin_token,
        secrets=hidden(config),
        **{**made, **parts},
    )


def hidden(config: Config) -> tuple[str, ...]:
    """The keys and addresses of all upstreams, longest first."""
    found: set[str] = set()
    for upstream in config.upstreams.values():
        found |= {upstream.key, upstream.base_url, upstream.base_url.split("//", 1)[1].split("/", 1)[0]}
    return tuple(sorted(found - {""}, key=len, reverse=True))
