"""The budget of an organisation, which all of its keys share."""

from __future__ import annotations

import asyncio

from suites.accounts.company import company
from suites.accounts.keyring import make, rich
from suites.budgets.spending import call_of, credits
from suites.case import Case
from suites.own_gateway import own_gateway
from suites.person import due
from suites.requirement import requirement


@requirement("BUD-010")
async def test_shared_by_all_keys(case: Case) -> None:
    """Three keys of two members, four calls each at once, on a budget for four; a member's own key goes on."""
    call, ada = call_of(case), await rich(case)
    firm = await company(case, credits=1000, people={"owner": ada})
    limit_uc = 4 * call.held_uc + call.cost_uc // 2
    due(await ada.put(firm.path("/budget"), {"monthlyLimit": credits(limit_uc)}), 200)
    keys = [await firm.key() for _ in range(3)]
    slow = "latency ttft_ms=400"
    replies = await asyncio.gather(*(call.make(key, fault=slow) for key in keys for _ in range(4)))
    statuses = sorted(reply.status for reply in replies)
    spent_uc = 1_000_000_000 - await firm.balance_uc()
    assert spent_uc <= limit_uc, f"{spent_uc} uc were spent of a budget of {limit_uc} uc"
    assert set(statuses) == {200, 429}, f"statuses {statuses}"
    assert statuses.count(200) >= 4, f"{statuses.count(200)} calls were served of a budget for four"
    kinds = {reply.error[0] for reply in replies if reply.error}
    assert kinds == {"spending_limit_error"}, f"refused as {kinds}"
    told = due(await ada.get(firm.path("/budget")), 200)
    assert told["spentUc"] == spent_uc, f"the budget tells {told['spentUc']} uc spent; due {spent_uc}"
    assert told["remainingUc"] == limit_uc - spent_uc, f"the budget tells {told}"
    await call.served(await make(ada))


@requirement("BUD-010")
async def test_key_limit_as_well(case: Case) -> None:
    """A key's own limit holds inside the organisation's budget, and the budget inside the key's limit."""
    call, ada = call_of(case), await rich(case)
    firm = await company(case, credits=1000, people={"owner": ada})
    tight = await firm.key(spendingLimit=0)
    wide = await firm.key(spendingLimit=credits(100 * call.held_uc))
    due(await ada.put(firm.path("/budget"), {"monthlyLimit": credits(call.held_uc + call.cost_uc // 2)}), 200)
    await call.refused(tight)
    await call.served(wide)
    await firm.balance_uc()
    await call.refused(wide)
    due(await ada.put(firm.path("/budget"), {"monthlyLimit": None}), 200)
    await call.served(wide)


@requirement("BUD-006", slow=True)
async def test_organisation_month(case: Case) -> None:
    """A spent budget is fresh in the next month."""
    async with own_gateway(case) as own:
        case = await own.start()
        call, ada = call_of(case), await rich(case)
        firm = await company(case, credits=1000, people={"owner": ada})
        due(await ada.put(firm.path("/budget"), {"monthlyLimit": credits(call.held_uc + call.cost_uc // 2)}), 200)
        key = await firm.key()
        await call.served(key)
        await firm.balance_uc()
        await call.refused(key)
        await case.admin.advance_clock(32 * 86_400_000)
        await call.served(key)
