"""kill -9 of a gateway with GPU jobs under way, again and again: none charged twice, none lost, none stranded."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests

from tests.gateway import ground
from tests.servers import Server, start

KILLS = 10
SCALE = 20
SUBMITTERS = 4
PATIENCE_S = 60
CREDITS = 10  # of a job: 5 s at 2 a second
TIMES = "[[fault: job_times queue_s=10 cold_s=0 run_s=5]]"
OPTIONS = {
    "poll_factor": 1 / SCALE,
    "connect_timeout_s": 1,
    "first_byte_timeout_s": 1,
    "idle_timeout_s": 1,
    "retries": 0,
    "allow_private_hosts": ["127.0.0.1"],
}


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    started: list[Server] = []
    yield started
    for server in started:
        server.kill()
        if server.process.stdout is not None:
            server.process.stdout.close()


class Victim:
    """The gateway, as often as it is started, and what its callers were told."""

    def __init__(self, servers: list[Server], fleet: str, folder: Path) -> None:
        self.servers = servers
        self.fleet = fleet
        self.folder = folder
        self.told: dict[str, str] = {}  # case -> id of a job that was acknowledged
        self.tried = 0

    def start(self) -> None:
        options = OPTIONS | {"objects": str(self.folder / "objects")}
        words = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in options.items()]
        settings = [word for option in words for word in ("--set", option)]
        known = ("--fleet", self.fleet, *ground.options(self.folder), "--admin-token", "kill-test")
        self.server = start("gateway", *known, *settings)
        self.servers.append(self.server)
        self.url = self.server.told["gateway"]["base_url"]

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"authorization": "Bearer kill-test"}
        answer = requests.request(method, f"{self.url}/admin/{path}", json=body, headers=headers, timeout=PATIENCE_S)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def call(self, path: str) -> Any:
        answer = requests.get(self.url + path, headers={"authorization": f"Bearer {self.key}"}, timeout=PATIENCE_S)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def submit(self, case: str) -> None:
        """One job; whether it is acknowledged depends on when the kill comes."""
        body = {
            "input": {"prompt": f"x [[case:{case}]] {TIMES}"},
            "webhookUrl": f"{self.fleet}/__hooks/killed/{case}",
        }
        headers = {"authorization": f"Bearer {self.key}"}
        try:
            answer = requests.post(f"{self.url}/v1/gpu/wan-video", json=body, headers=headers, timeout=PATIENCE_S)
        except requests.RequestException:
            return
        if answer.status_code == 202:
            self.told[case] = answer.json()["id"]

    def busy(self, round_: int, number: int) -> None:
        """A caller who submits one job after another until the gateway is gone."""
        for count in range(1000):
            self.tried += 1
            self.submit(f"kill.{round_}.{number}.{count}")
            if self.server.process.poll() is not None:
                return

    def jobs(self) -> list[Any]:
        found: list[Any] = []
        cursor = ""
        while True:
            page = self.call(f"/v1/gpu/jobs?limit=200&cursor={cursor}")
            found += page["jobs"]
            if page["next"] is None:
                return found
            cursor = page["next"]


def test_kill_nine(servers: list[Server], tmp_path: Path) -> None:
    servers.append(start("simulator", "--time-scale", str(SCALE)))
    fleet = servers[0].told["fleet"]["base_url"]
    victim, dice = Victim(servers, fleet, tmp_path), Random(20260510)
    victim.start()
    user = victim.admin("POST", "users", {"amount_uc": 10**13})["id"]
    victim.key = victim.admin("POST", f"users/{user}/keys", {})["key"]
    for round_ in range(KILLS):
        with ThreadPoolExecutor(SUBMITTERS) as pool:
            callers = [pool.submit(victim.busy, round_, number) for number in range(SUBMITTERS)]
            told, until_s = len(victim.told), time.monotonic() + PATIENCE_S
            time.sleep(0.1 + dice.random() * 0.4)
            while len(victim.told) < told + 2 and time.monotonic() < until_s:  # a busy machine is slow to acknowledge
                time.sleep(0.01)
            victim.server.kill()
            for caller in callers:
                caller.result()
        victim.start()

    until_s = time.monotonic() + PATIENCE_S
    while any(job["status"] in ("queued", "running") for job in victim.jobs()):
        assert time.monotonic() < until_s, "a job is stranded"
        time.sleep(0.3)
    jobs = {job["id"]: job for job in victim.jobs()}
    states = Counter(job["status"] for job in jobs.values())
    assert set(states) <= {"succeeded", "failed"}
    assert len(victim.told) > KILLS
    lost = [jobs[ident] for ident in victim.told.values() if jobs[ident]["status"] != "succeeded"]
    assert not lost, "what was acknowledged is not lost"
    for job in jobs.values():
        if job["status"] == "succeeded":
            assert job["creditsCharged"] == CREDITS, job
        else:
            assert (job["creditsCharged"], job["error"]["type"]) == (0, "submission_failed"), job

    audit = victim.admin("GET", "ledger")
    assert audit["ok"], audit["problems"]
    assert (audit["open_holds"], audit["held_uc"]) == (0, 0)
    account = victim.admin("GET", f"users/{user}")
    assert account["topped_up_uc"] - account["balance_uc"] == states["succeeded"] * CREDITS * 10**6

    bills = requests.get(f"{fleet}/__fleet/bills?case=kill.*", timeout=PATIENCE_S).json()["bills"]
    assert {bill["submits"] for bill in bills} == {1}, "nothing was submitted twice"
    until_s = time.monotonic() + PATIENCE_S
    while (told := received(fleet)).keys() != {ident for ident, job in jobs.items() if job["status"] == "succeeded"}:
        assert time.monotonic() < until_s, "a webhook is missing"
        time.sleep(0.3)
    assert all(len(ids) == 1 for ids in told.values()), "tries of one message have one id"
    print(f"{len(jobs)} jobs, {dict(states)}, {len(victim.told)} acknowledged, {len(bills)} reached the provider")


def received(fleet: str) -> dict[str, set[str]]:
    """By job that succeeded: the ids of the messages that told so."""
    found: dict[str, set[str]] = {}
    for each in requests.get(f"{fleet}/__fleet/received?case=killed&limit=5000", timeout=PATIENCE_S).json()["received"]:
        event = json.loads(each["body"])
        if event["type"] == "job.succeeded":
            found.setdefault(event["data"]["id"], set()).add(dict(each["headers"])["webhook-id"])
    return found
