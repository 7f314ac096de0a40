"""The tables, as SQLAlchemy Core data. A change here needs a migration beside it (a test compares the two)."""

from gateway.storage.tables.base import for_dialect, metadata
from gateway.storage.tables.gpu import deployments, gpu_jobs, gpu_results, webhook_deliveries, webhook_secrets
from gateway.storage.tables.mail import mails
from gateway.storage.tables.money import accounts, budgets, holds, notices, spending, transfers, usage_log
from gateway.storage.tables.objects import objects
from gateway.storage.tables.orgs import audit_log, invitations, memberships, orgs
from gateway.storage.tables.people import keys, sessions, users
from gateway.storage.tables.sign_on import sso_domains, sso_identities, sso_providers, sso_uses
from gateway.storage.tables.workers import ids, workers

__all__ = [
    "accounts",
    "audit_log",
    "budgets",
    "deployments",
    "for_dialect",
    "gpu_jobs",
    "gpu_results",
    "holds",
    "ids",
    "invitations",
    "keys",
    "mails",
    "memberships",
    "metadata",
    "notices",
    "objects",
    "orgs",
    "sessions",
    "spending",
    "sso_domains",
    "sso_identities",
    "sso_providers",
    "sso_uses",
    "transfers",
    "usage_log",
    "users",
    "webhook_deliveries",
    "webhook_secrets",
    "workers",
]
