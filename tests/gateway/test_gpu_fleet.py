"""The GPU surface against a fleet in a process of its own, whose clock is a hundred times faster than ours.

Every fault of jobs (docs/faults.md#jobs) is submitted once, all together; the gateway's own poller settles them, and
each test looks at what came of one.
"""

from __future__ import annotations

import io
import json
import socket
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from PIL import Image
from standardwebhooks import Webhook

from tests.servers import Server, start

SCALE = 100
PATIENCE_S = 60
RATE = 3  # credits a second, of the deployments here
MOST_S = 60  # of one of their jobs
QUICK = "[[fault: job_times queue_s=1 cold_s=0 run_s=18.42]]"
COMFY, OWN, MODEL = "comfy", "own", "model"


@dataclass(frozen=True, slots=True)
class Case:
    """A job and what is due of it. `charge`: for so many milliseconds, or "flat", "capped", "measured", "any"."""

    directives: str
    status: str = "succeeded"
    error: str | None = None
    charge: int | str = 0
    on: str = COMFY
    submits: int = 1


RUN_MS = 18_420
SUCCEEDS = {"charge": RUN_MS}
CASES: Mapping[str, Case] = {
    "job_times": Case(QUICK, **SUCCEEDS),
    "job_stuck_in_queue": Case("[[fault: job_stuck_in_queue]]", "failed", "job_lost"),
    "job_never_finishes": Case("[[fault: job_never_finishes]]", "failed", "job_lost"),
    "job_fails": Case(f"{QUICK}[[fault: job_fails]]", "failed", "job_failed"),
    "job_times_out": Case(f"{QUICK}[[fault: job_times_out]]", "failed", "job_timed_out"),
    "job_cancelled": Case(f"{QUICK}[[fault: job_cancelled]]", "failed", "job_failed"),
    "job_vanishes": Case(f"{QUICK}[[fault: job_vanishes after_s=10]]", "failed", "job_lost"),
    "transient_404_after_submit": Case(f"{QUICK}[[fault: transient_404_after_submit for_s=10]]", **SUCCEEDS),
    "status_regress_after_completion": Case(f"{QUICK}[[fault: status_regress_after_completion after_s=0]]", **SUCCEEDS),
    "late_success": Case(f"{QUICK}[[fault: late_success after_s=200]]", charge="capped"),
    "late_success_told_timed_out": Case(
        f"{QUICK}[[fault: job_times run_s=90]][[fault: late_success after_s=200 told=timed_out]]",
        "failed",
        "job_timed_out",
    ),
    "result_url_expired": Case(f"{QUICK}[[fault: result_url_expired]]", "failed", "result_lost", on=MODEL),
    "wrong_execution_time_none": Case(f"{QUICK}[[fault: wrong_execution_time]]", charge="measured"),
    "wrong_execution_time_absurd": Case(f"{QUICK}[[fault: wrong_execution_time factor=1000]]", charge="measured"),
    "wrong_execution_time_less": Case(f"{QUICK}[[fault: wrong_execution_time factor=0.5]]", charge=RUN_MS // 2),
    "moderation_after_render": Case(f"{QUICK}[[fault: moderation_after_render]]", "failed", "no_output"),
    "moderation_after_render_failed": Case(
        f"{QUICK}[[fault: moderation_after_render form=failed]]", "failed", "job_failed"
    ),
    "partial_results": Case(f"{QUICK}[[fault: partial_results lost=1]]", **SUCCEEDS),
    "job_executed_twice": Case(f"{QUICK}[[fault: job_executed_twice]]", charge="any"),
    "submit_5xx_after_accept": Case(f"{QUICK}[[fault: submit_5xx_after_accept]]", "refused"),
    "reset_on_submit": Case(f"{QUICK}[[fault: reset]]", "refused"),
    "hang_on_submit": Case(f"{QUICK}[[fault: hang]]", **SUCCEEDS),  # its reply is lost, its webhook tells the id
    "status_429_once": Case(f"{QUICK}[[fault: status=429 attempt=1]]", submits=2, **SUCCEEDS),
    "progress_never_advances": Case(f"{QUICK}[[fault: progress_never_advances]]", **SUCCEEDS),
    "progress_curve": Case(f"{QUICK}[[fault: progress_curve]]", **SUCCEEDS),
    "status_words_drift": Case(f"{QUICK}[[fault: status_words_drift]]", **SUCCEEDS),
    "status_words_drift_success": Case(
        f"{QUICK}[[fault: status_words_drift word=COMPLETED becomes=SUCCEEDED]]", **SUCCEEDS
    ),
    "status_words_drift_queued": Case(
        f"{QUICK}[[fault: status_words_drift word=IN_QUEUE becomes=PREPARING]]", **SUCCEEDS
    ),
    "outer_inner": Case(
        f"{QUICK}[[fault: job_fails]][[fault: status_words_drift word=FAILED becomes=COMPLETED]]",
        "failed",
        "job_failed",
    ),
    "webhook_never_fires": Case(f"{QUICK}[[fault: webhook_never_fires]]", **SUCCEEDS),
    "webhook_redelivered_on_slow_ack": Case(
        f"{QUICK}[[fault: webhook_redelivered_on_slow_ack times=5 gap_s=1]]", **SUCCEEDS
    ),
    "webhook_before_submit_response": Case(f"{QUICK}[[fault: webhook_before_submit_response]]", charge="any"),
    "out_of_order_callbacks": Case(f"{QUICK}[[fault: out_of_order_callbacks]]", **SUCCEEDS),
    "webhook_id_mismatch": Case(f"{QUICK}[[fault: webhook_id_mismatch]]", **SUCCEEDS),
    "webhook_badly_signed": Case(f"{QUICK}[[fault: webhook_badly_signed]]", **SUCCEEDS),
    "webhook_stale_timestamp": Case(f"{QUICK}[[fault: webhook_stale_timestamp]]", **SUCCEEDS),
    "webhook_slow_retry": Case(f"{QUICK}[[fault: webhook_slow_retry]]", **SUCCEEDS),
    "download": Case(QUICK, charge="flat", on=MODEL),
    "download_redirect": Case(QUICK, charge="flat", on=MODEL),
    "download_truncate_at": Case(QUICK, charge="flat", on=MODEL),
    "download_truncated_for_ever": Case(QUICK, "failed", "result_lost", on=MODEL),
    "download_short_for_ever": Case(QUICK, "failed", "result_lost", on=MODEL),
    "own_handler": Case(QUICK, on=OWN, **SUCCEEDS),
    "own_handler_gives_nothing": Case(f"{QUICK}[[fault: moderation_after_render]]", on=OWN, **SUCCEEDS),
}
DOWNLOADS: Mapping[str, Any] = {
    "download_redirect": {"fault": {"kind": "download_redirect"}},
    "download_truncate_at": {"fault": {"kind": "download_truncate_at"}, "attempt": 1},
    "download_truncated_for_ever": {"fault": {"kind": "download_truncate_at"}},
    "download_short_for_ever": {"fault": {"kind": "download_truncate_at", "ends": "short"}},
}


@dataclass(slots=True)
class Site:
    """A running gateway on a running fleet."""

    fleet: str
    url: str
    key: str
    admin: str
    admin_token: str
    jobs: dict[str, Any] = field(default_factory=dict)  # by case: the submission's answer, then the job

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        headers = {"authorization": f"Bearer {self.key}"}
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=PATIENCE_S, **more)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, f"{self.fleet}/__fleet/{path}", json=body, timeout=PATIENCE_S)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def operate(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"authorization": f"Bearer {self.admin_token}"}
        answer = requests.request(method, f"{self.admin}/{path}", json=body, headers=headers, timeout=PATIENCE_S)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def ended(self, ident: str) -> Any:
        """The job once the gateway's poller has seen its end: nobody else looks at it."""
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            for job in self.call("GET", "/v1/gpu/jobs?limit=200").json()["jobs"]:
                if job["id"] == ident and job["status"] in ("succeeded", "failed", "cancelled"):
                    return self.call("GET", f"/v1/gpu/jobs/{ident}").json()
            time.sleep(0.2)
        raise AssertionError(f"the job {ident} does not end")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, module_ground: tuple[str, ...]) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("gpu")
    port = free_port()
    options = {
        "gpu_deploy_s": 0,
        "gpu_queue_s": 600,
        "poll_factor": 1 / SCALE,
        "first_byte_timeout_s": 3,
        "allow_private_hosts": ["127.0.0.1"],
        "test_clock": True,
        "objects": str(folder / "objects"),
        "public_url": f"http://127.0.0.1:{port}",
    }
    started: list[Server] = []
    try:
        started.append(start("simulator", "--time-scale", str(SCALE)))
        fleet = started[0].told["fleet"]["base_url"]
        settings = [word for name, value in options.items() for word in ("--set", f"{name}={json.dumps(value)}")]
        started.append(start("gateway", "--port", str(port), "--fleet", fleet, *module_ground, *plain(settings)))
        told = started[1].told["gateway"]
        made = Site(fleet, told["base_url"], "", told["admin_url"], told["admin_token"])
        user = made.operate("POST", "users", {"amount_uc": 10**13})
        made.key = made.operate("POST", f"users/{user['id']}/keys", {})["key"]
        prepare(made)
        yield made
    finally:
        for server in reversed(started):
            server.stop()


