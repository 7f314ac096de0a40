"""The dialects that one call can be put in: its own as it came, and others by translation, made when first needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.config import Upstream
from gateway.edge import Clock
from gateway.errors import InvalidRequest
from gateway.speech import Speech
from gateway.translation.prompt import Untranslatable
from gateway.wires.wire import Wanted, Wire
from schemas.catalogue import Model


class Speeches:
    """Of one call."""

    __slots__ = ("_clock", "_fields", "_model", "_spoken", "_wanted", "own")

    def __init__(
        self, wire: Wire, model: Model, fields: Mapping[str, Any], raw: bytes, wanted: Wanted, clock: Clock
    ) -> None:
        self.own = Speech(wire, fields, wire.upstream_body(raw, fields, wanted))
        self._model = model
        self._fields = fields
        self._wanted = wanted
        self._clock = clock
        self._spoken: dict[str, Speech | Untranslatable] = {wire.dialect: self.own}

    def targets(self, upstreams: Mapping[str, Upstream]) -> list[str]:
        """Who can be asked: first those who speak the caller's own dialect, then the others, each in the chain's order.

        Raises InvalidRequest where nobody can.
        """
        wire, only = self.own.wire, self._wanted.target
        model_id = self._model.id
        own = [name for name, upstream in upstreams.items() if upstream.speaks(wire.dialect, model_id)]
        if only is not None:
            if only not in own:
                raise InvalidRequest(f"What the request refers to is kept where {self._model.id} is not served.")
            return [only]
        others = [name for name in upstreams if name not in own and upstreams[name].dialect_of_words(model_id)]
        if not wire.translatable:
            others = []
        if own or not others:
            return own + others
        fit = [name for name in others if self.fits(upstreams[name])]
        if not fit:
            reason = self.to(upstreams[others[0]])
            raise InvalidRequest(f"{self._model.id} is not served so on {wire.endpoint}: {reason}")
        return fit

    def fits(self, upstream: Upstream) -> bool:
        """Whether the call can be put in the upstream's dialect."""
        return isinstance(self.to(upstream), Speech)

    def to(self, upstream: Upstream) -> Speech | Untranslatable:
        """The call in the upstream's dialect, or why it cannot be put so."""
        wire = self.own.wire
        model_id = self._model.id
        dialect = wire.dialect if upstream.speaks(wire.dialect, model_id) else upstream.dialect_of_words(model_id)
        found = self._spoken.get(dialect)
        if found is None:
            from gateway.translated import translate  # seldom needed: it brings every dialect along

            try:
                found = translate(wire, dialect, self._model, self._fields, self._wanted, self._clock)
            except Untranslatable as error:
                found = error
            self._spoken[dialect] = found
        return found
