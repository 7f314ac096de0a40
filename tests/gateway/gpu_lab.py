"""A gateway in memory in front of a RunPod of the test's own: its jobs do what the test says, when the test says."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from gateway import config
from gateway.accounts import Key
from gateway.app import App
from gateway.gpu import delivering, watch
from gateway.gpu.job import OPEN, owner_of
from gateway.services import Services, open_services
from gateway.storage.store import Store
from gateway.storage.tables import gpu_jobs, holds
from gateway.upstreams.memory import MemoryReply, MemoryTransport
from gateway.upstreams.transport import Request, TransportError
from tests.gateway.ground import opened
from tests.gateway.lab import CREDIT, Lab
from tests.gateway.making import StillClock

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40 + b"IEND\xaeB`\x82"
PICTURES = {"images": [{"filename": "ComfyUI_00001_.png", "type": "base64", "data": b64encode(PNG).decode()}]}
CLIP = {"video": b64encode(b"\0\0\0\x18ftypmp42" + b"\0" * 60).decode()}
COMFY = {"slug": "my-comfy-workflow", "dockerImage": "runpod/worker-comfyui:dev-cuda12.1.1", "gpuTypes": "ADA_48_PRO"}
RUN = "/v1/gpu/run/my-comfy-workflow"
PROMPT = {"input": {"prompt": "a cinematic portrait of an astronaut"}}
HOOKED = "https://hooks.example/done"


class PassingClock(StillClock):
    """A clock that stands still; when it is moved, real time has passed, and no test clock was moved."""

    __slots__ = ("passed_ms",)

    def __init__(self) -> None:
        super().__init__()
        self.passed_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.passed_ms

    def monotonic(self) -> float:
        return super().monotonic() + self.passed_ms / 1000

    def advance(self, ms: int) -> int:
        self.passed_ms += ms
        return self.offset_ms


@dataclass
class RunPod:
    """The provider: jobs by id, what the next submissions meet, and what became of every call."""

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    bodies: list[Any] = field(default_factory=list)  # of submissions that were taken in
    cancelled: list[str] = field(default_factory=list)
    polls: int = 0
    submit: list[Any] = field(default_factory=list)  # what the next submissions meet: a status, an error, "lost"
    poll: list[Any] = field(default_factory=list)  # what the next polls meet
    files: dict[str, MemoryReply] = field(default_factory=dict)
    received: list[Request] = field(default_factory=list)  # webhooks of callers
    receiver: list[int] = field(default_factory=list)  # statuses that the next webhooks are answered with; then 200
    obeys: bool = True  # cancellations
    before_poll: Callable[[], None] | None = None  # done once, when a job is asked about

    def answer(self, request: Request) -> MemoryReply:
        """One call of the gateway."""
        if "hooks.example" in request.url:
            self.received.append(request)
            return MemoryReply(self.receiver.pop(0) if self.receiver else 200)
        if request.url in self.files:
            return self.files[request.url]
        *_, operation, last = request.url.split("/")
        if last == "run":
            return self.run(request)
        if operation == "cancel":
            self.cancelled.append(last)
            job = self.jobs.get(last)
            if self.obeys and job is not None and job["status"] in ("IN_QUEUE", "IN_PROGRESS"):
                job |= {"status": "CANCELLED"}
            return replied({"id": last, "status": "CANCELLED"})
        self.polls += 1
        if self.before_poll is not None:
            self.before_poll, happens = None, self.before_poll
            happens()
        if self.poll:
            return met(self.poll.pop(0))
        job = self.jobs.get(last)
        return met(404) if job is None else replied({"id": last, **job})

    def run(self, request: Request) -> MemoryReply:
        meets = self.submit.pop(0) if self.submit else None
        if isinstance(meets, int) or (isinstance(meets, TransportError) and meets.kind == "connect"):
            return met(meets)
        ident = f"job-{len(self.jobs) + 1}-u1"
        self.jobs[ident] = {"status": "IN_QUEUE"}
        self.bodies.append(json.loads(request.body))
        if meets is not None:  # taken in, and the reply is lost or wrong
            return met(meets[1])
        return replied({"id": ident, "status": "IN_QUEUE"})

    @property
    def last(self) -> str:
        """The id of the newest job."""
        return f"job-{len(self.jobs)}-u1"

    def start(self, ident: str = "") -> None:
        """The job runs."""
        self.jobs[ident or self.last] |= {"status": "IN_PROGRESS", "delayTime": 100}

    def end(self, status: str = "COMPLETED", output: Any = None, ident: str = "", **told: Any) -> None:
        """The job is over."""
        found = {"status": status, "delayTime": 100, **told}
        self.jobs[ident or self.last] = found | ({} if output is None else {"output": output})


def replied(value: Any, status: int = 200) -> MemoryReply:
    return MemoryReply(status, {"content-type": "application/json"}, [json.dumps(value).encode()])


def met(what: Any) -> MemoryReply:
    """What a call meets: a status, a broken connection, or a body."""
    if isinstance(what, TransportError):
        raise what
    return replied({"error": "no"}, what) if isinstance(what, int) else replied(what)


@dataclass
class GpuLab(Lab):
    """The gateway, the provider, and the clock that both go by."""

    runpod: RunPod = field(default_factory=RunPod)

    @property
    def clock(self) -> PassingClock:
        assert isinstance(self.services.clock, PassingClock)
        return self.services.clock

    async def deploy(self, **fields: Any) -> Any:
        """A live deployment."""
        made = await self.ask("/v1/deployments", COMFY | fields)
        assert made.status == 201, made.body
        self.clock.advance(60_000)
        return made.json

    async def submitted(self, path: str = RUN, **fields: Any) -> str:
        """A job that the provider took."""
        answer = await self.ask(path, PROMPT | fields)
        assert answer.status == 202, answer.body
        told = answer.json
        return str(told.get("job_id") or told["id"])

    async def job(self, ident: str) -> Any:
        """The job as its caller sees it."""
        answer = await self.ask(f"/v1/gpu/jobs/{ident}", method="GET")
        assert answer.status == 200, answer.body
        return answer.json

    async def rounds(self, seconds: float = 0) -> None:
        """Time passes, then the background does what is due."""
        self.clock.advance(round(seconds * 1000))
        while await watch.poll_due(self.services) or await delivering.deliver_due(self.services):
            pass

    async def check(self) -> int:
        """The books are right, and exactly the open jobs hold credit; what was spent, in microcredits."""
        audit = await self.services.money.audit()
        assert audit.ok, audit.problems
        kept = await self.services.store.read(
            lambda c: (c.execute(select(gpu_jobs)).mappings().all(), c.execute(select(holds)).mappings().all())
        )
        owed = {owner_of(row["id"]): (row["hold_id"], row["hold_uc"]) for row in kept[0] if row["state"] in OPEN}
        assert {row["owner"]: (row["id"], row["amount_uc"]) for row in kept[1]} == owed
        assert all(0 <= row["charged_uc"] <= row["hold_uc"] for row in kept[0])
        balance = await self.services.money.balance(self.user_id)
        assert balance.held_uc == sum(amount_uc for _, amount_uc in owed.values())
        spent_uc = balance.topped_up_uc - balance.balance_uc
        assert spent_uc == sum(row["charged_uc"] for row in kept[0])
        return spent_uc

    def restarted(self, store: Store | None = None) -> GpuLab:
        """A new process on the same database; the old one is dead, or goes on where this has a store of its own."""
        services = parts(self.services.config, store or self.services.store, self.runpod, self.clock)
        return GpuLab(services, App(services), _transport(services), self.key, self.secret, self.user_id, self.runpod)


def parts(settings: config.Config, store: Store, runpod: RunPod, clock: StillClock) -> Services:
    """The parts of a process."""

    async def resolve(_host: str, _port: int) -> list[str]:
        return ["93.184.215.14"]

    transport = MemoryTransport(runpod.answer)
    return open_services(settings, store, transport, "admin", clock=clock, resolve=resolve)


def _transport(services: Services) -> MemoryTransport:
    assert isinstance(services.transport, MemoryTransport)
    return services.transport


async def open_gpu_lab(tmp: Any, credits: int = 100_000, store: Store | None = None, **options: Any) -> GpuLab:
    """A gateway with one funded user; its files are kept in `tmp`. `store`: in place of one in memory."""
    runpod, clock = RunPod(), PassingClock()
    known = {"backoff_ms": 0, "objects": str(tmp), "test_clock": True, **options}
    if store is None:
        settings, store = opened(known)
    else:
        settings = config.load(flags={"database": store.url, **known})
    services = parts(settings, store, runpod, clock)
    user = await services.accounts.create_user()
    if credits:
        await services.money.top_up(user.id, credits * CREDIT)
    key, secret = await services.accounts.create_key(user)
    return GpuLab(services, App(services), _transport(services), key, secret, user.id, runpod)


async def another(lab: GpuLab) -> tuple[Key, str]:
    """Somebody else's key."""
    user = await lab.services.accounts.create_user()
    await lab.services.money.top_up(user.id, 100_000 * CREDIT)
    return await lab.services.accounts.create_key(user)
