"""GPU: deployments, jobs and their webhooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JOB_TEXTS = ("id", "payer_id", "user_id", "key_id", "kind", "slug", "worker", "upstream", "endpoint", "state")


def upgrade() -> None:
    create_deployments()
    create_jobs()
    create_results()
    create_webhooks()


def create_deployments() -> None:
    texts = ("id", "payer_id", "slug", "name", "docker_image", "gpu_types", "region")
    counts = ("min_workers", "max_workers", "idle_timeout_s", "max_seconds")
    op.create_table(
        "deployments",
        *(sa.Column(name, sa.String, nullable=False) for name in texts),
        *(sa.Column(name, sa.Integer, nullable=False) for name in counts),
        sa.Column("webhook_url", sa.String),
        sa.Column("env", sa.String, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.Column("deployed_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deployments"),
        sa.UniqueConstraint("payer_id", "slug", name="uq_deployments_payer_id_slug"),
    )


def create_jobs() -> None:
    op.create_table(
        "gpu_jobs",
        *(sa.Column(name, sa.String, nullable=False) for name in JOB_TEXTS),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("hold_id", sa.BigInteger, nullable=False),
        sa.Column("hold_uc", sa.BigInteger, nullable=False),
        sa.Column("unit", sa.String, nullable=False),
        sa.Column("rate_uc", sa.BigInteger, nullable=False),
        sa.Column("max_ms", sa.BigInteger, nullable=False),
        sa.Column("webhook_url", sa.String),
        sa.Column("site", sa.String, nullable=False),
        sa.Column("idempotency_key", sa.String),
        sa.Column("fingerprint", sa.String),
        sa.Column("callback_digest", sa.String),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("deadline_ms", sa.BigInteger, nullable=False),
        sa.Column("sent_at_ms", sa.BigInteger, nullable=False),
        sa.Column("waiting_seen_ms", sa.BigInteger),
        sa.Column("running_seen_ms", sa.BigInteger),
        sa.Column("missing_since_ms", sa.BigInteger),
        sa.Column("cancel_at_ms", sa.BigInteger),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.Column("poll_after_ms", sa.BigInteger, nullable=False),
        sa.Column("lease_owner", sa.String),
        sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
        sa.Column("provider_job_id", sa.String),
        sa.Column("hinted_id", sa.String),
        sa.Column("execution_ms", sa.BigInteger),
        sa.Column("charged_uc", sa.BigInteger, nullable=False),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("error_type", sa.String),
        sa.Column("error_message", sa.String),
        sa.Column("outputs", sa.String),
        sa.CheckConstraint("kind IN ('model', 'deployment')", name=op.f("ck_gpu_jobs_kind")),
        sa.CheckConstraint(
            "state IN ('submitting', 'queued', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_gpu_jobs_state"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_gpu_jobs"),
    )
    op.create_index("ix_gpu_jobs_payer_id_created_at_ms", "gpu_jobs", ["payer_id", "created_at_ms"])
    is_open = "state = 'submitting' OR state = 'queued' OR state = 'running'"
    partial_index("ix_gpu_jobs_open", "gpu_jobs", ["poll_after_ms"], is_open)
    keyed = "idempotency_key IS NOT NULL"
    partial_index("uq_gpu_jobs_idempotency", "gpu_jobs", ["user_id", "idempotency_key"], keyed, unique=True)


def create_results() -> None:
    op.create_table(
        "gpu_results",
        sa.Column("job_id", sa.String, nullable=False),
        sa.Column("output", sa.String, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_gpu_results"),
    )
    op.create_index("ix_gpu_results_until_ms", "gpu_results", ["until_ms"])


def create_webhooks() -> None:
    op.create_table(
        "webhook_secrets",
        sa.Column("payer_id", sa.String, nullable=False),
        sa.Column("secret", sa.String, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("previous", sa.String),
        sa.Column("previous_until_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("payer_id", name="pk_webhook_secrets"),
    )
    op.create_table(
        "webhook_deliveries",
        *(sa.Column(name, sa.String, nullable=False) for name in ("id", "payer_id", "job_id", "event", "url", "state")),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("next_at_ms", sa.BigInteger, nullable=False),
        sa.Column("lease_owner", sa.String),
        sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.String),
        sa.Column("ended_at_ms", sa.BigInteger),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'failed')", name=op.f("ck_webhook_deliveries_state")),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
    )
    whose = ["payer_id", "created_at_ms"]
    op.create_index("ix_webhook_deliveries_payer_id_created_at_ms", "webhook_deliveries", whose)
    partial_index("ix_webhook_deliveries_pending", "webhook_deliveries", ["next_at_ms"], "state = 'pending'")


def partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    """An index on the rows where the condition holds."""
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    for table in ("webhook_deliveries", "webhook_secrets", "gpu_results", "gpu_jobs", "deployments"):
        op.drop_table(table)