def plain(settings: list[str]) -> list[str]:
    """Options that are texts are given without quotes."""
    return [
        word.replace('="', "=").removesuffix('"') if word.count('"') == 2 and "[" not in word else word
        for word in settings
    ]


def prepare(site: Site) -> None:
    """Deploys, and submits all cases."""
    for slug, image in ((COMFY, "runpod/worker-comfyui:5.1.0"), (OWN, "me/mine")):
        fields = {"slug": slug, "dockerImage": image, "gpuTypes": "ADA_48_PRO", "maxSeconds": MOST_S}
        assert site.call("POST", "/v1/deployments", fields).status_code == 201
    rules = [
        {
            "name": name,
            "when": {"case": f"gpu.{name}", "operation": "fetch_file", **pick(row, "attempt")},
            "fault": row["fault"],
        }
        for name, row in DOWNLOADS.items()
    ]
    site.control("POST", "faults", {"rules": rules})
    for name, case in CASES.items():
        prompt = f"a lighthouse [[case:gpu.{name}]] {case.directives}"
        given = {"prompt": prompt} if case.on == OWN else {"prompt": prompt, "width": 256, "height": 256}
        if case.on == COMFY:
            given |= {"workflow_overrides": {"Latent.batch_size": 2}}
        path = "/v1/gpu/flux-schnell" if case.on == MODEL else f"/v1/gpu/run/{case.on}"
        site.jobs[name] = site.call("POST", path, {"input": given, "sync": False})


