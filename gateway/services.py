"""What every endpoint works with: one object, made at start, holding the parts and a few shared decisions."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway import auth, origins
from gateway.accounts import Accounts, Key
from gateway.breaker import Breakers
from gateway.budgets import Budgets
from gateway.chain import Policy
from gateway.config import Config, Upstream
from gateway.edge import Clock
from gateway.errands import Errands
from gateway.errors import NoAccess, Unauthenticated
from gateway.exchange import Exchange
from gateway.gpu.job import Job
from gateway.guard import Resolver, resolve
from gateway.idempotency import Replays
from gateway.kept_responses import KeptResponses
from gateway.ledger.money import Money
from gateway.limits import Limiter
from gateway.log import Log
from gateway.mail.outbox import Outbox
from gateway.mail.server import server_of
from gateway.metrics import Metrics
from gateway.notices import Notices, Parts
from gateway.objects.files import Files, open_files
from gateway.orgs.invitations import Invitations
from gateway.orgs.members import Members
from gateway.orgs.orgs import Orgs
from gateway.people.people import People
from gateway.people.sessions import Sessions
from gateway.sealing import Vault
from gateway.sign_on.state import SignOn
from gateway.speeches import Route, route
from gateway.storage.store import Store
from gateway.tracing import Tracing
from gateway.tracing import opened as open_tracing
from gateway.upstreams.transport import Transport
from gateway.wires.wire import Wire

if TYPE_CHECKING:
    from starlette.requests import Request

    from gateway.workers.shared import Membership, Shared


@dataclass(slots=True)
class Services:
    """The parts of a running gateway."""

    config: Config
    clock: Clock
    store: Store
    money: Money
    accounts: Accounts
    people: People
    sessions: Sessions
    orgs: Orgs
    members: Members
    vault: Vault
    sign_on: SignOn
    invitations: Invitations
    budgets: Budgets
    outbox: Outbox
    notices: Notices
    limiter: Limiter
    transport: Transport
    breakers: Breakers
    metrics: Metrics
    log: Log
    admin_token: str
    policy: Policy
    objects: Files
    errands: Errands = field(default_factory=Errands)
    tracing: Tracing | None = None
    resolve: Resolver = resolve  # host names in URLs of users
    draining: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what no message may hold
    chains: dict[str, dict[str, Upstream]] = field(default_factory=dict)  # by model, as looked up so far
    routes: dict[tuple[str, str, bool], Route] = field(default_factory=dict)  # by model and dialect, likewise
    replays: Replays = field(default_factory=Replays)
    kept_responses: KeptResponses = field(default_factory=KeptResponses)
    gpu_looks: dict[str, asyncio.Task[Job | None]] = field(default_factory=dict)  # under way, by job id
    shared: Shared | None = None  # what many workers share, in place of limiter, replays and kept_responses
    membership: Membership | None = None  # this process among those with the same database
    exhausted: dict[tuple[str, str], int] = field(default_factory=dict)  # (user id, class) -> when its full hour ends

    def key_of(self, exchange: Exchange) -> Key:
        """The caller's key, from whichever place it stands in. Raises Unauthenticated, NoAccess."""
        key = self.check_key(auth.secret(exchange.headers, exchange.query))
        self.check_place(key, exchange.scope)
        return key

    def authenticate(self, request: Request) -> Key:
        """As `key_of`, of a Starlette request."""
        headers: Mapping[bytes, bytes] = dict(reversed(request.scope["headers"]))
        key = self.check_key(auth.secret(headers, request.scope.get("query_string", b"")))
        self.check_place(key, request.scope)
        return key

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

    def check_place(self, key: Key, scope: Any) -> None:
        """Raises NoAccess where the key may not be used: from another page, or from another address."""
        allowed = key.scope
        if allowed.origins and not origins.comes_from(scope, allowed.origins):
            raise NoAccess("The API key is locked to certain origins, and the request comes from none of them.")
        if allowed.ips:
            address = origins.client(scope, origins.trusted(self.config.trusted_proxies))
            if not origins.within(address, allowed.ips):
                raise NoAccess("The API key is locked to certain addresses, and the request comes from none of them.")

    def chain_of(self, model_id: str) -> dict[str, Upstream]:
        """A model's upstreams by name, in the order they are tried."""
        found = self.chains.get(model_id)
        if found is None:
            found = self.chains[model_id] = {upstream.name: upstream for upstream in self.config.chain(model_id)}
        return found

    def route_of(self, model_id: str, wire: Wire) -> Route:
        """Who of a model's upstreams answers calls on a wire, and in which dialect."""
        key = (model_id, wire.dialect, wire.translatable)
        found = self.routes.get(key)
        if found is None:
            found = self.routes[key] = route(self.chain_of(model_id), model_id, wire)
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
        looks = tuple(self.gpu_looks.values())
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
        await self.objects.close()
        self.people.close()
        await self.transport.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        if self.shared is not None:
            await self.shared.remote.close()
        if self.membership is not None:
            await self.membership.leave()
        self.store.close()


