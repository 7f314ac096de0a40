"""What the workers of RunPod endpoints do: how long a job takes, how it ends, and what it gives.

The fact `worker` of an endpoint picks one. `echo` stands for a handler of one's own: it gives back what it got, with
what can be told of it, and, with the fact `streams`, the words of its texts one by one. `comfyui` is worker-comfyui.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.runpod import comfy
from simulator.dialects.runpod.request import texts
from simulator.jobs import plans
from simulator.jobs.job import Plan, State, look

KEEP_MS: Final = 30 * 60_000  # the result of a run
KEEP_SYNC_MS: Final = 60_000  # of a runsync; as long as its `wait` where that is longer
SECONDS_MAX: Final = 86_400
WORDS_MAX: Final = 2_000  # items of a stream
CHECK_MS: Final = 40  # a job whose input is wrong fails so soon
VERSION: Final = "1.7.13"


def plan(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """What becomes of a job when nothing goes wrong."""
    made, limits = _of_worker(ask, profile, serving), ask.body["limits"]
    keep_ms = KEEP_MS
    if ask.operation == "runsync":
        keep_ms = max(KEEP_SYNC_MS, ask.body["wait_ms"]) if ask.body["asked_wait"] else KEEP_SYNC_MS
    return replace(made, limit_ms=limits["executionTimeout"], ttl_ms=limits["ttl"], keep_ms=keep_ms)


def _of_worker(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """The plan as the worker has it, before RunPod's own limits."""
    key = (profile.provider, ask.model, serving.seed, serving.attempt)
    given, pace = ask.body["input"], profile.facts["pace"]
    if profile.facts["worker"] != "comfyui":
        return replace(plans.drawn(pace, _seconds(given), *key), steps=len(items(given)))
    work = comfy.read(given)
    if isinstance(work, str):
        return replace(plans.drawn(pace, 0, *key), run_ms=CHECK_MS, ends=State.FAILED, error=work)
    return plans.drawn(pace, work.steps, *key)


def _seconds(given: object) -> int:
    """The seconds of output that the input of an `echo` asks for."""
    found = given.get("seconds", given.get("duration", 0)) if isinstance(given, dict) else 0
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= SECONDS_MAX:
        return 0
    return round(found)


def items(given: object) -> list[str]:
    """What a handler that streams yields for an input: the words of its texts."""
    return " ".join(texts(given)).split()[:WORDS_MAX]


def output(kept: Kept) -> Any:
    """The output of a job that succeeded; None: it has none."""
    given, job = kept.ask.body["input"], kept.serving.job
    if job is None:
        return None
    if kept.profile.facts["worker"] == "comfyui":
        return comfy.output(kept)
    if job.plan.is_empty:
        return None
    if kept.profile.has("streams"):
        return items(given)
    return {"input": given, "words": len(items(given)), "digest": draws.digest(orjson.dumps(given)).hex()}


def progress(kept: Kept, share: float) -> str | None:
    """The last progress update of a running job, where its handler sends any."""
    job = kept.serving.job
    if not kept.profile.has("tells_progress") or job is None or not job.plan.steps:
        return None
    return f"{round(share * job.plan.steps)}/{job.plan.steps}"


def produced(kept: Kept, now_ms: float) -> int:
    """How many items of its stream a job has made."""
    job = kept.serving.job
    view = None if job is None else look(job, now_ms)
    if view is None or not kept.profile.has("streams"):
        return 0
    return round(view.progress * len(items(kept.ask.body["input"])))


def error(kept: Kept) -> str:
    """The error of a job that failed: the worker's own words, or what its exception left behind, as JSON in a text."""
    job = kept.serving.job
    if job is None or kept.profile.facts["worker"] == "comfyui":
        return "" if job is None else job.plan.error
    where = '  File "/handler.py", line 42, in handler\n'
    told = {
        "error_type": "<class 'RuntimeError'>",
        "error_message": job.plan.error,
        "error_traceback": f"Traceback (most recent call last):\n{where}RuntimeError: {job.plan.error}\n",
        "hostname": f"{worker_id(kept)}-64410a5f",
        "worker_id": worker_id(kept),
        "runpod_version": VERSION,
    }
    return orjson.dumps(told).decode()


def worker_id(kept: Kept) -> str:
    """The worker that ran a job; another one after a retry, or once the job was taken over."""
    job = kept.serving.job
    again = (0, 0) if job is None else (job.tries, job.plan.runs)
    return draws.word(14, "worker", kept.serving.seed, kept.serving.nonce, *again).lower()