def pick(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: row[name]} if name in row else {}


@pytest.mark.parametrize("name", CASES)
def test_every_fault_of_jobs(site: Site, name: str) -> None:
    case, submitted = CASES[name], site.jobs[name]
    bill = site.control("GET", f"bills?case=gpu.{name}")["bills"][0]
    assert bill["submits"] == case.submits, "what may have been accepted is never submitted again"
    if case.status == "refused":
        assert (submitted.status_code, submitted.json()["error"]["type"]) == (502, "api_error")
        return
    assert submitted.status_code == 202, submitted.text
    told = submitted.json()
    job = site.ended(told.get("job_id") or told["id"])
    assert (job["status"], (job.get("error") or {}).get("type")) == (case.status, case.error), job
    cost = job.get("creditsCharged", job.get("costCredits"))
    match case.charge:
        case "flat":
            assert cost == 20
        case "capped":
            assert (job["executionMs"] > MOST_S * 1000, cost) == (True, MOST_S * RATE)
        case "measured":
            assert RUN_MS * RATE / 1000 - RATE <= cost <= MOST_S * RATE
            assert RUN_MS - 1000 < job["executionMs"] < RUN_MS * 1000
        case "any":
            assert cost >= 1
        case 0:
            assert cost == 0
        case int():
            assert (job["executionMs"], cost) == (case.charge, -(-case.charge * RATE // 1000))
        case _:
            raise AssertionError(case.charge)


def test_the_pictures_can_be_decoded(site: Site) -> None:
    ident = site.jobs["job_times"].json()["job_id"]
    job = site.ended(ident)
    assert (job["executionMs"], job["creditsCharged"]) == (18_420, 56)
    images = job["output"]["images"]
    assert len(images) == 2
    for each in images:
        head, _, data = each.partition(",")
        assert head == "data:image/png;base64"
        with Image.open(io.BytesIO(b64decode(data))) as picture:
            assert (picture.format, picture.size) == ("PNG", (256, 256))
    partial = site.ended(site.jobs["partial_results"].json()["job_id"])
    assert len(partial["output"]["images"]) == 1


def test_hosted_pictures_are_kept_by_the_gateway(site: Site) -> None:
    given = {"prompt": f"a tabby cat astronaut [[case:gpu.sdxl]] {QUICK}", "width": 128, "height": 64}
    answer = site.call("POST", "/v1/gpu/sdxl", {"input": given})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["status"], told["costCredits"], told["durationMs"]) == ("succeeded", 50, 18_420)
    (link,) = told["outputs"]
    with Image.open(io.BytesIO(requests.get(link, timeout=PATIENCE_S).content)) as picture:
        assert picture.size == (128, 64)


def test_wan_video_by_the_second(site: Site) -> None:
    """The fleet has no worker that makes clips: its echo gives a JSON object, which is kept as a file."""
    times = "[[fault: job_times queue_s=0 cold_s=0 run_s=156]]"
    given = {"prompt": f"drone over Tokyo, neon, rain [[case:gpu.wan]] {times}", "seconds": 5}
    ident = site.call("POST", "/v1/gpu/wan-video", {"input": given}).json()["id"]
    job = site.ended(ident)
    assert (job["costCredits"], job["durationMs"]) == (312, 156_000)
    made = requests.get(job["outputs"][0], timeout=PATIENCE_S).json()
    assert made["input"]["seconds"] == 5


def test_a_full_workflow_with_a_picture_in(site: Site) -> None:
    raw = io.BytesIO()
    Image.new("RGB", (96, 48), "red").save(raw, "PNG")
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}},
        "2": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 4}},
        "3": {
            "class_type": "SaveImage",
            "_meta": {"title": f"[[case:gpu.full]] {QUICK}"},
            "inputs": {"images": ["1", 0]},
        },
    }
    pictures = [{"name": "in.png", "image": b64encode(raw.getvalue()).decode()}]
    given = {"workflow": graph, "images": pictures, "workflow_overrides": {"2.steps": 6}}
    job = site.call("POST", f"/v1/gpu/run/{COMFY}", {"input": given, "sync": True}).json()
    with Image.open(io.BytesIO(b64decode(job["output"]["images"][0].partition(",")[2]))) as picture:
        assert picture.size == (96, 48)


