"""Files that Veo left at the Gemini API: a download redirects to where the bytes are, and both ask for the key.

The redirect leads to the same path below `/download` (fact `redirects` of the mount), bears an error object as its
body, and its headers echo those of the request, the key among them; the query, and with it a key in the query, is
carried on. Source: a recorded run of August 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.gemini import headers as gemini_headers
from simulator.dialects.gemini import json
from simulator.dialects.gemini.generate import GeminiGenerate
from simulator.dialects.performing import Performing
from simulator.dialects.veo import replies, work
from simulator.dialects.veo import request as veo_request
from simulator.dialects.veo.operations import GONE, refusal
from simulator.jobs.job import State, end_ms, look
from simulator.media import crc32c
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script

FORBIDDEN: Final = "You do not have permission to access the File {name} or it may not exist."
REDIRECT: Final = {"error": {"code": 302, "message": "Unknown Error.", "status": "UNKNOWN"}}
_GOOGLE: Final = GeminiGenerate()


class VeoFiles(Performing):
    """Downloads of what Veo made."""

    name: ClassVar[str] = "veo_files"
    root: ClassVar[str] = "/v1beta"
    nonces: ClassVar[str] = "base36"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {("GET", "/files/{id}:download"): veo_request.DOWNLOAD}

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """As on the generateContent wire."""
        _GOOGLE.authenticate(request, keys)

    def decode(self, request: Request, operation: str) -> Ask:  # noqa: ARG002
        """Read and validate a request."""
        return veo_request.download(request)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if that file was ever promised."""
        if kept.serving.job is None or kept.ask.operation != veo_request.SUBMIT:
            raise Refused(Problem("not_kept"))
        if ask.body["sample"] >= replies.delivered(kept):
            raise Refused(Problem("not_kept"))
        return ask

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The way to the bytes, or the bytes."""
        job = None if kept is None else kept.serving.job
        view = None if job is None else look(job, serving.now_ms)
        if kept is None or job is None or view is None or view.state is not State.SUCCEEDED:
            return self.error(Problem("not_kept"), serving)
        natural = job.plan.link_ttl_ms is None
        ttl_ms = serving.facts["file_ttl_s"] * 1000 if natural else job.plan.link_ttl_ms
        if serving.now_ms - end_ms(job) >= (ttl_ms or 0):
            return self._gone(ask, serving.facts["file_gone"] if natural else job.plan.link_status, serving)
        return (
            _redirect(ask, serving) if serving.facts.get("redirects") else _bytes(work.clip(kept, ask.body["sample"]))
        )

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal: a google.rpc.Status."""
        return refusal(problem, serving)

    def _gone(self, ask: Ask, status: int, serving: Serving) -> Script:
        if status == 403:
            return self.error(Problem("permission", FORBIDDEN.format(name=ask.body["name"])), serving)
        return self.error(Problem("status", GONE, status=status), serving)


def _redirect(ask: Ask, serving: Serving) -> Script:
    query = f"?{serving.query}" if serving.query else ""
    own = (*gemini_headers.plain(serving), ("location", f"{ask.site}/download{ask.body['path']}{query}"))
    told = {name for name, _ in own}
    echoed = tuple(pair for pair in ask.body["echoed"] if pair[0] not in told)
    return Script(302, (*own, *echoed), (Frame(json.body(REDIRECT), "body"),))


def _bytes(data: bytes) -> Script:
    headers = (
        ("content-type", "video/mp4"),
        ("content-disposition", "attachment"),
        ("vary", "Origin"),
        ("vary", "X-Origin"),
        ("vary", "Referer"),
        ("x-goog-hash", f"crc32c={crc32c.told(data)}"),
        ("server", "UploadServer"),
        ("cache-control", "private, max-age=0"),
    )
    return Script(200, headers, (Frame(data, "body"),))
