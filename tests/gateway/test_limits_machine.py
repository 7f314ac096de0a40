"""The limiter against a model that keeps every admitted request for ever."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.limits import Limiter

WINDOW_S = 60
users = st.sampled_from(["a", "b", "c", "d"])
classes = st.sampled_from(["chat", "image"])


class LimitsMachine(RuleBasedStateMachine):
    """Requests, bursts and time. The model: per user and class, the start of the last window and all admissions."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = Limiter(WINDOW_S)
        self.now_s = 1_000_000
        self.starts: dict[tuple[str, str], int] = {}
        self.admissions: dict[tuple[str, str], list[int]] = {}

    @rule(user=users, cls=classes, limit=st.integers(0, 4))
    def request(self, user: str, cls: str, limit: int) -> None:
        key = (user, cls)
        if self.now_s >= self.starts.get(key, -WINDOW_S) + WINDOW_S:
            self.starts.pop(key, None)
        start = self.starts.get(key, self.now_s)
        before = sum(at >= start for at in self.admissions.get(key, ())) if key in self.starts else 0
        window = self.limiter.admit(user, cls, limit, self.now_s)
        assert window.admitted == (before < limit)
        assert window.remaining == max(0, limit - before - window.admitted)
        assert window.reset_s == start + WINDOW_S
        assert window.retry_after_s == window.reset_s - self.now_s >= 1
        if window.admitted:
            self.starts.setdefault(key, self.now_s)
            self.admissions.setdefault(key, []).append(self.now_s)

    @rule(user=users, count=st.integers(1, 20), limit=st.integers(0, 10))
    def burst(self, user: str, count: int, limit: int) -> None:
        for _ in range(count):
            self.request(user, "chat", limit)

    @rule(seconds=st.integers(0, 2 * WINDOW_S))
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(user=users, cls=classes)
    def wait_as_long_as_told(self, user: str, cls: str) -> None:
        """Whoever obeys Retry-After is admitted."""
        self.request(user, cls, 1)
        self.now_s += self.limiter.admit(user, cls, 0, self.now_s).retry_after_s
        assert self.limiter.admit(user, cls, 1, self.now_s).admitted
        self.starts[(user, cls)] = self.now_s
        self.admissions.setdefault((user, cls), []).append(self.now_s)

    @invariant()
    def memory_is_bounded_by_the_windows_in_use(self) -> None:
        assert len(self.limiter) <= len(self.starts)


TestLimitsMachine = LimitsMachine.TestCase
TestLimitsMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
