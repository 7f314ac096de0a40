"""Files of users: kept as they came, listed, forgotten, and nobody else's."""

from __future__ import annotations

import base64
import hashlib

from suites import samples, stored
from suites.case import Case, expect_status
from suites.exchange import Reply
from suites.requirement import over, requirement

PICTURE = base64.b64decode(samples.PIXEL)
ROWS = b"city,unit\nOslo,C\n"
NOBODYS = "obj_0000000000000000000000"


@requirement("STO-001")
@over(how=("form", "bytes"))
async def test_comes_back_as_it_came(case: Case, how: str) -> None:
    """A data set is told with name, kind, type, size and digest, and its link gives the same bytes without a key."""
    told = {"kind": "dataset", "filename": "cities.csv"}
    if how == "form":
        reply = await stored.upload_form(case, ROWS, "x.csv", "text/csv", **told)
    else:
        reply = await stored.upload(case, ROWS, "text/csv", **told)
    expect_status(reply, 201)
    file = reply.json
    due = {**told, "contentType": "text/csv", "bytes": len(ROWS), "sha256": hashlib.sha256(ROWS).hexdigest()}
    assert {name: file.get(name) for name in due} == due
    got = await stored.fetched(case, file["url"])
    expect_status(got, 200)
    assert got.raw == ROWS, f"{len(got.raw)} bytes came back, other than the {len(ROWS)} that were sent"
    again = (await stored.ask(case, "GET", f"/{file['id']}")).json
    assert {name: again.get(name) for name in due} == due


@requirement("STO-002")
async def test_lists_by_kind(case: Case) -> None:
    """Of a picture and two data sets each list has its own, the newest first; without a kind there are all three."""
    first = await stored.kept(case, ROWS, "text/csv", kind="dataset")
    picture = await stored.kept(case, PICTURE, "image/png")
    last = await stored.kept(case, ROWS * 2, "text/csv", kind="dataset")
    assert picture["kind"] == "image", f"a picture of untold kind is a {picture['kind']}"
    dues = {"dataset": [last, first], "image": [picture], "audio": [], None: [last, picture, first]}
    for kind, due in dues.items():
        page = await stored.listed(case, **({"kind": kind} if kind else {}))
        assert [file["id"] for file in page["data"]] == [file["id"] for file in due], f"kind {kind}"
        assert (page["hasMore"], page["nextCursor"]) == (False, None), f"kind {kind}: {page}"


@requirement("STO-003")
async def test_pages_cover_each_once(case: Case) -> None:
    """Five files in pages of two: every file once, the newest first, and the last page says that it is."""
    made = [(await stored.kept(case, ROWS * (number + 1), "text/csv"))["id"] for number in range(5)]
    seen: list[str] = []
    sizes: list[int] = []
    cursor: dict[str, str] = {}
    for _ in range(4):
        page = await stored.listed(case, limit=2, **cursor)
        seen += [file["id"] for file in page["data"]]
        sizes.append(len(page["data"]))
        if not page["hasMore"]:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert (seen, sizes) == (made[::-1], [2, 2, 1])


@requirement("STO-004")
async def test_deleted_is_gone(case: Case) -> None:
    """After DELETE neither the list, nor its id, nor its link knows a file; the one beside it stays."""
    gone, stays = [await stored.kept(case, data, "text/csv") for data in (ROWS, ROWS * 2)]
    expect_status(await stored.fetched(case, gone["url"]), 200)
    reply = await stored.ask(case, "DELETE", f"/{gone['id']}")
    expect_status(reply, 200)
    assert reply.json == {"id": gone["id"], "deleted": True}
    expect_status(await stored.ask(case, "GET", f"/{gone['id']}"), 404, "not_found_error")
    expect_status(await stored.ask(case, "DELETE", f"/{gone['id']}"), 404, "not_found_error")
    expect_status(await stored.fetched(case, gone["url"]), 404)
    assert [file["id"] for file in (await stored.listed(case))["data"]] == [stays["id"]]
    expect_status(await stored.fetched(case, stays["url"]), 200)


@requirement("STO-005")
@over(method=("GET", "DELETE"))
async def test_of_others_nothing_is_told(case: Case, method: str) -> None:
    """Somebody else's file is 404 with the words for one that there is not, and is still there afterwards."""
    mine, stranger = await stored.kept(case, ROWS, "text/csv"), await case.new_user()
    theirs = await stored.ask(case, method, f"/{mine['id']}", key=stranger)
    nobodys = await stored.ask(case, method, f"/{NOBODYS}", key=stranger)
    for reply in (theirs, nobodys):
        expect_status(reply, 404, "not_found_error")
    assert words(theirs, mine["id"]) == words(nobodys, NOBODYS)
    assert (await stored.listed(case, key=stranger))["data"] == []
    expect_status(await stored.ask(case, "GET", f"/{mine['id']}"), 200)
    expect_status(await stored.fetched(case, mine["url"]), 200)


@requirement("STO-005")
async def test_of_every_key_of_the_owner(case: Case) -> None:
    """A file belongs to who pays: another key of the same user sees it and deletes it."""
    mine = await stored.kept(case, ROWS, "text/csv")
    other = await case.admin.key((await case.user()).id)
    assert [file["id"] for file in (await stored.listed(case, key=other))["data"]] == [mine["id"]]
    expect_status(await stored.ask(case, "DELETE", f"/{mine['id']}", key=other), 200)


def words(reply: Reply, ident: str) -> str:
    """What a refusal says, whichever the file."""
    return (reply.error or ("", ""))[1].replace(ident, "ID")


@requirement("STO-006")
@over(key=("ck_no_such_key_0000000000000000000", ""))
async def test_needs_a_key(case: Case, key: str) -> None:
    """Without a key, or with an unknown one, nothing is kept, shown or deleted."""
    mine = await stored.kept(case, ROWS, "text/csv")
    for method, rest in (("GET", ""), ("GET", f"/{mine['id']}"), ("DELETE", f"/{mine['id']}")):
        expect_status(await stored.ask(case, method, rest, key=key), 401, "authentication_error")
    expect_status(await stored.upload(case, ROWS, "text/csv", key=key), 401, "authentication_error")
    expect_status(await stored.ask(case, "GET", f"/{mine['id']}"), 200)


@requirement("STO-014")
async def test_costs_nothing(case: Case) -> None:
    """A file kept, listed, fetched and deleted moves no credit and leaves no line in the usage log."""
    user = await case.use(credits=0)
    file = await stored.kept(case, ROWS, "text/csv")
    await stored.listed(case)
    await stored.fetched(case, file["url"])
    expect_status(await stored.ask(case, "DELETE", f"/{file['id']}"), 200)
    books = await case.books(user)
    assert (books.balance_uc, books.transfers, books.rows) == (0, (), ())


@requirement("STO-015")
async def test_made_files_apart(case: Case) -> None:
    """A picture that was made is listed under `made` alone, until its time is over; it is as public as its link."""
    mine = await stored.kept(case, PICTURE, "image/png")
    expect_status(await case.ask("images", "A cat.", model=case.model("images")), 200)
    made = (await stored.listed(case, origin="made"))["data"]
    assert [(file["kind"], file["origin"], file["public"]) for file in made] == [("image", "made", True)]
    assert made[0]["expiresAt"] is not None, "a file that was made is kept for ever"
    assert [file["id"] for file in (await stored.listed(case))["data"]] == [mine["id"]]
    expect_status(await stored.fetched(case, made[0]["url"]), 200)
