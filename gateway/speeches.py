"""The dialects that one call can be put in: its own as it came, and others by translation, made when first needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.config import Upstream
from gateway.edge import Clock
from gateway.errors import InvalidRequest
from gateway.speech import Speech
from gateway.translation.prompt import Untranslatable
from gateway.wires.wire import Wanted, Wire
from schemas.catalogue import Model


class Route(NamedTuple):
    """Who of a model's upstreams can answer calls on a wire, in the chain's order, and in which dialect."""

    own: tuple[str, ...]  # those who speak the wire's own
    others: tuple[str, ...]  # those who are asked by translation
    dialects: Mapping[str, str]  # of each


def route(upstreams: Mapping[str, Upstream], model_id: str, wire: Wire) -> Route:
    """The route of a model's calls on a wire."""
    own = tuple(name for name, upstream in upstreams.items() if upstream.speaks(wire.dialect, model_id))
    found = {name: upstream.dialect_of_words(model_id) for name, upstream in upstreams.items() if name not in own}
    others = {name: dialect for name, dialect in found.items() if dialect and wire.translatable}
    return Route(own, tuple(others), dict.fromkeys(own, wire.dialect) | others)


class Speeches:
    """Of one call."""

    __slots__ = ("_clock", "_fields", "_model", "_route", "_spoken", "_wanted", "own")

    def __init__(
        self,
        wire: Wire,
        model: Model,
        route: Route,
        fields: Mapping[str, Any],
        raw: bytes,
        wanted: Wanted,
        clock: Clock,
    ) -> None:
        self.own = Speech(wire, fields, wire.upstream_body(raw, fields, wanted))
        self._model = model
        self._route = route
        self._fields = fields
        self._wanted = wanted
        self._clock = clock
        self._spoken: dict[str, Speech | Untranslatable] = {wire.dialect: self.own}

    def targets(self) -> tuple[str, ...]:
        """Who can be asked: first those who speak the caller's own dialect, then the others.

        Raises InvalidRequest where nobody can.
        """
        own, others, _ = self._route
        if self._wanted.target is not None:
            if self._wanted.target not in own:
                raise InvalidRequest(f"What the request refers to is kept where {self._model.id} is not served.")
            return (self._wanted.target,)
        if own or not others:
            return own + others
        fit = tuple(filter(self.fits, others))
        if not fit:
            raise InvalidRequest(f"{self._model.id} is not served so on {self.own.wire.endpoint}: {self.to(others[0])}")
        return fit

    def fits(self, target: str) -> bool:
        """Whether the call can be put in the target's dialect."""
        return isinstance(self.to(target), Speech)

    def to(self, target: str) -> Speech | Untranslatable:
        """The call in the target's dialect, or why it cannot be put so."""
        dialect = self._route.dialects[target]
        found = self._spoken.get(dialect)
        if found is None:
            from gateway.translated import translate  # seldom needed: it brings every dialect along

            try:
                found = translate(self.own.wire, dialect, self._model, self._fields, self._wanted, self._clock)
            except Untranslatable as error:
                found = error
            self._spoken[dialect] = found
        return found
