"""One request to an identity provider under way: whose it is, which faults hit it, and what is recorded of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from simulator.neighbours.accounts import Account, Tenant
from simulator.neighbours.asked import Asked
from simulator.neighbours.faults import Faults, InForce
from simulator.neighbours.records import Records
from simulator.neighbours.sign_ons import Step


@dataclass(slots=True)
class Visit:
    """What the steps of one request share."""

    asked: Asked
    tenant: Tenant
    root: str  # the tenant's URL, without a slash at the end
    neighbour: str
    step: str
    faults: Faults
    records: Records[Step]
    account: str | None = None
    case: str | None = None
    hit: list[str] = field(default_factory=list)
    detail: dict[str, Any] = field(default_factory=dict)

    def of(self, account: Account | None) -> None:
        """It is this user's: also her case."""
        if account is not None:
            self.account = account.login
            self.case = account.tag or self.case

    def at(self, place: str) -> list[InForce]:
        """The faults that hit it there."""
        found = self.faults.at(place, self.case)
        self.hit += [one.kind.name for one in found if one.kind.name not in self.hit]
        return found

    def ended(self, outcome: str) -> None:
        """Put it on record."""
        asked = self.asked
        self.records.add(
            Step(
                self.neighbour,
                self.tenant.name,
                self.case,
                self.step,
                outcome,
                asked.now_ms,
                asked.method,
                self.account,
                tuple(self.hit),
                self.detail,
            )
        )