def open_services(config: Config, store: Store, transport: Transport, admin_token: str, **parts: Any) -> Services:
    """The parts for a configuration, around an open store. `parts` replaces some of them, for tests.

    Of several `workers` each has an `owner`, the name of its holds.
    """
    clock = parts.pop("clock", None) or Clock()
    accounts = parts.pop("accounts", None) or Accounts(store, clock)
    orgs = parts.pop("orgs", None) or Orgs(store, clock, accounts)
    owner, workers = parts.pop("owner", None), parts.pop("workers", 1)
    vault = Vault(config, store.url)
    money, log = parts.pop("money", None) or Money(store, clock, owner=owner), Log(config.log_level, clock)
    outbox, errands = parts.pop("outbox", None) or open_outbox(config, store, clock, log), Errands()
    told = Parts(store, clock, accounts, outbox, log, errands, config.public_url)
    made: dict[str, Any] = {
        "money": money,
        "budgets": Budgets(store, clock),
        "outbox": outbox,
        "errands": errands,
        "notices": Notices(told, money),
        "accounts": accounts,
        "people": People(store, clock, accounts),
        "sessions": Sessions(store, clock, secure=(config.public_url or "").startswith("https://")),
        "orgs": orgs,
        "members": Members(store, clock, orgs, accounts),
        "invitations": Invitations(store, clock, orgs),
        "vault": vault,
        "sign_on": SignOn(store, clock, orgs, vault),
        "limiter": Limiter(),
        "breakers": Breakers(config.breaker_failures, config.breaker_cooldown_s),
        "metrics": Metrics(),
        "objects": open_files(config, store, clock),
        "log": log,
        "tracing": open_tracing(config.otlp_endpoint),
        "policy": Policy(config.retries, config.backoff_ms, config.retry_after_max_s),
    }
    services = Services(
        config=config,
        clock=clock,
        store=store,
        transport=transport,
        admin_token=admin_token,
        secrets=hidden(config),
        **{**made, **parts},
    )
    if store.shared or config.redis_url is not None:
        from gateway.workers.shared import open_membership, open_shared

        services.membership = open_membership(services)
        services.shared = open_shared(services, workers)
    return services


def open_outbox(config: Config, store: Store, clock: Clock, log: Log) -> Outbox:
    """The outbox; without a mail server it keeps nothing."""
    domain = config.smtp_from.rpartition("@")[2]
    if config.smtp_url is None:
        return Outbox(store, clock, log, None, domain)
    from gateway.mail.smtp import deliverer

    return Outbox(store, clock, log, deliverer(server_of(config.smtp_url, config.smtp_from, config.smtp_ca)), domain)


def hidden(config: Config) -> tuple[str, ...]:
    """The keys and addresses of all upstreams, longest first."""
    found: set[str] = set()
    for upstream in config.upstreams.values():
        found |= {upstream.key, upstream.base_url, upstream.base_url.split("//", 1)[1].split("/", 1)[0]}
    return tuple(sorted(found - {""}, key=len, reverse=True))
