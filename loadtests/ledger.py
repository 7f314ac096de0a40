"""What a gateway says it charged: its ledger and its usage log, read over HTTP, user by user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtests import jsonhttp

USAGE_LIMIT = 1000  # the most rows that one read of the usage log may ask for
USAGE_DAYS = 30


@dataclass(frozen=True, slots=True)
class Account:
    """A user that the audit knows.

    `tag` is what their cases begin with ("" takes every case), `id` what the gateway calls them.
    """

    tag: str
    id: str = ""
    key: str = ""

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Account:
        return cls(str(row.get("tag", "")), str(row.get("id", "")), str(row.get("key", "")))


@dataclass(slots=True)
class Books:
    """One user's charges as the gateway tells them. Amounts in microcredits."""

    ledger: dict[str, int] | None = None  # by request id: settled less refunded; None: the ledger cannot be read
    usage: dict[str, int] | None = None  # by request id, from the usage log
    estimated: set[str] = field(default_factory=set)  # request ids that the usage log marks so
    held: dict[str, int] = field(default_factory=dict)  # by request id, what was set aside
    capped: set[str] = field(default_factory=set)
    balance_uc: int | None = None
    topped_up_uc: int | None = None
    held_uc: int = 0
    twice: list[str] = field(default_factory=list)  # request ids with two rows in the usage log


class Gateway:
    """The admin and usage doors of the target."""

    def __init__(self, target: Mapping[str, Any]) -> None:
        provisioning = target.get("provisioning") or {}
        self.admin_url: str | None = provisioning.get("url") if provisioning.get("kind") == "admin_api" else None
        self._auth = {"Authorization": f"Bearer {provisioning.get('token', '')}"}
        self.usage_url: str | None = (target.get("usage") or {}).get("url")

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the provisioning API."""
        return jsonhttp.call(method, f"{self.admin_url}/{path}", body=body, headers=self._auth)

    def audit(self) -> dict[str, Any] | None:
        """The gateway's own audit of its ledger; None when it offers none."""
        if self.admin_url is None:
            return None
        result: dict[str, Any] = self.admin("GET", "ledger")
        return result

    def provision(self, tag: str, amount_uc: int, hourly_limit: int) -> Account:
        """A funded user of one's own, with a key."""
        limits = {"chat": hourly_limit}
        user = self.admin("POST", "users", {"name": tag, "amount_uc": amount_uc, "limits": limits})
        key = self.admin("POST", f"users/{user['id']}/keys", {"name": tag})
        return Account(tag, str(user["id"]), str(key["key"]))

    def books(self, account: Account) -> Books:
        """Everything the gateway says it charged this user."""
        books = Books()
        if self.admin_url is not None and account.id:
            self._read_ledger(account, books)
        rows = self._usage_rows(account)
        if rows is not None:
            books.usage = {}
            for row in rows:
                request_id = str(row["requestId"])
                if request_id in books.usage:
                    books.twice.append(request_id)
                books.usage[request_id] = books.usage.get(request_id, 0) + int(row["costUc"])
                if row.get("estimated"):
                    books.estimated.add(request_id)
                if row.get("capped"):
                    books.capped.add(request_id)
        return books

    def _read_ledger(self, account: Account, books: Books) -> None:
        user = self.admin("GET", f"users/{account.id}")
        books.balance_uc = int(user["balance_uc"])
        books.topped_up_uc = int(user["topped_up_uc"])
        books.held_uc = int(user["held_uc"])
        books.ledger = {}
        for transfer in self.admin("GET", f"users/{account.id}/transfers")["transfers"]:
            request_id, amount_uc = str(transfer["request_id"]), int(transfer["amount_uc"])
            match transfer["kind"]:
                case "SETTLE":
                    books.ledger[request_id] = books.ledger.get(request_id, 0) + amount_uc
                case "REFUND":
                    books.ledger[request_id] = books.ledger.get(request_id, 0) - amount_uc
                case "HOLD":
                    books.held[request_id] = books.held.get(request_id, 0) + amount_uc

    def _usage_rows(self, account: Account) -> list[dict[str, Any]] | None:
        """The user's usage log: by the public door when their key is known, else by the admin's, else None."""
        if self.usage_url is not None and account.key:
            query = {"days": USAGE_DAYS, "limit": USAGE_LIMIT}
            auth = {"Authorization": f"Bearer {account.key}"}
            return list(jsonhttp.call("GET", self.usage_url, headers=auth, query=query)["logs"])
        if self.admin_url is not None and account.id:
            return list(self.admin("GET", f"users/{account.id}/usage")["logs"])
        return None
