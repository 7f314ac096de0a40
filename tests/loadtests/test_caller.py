"""The read loop: one clock reading for each receive that bears content, and a hang-up exactly where it was planned."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

import pytest

from loadtests.caller import Caller, Closed, Timing
from loadtests.calls import Call, Plan
from loadtests.watch import Seen

ONE = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
TWO = b'data: {"choices":[{"delta":{"content":"ab"}}]}\n\n'
END = b"data: [DONE]\n\n"


@dataclass
class FakeAnswer:
    """A parser and its socket in one: what is received is body."""

    parts: list[bytes | None]  # None: silence until the timeout
    _body_buffer: bytearray = field(default_factory=bytearray)
    message_complete: bool = False
    timeouts: list[float] = field(default_factory=list)

    @property
    def _sock(self) -> FakeAnswer:
        return self

    def settimeout(self, seconds: float) -> None:
        self.timeouts.append(seconds)

    def recv(self, _: int) -> bytes:
        part = self.parts.pop(0)
        if part is None:
            raise TimeoutError("timed out")
        return part

    def feed(self, data: bytes) -> None:
        self._body_buffer += data
        self.message_complete = END in data


def read(plan: Plan, leave_after: int, parts: list[bytes | None]) -> tuple[Seen, Timing]:
    clock = map(float, count(1))
    caller = Caller({"openai": "http://h/api/v1", "anthropic": "http://h/api"}, 1, lambda: next(clock))
    call = Call(0, "t.0", "chat", True, plan, "m", leave_after, "p", "k")
    seen, timing = Seen(), Timing(0.0)
    caller._read_stream(call, FakeAnswer(parts), seen, timing)
    return seen, timing


def test_a_stream_is_timed_by_its_receives() -> None:
    seen, timing = read(Plan.PLAIN, 0, [b": hello\n\n", ONE + TWO, ONE[:9], ONE[9:], END])
    assert (seen.content_events, seen.text_bytes, seen.terminal, seen.left) == (3, 4, True, False)
    assert (timing.first_content, timing.last_content, timing.gaps) == (2.0, 4.0, [2.0])


def test_a_caller_leaves_once_it_has_what_was_planned() -> None:
    rest: list[bytes | None] = [ONE, TWO, ONE]
    seen, _ = read(Plan.HANG_UP, 2, rest)
    assert (seen.left, seen.content_events, rest) == (True, 2, [ONE])


def test_a_caller_leaves_in_silence_when_frames_were_joined() -> None:
    seen, _ = read(Plan.HANG_UP, 4, [TWO, None])
    assert (seen.left, seen.content_events, seen.text_bytes) == (True, 1, 2)


def test_nobody_else_leaves_in_silence() -> None:
    with pytest.raises(TimeoutError):
        read(Plan.PLAIN, 0, [TWO, None])
    with pytest.raises(TimeoutError):
        read(Plan.HANG_UP, 2, [b": waiting\n\n", None])


def test_an_end_without_the_last_chunk_is_told() -> None:
    with pytest.raises(Closed):
        read(Plan.PLAIN, 0, [ONE, b""])
