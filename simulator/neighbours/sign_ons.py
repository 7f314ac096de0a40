"""What an identity provider records: each step of each sign-on, what was asked and what was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

TEXT_MAX = 2000  # characters of a value that a caller sent


@dataclass(frozen=True, slots=True)
class Step:
    """One request to an identity provider, and what became of it."""

    neighbour: str  # "oidc" | "saml"
    tenant: str
    case: str | None
    step: str  # "discovery" | "jwks" | "authorize" | "login" | "token" | …
    outcome: str  # "ok" | "form" | an error's name
    at_ms: float
    method: str
    account: str | None = None
    faults: tuple[str, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def held_bytes(self) -> int:
        """Of what it keeps."""
        return len(orjson.dumps(self.detail))

    def as_json(self, n: int) -> dict[str, Any]:
        """As the control API tells it."""
        return {
            "n": n,
            "neighbour": self.neighbour,
            "tenant": self.tenant,
            "case": self.case,
            "step": self.step,
            "outcome": self.outcome,
            "account": self.account,
            "faults": list(self.faults),
            "at_ms": round(self.at_ms, 3),
            "method": self.method,
            "detail": dict(self.detail),
        }


def short(value: str | None) -> str | None:
    """A caller's text, cut where it is too long to keep."""
    return value if value is None or len(value) <= TEXT_MAX else f"{value[:TEXT_MAX]}…"
