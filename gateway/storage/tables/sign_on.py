"""Single sign-on: identity providers, whose domains are whose, who is who there, and what was used up."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, String, Table, UniqueConstraint

from gateway.storage.tables.base import metadata

sso_providers = Table(
    "sso_providers",
    metadata,
    Column("id", String, primary_key=True),
    Column("org_id", String, ForeignKey("orgs.id"), nullable=False),
    Column("type", String, nullable=False),  # oidc or saml
    Column("domain", String, nullable=False, index=True),  # of the e-mail addresses, in lower case
    Column("enabled", Boolean, nullable=False),
    Column("default_role", String, nullable=False),  # of whoever signs on first
    Column("settings", String, nullable=False),  # JSON: what is set for this type
    Column("secret", String),  # of the client, sealed
    Column("checked_at_ms", BigInteger),  # when the provider was last looked at
    Column("problem", String),  # why it could not be reached then; null: it was
    Column("created_at_ms", BigInteger, nullable=False),
    UniqueConstraint("org_id", "domain"),
)

sso_domains = Table(  # the verified ones: a domain belongs to one organisation
    "sso_domains",
    metadata,
    Column("domain", String, primary_key=True),
    Column("org_id", String, ForeignKey("orgs.id"), nullable=False, index=True),
    Column("verified_at_ms", BigInteger, nullable=False),
)

sso_identities = Table(
    "sso_identities",
    metadata,
    Column("provider_id", String, ForeignKey("sso_providers.id"), primary_key=True),
    Column("subject", String, primary_key=True),  # whom the provider means
    Column("user_id", String, ForeignKey("users.id"), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    UniqueConstraint("provider_id", "user_id"),
)

sso_uses = Table(  # what counts once: sign-ons under way, assertions
    "sso_uses",
    metadata,
    Column("digest", String, primary_key=True),  # SHA-256, in hex
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
)
