"""A GPU job as the database keeps it, and what it costs. Pure.

States: submitting (we ask the upstream, or died while we did) → queued → running → succeeded | failed | cancelled. A
state never goes back. Money: one hold per job, made in one transaction with its row and resolved in one with its end.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from gateway.ledger.money import DURABLE
from schemas.catalogue import UC_PER_CREDIT
from schemas.catalogue.gpu import Unit, Worker

State = Literal["submitting", "queued", "running", "succeeded", "failed", "cancelled"]
EndState = Literal["succeeded", "failed", "cancelled"]
Kind = Literal["model", "deployment"]

OPEN: Final[tuple[State, ...]] = ("submitting", "queued", "running")
STATES: Final = ("queued", "running", "succeeded", "failed", "cancelled")  # as callers know them
SECOND_MS: Final = 1000


class Job(NamedTuple):
    """A row of `gpu_jobs`: the fields are its columns, in order. Times are Unix milliseconds by the gateway's clock."""

    id: str
    payer_id: str
    user_id: str
    key_id: str
    kind: Kind
    slug: str
    worker: Worker
    upstream: str
    endpoint: str
    state: State
    request_id: str
    hold_id: int
    hold_uc: int
    unit: Unit
    rate_uc: int  # for one unit
    max_ms: int  # that is charged at most
    webhook_url: str | None
    site: str
    idempotency_key: str | None
    fingerprint: str | None
    callback_digest: str | None
    created_at_ms: int
    deadline_ms: int
    sent_at_ms: int
    waiting_seen_ms: int | None
    running_seen_ms: int | None
    missing_since_ms: int | None
    cancel_at_ms: int | None
    ended_at_ms: int | None
    poll_after_ms: int
    lease_owner: str | None
    lease_until_ms: int
    provider_job_id: str | None
    hinted_id: str | None
    execution_ms: int | None
    charged_uc: int
    estimated: bool
    error_type: str | None
    error_message: str | None
    outputs: str | None

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.state in OPEN

    @property
    def shown_state(self) -> str:
        """Its state as callers know it."""
        return "queued" if self.state == "submitting" else self.state

    @property
    def endpoint_path(self) -> str:
        """The documented path of its submission, as the usage log shows it."""
        return "/v1/gpu/{slug}" if self.kind == "model" else "/v1/gpu/run/{slug}"


def owner_of(job_id: str) -> str:
    """Who answers for the hold of a job."""
    return DURABLE + job_id


def price_uc(unit: Unit, rate_uc: int, ms: int) -> int:
    """What `ms` on a GPU cost: seconds to the millisecond, the sum rounded up to a whole credit; or one call.

    Source: api-reference#comfyui-as-api: 18420 ms are 56 credits (at 3 a second), 156000 ms are 312 (at 2).
    """
    if unit == "call":
        return rate_uc
    credits = -(-ms * rate_uc // (SECOND_MS * UC_PER_CREDIT))
    return credits * UC_PER_CREDIT
