"""Who is told that a limit is nearly or wholly spent, and the key that is then disabled."""

from __future__ import annotations

from suites.accounts.company import company
from suites.accounts.keyring import rich
from suites.budgets.spending import call_of, change, credits, fence, limited, mails, status
from suites.case import Case, expect_status
from suites.person import due, sign_up
from suites.provisioning import UC_PER_CREDIT, Key
from suites.requirement import over, requirement


def told(amount_uc: int) -> str:
    """Microcredits as a mail tells them: without needless zeros."""
    whole, part = divmod(amount_uc, UC_PER_CREDIT)
    return f"{whole:,}" + (f".{part:06d}".rstrip("0") if part else "")


@requirement("BUD-007")
async def test_heads_up(case: Case) -> None:
    """Five calls' worth: the fourth passes 80 %, the third does not; the mail goes to the key's user, once."""
    call, ada = call_of(case), await rich(case)
    limit_uc = 5 * call.cost_uc
    key = await limited(ada, limit_uc, name="prod-eu")
    await call.served(key, ada, times=3)
    assert await fence(call, ada, 0) == []
    await call.served(key, ada)
    mail = (await mails(ada, 2))[1]
    assert mail["to"] == [ada.email], f"the mail went to {mail['to']}"
    assert "80" in mail["subject"], f"the subject is {mail['subject']!r}"
    assert "prod-eu" in mail["subject"], f"the subject is {mail['subject']!r}"
    for amount_uc in (4 * call.cost_uc, limit_uc):
        assert told(amount_uc) in mail["text"], f"the mail does not tell {told(amount_uc)}: {mail['text']}"
    assert key.secret not in mail["raw"], "the mail tells the secret"


@requirement("BUD-008")
async def test_hard_cap(case: Case) -> None:
    """After 80 %, calls that do not fit: one mail of 100 %, however many, whatever becomes of the limit."""
    call, ada = call_of(case), await rich(case)
    key = await limited(ada, 5 * call.cost_uc)
    await call.served(key, ada, times=4)
    await mails(ada, 1)
    for _ in range(3):
        await call.refused(key)
    subjects = [mail["subject"] for mail in await mails(ada, 2)]
    assert "reached" in subjects[1], f"the second mail is {subjects[1]!r}"
    await change(ada, key, spendingLimit=credits(10 * call.cost_uc))
    await call.served(key, ada)
    await change(ada, key, spendingLimit=credits(5 * call.cost_uc))
    await call.refused(key)
    assert len(await fence(call, ada, 2)) == 2


@requirement("BUD-009")
async def test_disabled(case: Case) -> None:
    """At 100 %: 401 from then on, until the user enables it; and again, as the limit is still spent."""
    call, ada = call_of(case), await rich(case)
    key = await limited(ada, 5 * call.cost_uc, autoDisable=True)
    await call.served(key, ada, times=4)
    assert (await status(ada, key, "active"))["status"] == "active", "the key was disabled at 80 %"
    for _ in range(2):
        await call.refused(key)
        kept = await status(ada, key, "disabled")
        assert (kept["status"], kept["statusReason"]) == ("disabled", "spending_limit"), f"the key is {kept}"
        expect_status(await call.make(key), 401, "authentication_error")
        await change(ada, key, status="active")
    assert len(await fence(call, ada, 2)) == 2


@requirement("BUD-009")
async def test_not_disabled(case: Case) -> None:
    """Without autoDisable the key is refused calls and stays active."""
    call, ada = call_of(case), await rich(case)
    key = await limited(ada, 5 * call.cost_uc)
    await call.served(key, ada, times=4)
    await call.refused(key)
    await fence(call, ada, 2)
    assert (await status(ada, key, "active"))["status"] == "active", "the key was disabled"
    await call.refused(key)


@requirement("BUD-017")
@over(spent=(0, 1))
async def test_too_dear_a_call(case: Case, spent: int) -> None:
    """A call that the limit has no room for at all, after little was spent: no mail, and the key stays active."""
    call, ada = call_of(case), await rich(case)
    small = call.cost_uc // 2 if spent == 0 else call.cost_uc * 3 // 2
    key = await limited(ada, max(small, call.held_uc + 1) if spent else small, autoDisable=True)
    if spent:
        expect_status(await call.make(key, max_tokens=50, answer="tokens=2 input_tokens=1 output_tokens=1"), 200)
    dear = await call.make(key, max_tokens=8000)
    expect_status(dear, 429, "spending_limit_error")
    assert await fence(call, ada, 0) == []
    assert (await status(ada, key, "active"))["status"] == "active", "the key was disabled"


@requirement("BUD-011")
async def test_who_is_told(case: Case) -> None:
    """The owner and the billing member get the organisation's mail, the developer whose key it was does not."""
    call = call_of(case)
    people = {role: await sign_up(case, role) for role in ("owner", "billing", "developer")}
    firm = await company(case, credits=1000, people=people)
    due(await people["billing"].put(firm.path("/budget"), {"monthlyLimit": credits(5 * call.cost_uc)}), 200)
    key = await firm.key("developer")
    for _ in range(4):
        await call.served(key)
        await firm.balance_uc()
    for role in ("owner", "billing"):
        [mail] = await mails(people[role], 1)
        assert "80" in mail["subject"], f"the subject is {mail['subject']!r}"
        assert firm.name in mail["subject"], f"the subject is {mail['subject']!r}"
    developer = people["developer"]
    await case.admin.top_up(developer.id, 1000 * UC_PER_CREDIT)
    assert await fence(call, developer, 0) == []
    await call.refused(Key(key.id, key.secret, developer.id))
    for role in ("owner", "billing"):
        await mails(people[role], 2)
