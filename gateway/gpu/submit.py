"""The submission of a job: its hold and its row in one transaction, then the upstream, once.

The row is there before the upstream is asked, so a process that dies leaves a job that somebody takes up (`watch.py`).
No provider of GPUs knows idempotency: what may have been accepted is never submitted again. Tried again is only what
surely was not: a connection that could not be made, and 429.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gateway import budgets, edge, pricing
from gateway.accounts import Key
from gateway.admission import no_credit
from gateway.attempts import failed
from gateway.chain import Failure, Verdict, may_retry, wait_s
from gateway.errors import Conflict, NoAccess
from gateway.gpu import outbox, rows
from gateway.gpu.job import SECOND_MS, Job, Kind, owner_of, price_uc
from gateway.gpu.life import GRACE_MS, End, Problem
from gateway.gpu.settling import finish
from gateway.gpu.watch import call_off, gap_ms
from gateway.idempotency import fingerprint
from gateway.ledger.book import Applied, Hold
from gateway.ledger.desk import Work
from gateway.ledger.money import Apply
from gateway.ledger.spending import SpendingLimitReached
from gateway.ledger.transfers import InsufficientCredits, LedgerError
from gateway.sealing import Vault
from gateway.storage.engine import StoreError
from gateway.upstreams import problems, runpod
from gateway.upstreams.transport import Request, TransportError, read_all
from schemas.catalogue import UC_PER_USD
from schemas.catalogue.gpu import Unit, Worker
from schemas.catalogue.tiers import tier_of

if TYPE_CHECKING:
    from gateway.config import Upstream
    from gateway.services import Services

JOB_ID_LENGTH = 12  # of [0-9A-Za-z], as in the reference's example
TOKEN_LENGTH = 32
HOLD_SPARE_MS = 86_400_000  # from the latest end of a job to the deadline of its hold
LEASE_SPARE_MS = 5_000
REPLY_BYTES_MAX = 1024 * 1024
CALLBACKS = "/v1/gpu/callbacks"


class Order(NamedTuple):
    """What is to be run, and at which price."""

    kind: Kind
    slug: str
    worker: Worker
    upstream: Upstream
    endpoint: str
    unit: Unit
    rate_uc: int
    max_seconds: int
    given: Any  # the input, as the worker takes it
    webhook_url: str | None = None
    min_top_up_uc: int = 0


class Caller(NamedTuple):
    """Who orders, and by which request."""

    key: Key
    request_id: str
    site: str
    idempotency_key: str | None
    fingerprint: str


class Begun(NamedTuple):
    """A job that was made, or was there already under the same idempotency key."""

    job: Job
    replayed: bool = False
    secret: str | None = None  # of the payer's webhooks, if it was made just now


def caller_of(key: Key, request_id: str, site: str, path: str, raw: bytes, repeat: str | None) -> Caller:
    """Who orders; `repeat` is the idempotency key."""
    return Caller(key, request_id, site, repeat, fingerprint(path, raw).hex())


async def submit(services: Services, caller: Caller, order: Order) -> Begun:
    """Makes a job and gives it to the upstream.

    Raises NoAccess, NoCredit, SpendingLimit, Conflict; InvalidRequest, BodyTooLarge or AllUpstreamsFailed when the
    upstream did not take it: the job has failed then, and its hold is given back.
    """
    known = await replayed(services, caller)
    if known is not None:
        return known
    await check_tier(services, caller.key, order)
    token = None if services.config.public_url is None else edge.token(TOKEN_LENGTH)
    job = new_job(services, caller, order, token)
    hold = hold_of(services, job, caller.key)
    try:
        outcome = await services.money.together(lambda c, apply: open_job(c, apply, job, hold, services.vault))
    except StoreError as error:
        if not isinstance(error.__cause__, IntegrityError):
            raise
        known = await replayed(services, caller)  # another worker was first
        if known is None:
            raise
        return known
    if isinstance(outcome, InsufficientCredits):
        raise no_credit(outcome.available_uc, outcome.needed_uc)
    if isinstance(outcome, SpendingLimitReached):
        raise budgets.refusal(outcome, services.clock.now_ms())
    if isinstance(outcome, LedgerError):
        raise outcome
    if hold.caps:
        services.budgets.counted(hold.caps)
    sent = await send(services, outcome.job, order, token)
    return outcome._replace(job=sent)


async def replayed(services: Services, caller: Caller) -> Begun | None:
    """The job that was made under the caller's idempotency key. Raises Conflict when it was another request."""
    repeat = caller.idempotency_key
    if repeat is None:
        return None
    found = await services.store.read(lambda c: rows.find_keyed(c, caller.key.user_id, repeat))
    if found is None:
        return None
    if found.fingerprint != caller.fingerprint or found.payer_id != caller.key.payer_id:
        raise Conflict(f"This Idempotency-Key was used for another request ({found.request_id}).")
    return Begun(found, replayed=True)