def test_a_cancelled_job(site: Site) -> None:
    times = "[[fault: job_times queue_s=0 cold_s=0 run_s=5000]]"
    for name, ignored in (("gpu.cancel", ""), ("gpu.deaf", "[[fault: cancel_ignored]]")):
        given = {"prompt": f"x [[case:{name}]] {times if not ignored else QUICK}{ignored}"}
        ident = site.call("POST", f"/v1/gpu/run/{COMFY}", {"input": given}).json()["job_id"]
        told = site.call("POST", f"/v1/gpu/jobs/{ident}/cancel").json()
        job = site.ended(ident)
        assert job["status"] == ("succeeded" if ignored else "cancelled"), told
        assert job["creditsCharged"] <= MOST_S * RATE
        assert site.control("GET", f"jobs?case={name}")["jobs"][0]["state"] == job["status"]


def test_webhooks_arrive_signed_and_are_tried_again(site: Site) -> None:
    secret = site.call("POST", "/v1/webhooks/secret").json()["secret"]
    site.control(
        "POST", "neighbours/hooks/faults", {"faults": [{"kind": "status", "status": 500, "times": 1, "case": "gpu1"}]}
    )
    given = {"prompt": f"x [[case:gpu.hook]] {QUICK}", "width": 64, "height": 64}
    url = f"{site.fleet}/__hooks/gpu1/done"
    body = {"input": given, "webhookUrl": url}
    ident = site.call("POST", f"/v1/gpu/run/{COMFY}", body).json()["job_id"]
    job = site.ended(ident)
    site.control("GET", "received?case=gpu1&count=1&wait_ms=20000")
    until_s = time.monotonic() + PATIENCE_S
    while not (told := delivered(site, ident))["attempts"]:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    assert (told["status"], told["lastStatus"]) == ("pending", 500)
    site.operate("POST", "clock", {"advance_ms": 5_000})
    received = site.control("GET", "received?case=gpu1&count=2&wait_ms=20000")["received"]
    assert [each["status"] for each in received] == [500, 200]
    ids = set()
    for each in received:
        headers = dict(each["headers"])
        event = Webhook(secret).verify(each["body"], headers)
        ids.add(headers["webhook-id"])
        assert event["type"] == "job.succeeded"
        assert event["data"] == job | {"slug": COMFY, "pollUrl": f"/v1/gpu/jobs/{ident}"}
    assert len(ids) == 1
    until_s = time.monotonic() + PATIENCE_S
    while delivered(site, ident)["status"] != "delivered":
        assert time.monotonic() < until_s
        time.sleep(0.05)
    assert site.call("POST", f"/v1/gpu/run/{COMFY}", body | {"webhookUrl": "http://10.1.2.3/"}).status_code == 400


def delivered(site: Site, ident: str) -> Any:
    (one,) = site.call("GET", f"/v1/webhooks/deliveries?job_id={ident}").json()["deliveries"]
    return one


def test_the_books_are_right_at_the_end(site: Site) -> None:
    for name, case in CASES.items():
        if case.status != "refused":
            told = site.jobs[name].json()
            site.ended(told.get("job_id") or told["id"])
    audit = site.operate("GET", "ledger")
    assert audit["ok"], audit["problems"]
    assert (audit["open_holds"], audit["held_uc"]) == (0, 0)
