"""GPU jobs on PostgreSQL, with two processes at work on one database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.gpu import delivering, watch
from gateway.storage.store import Store
from gateway.storage.tables import gpu_jobs
from tests.gateway.gpu_lab import CLIP, HOOKED, PICTURES, PROMPT, open_gpu_lab
from tests.gateway.lab import CREDIT, run

WAN = "/v1/gpu/wan-video"


@contextmanager
def opened(url: str) -> Iterator[Store]:
    store = Store(url)
    try:
        yield store
    finally:
        store.close()


def test_a_job_from_submission_to_webhook(server_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        with opened(server_url) as store:
            lab = await open_gpu_lab(tmp_path, store=store)
            await lab.deploy(webhookUrl=HOOKED, env={"A": "b"})
            ident = await lab.submitted()
            lab.clock.advance(30_000)
            lab.runpod.end(output=PICTURES, executionTime=18_420)
            await lab.rounds(0)
            told = await lab.job(ident)
            assert (told["status"], told["creditsCharged"]) == ("succeeded", 56)
            assert len(lab.runpod.received) == 1
            assert await lab.check() == 56 * CREDIT
            assert (await lab.ask("/v1/gpu/jobs", method="GET", query="limit=1&status=succeeded")).json["next"] is None

    run(work())


def test_two_processes_share_the_jobs(server_url: str, tmp_path: Path) -> None:
    """Both poll at the same time: each job is polled by one of them, ends once, and is told of once."""

    async def work() -> None:
        with opened(server_url) as store, opened(server_url) as second:
            lab = await open_gpu_lab(tmp_path, store=store)
            other = lab.restarted(second)
            for number in range(30):
                await lab.submitted(WAN, webhookUrl=HOOKED)
                lab.runpod.jobs[f"job-{number + 1}-u1"] |= {
                    "status": "COMPLETED",
                    "executionTime": 5_000,
                    "output": CLIP,
                }
            lab.clock.advance(60_000)
            lab.runpod.polls = 0
            rounds = await asyncio.gather(watch.poll_due(lab.services), watch.poll_due(other.services))
            while await watch.poll_due(lab.services) + await watch.poll_due(other.services):
                pass
            assert lab.runpod.polls == 30, rounds
            assert await lab.check() == 300 * CREDIT
            await asyncio.gather(delivering.deliver_due(lab.services), delivering.deliver_due(other.services))
            while await delivering.deliver_due(lab.services) + await delivering.deliver_due(other.services):
                pass
            ids = [dict(request.headers)["webhook-id"] for request in lab.runpod.received]
            assert len(ids) == len(set(ids)) == 30

    run(work())


def test_two_processes_see_the_same_end(server_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        with opened(server_url) as store, opened(server_url) as second:
            lab = await open_gpu_lab(tmp_path, store=store)
            other = lab.restarted(second)
            for _ in range(10):
                ident = await lab.submitted(WAN)
                lab.clock.advance(10_000)
                lab.runpod.end(output=CLIP, executionTime=5_000)
                seen = await asyncio.gather(lab.job(ident), other.job(ident))
                assert {told["costCredits"] for told in seen} == {10}
            assert await lab.check() == 100 * CREDIT

    run(work())


def test_one_idempotency_key_at_two_processes(server_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        with opened(server_url) as store, opened(server_url) as second:
            lab = await open_gpu_lab(tmp_path, store=store)
            other = lab.restarted(second)
            for number in range(10):
                headers = {"authorization": f"Bearer {lab.secret}", "idempotency-key": f"k{number}"}
                asked: list[Any] = [each.ask(WAN, PROMPT, headers=headers) for each in (lab, other, lab, other)]
                answers = await asyncio.gather(*asked)
                assert {answer.status for answer in answers} == {202}, [answer.body for answer in answers]
                assert len({answer.json["id"] for answer in answers}) == 1
            assert len(lab.runpod.bodies) == 10
            assert await lab.check() == 0

    run(work())


def test_claims_skip_locked_rows_where_the_database_can() -> None:
    statement = select(gpu_jobs.c.id).limit(1).with_for_update(skip_locked=True)
    assert "FOR UPDATE SKIP LOCKED" in str(statement.compile(dialect=postgresql.dialect()))
    assert "FOR UPDATE" not in str(statement.compile(dialect=sqlite.dialect()))
