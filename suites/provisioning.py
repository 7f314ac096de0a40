"""Users, keys and money by the gateway's admin API, and the books as it shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import aiohttp
import orjson

from suites.outcomes import HarnessError, Violation
from suites.target import Provisioning

UC_PER_CREDIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a user; `secret` is what the client sends."""

    id: str
    secret: str
    user: str


@dataclass(frozen=True, slots=True)
class User:
    """A user of the gateway with a first key."""

    id: str
    key: Key


@dataclass(frozen=True)
class Books:
    """The money of one user at one moment: account, transfers and usage log."""

    account: Mapping[str, Any]
    transfers: tuple[Mapping[str, Any], ...]
    rows: tuple[Mapping[str, Any], ...]  # of the usage log

    @property
    def balance_uc(self) -> int:
        return int(self.account["balance_uc"])

    @property
    def held_uc(self) -> int:
        return int(self.account["held_uc"])

    def of_kind(self, *kinds: str) -> list[Mapping[str, Any]]:
        """The transfers of these kinds, in order."""
        return [transfer for transfer in self.transfers if transfer["kind"] in kinds]

    def sum_uc(self, *kinds: str) -> int:
        """What the transfers of these kinds moved."""
        return sum(transfer["amount_uc"] for transfer in self.of_kind(*kinds))

    @cached_property
    def charged_uc(self) -> int:
        """What the user paid in the end."""
        return self.sum_uc("SETTLE") - self.sum_uc("REFUND")

    @cached_property
    def settles(self) -> Counter[str]:
        """How often each request was charged."""
        return Counter(str(transfer["request_id"]) for transfer in self.of_kind("SETTLE"))

    @property
    def row(self) -> Mapping[str, Any]:
        """The only row of the usage log. Raises Violation when there are none or several."""
        if len(self.rows) != 1:
            raise Violation(f"the usage log has {len(self.rows)} rows for one request; one was due")
        return self.rows[0]


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin API. A refusal is a HarnessError: provisioning is a hook, not what is judged."""

    session: aiohttp.ClientSession
    hook: Provisioning

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call, answered by JSON."""
        status, document = await self.try_call(method, path, body)
        if status >= 300:
            raise HarnessError(f"provisioning refused {method} {path}: {status} {document}")
        return document

    async def try_call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One call: the status and the JSON, whatever they are."""
        url = f"{self.hook.url}/{path}"
        headers = {"authorization": f"Bearer {self.hook.token}", "content-type": "application/json"}
        data = None if body is None else orjson.dumps(body)
        try:
            async with self.session.request(method, url, data=data, headers=headers) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise HarnessError(f"provisioning does not answer: {method} {url}: {error}") from error
        try:
            return response.status, orjson.loads(raw) if raw else None
        except orjson.JSONDecodeError:
            raise HarnessError(f"provisioning answers no JSON: {method} {url}: {raw[:200]!r}") from None

    async def user(self, amount_uc: int, limits: Mapping[str, int] | None = None) -> User:
        """A new user with so much money and one key."""
        asked: dict[str, Any] = (
            {"name": "conformance", "amount_uc": amount_uc} if amount_uc else {"name": "conformance"}
        )
        if limits is not None:
            asked["limits"] = dict(limits)
        made = await self.call("POST", "users", asked)
        return User(made["id"], await self.key(made["id"]))

    async def key(self, user: str, expires_at: int | None = None) -> Key:
        """A further key of a user."""
        asked: dict[str, Any] = {"name": "check"}
        if expires_at is not None:
            asked["expires_at"] = expires_at
        made = await self.call("POST", f"users/{user}/keys", asked)
        return Key(made["id"], made["key"], user)

    async def account(self, user: str) -> Mapping[str, Any]:
        """Balance, held and available money of a user."""
        account: Mapping[str, Any] = await self.call("GET", f"users/{user}")
        return account

    async def books(self, user: str) -> Books:
        """All that the gateway tells about a user's money."""
        account = await self.account(user)
        transfers = await self.call("GET", f"users/{user}/transfers")
        usage = await self.call("GET", f"users/{user}/usage")
        return Books(account, tuple(transfers["transfers"]), tuple(usage["logs"]))

    async def top_up(self, user: str, amount_uc: int, idempotency_key: str | None = None) -> Mapping[str, Any]:
        """Buy credit for a user."""
        asked: dict[str, Any] = {"amount_uc": amount_uc}
        if idempotency_key is not None:
            asked["idempotency_key"] = idempotency_key
        made: Mapping[str, Any] = await self.call("POST", f"users/{user}/top-ups", asked)
        return made

    async def refund(self, payer: str, request_id: str, **asked: Any) -> tuple[int, Any]:
        """Give back what a request was charged to a payer, `users/ID` or `orgs/ID`: the status and the JSON."""
        return await self.try_call("POST", f"{payer}/refunds", {"request_id": request_id, **asked})

    async def audit(self) -> Mapping[str, Any]:
        """The gateway's own audit of its ledger."""
        audit: Mapping[str, Any] = await self.call("GET", "ledger")
        return audit

    async def advance_clock(self, advance_ms: int) -> None:
        """Move the gateway's time forward."""
        await self.call("POST", "clock", {"advance_ms": advance_ms})
