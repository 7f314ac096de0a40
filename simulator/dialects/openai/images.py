"""OpenAI Images dialect: POST /v1/images/generations, /edits and /variations, and the pictures that its links lead to.

Keys, refusals and headers are those of the chat wire; what a model takes are facts of its row. Source: the public
specification (CreateImageRequest, CreateImageEditRequest, ImagesResponse, 2.3.0) and recorded replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai import headers as openai_headers
from simulator.dialects.openai import images_links, images_replies, images_request, images_rules
from simulator.dialects.openai.chat import OpenAIChat
from simulator.dialects.openai.images_usage import used
from simulator.problem import Problem
from simulator.script import Script


class OpenAIImages(OpenAIChat):
    """The Images wire."""

    name: ClassVar[str] = "openai_images"
    nonces: ClassVar[str] = "hex"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/images/generations"): "create_image",
        ("POST", "/images/edits"): "edit_image",
        ("POST", "/images/variations"): "vary_image",
        ("GET", f"{images_links.FOLDER}/{{account}}/{{user}}/{{name}}"): "fetch_file",
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """As on the chat wire; a link bears its own signature instead of a key."""
        if request.method != "GET":
            super().authenticate(request, keys)

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        if operation == "fetch_file":
            return Ask(operation, model="", body={"path": request.path, "query": request.query}, fresh=True)
        return images_request.decode(request, operation)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what this model does not take."""
        images_rules.check(ask, profile)

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The pictures: in one object, as events, or one by itself."""
        if profile is None:
            return images_links.fetched(ask.body["path"], ask.body["query"], serving)
        if problem := images_rules.blocked(ask, profile, serving):
            return self.error(problem, serving)
        usage = used(ask, profile, serving)
        headers = openai_headers.answer(usage.as_usage(), profile, serving, ask.stream)
        told = usage.as_usage() if profile.has("usage") else None
        if ask.stream:
            frames = images_replies.stream(ask, profile, serving, usage)
            return Script(200, headers, frames, stream=True, usage=told)
        return Script(200, headers, (images_replies.whole(ask, profile, serving, usage),), usage=told)

    def error_frame(self, problem: Problem, serving: Serving) -> bytes:
        """The refusal as an event of its own name."""
        return b"event: error\n" + super().error_frame(problem, serving)
