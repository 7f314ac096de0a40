"""RunPod's own Python SDK, straight against the fleet: submit, poll, hold, stream, cancel, and the states it knows.

It is no dependency of this project; where it is not installed, these tests are skipped.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.conftest import Seen
from tests.simulator.live import Live

runpod = pytest.importorskip("runpod")
SOON = "[[fault: job_times queue_s=0 cold_s=0 run_s=0.01]]"
LONG = "[[fault: job_times queue_s=0 cold_s=0 run_s=60]]"


@pytest.fixture
def endpoints(fleet: Live, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an endpoint of the SDK, as RUNPOD_ENDPOINT_BASE_URL would have it."""
    host, port = fleet.address
    monkeypatch.setattr(runpod, "endpoint_url_base", f"http://{host}:{port}/runpod/v2")
    monkeypatch.setattr(runpod, "api_key", "sk-fleet-runpod")
    return runpod.Endpoint


def test_run_status_output(endpoints: Any, case: str) -> None:
    job = endpoints("echo").run({"prompt": f"a teapot [[case:{case}]]{SOON}"})
    output = job.output(timeout=10)
    assert job.status() == "COMPLETED"
    assert output["input"]["prompt"].startswith("a teapot")
    assert output["words"] > 1


def test_run_sync_is_held_until_the_end(endpoints: Any) -> None:
    output = endpoints("echo").run_sync({"input": {"prompt": f"a teapot {SOON}"}}, timeout=10)
    assert output["input"]["prompt"].startswith("a teapot")


def test_a_stream_gives_every_item_once(endpoints: Any) -> None:
    words = "one two three four five"
    job = endpoints("stream").run({"prompt": f"{words} {SOON}"})
    assert " ".join(job.stream()).startswith(words)
    assert job.status() == "COMPLETED"


def test_cancel(endpoints: Any) -> None:
    job = endpoints("echo").run({"prompt": f"a long one {LONG}"})
    assert job.status() in ("IN_QUEUE", "IN_PROGRESS")
    assert job.cancel()["status"] == "CANCELLED"
    assert job.status() == "CANCELLED"


def test_a_failure_is_a_final_state_without_an_output(endpoints: Any) -> None:
    job = endpoints("echo").run({"prompt": f"oh no {SOON}[[fault: job_fails]]"})
    assert job.output(timeout=10) is None
    assert job.status() == "FAILED"


def test_health_and_purge(endpoints: Any) -> None:
    endpoint = endpoints("progress")
    job = endpoint.run({"prompt": "waits [[fault: job_stuck_in_queue]]"})
    assert endpoint.health()["jobs"]["inQueue"] == 1
    assert endpoint.purge_queue()["removed"] == 1
    with pytest.raises(Exception, match="404"):
        job.status()


def test_a_wrong_key_is_told_as_such(endpoints: Any) -> None:
    with pytest.raises(RuntimeError, match="401"):
        endpoints("echo", api_key="sk-wrong").run({"prompt": "x"})


def test_the_sdk_does_not_submit_again_after_a_429(endpoints: Any, case: str, seen: Any) -> None:
    """Its session retries 408 and 429 by itself, but not a submission: that is no idempotent method."""
    with pytest.raises(Exception, match="429"):
        endpoints("echo").run({"prompt": f"[[case:{case}]]{SOON}[[fault: status=429 attempt=1]]"})
    found: Seen = seen()
    assert found.statuses == [429]
