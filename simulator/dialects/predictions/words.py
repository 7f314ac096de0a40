"""What a text model says, in pieces: the fleet's prose, or what a directive in the prompt asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulator.answers import compose, tokens
from simulator.answers.answer import Refusal, Text
from simulator.ask import Ask, Turn
from simulator.dialects.base import Profile
from simulator.rules import directives


def said(prompt: str, meant: Mapping[str, Any], profile: Profile, seed: int) -> tuple[str, ...]:
    """The pieces of the answer, at most `max_tokens` of them. A directive of another wire's blocks asks for nothing."""
    asked = Ask(
        "generate",
        profile.model,
        (Turn("user", prompt),),
        max_tokens=meant.get("max_tokens"),
        body={"input": dict(meant)},
        input_tokens=tokens.count(prompt),
    )
    spec = replace(directives.read(prompt, {}).answer, native=())
    answer = compose.compose(asked, spec, profile, seed, "", 0)
    blocks = answer.choices[0].blocks
    pieces = [piece for block in blocks if isinstance(block, Text) for piece in block.pieces]
    pieces += [block.text for block in blocks if isinstance(block, Refusal)]
    return tuple(pieces)
