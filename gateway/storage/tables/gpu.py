"""GPU: deployments, jobs and what came of them, secrets and deliveries of webhooks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, String, Table, UniqueConstraint

from gateway.storage.tables.base import metadata, partial

deployments = Table(
    "deployments",
    metadata,
    Column("id", String, primary_key=True),
    Column("payer_id", String, nullable=False),
    Column("slug", String, nullable=False),
    Column("name", String, nullable=False),
    Column("docker_image", String, nullable=False),
    Column("gpu_types", String, nullable=False),  # ids, joined by commas, in the order of preference
    Column("region", String, nullable=False),
    Column("min_workers", Integer, nullable=False),
    Column("max_workers", Integer, nullable=False),
    Column("idle_timeout_s", Integer, nullable=False),
    Column("max_seconds", Integer, nullable=False),
    Column("webhook_url", String),
    Column("env", String, nullable=False),  # JSON: name -> [sealed value], or the value as it is
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("deployed_at_ms", BigInteger, nullable=False),  # it goes live a while after
    UniqueConstraint("payer_id", "slug"),
)

gpu_jobs = Table(
    "gpu_jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("payer_id", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("key_id", String, nullable=False),
    Column("kind", String, CheckConstraint("kind IN ('model', 'deployment')", name="kind"), nullable=False),
    Column("slug", String, nullable=False),
    Column("worker", String, nullable=False),
    Column("upstream", String, nullable=False),
    Column("endpoint", String, nullable=False),
    Column(
        "state",
        String,
        CheckConstraint(
            "state IN ('submitting', 'queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"
        ),
        nullable=False,
    ),
    Column("request_id", String, nullable=False),
    Column("hold_id", BigInteger, nullable=False),
    Column("hold_uc", BigInteger, nullable=False),
    Column("unit", String, nullable=False),
    Column("rate_uc", BigInteger, nullable=False),
    Column("max_ms", BigInteger, nullable=False),
    Column("webhook_url", String),
    Column("site", String, nullable=False),  # of the gateway, as its caller reached it
    Column("idempotency_key", String),
    Column("fingerprint", String),
    Column("callback_digest", String),  # of what the provider's call must bear; NULL: it was not asked to call
    Column("created_at_ms", BigInteger, nullable=False),
    Column("deadline_ms", BigInteger, nullable=False),
    Column("sent_at_ms", BigInteger, nullable=False),  # before the submission left
    Column("waiting_seen_ms", BigInteger),  # when it was last seen in the queue
    Column("running_seen_ms", BigInteger),  # when it was first seen running
    Column("missing_since_ms", BigInteger),  # since when it, or its result, cannot be found
    Column("cancel_at_ms", BigInteger),  # when its caller cancelled it
    Column("ended_at_ms", BigInteger),
    Column("poll_after_ms", BigInteger, nullable=False),
    Column("lease_owner", String),
    Column("lease_until_ms", BigInteger, nullable=False),  # real time: until then it is the owner's
    Column("provider_job_id", String),
    Column("hinted_id", String),  # as the provider's call told it, before the submission was answered
    Column("execution_ms", BigInteger),
    Column("charged_uc", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("error_type", String),
    Column("error_message", String),
    Column("outputs", String),  # JSON: the links of what a hosted model made
    Index("ix_gpu_jobs_payer_id_created_at_ms", "payer_id", "created_at_ms"),
)
partial(
    "ix_gpu_jobs_open", gpu_jobs.c.poll_after_ms, where="state = 'submitting' OR state = 'queued' OR state = 'running'"
)
partial(
    "uq_gpu_jobs_idempotency",
    gpu_jobs.c.user_id,
    gpu_jobs.c.idempotency_key,
    where="idempotency_key IS NOT NULL",
    unique=True,
)

gpu_results = Table(  # apart from the jobs: a result may be megabytes
    "gpu_results",
    metadata,
    Column("job_id", String, primary_key=True),
    Column("output", String, nullable=False),  # JSON
    Column("until_ms", BigInteger, nullable=False, index=True),
)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("payer_id", String, primary_key=True),
    Column("secret", String, nullable=False),  # sealed, or as it is
    Column("created_at_ms", BigInteger, nullable=False),
    Column("previous", String),  # the same
    Column("previous_until_ms", BigInteger),
)

webhook_deliveries = Table(  # the outbox: written with the end of the job, in one transaction
    "webhook_deliveries",
    metadata,
    Column("id", String, primary_key=True),  # the webhook-id of all its tries
    Column("payer_id", String, nullable=False),
    Column("job_id", String, nullable=False),
    Column("event", String, nullable=False),
    Column("url", String, nullable=False),
    Column(
        "state",
        String,
        CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state"),
        nullable=False,
    ),
    Column("tries", Integer, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("next_at_ms", BigInteger, nullable=False),
    Column("lease_owner", String),
    Column("lease_until_ms", BigInteger, nullable=False),
    Column("last_status", Integer),
    Column("last_error", String),
    Column("ended_at_ms", BigInteger),
    Index("ix_webhook_deliveries_payer_id_created_at_ms", "payer_id", "created_at_ms"),
)
partial("ix_webhook_deliveries_pending", webhook_deliveries.c.next_at_ms, where="state = 'pending'")