async def check_tier(services: Services, key: Key, order: Order) -> None:
    """Raises NoAccess unless the payer's cumulative top-up unlocks it."""
    if not order.min_top_up_uc:
        return
    balance = await services.money.balance(key.payer_id)
    if balance.topped_up_uc < order.min_top_up_uc:
        due, got = order.min_top_up_uc / UC_PER_USD, balance.topped_up_uc / UC_PER_USD
        tier, mine = tier_of(order.min_top_up_uc).label, tier_of(balance.topped_up_uc).label
        raise NoAccess(
            f"{order.slug} needs the {tier} tier, a cumulative top-up of ${due:.2f}; yours is ${got:.2f} ({mine})."
        )


def new_job(services: Services, caller: Caller, order: Order, token: str | None) -> Job:
    """The row of a job that nobody was asked to run yet."""
    config, clock = services.config, services.clock
    now_ms, max_ms = clock.now_ms(), order.max_seconds * SECOND_MS
    tries_s = (config.retries + 1) * (config.connect_timeout_s + config.first_byte_timeout_s + config.idle_timeout_s)
    backoff_s = config.retries * (config.retry_after_max_s + config.backoff_ms / 1000)
    return Job(
        id=edge.token(JOB_ID_LENGTH),
        payer_id=caller.key.payer_id,
        user_id=caller.key.user_id,
        key_id=caller.key.id,
        kind=order.kind,
        slug=order.slug,
        worker=order.worker,
        upstream=order.upstream.name,
        endpoint=order.endpoint,
        state="submitting",
        request_id=caller.request_id,
        hold_id=0,
        hold_uc=price_uc(order.unit, order.rate_uc, max_ms),
        unit=order.unit,
        rate_uc=order.rate_uc,
        max_ms=max_ms,
        webhook_url=order.webhook_url,
        site=caller.site,
        idempotency_key=caller.idempotency_key,
        fingerprint=caller.fingerprint,
        callback_digest=None if token is None else sha256(token.encode()).hexdigest(),
        created_at_ms=now_ms,
        deadline_ms=now_ms + round(config.gpu_queue_s * 1000) + max_ms,
        sent_at_ms=now_ms,
        waiting_seen_ms=None,
        running_seen_ms=None,
        missing_since_ms=None,
        cancel_at_ms=None,
        ended_at_ms=None,
        poll_after_ms=now_ms,
        lease_owner=services.money.owner,
        lease_until_ms=now_ms - clock.offset_ms + round((tries_s + backoff_s) * 1000) + LEASE_SPARE_MS,
        provider_job_id=None,
        hinted_id=None,
        execution_ms=None,
        charged_uc=0,
        estimated=False,
        error_type=None,
        error_message=None,
        outputs=None,
    )


def hold_of(services: Services, job: Job, key: Key) -> Hold:
    """What is set aside for a job: the most that it may cost. The row answers for it; its deadline is far away."""
    return Hold(
        user_id=job.payer_id,
        amount_uc=job.hold_uc,
        request_id=job.request_id,
        deadline_ms=job.deadline_ms + GRACE_MS + HOLD_SPARE_MS - services.clock.offset_ms,
        minimum_uc=pricing.MINIMUM_BALANCE_UC,
        owner=owner_of(job.id),
        key_id=key.id,
        caps=services.budgets.caps(key),
    )


