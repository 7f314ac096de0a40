"""What the fleet remembers of requests: what each is, and how its reply looks when nothing goes wrong."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from simulator.answers.answer import Answer
from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile
from simulator.journal import Headers, Outcome
from simulator.nonces import Nonces
from simulator.problem import Problem
from simulator.providers import Mount, Provider
from simulator.rules.directives import Directives
from simulator.rules.rule import Rule
from simulator.rules.selectors import Subject
from simulator.script import Script

REQUESTS = 4096
BYTES = 128 << 20
BODY_BYTES = 256 << 10  # a larger body is read anew each time
REPLY_BYTES = 256 << 10  # a larger reply is written anew each time
REQUEST_BYTES = 8192  # what a request weighs besides its body


@dataclass(slots=True, eq=False)
class Ready:
    """A reply as bytes, parted where its nonce stands, as of one second."""

    now_s: int
    data: bytes  # with the mark in the nonce's place
    parts: list[bytes]
    outcome: Outcome
    timeless: bool | None = None  # whether the second stands in it only as 10 digits; None: not yet found out


@dataclass(slots=True, eq=False)
class Known:
    """What one request is; the same for every request that looks the same."""

    provider: Provider
    mount: Mount
    subject: Subject
    body: bytes
    directives: Directives
    asked: tuple[Rule, ...]  # the directives' faults
    seed: int  # of its answer's padding and the like
    nonces: Nonces  # by attempt
    headers: Headers  # of the request it was learned from
    ask: Ask | None = None
    profile: Profile | None = None
    problem: Problem | None = None
    fixture: str | None = None  # the canned answer that it is given
    answer: Answer | None = None  # without its nonce and time
    never_ready: bool = False  # faults meet it even without rules, or its reply is too large
    ready: Ready | None = None
    script: tuple[int, Script] | None = None  # of that second, with the mark in the nonce's place
    first: bool = True  # no reply left ready-made yet
    was_played: bool = False
    mark: str = ""  # what stands for the nonce in what is kept, of the dialect's alphabet
    kept: Kept | None = None  # the earlier exchange that it is about
    weight: int = 0  # bytes it holds in memory, roughly; 0 while it is not remembered


class Memory:
    """Known requests, bounded by number and by bytes: the one not seen for longest goes first."""

    def __init__(self, requests: int = REQUESTS, bytes_max: int = BYTES) -> None:
        self._requests = requests
        self._bytes_max = bytes_max
        self._known: OrderedDict[Hashable, Known] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Hashable) -> Known | None:
        """What is known of a request."""
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
        self.bytes = 0

    def put(self, key: Hashable, known: Known) -> None:
        """Remember a request, unless its body is too large for that."""
        if len(known.body) <= BODY_BYTES:
            self._known[key] = known
            known.weight = 1
            self.grow(known, REQUEST_BYTES + 4 * len(known.body))

    def grow(self, known: Known, size: int) -> None:
        """Something of that size was added to what is known."""
        if not known.weight:
            return
        known.weight += size
        self.bytes += size
        while self._known and (len(self._known) > self._requests or self.bytes > self._bytes_max):
            _, oldest = self._known.popitem(last=False)
            self.bytes -= oldest.weight - 1
            oldest.weight = 0
