"""Kling's first wire: a path for each kind of task, the model in the body, `succeed` for a success.

A task is asked for on the path it was created on, by its id or by the id that its maker gave it. Any other path is a
404 with 1203, which is not documented: the fact `any_path` turns that off. A second task with the same
`external_task_id` is refused with 1201, which is not documented either (`external_ids_repeat` allows it). Source:
Kling's documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.kling import legacy_replies as replies
from simulator.dialects.kling import legacy_request, order
from simulator.dialects.kling.base import KlingWire
from simulator.dialects.kling.problems import envelope
from simulator.jobs import desk
from simulator.jobs.job import NEVER, State, View, end_ms, look
from simulator.problem import Problem, Refused
from simulator.script import Script


class KlingLegacy(KlingWire):
    """The wire of `/v1/videos/…` and `/v1/images/…`."""

    name: ClassVar[str] = "kling_legacy"
    root: ClassVar[str] = "/v1"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        **{("POST", path): operation for path, operation in legacy_request.OF_PATH.items()},
        **{("GET", path): "list_tasks" for path in legacy_request.OF_PATH},
        **{("GET", f"{path}/{{id}}"): "get_task" for path in legacy_request.OF_PATH},
        **KlingWire.files,
    }
    jobs: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(legacy_request.READERS, desk.BEGIN),
        "list_tasks": desk.SURVEY,
        "find_task": desk.SURVEY,
        "fetch_file": desk.LOOK,
    }
    submissions: ClassVar[frozenset[str]] = frozenset(legacy_request.READERS)

    def read(self, request: Request, operation: str) -> Ask:
        """A request that is not for a file."""
        return legacy_request.decode(request, operation)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if what it is about is there: a task on its own path, or a clip to go on from."""
        if kept.serving.job is None:
            raise Refused(Problem("not_kept", param=ask.needs))
        if ask.operation in self.submissions:
            return _from(ask, kept)
        if kept.ask.operation != ask.body["kind"] and not kept.profile.has("any_path"):
            raise Refused(Problem("not_kept", param=ask.needs))
        return ask._replace(model=kept.ask.model)

    def submitted(self, kept: Kept) -> Script:
        """The reply to a submission."""
        return replies.submitted(kept)

    def called(self, kept: Kept, view: View) -> Mapping[str, object]:
        """The flat body of a callback."""
        return replies.called(kept, view)

    def asked(self, ask: Ask, serving: Serving, kept: Kept | None) -> Script:
        """The reply to a query."""
        if ask.operation == "list_tasks":
            return replies.page(serving, ask.body["kind"], ask.body["page"], ask.body["size"])
        found = replies.found(serving)
        if kept is not None and kept.serving.job is not None:
            view = look(kept.serving.job, serving.now_ms)
            found = [] if view is None else [(kept, view)]
        else:
            external, kind = ask.body.get("external"), ask.body["kind"]
            found = [
                (one, view)
                for one, view in found
                if one.ask.operation == kind and order.of(one.ask).external == external
            ]
        if not found:
            return self.error(Problem("not_kept"), serving)
        return envelope(replies.task(*found[-1]), serving)

    def begins(self, ask: Ask, profile: Profile, serving: Serving, kept: Kept | None) -> Problem | None:
        """Why a task does not begin, besides: the clip it goes on from is not there yet."""
        if kept is not None and kept.serving.job is not None:
            view = look(kept.serving.job, serving.now_ms)
            if view is None or view.state is not State.SUCCEEDED or kept.serving.job.plan.is_empty:
                return Problem("invalid_request", f"video {order.of(ask).source_id} does not exist")
        return super().begins(ask, profile, serving, kept)


def _from(ask: Ask, kept: Kept) -> Ask:
    """A submission that goes on from the clip of an earlier task."""
    asked = order.of(ask)
    job = kept.serving.job
    clips = order.links(kept)[0] if job is not None and end_ms(job) < NEVER else []
    if not clips:
        raise Refused(Problem("invalid_request", f"video {asked.source_id} does not exist"))
    source = order.film(kept.ask, kept.profile, kept.serving.seed)
    told = asked._replace(source=source, source_url=clips[0]["url"])
    return ask._replace(body={**ask.body, "order": told})
