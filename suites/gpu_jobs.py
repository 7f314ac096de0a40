"""GPU jobs, deployments and webhooks as a client uses them, and what the fleet knows of each.

gpu = Gpu(case)
reply = await gpu.submit("ltx-video", faults=["job_fails"])
job = await gpu.ended(reply)
Source: api-reference#gpu-models, #comfyui-as-api.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from suites.case import Case, expect_status
from suites.edge import now_ms, sleep_ms
from suites.exchange import PATIENCE_S, Reply, Sent, send
from suites.fleet import Entry
from suites.outcomes import Violation
from suites.provisioning import UC_PER_CREDIT, Key, User

ENDED: Final = ("succeeded", "failed", "cancelled")
COMFY: Final = "runpod/worker-comfyui:5.1.0"
GPU: Final = "ADA_48_PRO"
SMALL: Final[Mapping[str, Any]] = {"width": 64, "height": 64}  # of a picture
PAUSE_MS: Final = 40.0
LIMIT_S: Final = 20.0  # for a job of a check to end
RUN_MS: Final = 350
QUICK: Final = f"job_times queue_s=0 cold_s=0 run_s={RUN_MS / 1000:g}"


@dataclass(frozen=True, slots=True)
class Hook:
    """A receiver of the fleet that only one check knows."""

    case: str
    url: str


class Gpu:
    """One caller's view of the GPU surface of the gateway."""

    def __init__(self, case: Case) -> None:
        self.case = case

    # -- calls ---------------------------------------------------------------------------------------------------

    async def call(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        key: Key | User | str | None = None,
        headers: Mapping[str, str] | None = None,
        token: str = "",
        limit_s: float = PATIENCE_S,
    ) -> Reply:
        """One request below the base URL of the OpenAI wire, as `gpu/jobs`; `key` "" sends none."""
        case = self.case
        secret = await case.secret(key)
        auth = {"authorization": f"Bearer {secret}"} if secret else {}
        kind = {} if document is None else {"content-type": "application/json"}
        body = b"" if document is None else case.encode(document)
        url = f"{case.target.openai_url}/{path}"
        sent = Sent(method, url, {**kind, **auth, **(headers or {})}, body, "", token, document)
        async with await send(case.rig.session, sent, case.evidence, limit_s) as opened:
            reply = await opened.rest(limit_s)
        case.findings.look_at(reply)
        return reply

    def order(self, token: str, faults: Sequence[str], given: Mapping[str, Any], more: Mapping[str, Any]) -> Any:
        """The body of a submission whose prompt bears the case's token."""
        prompt = f"A lighthouse. {self.case.marks(token, fault=faults)}"
        return {"input": {"prompt": prompt, **given}, **more}

    async def submit(
        self,
        slug: str,
        *,
        faults: Sequence[str] = (),
        given: Mapping[str, Any] | None = None,
        key: Key | User | str | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        times: str = QUICK,
        **more: Any,
    ) -> Reply:
        """Submit a job of a hosted model, or of a deployment (`run/SLUG`). `more`: sync, webhookUrl."""
        token = token or self.case.fresh()
        body = self.order(token, [times, *faults], given or {}, more)
        return await self.call("POST", f"gpu/{slug}", body, key=key, headers=headers, token=token)

    async def taken(self, slug: str, **options: Any) -> Reply:
        """The same. Raises Violation unless it is answered with 202."""
        reply = await self.submit(slug, **options)
        expect_status(reply, 202)
        return reply

    async def job(self, of: Reply | str, key: Key | User | None = None) -> dict[str, Any]:
        """How a job stands. Raises Violation unless it is there."""
        reply = await self.call("GET", f"gpu/jobs/{ident(of)}", key=key)
        expect_status(reply, 200)
        return reply.json

    async def seen(self, of: Reply | str, *until: str) -> list[dict[str, Any]]:
        """The job at each poll until its state is one of these. Raises Violation when that takes too long."""
        found: list[dict[str, Any]] = []
        started = now_ms()
        while now_ms() - started < LIMIT_S * 1000:
            found.append(await self.job(of))
            if found[-1].get("status") in until:
                return found
            await sleep_ms(PAUSE_MS)
        raise Violation(f"the job is {found[-1].get('status')} after {LIMIT_S:g} s; due was {' or '.join(until)}")

    async def ended(self, of: Reply | str) -> dict[str, Any]:
        """The job once it has ended."""
        return (await self.seen(of, *ENDED))[-1]

    async def cancelled(self, of: Reply) -> dict[str, Any]:
        """The job once it has ended, after its caller had enough of it."""
        expect_status(await self.call("POST", f"gpu/jobs/{ident(of)}/cancel"), 200)
        return await self.ended(of)

    async def facts(self, slug: str) -> dict[str, Any]:
        """What the gateway tells of a hosted model: its price and limits."""
        reply = await self.call("GET", f"gpu/{slug}")
        expect_status(reply, 200)
        return reply.json

    # -- deployments ---------------------------------------------------------------------------------------------

    async def create(self, slug: str, *, key: Key | User | None = None, **fields: Any) -> Reply:
        """Make a deployment, whatever is answered; None takes a field away."""
        body = {"slug": slug, "dockerImage": COMFY, "gpuTypes": GPU, **fields}
        return await self.call("POST", "deployments", {k: v for k, v in body.items() if v is not None}, key=key)

    async def deploy(self, slug: str = "mine", *, key: Key | User | None = None, **fields: Any) -> dict[str, Any]:
        """A deployment that takes jobs."""
        expect_status(await self.create(slug, key=key, **fields), 201)
        return await self.live(slug, key)

    async def live(self, slug: str, key: Key | User | None = None) -> dict[str, Any]:
        """The deployment once it takes jobs: 60 seconds after it was made, says the reference."""
        started = now_ms()
        while now_ms() - started < 75_000:
            reply = await self.call("GET", f"deployments/{slug}", key=key)
            expect_status(reply, 200)
            if reply.json.get("status") == "live":
                return reply.json
            await sleep_ms(100)
        raise Violation(f"the deployment is not live after 75 s: {reply}")

    # -- what the fleet knows ------------------------------------------------------------------------------------

    def hook(self) -> Hook:
        """A receiver of webhooks."""
        case = self.case.fresh()
        return Hook(case, f"{self.case.fleet.site}/__hooks/{case}/done")

    async def received(self, hook: Hook, count: int = 1, wait_ms: int = 8000) -> list[Mapping[str, Any]]:
        """What the receiver got, once that are so many or after `wait_ms`."""
        records = await self.case.fleet.received(hook.case, count, wait_ms)
        for record in records:
            self.case.evidence.note("upstream", f"webhook, answered {record['status']}", str(record["body"]))
        return records

    async def truth(self, of: Reply) -> Mapping[str, Any]:
        """The job as it truly stands upstream. Raises Violation unless there is exactly one."""
        jobs = await self.case.fleet.jobs(of.token)
        if len(jobs) != 1:
            raise Violation(f"{len(jobs)} jobs were begun upstream; one was due")
        return jobs[0]

    async def submissions(self, of: Reply | str) -> list[Entry]:
        """The requests upstream that were to begin a job."""
        return [entry for entry in await self.case.upstream(of) if entry.row["operation"] == "run"]


def ident(of: Reply | Mapping[str, Any] | str) -> str:
    """The id of a job, from a submission's answer or the job itself. Raises Violation where there is none."""
    if isinstance(of, str):
        return of
    told = of.json if isinstance(of, Reply) else of
    found = told.get("id") or told.get("job_id")
    if not isinstance(found, str) or not found:
        raise Violation(f"the answer names no job: {str(told)[:300]}")
    return found


def cost_uc(job: Mapping[str, Any]) -> int:
    """What a job says that it cost. Raises Violation unless these are whole credits."""
    credits = job.get("costCredits", job.get("creditsCharged"))
    if not isinstance(credits, int) or isinstance(credits, bool):
        raise Violation(f"the job tells its cost as {credits!r}; whole credits were due: {str(job)[:300]}")
    return credits * UC_PER_CREDIT


def seconds_uc(ms: int, credits_per_s: int) -> int:
    """The price of GPU time: by the millisecond, the sum rounded up to a whole credit."""
    return -(-ms * credits_per_s // 1000) * UC_PER_CREDIT
