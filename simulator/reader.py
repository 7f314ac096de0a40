"""Reading a request: who is asked for what, by whom, about which earlier exchange, and what the answer would be."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator import draws
from simulator.answers.answer import Answer
from simulator.answers.compose import compose
from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.fixtures.fixture import Fixtures
from simulator.jobs.bills import downloads
from simulator.jobs.desk import AGAIN, Desk, effect
from simulator.journal import Headers
from simulator.memory import Known
from simulator.nonces import ALPHABETS, Nonces
from simulator.problem import Problem, Refused
from simulator.providers import Mount, Provider
from simulator.quotas.doors import key_of
from simulator.rules.asked import asked_of
from simulator.rules.directives import NONE, AnswerSpec
from simulator.rules.selectors import Subject
from simulator.shelf import Held, Shelf

Facts = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Heard:
    """What a dialect made of a request, as far as it came."""

    ask: Ask | None = None
    kept: Kept | None = None
    profile: Profile | None = None
    problem: Problem | None = None


class Reader:
    """Reads the requests of one fleet. It changes nothing but what is known of a request."""

    def __init__(self, seed: int, shelf: Shelf) -> None:
        self._seed = seed
        self._shelf = shelf
        self.desk = Desk(shelf, self.as_kept)
        self.marks = {name: Nonces(name, seed, "mark")(0).decode() for name in ALPHABETS}
        self.salt: tuple[object, ...] = ()  # what keeps the nonces of several workers apart
        self.fixtures = Fixtures()

    def read(
        self, provider: Provider, method: str, path: str, query: bytes, facts: Facts, headers: Headers, body: bytes
    ) -> Known:
        """What the request is."""
        seen = {name.decode("latin-1"): value.decode("latin-1") for name, value in facts}
        text = query.decode("latin-1")
        mount, operation, params, path_exists = provider.route(method, path)
        dialect = mount.dialect
        site = f"http://{seen.get('host', 'localhost')}/{provider.name}"
        request = Request(method, path, text, seen, body, params, mount.facts, site)
        heard = self._heard(provider, mount, operation, request, headers, path_exists)
        ask, kept, problem = heard.ask, heard.kept, heard.problem
        try:
            directives, asked = asked_of(ask, body, seen)
        except ValueError as error:
            directives, asked = NONE, ()
            problem = problem or Problem("invalid_request", f"Windtunnel directive: {error}")
        digest = draws.nonce(method, path, query, body)
        case = directives.case or self._case(provider, mount, operation, path, heard)
        counted = case if effect(dialect, operation) == AGAIN else directives.case
        subject = Subject(
            provider=provider.name,
            region=provider.region,
            dialect=dialect.name,
            operation=operation,
            model=ask.model or None if ask else None,
            stream=ask.stream if ask else False,
            method=method,
            path=path,
            query=text,
            case=case,
            key=counted or digest,
        )
        moving = any(not fault.still for fault in provider.faults)
        return Known(
            provider,
            mount,
            subject,
            body,
            directives,
            asked,
            seed=draws.integer(self._seed, provider.name, digest) >> 65,
            nonces=Nonces(mount.nonces, self._seed, provider.name, subject.key, *self.salt),
            headers=headers,
            ask=ask,
            profile=heard.profile,
            problem=problem,
            never_ready=bool(asked or moving or kept or (ask and ask.fresh)),
            mark=self.marks[mount.nonces],
            kept=kept,
        )

    def _heard(
        self, provider: Provider, mount: Mount, operation: str | None, request: Request, headers: Headers, known: bool
    ) -> Heard:
        """What the dialect makes of a request. `known` says whether its path is, whatever the method."""
        heard, dialect = Heard(), mount.dialect
        try:
            if operation is None:
                raise Refused(_no_operation(request.method, request.path, known))
            dialect.authenticate(request, provider.keys)
            ask = heard.ask = dialect.decode(request, operation)
            if ask.needs:
                heard.kept = self._kept(provider, ask, headers, request.query)
                ask = heard.ask = dialect.resume(ask, heard.kept)
            if operation != "list_models" and ask.model:
                heard.profile = mount.profile(provider.name, ask.model)
                if heard.profile is None:
                    raise Refused(Problem("unknown_model", param=ask.model))
                dialect.check(ask, heard.profile)
        except Refused as refused:
            heard.problem = refused.problem
        return heard

    def _case(self, provider: Provider, mount: Mount, operation: str | None, path: str, heard: Heard) -> str | None:
        """The case of a request that names none: what is asked of a job belongs to the case that submitted it."""
        found = heard.kept or self._about(provider, heard.ask)
        job = None if found is None else found.serving.job
        if job is not None and job.case is not None:
            return job.case
        if operation in downloads(mount.dialect):
            return self.desk.case_of_file(provider.name, path, len(self.marks[mount.nonces]))
        return None

    def _kept(self, provider: Provider, ask: Ask, headers: Headers, query: str) -> Kept:
        """The earlier exchange that a request needs; a job is its organisation's own. Raises Refused."""
        held = self._shelf.get(provider.name, ask.needs)
        if held is None or held.known.ask is None or held.known.profile is None:
            raise Refused(Problem("not_kept", param=ask.needs))
        if held.job is not None and provider.orgs:
            asking = provider.borne(headers, query)
            if asking and provider.org(asking) != provider.org(key_of(held.known)):
                raise Refused(Problem("not_kept", param=ask.needs))
        return self.as_kept(held, ask.needs)

    def _about(self, provider: Provider, ask: Ask | None) -> Kept | None:
        """The first job there is of those that a request asks for."""
        found = (self.desk.kept(provider.name, nonce) for nonce in (ask.about if ask else ()))
        return next((kept for kept in found if kept is not None), None)

    def as_kept(self, held: Held, nonce: str) -> Kept:
        """What is on the shelf, as a dialect sees it."""
        known = held.known
        if known.ask is None or known.profile is None:
            raise TypeError("only an exchange that a model answered is kept")
        serving = replace(serving_of(known, nonce, held.now_s), job=held.job)
        return Kept(known.ask, self.answer(known), known.profile, serving, held.cancelled_s)

    def answer(self, known: Known) -> Answer | None:
        """What the model says; None when no model is asked. A directive may ask for what this wire cannot say."""
        ask, profile = known.ask, known.profile
        if ask is None or profile is None or ask.operation != "generate" or known.problem is not None:
            return None
        if known.answer is None:
            natives = getattr(known.mount.dialect, "natives", None)
            spec = self._spec(known, ask)
            try:
                known.answer = compose(ask, spec, profile, self._seed, known.mark, 0, natives)
            except ValueError as error:
                known.problem = Problem("invalid_request", f"Windtunnel directive: {error}")
        return known.answer

    def _spec(self, known: Known, ask: Ask) -> AnswerSpec:
        """What the answer should be: as directed, else as canned, else as the request has it."""
        spec = known.directives.answer
        found = self.fixtures.find(known.subject, ask) if spec is NONE.answer else None
        if found is None:
            return spec
        known.fixture = found[0].name
        return found[1]


def serving_of(known: Known, nonce: str, now_s: int, attempt: int = 1, now_ms: float = 0.0) -> Serving:
    """What a dialect may know of one exchange."""
    subject = known.subject
    return Serving(nonce, now_s, known.seed, known.mount.facts, attempt, subject.path, subject.query, now_ms)


def _no_operation(method: str, path: str, path_exists: bool) -> Problem:
    if path_exists:
        return Problem("method_not_allowed", param=method)
    return Problem("not_found", param=f"{method} {path}")
