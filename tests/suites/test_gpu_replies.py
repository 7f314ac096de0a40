"""What is due of GPU replies: their kinds, sound ones of each, and one of each that is wrong in one way."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from suites.exchange import Reply, Sent
from suites.gpu_jobs import cost_uc, ident, seconds_uc
from suites.outcomes import Violation
from suites.reply_kinds import kind_of
from suites.reply_schemas import problems_of

MODEL: dict[str, Any] = {
    "slug": "sdxl",
    "name": "SDXL",
    "kind": "image",
    "creditsPerCall": 50,
    "maxSeconds": 120,
    "maxCredits": 50,
    "mode": "sync",
    "input": {"prompt": {"type": "string", "required": True}},
    "runUrl": "/v1/gpu/sdxl",
}
QUEUED = {"id": "abc", "status": "queued", "pollUrl": "/v1/gpu/jobs/abc"}
OWN_QUEUED = {"job_id": "abc", "status": "queued", "provider_job_id": None}
SUCCEEDED = {
    "id": "abc",
    "status": "succeeded",
    "outputs": ["https://cdn.example/a.png"],
    "costCredits": 50,
    "durationMs": 4210,
}
ERROR = {"type": "job_failed", "message": "CUDA out of memory"}
FAILED = {"id": "abc", "status": "failed", "error": ERROR, "costCredits": 0, "durationMs": None}
OWN = {"job_id": "abc", "status": "succeeded", "output": None, "executionMs": 18_420, "creditsCharged": 56}
ROW: dict[str, Any] = {
    "id": "abc",
    "kind": "model",
    "slug": "sdxl",
    "status": "queued",
    "createdAt": "2026-11-23T03:50:53.483Z",
    "endedAt": None,
    "executionMs": None,
    "creditsCharged": 0,
    "estimated": False,
    "error": None,
    "pollUrl": "/v1/gpu/jobs/abc",
}
ENDED = ROW | {"status": "succeeded", "endedAt": "2026-11-23T03:50:54.483Z", "executionMs": 1, "creditsCharged": 1}
DEPLOYMENT: dict[str, Any] = {
    "id": "dep_1",
    "slug": "mine",
    "name": "Mine",
    "status": "live",
    "dockerImage": "me/mine:1",
    "worker": "handler",
    "gpuTypes": "ADA_48_PRO,AMPERE_80",
    "creditsPerSecond": 3,
    "region": "any",
    "minWorkers": 0,
    "maxWorkers": 3,
    "idleTimeout": 5,
    "maxSeconds": 300,
    "webhookUrl": None,
    "env": {"A": "********"},
    **dict.fromkeys(("createdAt", "updatedAt", "liveAt"), "2026-11-23T03:50:53.483Z"),
    "runUrl": "/v1/gpu/run/mine",
}

SOUND: tuple[tuple[str, Any], ...] = (
    ("gpu_models", {"object": "list", "data": [MODEL]}),
    ("gpu_submission", QUEUED),
    ("gpu_submission", QUEUED | {"webhookSecret": "whsec_YWJj"}),
    ("gpu_submission", OWN_QUEUED),
    ("gpu_job", QUEUED | {"cancelRequested": True}),
    ("gpu_job", OWN_QUEUED),
    ("gpu_job", SUCCEEDED),
    ("gpu_job", FAILED),
    ("gpu_job", FAILED | {"status": "cancelled", "costCredits": 3}),
    ("gpu_job", OWN),
    ("gpu_jobs", {"jobs": [ROW, ENDED], "next": "1-abc"}),
    ("deployment", DEPLOYMENT | {"webhookSecret": "whsec_YWJj"}),
    ("deployments", {"deployments": [DEPLOYMENT]}),
)
WRONG: tuple[tuple[str, Any], ...] = (
    ("gpu_models", {"object": "list", "data": [MODEL | {"creditsPerSecond": 1}]}),
    ("gpu_models", {"object": "list", "data": [MODEL | {"maxCredits": "50"}]}),
    ("gpu_submission", QUEUED | {"status": "submitting"}),
    ("gpu_submission", {"id": "abc", "status": "queued"}),
    ("gpu_submission", QUEUED | {"webhookSecret": "secret"}),
    ("gpu_job", QUEUED | {"webhookSecret": "whsec_YWJj"}),
    ("gpu_job", SUCCEEDED | {"costCredits": 50.5}),
    ("gpu_job", SUCCEEDED | {"outputs": []}),
    ("gpu_job", SUCCEEDED | {"error": ERROR}),
    ("gpu_job", FAILED | {"costCredits": 1}),
    ("gpu_job", FAILED | {"error": None}),
    ("gpu_job", QUEUED | {"status": "succeeded"}),
    ("gpu_job", {name: value for name, value in OWN.items() if name != "executionMs"}),
    ("gpu_jobs", {"jobs": [ROW]}),
    ("gpu_jobs", {"jobs": [ROW | {"creditsCharged": 1}], "next": None}),
    ("gpu_jobs", {"jobs": [ENDED | {"endedAt": None}], "next": None}),
    ("gpu_jobs", {"jobs": [ENDED | {"status": "failed"}], "next": None}),
    ("deployment", DEPLOYMENT | {"env": {"A": "hunter2"}}),
    ("deployment", DEPLOYMENT | {"creditsPerSecond": 1.5}),
    ("deployments", {"deployments": [DEPLOYMENT | {"webhookSecret": "whsec_YWJj"}]}),
    ("deployments", [DEPLOYMENT]),
)


@pytest.mark.parametrize(("kind", "document"), SOUND)
def test_sound(kind: str, document: Any) -> None:
    assert problems_of(kind, document) == []


@pytest.mark.parametrize(("kind", "document"), WRONG)
def test_wrong(kind: str, document: Any) -> None:
    assert problems_of(kind, document)


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/gpu", 200, "gpu_models"),
        ("GET", "/gpu/sdxl", 200, None),
        ("POST", "/gpu/sdxl", 200, "gpu_job"),
        ("POST", "/gpu/sdxl", 202, "gpu_submission"),
        ("POST", "/gpu/run/mine", 202, "gpu_submission"),
        ("POST", "/gpu/run/mine", 200, "gpu_job"),
        ("GET", "/gpu/jobs?limit=2", 200, "gpu_jobs"),
        ("GET", "/gpu/jobs/abc", 200, "gpu_job"),
        ("POST", "/gpu/jobs/abc/cancel", 200, "gpu_job"),
        ("GET", "/gpu/jobs/abc", 404, "error"),
        ("GET", "/deployments", 200, "deployments"),
        ("POST", "/deployments", 201, "deployment"),
        ("PATCH", "/deployments/mine", 200, "deployment"),
        ("DELETE", "/deployments/mine", 200, None),
    ],
)
def test_kinds(method: str, path: str, status: int, kind: str | None) -> None:
    headers = CIMultiDictProxy(CIMultiDict({"content-type": "application/json"}))
    made = Reply(Sent(method, f"http://h/api/v1{path}", {}, b""), status, headers, 0.0, 0.0)
    assert kind_of(made) == kind


@pytest.mark.parametrize(
    ("ms", "credits_per_s", "credits"), [(18_420, 3, 56), (156_000, 2, 312), (1, 1, 1), (0, 3, 0), (1000, 3, 3)]
)
def test_seconds(ms: int, credits_per_s: int, credits: int) -> None:
    """The first two stand in the API reference."""
    assert seconds_uc(ms, credits_per_s) == credits * 1_000_000


def test_what_a_job_says() -> None:
    assert (ident(QUEUED), ident(OWN), ident("x")) == ("abc", "abc", "x")
    assert (cost_uc(SUCCEEDED), cost_uc(OWN)) == (50_000_000, 56_000_000)
    for wrong in ({}, {"id": 7}, {"job_id": ""}):
        with pytest.raises(Violation, match="names no job"):
            ident(wrong)
    costs: list[dict[str, Any]] = [{}, {"costCredits": 1.5}, {"creditsCharged": "3"}, {"costCredits": True}]
    for wrong in costs:
        with pytest.raises(Violation, match="whole credits"):
            cost_uc(wrong)
