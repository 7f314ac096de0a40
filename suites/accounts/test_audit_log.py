"""The audit log of an organisation."""

from __future__ import annotations

import datetime

from suites.accounts.company import OUTSIDER, cast, company
from suites.accounts.keyring import at
from suites.case import Case, expect_status
from suites.person import due
from suites.requirement import requirement


@requirement("ACC-025")
async def test_every_deed(case: Case) -> None:
    """One of each: who did it, to what, when, from where, with which request."""
    firm = await company(case)
    owner, viewer = firm.owner, firm.people["viewer"]
    seen = len(await firm.events())
    key = await firm.key("developer")
    done = [("key.created", firm.people["developer"], key.id)]

    async def did(action: str, who: str, target: str, method: str, path: str, document: object = None) -> None:
        reply = await firm.people[who].request(method, path, document)
        due(reply, 200, 201, 204)
        done.append((action, firm.people[who], target or reply.json["id"]))

    guest = {"email": f"guest+{case.fresh()}@people.example", "role": "viewer"}
    await did("key.changed", "admin", key.id, "PATCH", at(key), {"name": "other"})
    await did("key.rotated", "developer", key.id, "POST", at(key, "/rotate"))
    await did("key.deleted", "admin", key.id, "DELETE", at(key))
    await did("org.renamed", "owner", firm.id, "PATCH", firm.path(), {"name": "Acme Two"})
    await did("member.role_changed", "admin", viewer.id, "PATCH", firm.path(f"/members/{viewer.id}"), {"role": "admin"})
    await did("member.invited", "admin", "", "POST", firm.path("/invitations"), guest)
    await did("budget.changed", "billing", firm.id, "PUT", firm.path("/budget"), {"monthlyLimit": 5})
    await did("member.removed", "owner", viewer.id, "DELETE", firm.path(f"/members/{viewer.id}"))
    events = await firm.events()
    told = [(event["action"], event["actor"]["id"], event["target"]) for event in reversed(events)]
    due_rows = [(action, who.id, target) for action, who, target in done]
    assert told[seen:] == due_rows, f"the log tells {told[seen:]}; due {due_rows}"
    for event in events[: len(done)]:
        assert event["outcome"] == "done", f"{event}"
        assert event["ip"], f"no address: {event}"
        assert event["requestId"], f"no request: {event}"
        at_ = datetime.datetime.fromisoformat(event["at"].replace("Z", "+00:00"))
        assert at_.utcoffset() == datetime.timedelta(0), f"{event['at']} is not in UTC"
    names = {event["actor"]["email"] for event in events[: len(done)]}
    assert owner.email in names, f"who did it is told by {names}"


@requirement("ACC-025")
async def test_refusals(case: Case) -> None:
    """A member whose role forbids leaves a row, too; a stranger leaves none."""
    firm = await company(case)
    viewer = firm.people["viewer"]
    before = await firm.events()
    expect_status(await viewer.patch(firm.path(), {"name": "Viewer's Inc"}), 403, "access_denied")
    expect_status(await firm.people[OUTSIDER].patch(firm.path(), {"name": "Eve's Inc"}), 404, "not_found_error")
    events = await firm.events()
    assert len(events) == len(before) + 1, f"{len(events) - len(before)} rows of one refusal"
    assert (events[0]["actor"]["id"], events[0]["outcome"]) == (viewer.id, "denied"), f"the row is {events[0]}"


@requirement("ACC-026")
async def test_own_events_only(case: Case) -> None:
    """Two organisations of one owner: neither log has a row of the other."""
    people = await cast(case)
    one, other = await company(case, name="One Inc"), await company(case, people={"owner": people[OUTSIDER]})
    key = await one.key()
    due(await one.owner.patch(at(key), {"name": "secret project"}), 200)
    due(await other.owner.patch(other.path(), {"name": "Other Two"}), 200)
    for query in ("", "?limit=1000", f"?orgId={one.id}", f"?org={one.id}"):
        events = await other.events(query)
        foreign = [event for event in events if event["target"] in (key.id, one.id)]
        assert not foreign, f"{query}: rows of another organisation, {foreign}"
        assert {event["target"] for event in events} <= {other.id}, f"{query}: {events}"


@requirement("ACC-026")
async def test_pages(case: Case) -> None:
    """Newest first, and page after page the same rows."""
    firm = await company(case)
    for number in range(5):
        due(await firm.owner.patch(firm.path(), {"name": f"Acme {number}"}), 200)
    whole = await firm.events()
    times = [event["at"] for event in whole]
    assert times == sorted(times, reverse=True), f"not newest first: {times}"
    assert whole[0]["details"]["name"] == "Acme 4", f"the newest row is {whole[0]}"
    pages, cursor = [], ""
    for _ in range(len(whole)):
        page = due(await firm.owner.get(firm.path(f"/audit-log?limit=2{cursor}")), 200)
        assert len(page["events"]) <= 2, f"limit=2 gave {len(page['events'])} rows"
        pages += page["events"]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert pages == whole, "the pages together are not the whole log"
