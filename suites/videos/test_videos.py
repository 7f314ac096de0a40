"""Clips: what is paid, what is ordered how often, and what becomes of orders that go wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any

from schemas.catalogue import MODELS
from suites import media
from suites.case import Case, expect_status
from suites.exchange import Reply
from suites.fleet import Entry
from suites.requirement import over, requirement

INSTANT = "job_times queue_s=0 cold_s=0 run_s=0"
CHAIN_MODEL = "doubao-seedance-1-5-pro"  # of the chain that the target file names


def listed(case: Case, model: str) -> str:
    """A model of the API reference, where the target serves clips at all."""
    case.model("videos")
    return model


async def clip(case: Case, model: str, **options: Any) -> Reply:
    """A call that succeeds with one clip behind a link."""
    faults = [INSTANT, *options.pop("faults", ())]
    reply = await case.ask("videos", "A cat on the moon.", model=listed(case, model), fault=faults, **options)
    expect_status(reply, 200)
    found = media.items(reply.json)
    assert len(found) == 1, f"{len(found)} clips came; one was due"
    assert str(found[0].get("url", "")).startswith("http"), f"no link: {found[0]}"
    return reply


async def paid(case: Case, model: str, units: int) -> None:
    """Raise unless ledger and log agree on the price of so many units."""
    row, due = MODELS[model], units * MODELS[model].unit_uc
    books = await case.books(rows=1)
    assert books.charged_uc == due, f"charged {books.charged_uc} uc; due {due}"
    told = (books.row["status"], books.row["unit"], books.row["units"], books.row["costUc"])
    assert told == ("succeeded", row.unit, units, due), f"the log says {told}; due {units}, {due} uc"


async def free(case: Case, reply: Reply) -> None:
    """Raise unless a call failed with 502 and cost nothing."""
    expect_status(reply, 502, "api_error")
    books = await case.books(rows=1)
    assert (books.charged_uc, books.held_uc) == (0, 0), f"charged {books.charged_uc} uc, held {books.held_uc} uc"
    told = (books.row["status"], books.row["units"], books.row["costUc"])
    assert told == ("upstream_failed", 0, 0), f"the log says {told}"


def orders(entries: list[Entry]) -> Counter[str]:
    """How often each provider was given the order."""
    return Counter(entry.provider for entry in entries if entry.row["method"] == "POST")


@requirement("VID-001")
@over(model=("doubao-seedance-1-5-pro", "kling-v3", "wan2.6"), duration=(5, 7, None))
async def test_charged_by_the_second(case: Case, model: str, duration: int | None) -> None:
    """What was asked for, five seconds where nothing was; the provider may make a longer clip, which costs no more."""
    reply = await clip(case, model, duration=duration)
    assert sum(orders(await case.upstream(reply)).values()) == 1, "one order was due"
    await paid(case, model, duration or 5)


@requirement("VID-001")
async def test_never_more_than_was_made(case: Case) -> None:
    """A minute is asked for, the provider's longest is made: charged is what the reply says it is."""
    reply = await clip(case, "doubao-seedance-1-5-pro", duration=60)
    item = media.items(reply.json)[0]
    made_s = item.get("duration")
    assert isinstance(made_s, int), f"the reply tells no whole length: {item}"
    assert 0 < made_s < 60, f"the reply says {made_s} s"
    entry = next(one for one in await case.upstream(reply) if one.row["method"] == "POST")
    assert entry.body["duration"] == made_s, f"{entry.body['duration']} s were ordered, {made_s} s told"
    await paid(case, "doubao-seedance-1-5-pro", made_s)


@requirement("VID-002")
@over(model=("veo3.1-quality", "vidu-q3-pro", "grok-video-3"), duration=(8, 15, None))
async def test_charged_by_the_clip(case: Case, model: str, duration: int | None) -> None:
    """One price, whatever the length."""
    reply = await clip(case, model, duration=duration)
    assert await case.upstream(reply), "no upstream was asked"
    await paid(case, model, 1)


@requirement("VID-003")
@over(fault=("submit_5xx_after_accept", "reset", "malformed_body"))
async def test_never_two_jobs_at_one_provider(case: Case, fault: str) -> None:
    """The reply to an order is lost, the job may well run: the next provider is asked, the first never again."""
    first, second = case.chain("videos")[:2]
    token = case.fresh()
    reply = await clip(case, CHAIN_MODEL, token=token, faults=[f"{fault} provider={first} attempt=1"])
    entries = await case.reached(fault, reply)
    assert orders(entries) == {first: 1, second: 1}, f"orders {dict(orders(entries))}"
    await paid(case, CHAIN_MODEL, 5)


@requirement("VID-004")
@over(form=("empty", "failed"))
async def test_moderated_is_no_success(case: Case, form: str) -> None:
    """The first provider says that it succeeded, without a clip, or that it was moderated: the second's clip comes."""
    first, second = case.chain("videos")[:2]
    fault = f"moderation_after_render form={form} provider={first}"
    reply = await clip(case, CHAIN_MODEL, faults=[fault])
    entries = await case.reached("moderation_after_render", reply)
    assert orders(entries) == {first: 1, second: 1}, f"orders {dict(orders(entries))}"
    await paid(case, CHAIN_MODEL, 5)


@requirement("VID-005")
@over(fault=("job_fails", "moderation_after_render form=empty", "status=500", "job_cancelled"))
async def test_free_when_all_fail(case: Case, fault: str) -> None:
    """However every provider fails: 502, nothing paid, nothing held, at most one job at each."""
    reply = await case.ask("videos", "A cat.", model=listed(case, CHAIN_MODEL), fault=[INSTANT, fault])
    entries = await case.reached(fault.partition("=")[0].partition(" ")[0], reply)
    jobs = Counter(entry.provider for entry in entries if entry.row["method"] == "POST" and entry.status == 200)
    assert all(count == 1 for count in jobs.values()), f"jobs {dict(jobs)}"
    await free(case, reply)


@requirement("VID-006")
@over(duration=(0, -5, 61, 2.5, "5", True))
async def test_bad_length_refused(case: Case, duration: Any) -> None:
    """Below a second, above a minute, in parts of one, in words."""
    reply = await case.ask("videos", "A cat.", model=listed(case, CHAIN_MODEL), fault=INSTANT, duration=duration)
    expect_status(reply, 400, "invalid_request_error")
    await case.nothing_upstream(reply)
    assert (await case.books()).charged_uc == 0


@requirement("VID-006")
async def test_tier(case: Case) -> None:
    """A microcredit short of $19.99."""
    await case.use(uc=1_998_999_999)
    reply = await case.ask("videos", "A cat.", model=listed(case, CHAIN_MODEL), fault=INSTANT)
    expect_status(reply, 403, "access_denied")
    await case.nothing_upstream(reply)
    assert (await case.books()).charged_uc == 0
