"""Jobs of a fleet of several processes: found, changed and listed wherever they were submitted."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.simulator.live import Live
from tests.simulator.runpod_exchange import call, later, submit, told
from tests.simulator.test_workers import REDIS, fleet, redis_answers

pytestmark = pytest.mark.skipif(not redis_answers(), reason=f"no Redis at {REDIS}")
POLLS = 12  # each on a connection of its own: some reach either worker


def test_a_job_is_one_job_for_all_workers() -> None:
    with fleet(2, "--clock", "manual") as running:
        two = cast(Live, running)  # it calls as one process does

        def seen(job: str) -> set[str]:
            return {told(two, job) for _ in range(POLLS)}

        job = submit(two, "job-fails percent=50 attempt=1", text="[[case:shared]]")
        assert seen(job) == {"IN_QUEUE"}
        later(two, 6)
        assert seen(job) == {"FAILED"}
        assert call(two, "POST", f"echo/retry/{job}").json["status"] == "IN_QUEUE"
        assert seen(job) == {"IN_QUEUE"}
        later(two, 3)
        assert call(two, "POST", f"echo/cancel/{job}").json["status"] == "CANCELLED"
        assert seen(job) == {"CANCELLED"}
        rows: list[dict[str, Any]] = two.control("GET", "jobs?case=shared")["jobs"]
        assert [(row["state"], row["tries"], row["run_ms"]) for row in rows] == [("cancelled", 2, 1000)]
