"""The journal: numbered, bounded, and patient."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.answers.answer import Usage
from simulator.journal import ENTRY_BYTES, Entry, Journal, Outcome, Query
from simulator.rules.selectors import Subject


def entry(case: str | None = None, provider: str = "openai", body: bytes = b"{}", ended: str = "end") -> Entry:
    subject = Subject(provider, "r", "d", "generate", "m", False, "POST", "/v1", "a=b", case, case or "digest")
    return Entry(subject, [(b"a", b"\xe4")], body, 1, 2, 1.00049, Outcome(ended=ended), 2.0)


def numbers(journal: Journal, **more: Any) -> list[int]:
    return [n for n, _ in journal.find(Query(**more))]


def test_entries_are_numbered_from_one_without_gaps() -> None:
    journal = Journal()
    for case in ("a", "b", None, "a"):
        journal.add(entry(case))
    assert numbers(journal) == [1, 2, 3, 4]
    assert journal.next_n == 5
    journal.clear()
    journal.add(entry("a"))
    assert numbers(journal, case="a") == [5]


def test_queries() -> None:
    journal = Journal()
    for case, provider in [("ab1", "x"), ("ab2", "y"), ("c", "x"), ("ab1", "y"), (None, "x")]:
        journal.add(entry(case, provider))
    assert numbers(journal, case="ab1") == [1, 4]
    assert numbers(journal, case="ab*") == [1, 2, 4]
    assert numbers(journal, case="ab*", since=2) == [2, 4]
    assert numbers(journal, case="none") == []
    assert numbers(journal, provider="x") == [1, 3, 5]
    assert numbers(journal, provider="x", since=2, limit=1) == [3]
    assert numbers(journal, since=6) == []
    assert numbers(journal, case="ab1", provider="y") == [4]


def test_the_oldest_make_room_by_count() -> None:
    journal = Journal(entries=3)
    for case in "aabcd":
        journal.add(entry(case))
    assert numbers(journal) == [3, 4, 5]
    assert journal.dropped == 2
    assert numbers(journal, case="a") == []
    assert numbers(journal, since=1, limit=2) == [3, 4]


def test_the_oldest_make_room_by_bytes() -> None:
    journal = Journal(bytes_max=3 * ENTRY_BYTES)
    for _ in range(3):
        journal.add(entry(body=b""))
    assert len(journal) == 3
    journal.add(entry(body=b"x" * ENTRY_BYTES))
    assert numbers(journal) == [3, 4]
    journal.add(entry(body=b"x" * 10 * ENTRY_BYTES))
    assert len(journal) == 0


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 3000)), max_size=60), st.integers(1, 20))
def test_the_index_by_case_agrees_with_the_entries(added: list[tuple[str | None, int]], limit: int) -> None:
    journal = Journal(entries=limit, bytes_max=8 * ENTRY_BYTES)
    for case, size in added:
        journal.add(entry(case, body=b"x" * size))
    everything = list(journal.find(Query()))
    for case in ("a", "b"):
        assert numbers(journal, case=case) == [n for n, each in everything if each.subject.case == case]
    assert len(everything) == len(journal) <= limit
    assert journal.dropped == len(added) - len(journal)


def test_an_entry_as_json() -> None:
    usage = Usage(10, 5, 4, 3, 2)
    one = entry("a", body="é{".encode())
    one.outcome.usage_true = usage
    found = one.as_json(7)
    assert found["n"] == 7
    assert found["headers"] == [["a", "ä"]]
    assert (found["body"], found["body_bytes"]) == ("é{", 3)
    assert (found["arrived_ms"], found["head_sent_ms"], found["ended_ms"]) == (1.0, 2.0, 2.0)
    assert found["usage_told"] is None
    assert found["usage_true"] == {
        "input_tokens": 10,
        "cached_tokens": 4,
        "cache_write_tokens": 3,
        "output_tokens": 5,
        "reasoning_tokens": 2,
    }


def test_waiting_ends_once_none_is_pending() -> None:
    async def run() -> list[str]:
        journal, order = Journal(), []
        first, second = entry("a", ended="pending"), entry("a", ended="pending")
        journal.add(first)
        journal.add(second)
        journal.add(entry("other", ended="pending"))

        async def wait() -> None:
            await journal.settled(Query("a"), 60_000)
            order.append("settled")

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        for each in (first, second):
            order.append("ended")
            each.outcome.ended = "end"
            journal.changed()
            await asyncio.sleep(0)
        await task
        await journal.settled(Query("nobody"), 60_000)
        return order

    assert asyncio.run(run()) == ["ended", "ended", "settled"]


def test_waiting_has_a_bound() -> None:
    async def run() -> str:
        journal = Journal()
        one = entry("a", ended="pending")
        journal.add(one)
        await journal.settled(Query("a"), 5)
        return one.outcome.ended

    assert asyncio.run(run()) == "pending"


@pytest.mark.parametrize("field", ["n", "case", "delivered", "lateness_ms_max"])
def test_every_entry_has_every_field(field: str) -> None:
    assert field in entry().as_json(1)