def open_job(connection: Connection, apply: Apply, job: Job, hold: Hold, vault: Vault) -> Begun | LedgerError:
    """Sets credit aside and keeps the job's row; the ledger's refusal, which keeps no row."""
    outcome = apply(Work(hold))
    if isinstance(outcome, LedgerError):
        return outcome
    if not isinstance(outcome, Applied) or outcome.hold is None:
        raise TypeError("a hold was due")
    made = job._replace(hold_id=outcome.hold.id)
    rows.put(connection, made)
    secret = None
    if job.webhook_url is not None:
        secret = outbox.first_secret(connection, job.payer_id, job.created_at_ms, vault)
    return Begun(made, secret=secret)


# --- the upstream -----------------------------------------------------------------------------------------------------


async def send(services: Services, job: Job, order: Order, token: str | None) -> Job:
    """Gives the job to the upstream. Raises what its caller is told where that does not take it: the job has failed."""
    request = request_of(services, job, order, token)
    tries = 0
    while True:
        tries += 1
        services.metrics.attempts[job.upstream] += 1
        answer = await tried(services, request)
        if isinstance(answer, str):
            return await accepted(services, job, order, answer)
        services.metrics.failures[job.upstream] += 1
        if not may_retry(services.policy, answer, tries):
            break
        await edge.sleep(wait_s(services.policy, answer, tries, edge.jitter()))
    hinted = await services.store.write(lambda c: hinted_of(c, job.id))
    if hinted is not None:  # the reply was lost, but the provider's own call told the id
        return await accepted(services, job, order, hinted)
    error = failed(job.slug, answer, services.secrets)
    refused = answer.verdict is Verdict.STOP
    await finish(
        services, job, End("failed", problem=Problem("submission_failed", error.message)), refused=refused, tell=False
    )
    raise error


def request_of(services: Services, job: Job, order: Order, token: str | None) -> Request:
    """The submission as it is sent."""
    webhook = None
    if token is not None:
        webhook = f"{(services.config.public_url or '').rstrip('/')}{CALLBACKS}/{job.id}/{token}"
    ttl_ms = job.deadline_ms - job.created_at_ms
    return runpod.run(order.upstream, job.endpoint, order.given, job.max_ms, ttl_ms, webhook)


async def tried(services: Services, request: Request) -> str | Failure:
    """The id that the upstream gave the job, or why there is none; RETRY only where it surely took nothing."""
    config = services.config
    try:
        reply = await services.transport.send(request, config.connect_timeout_s, config.first_byte_timeout_s)
        try:
            body = await read_all(reply, config.idle_timeout_s, REPLY_BYTES_MAX)
        finally:
            reply.close()
    except TransportError as error:
        return Failure(Verdict.RETRY if error.kind == "connect" else Verdict.NEXT, error.message)
    if reply.status < 300:
        ident = runpod.job_id_of(body)
        return Failure(Verdict.NEXT, "the upstream's answer names no job", reply.status) if ident is None else ident
    failure = problems.http_failure(reply.status, reply.headers, body, services.clock.now_ms() / 1000)
    if reply.status == 404 or (failure.verdict is Verdict.RETRY and reply.status != 429):
        return replace(failure, verdict=Verdict.NEXT)
    return failure


async def accepted(services: Services, job: Job, order: Order, provider_job_id: str) -> Job:
    """Keeps the id. A job that somebody else ended meanwhile, because this process was slow, is called off."""
    after_ms = services.clock.now_ms() + gap_ms(services, 0)
    values = {
        "state": "queued",
        "provider_job_id": provider_job_id,
        "poll_after_ms": after_ms,
        "lease_owner": None,
        "lease_until_ms": 0,
    }

    def write(connection: Connection) -> tuple[Job, bool]:
        mine = (rows.COLUMNS.state == "submitting") & (rows.COLUMNS.provider_job_id.is_(None))
        done = rows.change(connection, job.id, mine, **values)
        if done is not None and done.hinted_id is not None:  # the provider has called already: look at once
            done = rows.change(connection, job.id, rows.IS_OPEN, poll_after_ms=job.created_at_ms)
        return (done, True) if done is not None else (rows.find(connection, job.id) or job, False)

    kept, here = await services.store.write(write)
    if not here and kept.provider_job_id != provider_job_id:
        await call_off(services, order.upstream, job.endpoint, provider_job_id)
    return kept


def hinted_of(connection: Connection, job_id: str) -> str | None:
    """The id that the provider's call told."""
    job = rows.find(connection, job_id)
    return None if job is None else job.hinted_id
