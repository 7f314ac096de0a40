"""What a request asks for itself: its directives, and the rules that they make."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.ask import Ask
from simulator.rules.directives import Directives, read
from simulator.rules.rule import Rule, from_directive


def asked_of(ask: Ask | None, body: bytes, headers: Mapping[str, str]) -> tuple[Directives, tuple[Rule, ...]]:
    """The directives of a request and the rules they make. Raises ValueError.

    What the assistant said in earlier turns directs nothing. Of a request that could not be read, the raw text is
    searched.
    """
    if ask is not None:
        text = "\n".join(turn.text for turn in ask.turns if turn.role != "assistant")
    else:
        text = body.decode("utf-8", "replace") if b"[[" in body else ""
    found = read(text, headers)
    rules = tuple(from_directive(spec, f"directive {index}") for index, spec in enumerate(found.faults))
    return found, rules
