"""Log probabilities of the tokens of an answer: plausible numbers that depend on the token and its place alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from zlib import crc32

from simulator.answers.prose import vocabulary
from simulator.ask import Ask

STEP: Final = 1.25  # each further alternative is this much less likely


def _row(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": round(logprob, 8), "bytes": list(token.encode())}


def _token(token: str, at: int, alternatives: int) -> dict[str, Any]:
    mark = crc32(token.encode(), at)
    likely = -(mark % 10_000) / 10_000
    words = vocabulary()
    others = [_row(f" {words[(mark + n) % len(words)]}", likely - n * STEP) for n in range(1, alternatives)]
    return _row(token, likely) | {"top_logprobs": [_row(token, likely), *others] if alternatives else []}


def _content(pieces: Sequence[str], ask: Ask) -> list[dict[str, Any]]:
    alternatives = ask.body.get("top_logprobs") or 0
    return [_token(piece, at, alternatives) for at, piece in enumerate(pieces)]


def whole(pieces: Sequence[str], ask: Ask) -> dict[str, Any] | None:
    """The `logprobs` of a choice; None unless asked for."""
    return {"content": _content(pieces, ask), "refusal": None} if ask.body.get("logprobs") else None


def each(pieces: Sequence[str], ask: Ask) -> list[dict[str, Any]]:
    """The `logprobs` of every text chunk; empty unless asked for."""
    if not ask.body.get("logprobs"):
        return []
    return [{"content": [row], "refusal": None} for row in _content(pieces, ask)]
