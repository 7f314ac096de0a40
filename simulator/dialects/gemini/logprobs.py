"""Log probabilities on Gemini's wire: plausible numbers that depend on the token and its place alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

from simulator.answers.prose import vocabulary

STEP: Final = 1.25  # each further alternative is this much less likely
MOST: Final = 0.99


def of(token: str, at: int) -> float:
    """The log probability of a token at its place."""
    return -(crc32(token.encode(), at) % 10_000) / 10_000 * MOST


def average(pieces: Sequence[str]) -> float:
    """The mean of an answer, as `avgLogprobs`; 0 for none."""
    return sum(of(piece, at) for at, piece in enumerate(pieces)) / len(pieces) if pieces else 0.0


def result(pieces: Sequence[str], first: int, alternatives: int) -> dict[str, Any]:
    """The `logprobsResult` of the tokens from place `first` on; `alternatives` of each, if any are asked for."""
    chosen = [_row(piece, of(piece, first + at)) for at, piece in enumerate(pieces)]
    if not alternatives:
        return {"chosenCandidates": chosen}
    words = vocabulary()
    top = []
    for at, row in enumerate(chosen):
        mark = crc32(row["token"].encode(), first + at)
        others = [
            _row(f" {words[(mark + n) % len(words)]}", row["logProbability"] - n * STEP) for n in range(1, alternatives)
        ]
        top.append({"candidates": [row, *others]})
    return {"topCandidates": top, "chosenCandidates": chosen}


def _row(token: str, log_probability: float) -> dict[str, Any]:
    return {"token": token, "tokenId": crc32(token.encode()) % 262_144, "logProbability": round(log_probability, 7)}
