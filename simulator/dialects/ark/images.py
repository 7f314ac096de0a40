"""Ark's images dialect: pictures by Seedream, POST /images/generations, and the pictures that its links lead to.

Synchronous: the reply is held until all pictures are made, or streamed as they are. Each picture may fail by itself in
a reply with 200. Source: Ark's documentation, image generation API and its streaming response.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from simulator.ask import Ask, Request
from simulator.dialects import inspection
from simulator.dialects.ark import image_replies, image_request, problems
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.performing import Performing
from simulator.jobs import desk, plans
from simulator.jobs.job import Plan, State, look, truth
from simulator.problem import Problem, Refused
from simulator.script import Script


class ArkImages(Performing):
    """The wire of pictures."""

    name: ClassVar[str] = "ark_images"
    root: ClassVar[str] = "/api/v3"
    nonces: ClassVar[str] = "hex"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", image_request.PATH): "create_image",
        ("GET", f"{image_request.FOLDER}/{{rest}}"): "fetch_file",
    }
    jobs: ClassVar[Mapping[str, str]] = {"create_image": desk.BEGIN}

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key; a link bears its own signature."""
        if "rest" not in request.params:
            problems.authenticate(request, keys)

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        return Ask(operation, "", fresh=True) if operation == "fetch_file" else image_request.decode(request)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take, and for prompts that the safety system stops."""
        image_request.check(ask, profile)
        if inspection.refuses_input(ask.turns[0].text):
            raise Refused(Problem("moderation"))

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The reply to any operation."""
        if profile is None or serving.job is None:
            return image_replies.fetched(serving)
        return image_replies.made(Kept(ask, None, profile, serving))

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """How long the pictures take."""
        work = image_request.work(ask, profile, serving.seed)
        key = (profile.provider, ask.model, serving.seed, serving.attempt)
        refused = inspection.refuses_output(ask.turns[0].text)
        return replace(plans.drawn(profile.facts["pace"], work.number, *key), steps=0, is_empty=refused)

    def charge(self, kept: Kept, now_ms: float) -> Mapping[str, float]:
        """Each picture that was made and not refused."""
        job = kept.serving.job
        view = None if job is None else look(truth(job), now_ms)
        count = image_replies.good(kept)
        if view is None or view.state is not State.SUCCEEDED or not count:
            return {}
        price = kept.profile.facts.get("price")
        return {"images": count} | ({} if price is None else {price["currency"]: round(count * price["picture"], 6)})

    def error(self, problem: Problem, serving: Serving) -> Script:
        """A refusal in Ark's form."""
        return problems.error(problem, serving)

    def error_frame(self, problem: Problem, serving: Serving) -> bytes:
        """The same as an event."""
        return b"event: error\ndata: %b\n\n" % b"".join(frame.data for frame in self.error(problem, serving).frames)
