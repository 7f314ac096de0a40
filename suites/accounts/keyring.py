"""Keys that people make for themselves at the dashboard."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from suites.case import Case
from suites.person import Person, due, sign_up
from suites.provisioning import UC_PER_CREDIT, Key

KEYS: Final = "/api/api-keys"
CREDITS: Final = 1000


async def rich(case: Case, credits: int = CREDITS, name: str | None = None) -> Person:
    """A new person with so much credit."""
    person = await sign_up(case, name)
    if credits:
        await case.admin.top_up(person.id, credits * UC_PER_CREDIT)
    return person


async def somebody(case: Case) -> Person:
    """A person with credit whom checks share: for keys of the check's own, where it matters not whose they are."""
    common = case.rig.common
    if "somebody" not in common:
        common["somebody"] = asyncio.ensure_future(rich(case, 100 * CREDITS))
    person: Person = await asyncio.shield(common["somebody"])
    return person.at(case)


async def make(person: Person, **fields: Any) -> Key:
    """A new key of the person's own."""
    made = due(await person.post(KEYS, {"name": "mine", **fields}), 201)
    return Key(made["id"], made["key"], person.id)


def at(key: Key | str, rest: str = "") -> str:
    """The path of a key."""
    return f"{KEYS}/{key.id if isinstance(key, Key) else key}{rest}"
