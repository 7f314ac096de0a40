"""A gateway of a check's own, which it may stop and kill: started by the target's command on a fresh data folder."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from suites.case import Case
from suites.outcomes import HarnessError
from suites.processes import Server, StartError
from suites.provisioning import Admin
from suites.rig import Rig
from suites.stores import new_name
from suites.target import Provisioning, Target


class OwnGateway:
    """The process, and a case that talks to it instead of the shared gateway."""

    def __init__(self, case: Case, folder: Path) -> None:
        self._shared = case
        self._folder = folder
        self._name = new_name()
        self._starts = 0
        self._starting: asyncio.Future[Server] | None = None  # the last start, which goes on if the check is cut short
        self.server: Server | None = None
        self.case = case

    async def start(self) -> Case:
        """Start it on its folder (again); the case to use from now on, whose user is still the same."""
        argv = self._words(self._shared.target.start_command)
        if not self._starts:
            await self._run(self._shared.target.prepare_command)
        self._starts += 1
        log = self._folder / f"start-{self._starts}.log"
        try:
            self._starting = asyncio.ensure_future(asyncio.to_thread(Server, argv, log))
            self.server = await asyncio.shield(self._starting)
        except StartError as error:
            raise HarnessError(f"the target's start command: {error}") from error
        ready = self.server.ready["gateway"]
        self.case = self.case.moved_to(
            _rig(self._shared.rig, ready["base_url"], ready["admin_url"], ready["admin_token"])
        )
        return self.case

    async def kill(self) -> None:
        """End it, with every process it started, as the crash of a machine does."""
        if self.server is not None:
            await asyncio.to_thread(self.server.kill)

    async def close(self) -> None:
        """Kill it if it still runs or is about to, and clean up after it."""
        if self._starting is not None:
            with suppress(StartError):
                self.server = await self._starting
        await self.kill()
        if self._starts:
            await self._run(self._shared.target.clean_up_command)

    def _words(self, command: Sequence[str]) -> list[str]:
        places = {"{folder}": str(self._folder), "{name}": self._name}
        return [re.sub(r"\{(?:folder|name)\}", lambda place: places[place[0]], word) for word in command]

    async def _run(self, command: Sequence[str]) -> None:
        if not command:
            return
        words = self._words(command)
        done = await asyncio.to_thread(
            subprocess.run, words, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode:
            raise HarnessError(f"{' '.join(words[:4])}: ended with {done.returncode}: {done.stderr[-300:]!r}")

    def stop(self) -> None:
        """Ask it to end (SIGTERM)."""
        if self.server is not None:
            self.server.signal(signal.SIGTERM)

    async def ended(self, limit_s: float) -> int | None:
        """Its exit status; None when it still runs after `limit_s`."""
        return None if self.server is None else await asyncio.to_thread(self.server.wait, limit_s)


def _rig(shared: Rig, base_url: str, admin_url: str, token: str) -> Rig:
    """The shared rig, pointed at another gateway."""
    root = base_url.rstrip("/").removesuffix("/api/v1").removesuffix("/api")
    target: Target = replace(
        shared.target,
        openai_url=f"{root}/api/v1",
        anthropic_url=f"{root}/api",
        api_url=f"{root}/api",
        usage_url=f"{root}/api/api-usage",
        provisioning=Provisioning(admin_url.rstrip("/"), token, test_clock=True),
    )
    assert target.provisioning is not None, "set just above"
    return replace(shared, target=target, admin=Admin(shared.session, target.provisioning), common={})


@asynccontextmanager
async def own_gateway(case: Case) -> AsyncIterator[OwnGateway]:
    """A gateway of the check's own, not yet started; killed at the end if it still runs."""
    at_once = case.target.own_at_once
    turn = nullcontext() if at_once is None else case.rig.common.setdefault("own gateways", asyncio.Semaphore(at_once))
    async with turn:
        with tempfile.TemporaryDirectory(prefix="windtunnel-own-", ignore_cleanup_errors=True) as folder:
            own = OwnGateway(case, Path(folder))
            try:
                yield own
            finally:
                await own.close()
