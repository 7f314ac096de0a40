"""A case: what it sends, and that its verdicts are bound to their reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

import aiohttp
import pytest

from suites.case import Case
from suites.fleet import Entry, Fleet
from suites.outcomes import HarnessError, NotApplicable, Untestable, Violation
from suites.provisioning import Books
from suites.rig import Rig
from suites.target import build_target

T = TypeVar("T")
MODELS = {"chat": ["a", "b", "c"], "messages": ["m"]}
TARGET = {"name": "t", "base_urls": {"openai": "http://h:1/api/v1"}, "models": MODELS, "key": "ck_given"}


class Journal:
    """A fleet that answers with these entries."""

    def __init__(self, *entries: Entry) -> None:
        self.entries = list(entries)
        self.asked: list[str] = []

    async def journal(self, case: str, wait_ms: int = 0) -> list[Entry]:
        self.asked.append(case)
        return self.entries


def entry(**facts: Any) -> Entry:
    row = {
        "provider": "openai",
        "attempt": 1,
        "status": 200,
        "ended": "end",
        "faults": [],
        "usage_told": None,
        "body": "{}",
    }
    row |= {"method": "POST", "path": "/v1/x", "frames_sent": 1, "frames_planned": 1, "headers": [], "body": "{}"}
    return Entry(row | facts)


def case(*entries: Entry, fleet: bool = True, **target: Any) -> Case:
    journal = cast(Fleet, Journal(*entries)) if fleet else None
    rig = Rig(build_target(TARGET | target, "t"), cast(aiohttp.ClientSession, None), journal)
    return Case(rig, "BIL-004/x", 7)


def run(waiting: Awaitable[T]) -> T:
    async def main() -> T:
        return await waiting

    return asyncio.run(main())


def document(of: Case, endpoint: str = "chat", **options: Any) -> dict[str, Any]:
    return run(of.document(endpoint, "tok.1", "Say.", options))


def test_directives_ride_in_the_prompt() -> None:
    body = document(case(), model="a", fault=["stall after_frames=3", "status=503 attempt=1"], answer="tokens=5")
    marks = "[[case:tok.1]] [[fault: stall after_frames=3]] [[fault: status=503 attempt=1]] [[answer: tokens=5]]"
    assert body == {"model": "a", "messages": [{"role": "user", "content": f"Say. {marks}"}]}


def test_fields_of_the_check_are_laid_over_the_smallest_request() -> None:
    assert document(case(), stream=True, temperature=0)["temperature"] == 0
    assert document(case(), stream=True)["stream"] is True
    assert "stream" not in document(case())
    assert "max_tokens" not in document(case(), "messages", max_tokens=None)


def test_models_are_taken_in_turn() -> None:
    mine = case()
    taken = [mine.model("chat") for _ in range(6)]
    assert sorted(taken[:3]) == ["a", "b", "c"]
    assert taken[:3] == taken[3:]
    assert [case().model("chat") for _ in range(2)] == [taken[0]] * 2, "the same check begins with the same model"


def test_tokens_of_a_case_do_not_begin_those_of_another() -> None:
    mine = case()
    assert mine.fresh() != mine.fresh()
    assert mine.fresh().startswith(f"{mine.token}.")


def test_what_is_missing_says_so() -> None:
    with pytest.raises(Untestable, match="no fleet"):
        run(case(fleet=False).upstream())
    with pytest.raises(Untestable, match="no provisioning"):
        run(case().user())
    with pytest.raises(Untestable, match=r"upstreams\.chat of the target file names 0 targets"):
        case().chain("chat")
    with pytest.raises(NotApplicable, match=r"models\.thinking"):
        case().model("thinking")
    with pytest.raises(Untestable, match="no `translation`"):
        case().elsewhere("chat")


def test_models_of_another_dialect_are_taken_in_turn() -> None:
    rows = {"chat": [{"model": "a", "others": ["x"]}, {"model": "b", "own": ["y"], "others": ["z"]}]}
    mine = case(translation=rows)
    taken = [mine.elsewhere("chat") for _ in range(4)]
    assert sorted((row.model, row.own, row.others) for row in taken[:2]) == [("a", (), ("x",)), ("b", ("y",), ("z",))]
    assert taken[:2] == taken[2:]
    with pytest.raises(NotApplicable, match=r"translation\.gemini"):
        mine.elsewhere("gemini")


def test_without_provisioning_the_given_key_is_used() -> None:
    assert run(case().secret(None)) == "ck_given"
    assert run(case().headers("messages", None))["x-api-key"] == "ck_given"
    assert run(case().headers("chat", None))["authorization"] == "Bearer ck_given"


def test_a_fault_that_was_never_met_is_no_pass() -> None:
    with pytest.raises(Violation, match="never met"):
        run(case().reached("stall"))


def test_a_fault_that_the_fleet_did_not_apply_is_our_error() -> None:
    with pytest.raises(HarnessError, match="never applied stall"):
        run(case(entry()).reached("stall"))


def test_a_fault_that_was_met_shows_its_entries() -> None:
    met = entry(faults=["stall"])
    mine = case(met)
    assert run(mine.reached("stall")) == [met]
    assert mine.evidence.moments[0].lane == "upstream"
    assert cast(Journal, mine.fleet).asked == [f"{mine.token}.*"]


@pytest.mark.parametrize("count", [0, 2])
def test_one_call_means_one(count: int) -> None:
    with pytest.raises(Violation, match=f"{count} upstream calls for one request"):
        run(case(*[entry()] * count).one_upstream_call("tok"))
    assert run(case(entry()).one_upstream_call("tok")).provider == "openai"


def test_nothing_upstream_means_nothing() -> None:
    run(case().nothing_upstream())
    with pytest.raises(Violation, match="a refused request reached an upstream"):
        run(case(entry()).nothing_upstream())


def test_usage_that_the_journal_does_not_know_is_our_error() -> None:
    with pytest.raises(HarnessError, match="tells no usage"):
        _ = entry().usage
    told = {"input_tokens": 1, "output_tokens": 2, "cached_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0}
    assert entry(usage_told=told).usage.output_tokens == 2


def transfer(kind: str, amount_uc: int, request: str = "r") -> dict[str, Any]:
    return {"kind": kind, "amount_uc": amount_uc, "request_id": request}


def test_books_add_up() -> None:
    moved = (
        transfer("TOP_UP", 100),
        transfer("HOLD", 30),
        transfer("SETTLE", 20),
        transfer("RELEASE", 10),
        transfer("REFUND", 5),
    )
    books = Books({"balance_uc": 85, "held_uc": 0}, moved, ())
    assert (books.charged_uc, books.sum_uc("SETTLE", "RELEASE"), books.settles["r"]) == (15, 30, 1)
    with pytest.raises(Violation, match="0 rows for one request"):
        _ = books.row


def test_nothing_runs_on_when_a_check_has_ended() -> None:
    async def main() -> bool:
        mine = case()
        task = mine.begin(asyncio.Event().wait())
        await mine.end()
        return task.cancelled()

    assert run(main())
