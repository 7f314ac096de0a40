"""Calls whose price and hold are known before they are made, and the mails about what they spend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from suites import oracle
from suites.accounts.keyring import KEYS, at
from suites.case import Case, expect_status
from suites.edge import now_ms, sleep_ms
from suites.exchange import Reply
from suites.outcomes import Violation
from suites.person import Person, due
from suites.provisioning import UC_PER_CREDIT, Key

INPUT_TOKENS: Final = 20
OUTPUT_TOKENS: Final = 2000
MAIL_MS: Final = 20_000
PATIENCE_MS: Final = 8000


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of call: always the same price, and a hold that is a little more."""

    case: Case
    model: str

    @property
    def cost_uc(self) -> int:
        """What it costs."""
        return oracle.price_uc(self.model, INPUT_TOKENS, OUTPUT_TOKENS)

    @property
    def held_uc(self) -> int:
        """What is held for it, at most: the prompt is some hundred bytes."""
        return oracle.price_uc(self.model, 200, OUTPUT_TOKENS)

    async def make(self, key: Key, **options: Any) -> Reply:
        """Make it."""
        answer = f"tokens=2 input_tokens={INPUT_TOKENS} output_tokens={OUTPUT_TOKENS}"
        told = {"answer": answer, "max_tokens": OUTPUT_TOKENS, **options}
        return await self.case.chat(key=key, model=self.model, **told)

    async def served(self, key: Key, payer: Person | None = None, times: int = 1) -> None:
        """Make it so often, one after the other; each must succeed."""
        for _ in range(times):
            expect_status(await self.make(key), 200)
            if payer is not None:
                await self.case.books(payer.user)

    async def refused(self, key: Key) -> Reply:
        """Make it: it must not fit the limit."""
        reply = await self.make(key)
        expect_status(reply, 429, "spending_limit_error")
        return reply


def call_of(case: Case) -> Call:
    """The call that a check makes, again and again."""
    return Call(case, case.model("max_tokens"))


def credits(amount_uc: int) -> float:
    """Microcredits as the dashboard's API takes credits."""
    return amount_uc / UC_PER_CREDIT


async def limited(person: Person, limit_uc: int, **fields: Any) -> Key:
    """A new key of the person's that may spend so much a month."""
    asked = {"name": "limited", "spendingLimit": credits(limit_uc), **fields}
    made = due(await person.post(KEYS, asked), 201)
    return Key(made["id"], made["key"], person.id)


async def change(person: Person, key: Key, **fields: Any) -> dict[str, Any]:
    """Change a key."""
    return due(await person.patch(at(key), fields), 200)


async def status(person: Person, key: Key, awaited: str) -> Mapping[str, Any]:
    """The key once it has the status, or after PATIENCE_MS as it is."""
    started = now_ms()
    while True:
        told = due(await person.get(at(key)), 200)
        if told["status"] == awaited or now_ms() - started > PATIENCE_MS:
            return told
        await sleep_ms(50)


async def mails(person: Person, count: int) -> list[Mapping[str, Any]]:
    """The mails to a person, of which there must be `count`. Raises Violation."""
    found = await person.case.fleet.mails(person.tag, count, MAIL_MS)
    person.case.evidence.note("upstream", f"{len(found)} mails to {person.email}", "\n".join(map(_line, found)))
    if len(found) != count:
        told = "; ".join(str(mail["subject"]) for mail in found)
        raise Violation(f"{len(found)} mails to {person.email}; due {count}: {told}")
    return found


def _line(mail: Mapping[str, Any]) -> str:
    return f"{mail['outcome']}: {mail['subject']}"


async def fence(call: Call, person: Person, before: int) -> list[Mapping[str, Any]]:
    """The mails to a person, `before` of them, once one more has come by another key that passes its first mark now:
    mails are written in the order of the marks, so what was to come before it is there.
    """
    key = await limited(person, call.cost_uc + call.held_uc // 5, name="fence")
    await call.served(key)
    found = await mails(person, before + 1)
    if "fence" not in found[-1]["subject"]:
        raise Violation(f"the last mail is {found[-1]['subject']!r}; due that of the key `fence`")
    return found[:-1]
