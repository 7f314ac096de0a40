"""Threads: conversations that Anthropic's API holds, so that a request sends only what is new.

    thread: {"type": "create"}                                       the id of the reply stands for what was said so far
    thread: {"type": "continue", "previous_message_id": "msg_01..."}  goes on from there

System prompt and tools stay those of the first request. A reply that is not held (any more) is a 404 with the code
`thread_not_found`, and clients then send the whole conversation again. A reply may be continued more than once, which
the real API refuses. Facts:

    threads              whether `thread` means anything (default true); copies of this wire pass it by
    thread_unsupported   what no thread goes with: fields of a request, or settings of the organisation ("hipaa")

Source: the official Python client, 2.12.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from simulator.ask import Ask
from simulator.dialects.anthropic import blocks as anthropic_blocks
from simulator.dialects.anthropic.request import OF_THE_THREAD, Body, understood
from simulator.dialects.base import Kept, Profile
from simulator.problem import Problem, Refused

FIELDS: Final = frozenset({"cache_control", "context_management", "fallbacks", "thinking"})


def check(body: Mapping[str, Any], profile: Profile) -> None:
    """Raise Refused for a thread together with what no thread goes with here."""
    if body.get("thread") is None:
        return
    unsupported = [
        name for name in profile.facts.get("thread_unsupported", ()) if name not in FIELDS or body.get(name) is not None
    ]
    if unsupported:
        details = (("unsupported", unsupported),)
        raise Refused(Problem("thread_unsupported", param=", ".join(unsupported), details=details))


def resumed(ask: Ask, kept: Kept) -> Ask:
    """The request as the whole conversation. Raises Refused."""
    body = ask.body
    if kept.answer is None or not isinstance(body, Body):
        raise Refused(Problem("not_kept", param=ask.needs))
    earlier = kept.ask.body
    history = [*earlier["messages"], *_said(kept), *body["messages"]]
    whole = body.over({"messages": history, **{name: earlier.get(name) for name in OF_THE_THREAD}})
    return understood(whole, ask.operation)._replace(keep=True, needs=ask.needs)


def _said(kept: Kept) -> Iterator[dict[str, Any]]:
    """The reply as a message; a refusal says nothing."""
    if kept.answer is None:
        return
    blocks = anthropic_blocks.written(kept.answer, kept.ask, kept.profile, kept.serving.seed)
    if blocks:
        yield {"role": "assistant", "content": [wire.whole for wire in blocks]}
