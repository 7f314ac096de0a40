"""The forms in which a key may come."""

from __future__ import annotations

from suites.case import Case, expect_status
from suites.doors import DOORS, bearer, knock
from suites.requirement import over, requirement


@requirement("AUT-001")
@over(door=DOORS)
async def test_bearer_opens(case: Case, door: str) -> None:
    """Every door, Bearer."""
    expect_status(await knock(case, door, bearer(await case.secret(None))), 200)


@requirement("AUT-002")
@over(door=DOORS)
async def test_x_api_key_opens(case: Case, door: str) -> None:
    """Every door, x-api-key."""
    expect_status(await knock(case, door, {"x-api-key": await case.secret(None)}), 200)


@requirement("AUT-003")
@over(door=DOORS)
async def test_google_forms_open(case: Case, door: str) -> None:
    """Every door, both forms of Google's SDKs."""
    secret = await case.secret(None)
    expect_status(await knock(case, door, {"x-goog-api-key": secret}), 200)
    expect_status(await knock(case, door, {}, f"?key={secret}"), 200)


SPELLINGS = {
    "lower case": "bearer {}",
    "upper case": "BEARER {}",
    "mixed case": "bEaReR {}",
    "two blanks": "Bearer  {}",
    "tab": "Bearer\t{}",
    "blanks at the end": "Bearer {}  ",
}


@requirement("AUT-004")
@over(spelling=tuple(SPELLINGS))
async def test_scheme_in_any_spelling(case: Case, spelling: str) -> None:
    """Spellings that RFC 9110 allows or that clients are known to send."""
    secret = await case.secret(None)
    expect_status(await knock(case, "chat", {"authorization": SPELLINGS[spelling].format(secret)}), 200)


@requirement("AUT-015")
async def test_two_keys_one_balance(case: Case) -> None:
    """One call by each of two keys: the user pays both."""
    user = await case.user()
    second = await case.admin.key(user.id)
    for key in (user.key, second):
        expect_status(await case.chat(key=key, answer="say=hi input_tokens=100 output_tokens=10"), 200)
    books = await case.books(rows=2)
    assert len(books.settles) == 2, f"two calls by two keys, settled: {dict(books.settles)}"
    assert {row["keyId"] for row in books.rows} == {user.key.id, second.id}, "each row names the key that was used"
