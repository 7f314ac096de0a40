"""Fish Audio dialect: speech, transcripts, voices of one's own, voices by description, the wallet.

The model is a request header; none, or one that nobody knows, is the row's `default_model`, without a word. Bodies are
JSON, MessagePack or forms. Sources: Fish Audio's OpenAPI file and its pages on errors, pricing and limits; the official
Python client. What they leave open is said where it is assumed. Not there: the WebSocket `/v1/tts/live`, and the
surface for OpenAI's and ElevenLabs' clients below `/compat`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import orjson

from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.fish import designs, heard, problems, spoken, voice_requests, voices, wallet
from simulator.dialects.fish import request as requests
from simulator.dialects.performing import Performing
from simulator.jobs import desk, plans
from simulator.jobs.job import Plan
from simulator.problem import Problem, Refused
from simulator.script import Frame, Script


class Fish(Performing):
    """The wire of Fish Audio."""

    name: ClassVar[str] = "fish"
    root: ClassVar[str] = ""
    nonces: ClassVar[str] = "hex"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", "/v1/tts"): requests.SPEAK,
        ("POST", "/v1/tts/stream/with-timestamp"): requests.SPEAK_ALIGNED,
        ("POST", "/v1/asr"): requests.HEAR,
        ("POST", "/v1/voice-design"): requests.DESIGN,
        ("POST", "/model"): requests.CREATE,
        ("GET", "/model"): requests.LIST,
        ("GET", "/model/{id}"): requests.GET,
        ("PATCH", "/model/{id}"): requests.UPDATE,
        ("DELETE", "/model/{id}"): requests.DELETE,
        ("GET", "/wallet/{user}/api-credit"): wallet.CREDIT,
        ("GET", "/wallet/{user}/package"): wallet.PACKAGE,
        ("GET", f"{voices.FOLDER}/{{name}}"): "fetch_file",
    }
    jobs: ClassVar[Mapping[str, str]] = {
        requests.CREATE: desk.BEGIN,
        requests.UPDATE: desk.BEGIN,
        requests.GET: desk.SURVEY,
        requests.LIST: desk.SURVEY,
        requests.SPEAK: desk.LOOK,
        requests.SPEAK_ALIGNED: desk.LOOK,
    }

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """Raise Refused unless the request bears a key; links are open to whoever knows them."""
        if "name" in request.params:
            return
        scheme, _, key = request.headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer" or key.strip() not in keys:
            raise Refused(Problem("authentication"))

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        match operation:
            case requests.SPEAK | requests.SPEAK_ALIGNED:
                ask = requests.spoken(request, operation)
            case requests.HEAR:
                ask = requests.heard(request)
            case requests.DESIGN:
                ask = requests.designed(request)
            case requests.CREATE:
                ask = voice_requests.created(request)
            case requests.UPDATE:
                ask = voice_requests.updated(request)
            case requests.LIST:
                ask = voice_requests.listing(request)
            case wallet.CREDIT | wallet.PACKAGE:
                ask = wallet.asked(request, operation)
            case "fetch_file":
                ask = Ask(operation, "", fresh=True)
            case _:
                ask = voice_requests.about(request, operation)
        return ask._replace(site=request.site)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Raise Refused for what the model does not take."""
        match ask.operation:
            case requests.SPEAK | requests.SPEAK_ALIGNED:
                spoken.check(ask, profile)
            case requests.HEAR:
                heard.sound(ask, profile)
            case requests.CREATE:
                voice_requests.check(ask)

    def resume(self, ask: Ask, kept: Kept) -> Ask:
        """The request, if what it is about is the voice of this very id."""
        is_voice = kept.serving.job is not None and kept.ask.operation == requests.CREATE
        if not is_voice or voices.voice_id(kept.serving) != ask.body["id"]:
            raise Refused(Problem("not_kept", param=ask.needs))
        return ask

    # --- replies ------------------------------------------------------------------------------------------------------

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:
        """The reply to any operation."""
        match ask.operation:
            case requests.GET:
                return self._json(voices.one(ask, serving), serving)
            case requests.LIST:
                return self._json(voices.page(ask, serving), serving)
            case wallet.CREDIT | wallet.PACKAGE:
                return self._json(wallet.told(ask, serving), serving)
            case "fetch_file":
                return voices.fetched(serving)
            case requests.DELETE:
                found = None if kept is None else voices.view(kept, serving.now_ms)
                return self.error(Problem("not_kept"), serving) if found is None else Script(200, (), ())
        if profile is None:
            return self.error(Problem("not_found"), serving)
        match ask.operation:
            case requests.HEAR:
                return heard.reply(ask, profile)
            case requests.DESIGN:
                return designs.reply(ask, profile, serving)
            case requests.CREATE:
                return self._created(Kept(ask, None, profile, serving), serving)
            case requests.UPDATE:
                is_there = voices.find(ask.body["id"], serving) is not None
                return Script(200, (), ()) if is_there else self.error(Problem("not_kept"), serving)
        said = spoken.reply(ask, profile, serving)
        return self.error(said, serving) if isinstance(said, Problem) else said

    def _created(self, kept: Kept, serving: Serving) -> Script:
        view = voices.view(kept, serving.now_ms)
        if view is None:  # it is there, though nobody finds it yet
            job = kept.serving.job
            shown = None if job is None else replace(job, plan=replace(job.plan, hidden_ms=0))
            kept = replace(kept, serving=replace(kept.serving, job=shown))
            view = voices.view(kept, serving.now_ms)
        return self._json(None if view is None else voices.told(kept, view, serving, ()), serving, 201)

    def _json(self, body: object, serving: Serving, status: int = 200) -> Script:
        if body is None:
            return self.error(Problem("not_kept"), serving)
        return Script(status, problems.JSON, (Frame(orjson.dumps(body), "body"),))

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def plan(self, ask: Ask, profile: Profile, serving: Serving) -> Plan:
        """How a voice is trained when nothing goes wrong; a change takes no time."""
        pace = profile.facts.get("pace") if ask.operation == requests.CREATE else None
        if not pace:
            return Plan(queue_ms=0, run_ms=0)
        sounds = len(ask.body["sounds"])
        return plans.drawn(pace, sounds, profile.provider, serving.seed, serving.attempt)

    def error(self, problem: Problem, serving: Serving) -> Script:  # noqa: ARG002
        """A refusal in Fish Audio's words."""
        return problems.told(problem)
