"""Single sign-on: the identity providers of organisations, their domains, who is who, and what was used up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_providers()
    op.create_table(
        "sso_domains",
        sa.Column("domain", sa.String, nullable=False),
        sa.Column("org_id", sa.String, nullable=False),
        sa.Column("verified_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("domain", name="pk_sso_domains"),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name="fk_sso_domains_org_id"),
    )
    op.create_index("ix_sso_domains_org_id", "sso_domains", ["org_id"])
    op.create_table(
        "sso_identities",
        sa.Column("provider_id", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("provider_id", "subject", name="pk_sso_identities"),
        sa.ForeignKeyConstraint(["provider_id"], ["sso_providers.id"], name="fk_sso_identities_provider_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sso_identities_user_id"),
        sa.UniqueConstraint("provider_id", "user_id", name="uq_sso_identities_provider_id_user_id"),
    )
    op.create_table(
        "sso_uses",
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sso_uses"),
    )
    op.create_index("ix_sso_uses_expires_at_ms", "sso_uses", ["expires_at_ms"])


def create_providers() -> None:
    op.create_table(
        "sso_providers",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("org_id", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("domain", sa.String, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("default_role", sa.String, nullable=False),
        sa.Column("settings", sa.String, nullable=False),
        sa.Column("secret", sa.String),
        sa.Column("checked_at_ms", sa.BigInteger),
        sa.Column("problem", sa.String),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sso_providers"),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name="fk_sso_providers_org_id"),
        sa.UniqueConstraint("org_id", "domain", name="uq_sso_providers_org_id_domain"),
    )
    op.create_index("ix_sso_providers_domain", "sso_providers", ["domain"])


def downgrade() -> None:
    for table in ("sso_uses", "sso_identities", "sso_domains", "sso_providers"):
        op.drop_table(table)
