"""MiniMax (Hailuo): every error comes with status 200, success is a `file_id`, whose link is a question of its own.

Source: wire reference, chapter 2.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar, Final
from urllib.parse import quote

from gateway.config import Upstream
from gateway.media.order import Order
from gateway.media.steps import Got, Send, bearer, get, post
from gateway.upstreams.media.clips import Clip
from gateway.upstreams.media.jobs import ClipJobs, Job, Json, Look, links
from gateway.upstreams.media.refusals import Class, Codes, decoded, member, text
from gateway.upstreams.media.words import Standing, Words
from gateway.upstreams.transport import Request

WORDS: Final = Words(waits=("Preparing", "Queueing", "Processing"), made=("Success",), failed=("Fail", "Failed"))
CODES: Final[Codes] = {
    **dict.fromkeys(("1004", "2049", "2061"), Class.AUTH),
    **dict.fromkeys(("1008", "1028", "1030", "2056"), Class.FUNDS),
    **dict.fromkeys(("1002", "1039", "1041", "2045"), Class.RATE),
    **dict.fromkeys(("1042", "1043", "1044", "2013"), Class.INVALID),
    "1026": Class.MODERATED,
    "1027": Class.CENSORED,
    **dict.fromkeys(("1000", "1001", "1013", "1024", "1033"), Class.FAULT),
}
RETRIEVE_S: Final = (0.0, 1.0, 2.0, 4.0, 8.0)  # before each try: a new file may not be known everywhere at once
GONE: Final = "the upstream has made the clip and does not say where it is"


class MiniMax(ClipJobs):
    """This wire."""

    dialect: ClassVar[str] = "minimax"
    codes: ClassVar[Codes] = CODES
    absent: ClassVar[frozenset[str]] = frozenset({"2013"})

    def submission(self, order: Order, upstream: Upstream, clip: Clip) -> Request:
        """An order; the ratio is that of the first frame, or the vendor's."""
        body: dict[str, Any] = {"model": clip.model(order), "prompt": order.prompt}
        fields = {
            "duration": clip.seconds(order),
            "resolution": clip.tier(order),
            "first_frame_image": order.images[0] if order.images else None,
            "last_frame_image": order.last_image,
        }
        body |= {name: value for name, value in fields.items() if value is not None}
        return post(upstream, "/v1/video_generation", body | clip.extras(order), bearer(upstream))

    def job(self, told: Json, request: Request) -> Job | None:  # noqa: ARG002
        """`task_id`."""
        ident = text(told, "task_id")
        return Job(ident) if ident else None

    def poll(self, job: Job, upstream: Upstream, order: Order) -> Request:  # noqa: ARG002
        """By the id."""
        return get(upstream, f"/v1/query/video_generation?task_id={quote(job.id)}", bearer(upstream))

    def look(self, told: Json, status: int) -> Look:  # noqa: ARG002
        """`status`, with a `file_id` in the end."""
        standing = WORDS.standing(member(told, "status"), has_result=text(told, "file_id") not in ("", "0"))
        return Look(standing, message=text(told, "base_resp", "status_msg"), told=told)

    def refusal(self, told: Json) -> tuple[str, str]:
        """`base_resp.status_code` is 0 where all is well."""
        code = text(told, "base_resp", "status_code")
        return ("", "") if code in ("", "0") else (code, text(told, "base_resp", "status_msg"))

    def result(self, job: Job, look: Look, upstream: Upstream, order: Order) -> Generator[Send, Got, Look]:  # noqa: ARG002
        """The link, which is good for an hour."""
        file_id = text(look.told, "file_id")
        if file_id in ("", "0"):
            return Look(Standing.MADE)
        request = get(upstream, f"/v1/files/retrieve?file_id={quote(file_id)}", bearer(upstream))
        for wait_s in RETRIEVE_S:
            got = yield Send(request, wait_s, again=True)
            file = member(decoded(got), "file")
            items = links(member(file, "download_url"), member(file, "backup_download_url"), short_lived=True)
            if items:
                return Look(Standing.MADE, items)
        return Look(Standing.FAILED, message=GONE)
