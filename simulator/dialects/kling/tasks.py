"""Kling's second wire: the model in the path, all tasks at /tasks, `succeeded` for a success.

A task that nobody finds is no error: it is missing in the list, which may be empty. No task can be cancelled. Names and
values of filters by `product_type` are not documented: here they are the first segment of the path. Source: Kling's
documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Serving
from simulator.dialects.kling import tasks_replies as replies
from simulator.dialects.kling import tasks_request
from simulator.dialects.kling.base import KlingWire
from simulator.jobs import desk
from simulator.jobs.job import View
from simulator.script import Script


class Kling(KlingWire):
    """The wire of `/text-to-video/{model}` and its likes."""

    name: ClassVar[str] = "kling"
    root: ClassVar[str] = ""
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        **{("POST", f"/{first}/{{model}}"): operation for first, operation in tasks_request.OPERATIONS.items()},
        ("GET", "/tasks"): "get_tasks",
        ("POST", "/tasks"): "list_tasks",
        **KlingWire.files,
    }
    jobs: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(tasks_request.OPERATIONS.values(), desk.BEGIN),
        "get_tasks": desk.LOOK,
        "find_tasks": desk.SURVEY,
        "list_tasks": desk.SURVEY,
        "fetch_file": desk.LOOK,
    }
    submissions: ClassVar[frozenset[str]] = frozenset(tasks_request.OPERATIONS.values())

    def read(self, request: Request, operation: str) -> Ask:
        """A request that is not for a file."""
        return tasks_request.decode(request, operation)

    def submitted(self, kept: Kept) -> Script:
        """The reply to a submission."""
        return replies.submitted(kept)

    def called(self, kept: Kept, view: View) -> Mapping[str, object]:
        """The task object."""
        return replies.task(kept, view)

    def asked(self, ask: Ask, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The reply to a query."""
        return replies.listed(ask, serving) if ask.operation == "list_tasks" else replies.several(ask, serving)
