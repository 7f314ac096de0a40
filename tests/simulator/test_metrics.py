"""The metrics, against the journal they are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from simulator.clock import MANUAL_START_MS, Clock
from simulator.control.metrics import PREFIX, Totals
from simulator.journal import Entry, Journal, Outcome
from simulator.rules.selectors import Subject
from tests.simulator.live import Live, chat, message, request, running

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


@pytest.fixture(autouse=True)
def _as_new(fleet: Live) -> None:
    fleet.control("POST", "reset")


def scrape(fleet: Live) -> Samples:
    """Every sample by its name and labels; the text must parse."""
    reply = fleet.call(request("GET", "/__fleet/metrics"))
    assert reply.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(reply.body.decode())
    return {
        (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[(name, frozenset(labels.items()))]


def send_some(fleet: Live) -> None:
    for _ in range(3):
        fleet.call(chat("[[answer: output_tokens=9]] the same"))
    fleet.call(chat("streamed", stream=True))
    fleet.call(chat("[[fault: status=503]] [[fault: latency ttft_ms=0]]"))
    fleet.call(chat("[[fault: cut_stream after_frames=3]]", stream=True))
    fleet.call(chat("[[fault: reset]]"))
    fleet.call(message("[[fault: missing_usage]]"))
    fleet.call(message("hello", stream=True))
    fleet.call(request("GET", "/openai/v1/nothing"))
    line = fleet.line()
    line.send(chat("[[case:slow]] [[answer: tokens=5]] [[fault: latency ttft_ms=700 gap_ms=100]]", stream=True))
    fleet.seen("slow")
    fleet.control("POST", "clock", {"advance_ms": 2000})
    line.reply()


def tokens(entries: list[dict[str, Any]], provider: str, account: str, kind: str) -> int:
    usages = [one[f"usage_{account}"] for one in entries if one["provider"] == provider]
    return sum(usage[f"{kind}_tokens"] for usage in usages if usage)


def test_every_sum_is_the_journals(fleet: Live) -> None:
    send_some(fleet)
    samples = scrape(fleet)
    entries = fleet.control("GET", "journal?wait_ms=5000")["entries"]
    requests: Counter[tuple[str, ...]] = Counter()
    faults: Counter[tuple[str, str]] = Counter()
    for one in entries:
        status = "" if one["status"] is None else str(one["status"])
        requests[(one["provider"], one["dialect"], one["operation"] or "", status, one["ended"])] += 1
        faults.update((one["provider"], fault) for fault in one["faults"])
    names = ("provider", "dialect", "operation", "status", "ended")
    told = {labels: n for (name, labels), n in samples.items() if name == "requests_total"}
    assert told == {frozenset(zip(names, key, strict=True)): n for key, n in requests.items()}
    told = {labels: n for (name, labels), n in samples.items() if name == "faults_total"}
    assert told == {frozenset((("provider", key[0]), ("fault", key[1]))): n for key, n in faults.items()}
    assert sum(faults.values()) >= 5
    for provider in ("openai", "anthropic"):
        mine = [one for one in entries if one["provider"] == provider]
        assert value(samples, "frames_sent_total", provider=provider) == sum(one["frames_sent"] for one in mine)
        assert value(samples, "sent_bytes_total", provider=provider) == sum(one["bytes_sent"] for one in mine)
        assert value(samples, "received_bytes_total", provider=provider) == sum(one["body_bytes"] for one in mine)
        for account in ("told", "true"):
            for kind in ("input", "output"):
                got = value(samples, "tokens_total", provider=provider, account=account, kind=kind)
                assert got == tokens(entries, provider, account, kind)
        delivered = sum(one["delivered"]["tokens"] for one in mine)
        assert value(samples, "tokens_total", provider=provider, account="delivered", kind="output") == delivered
        ended = [one["ended_ms"] - one["arrived_ms"] for one in mine]
        assert value(samples, "duration_seconds_count", provider=provider) == len(ended)
        assert value(samples, "duration_seconds_sum", provider=provider) == pytest.approx(sum(ended) / 1000)
        first = [one["first_token_ms"] - one["arrived_ms"] for one in mine if one["first_token_ms"] is not None]
        assert value(samples, "ttft_seconds_count", provider=provider) == len(first)
        assert value(samples, "ttft_seconds_sum", provider=provider) == pytest.approx(sum(first) / 1000)
    assert value(samples, "journal_entries") == len(entries)
    assert value(samples, "delayed_frames_total") > 5


def test_histograms_put_a_duration_where_it_belongs(fleet: Live) -> None:
    send_some(fleet)
    samples = scrape(fleet)
    bucket = {le: value(samples, "ttft_seconds_bucket", provider="openai", le=le) for le in ("0.5", "1.0", "+Inf")}
    count = value(samples, "ttft_seconds_count", provider="openai")
    assert (bucket["0.5"], bucket["1.0"], bucket["+Inf"]) == (count - 1, count, count)


def test_counters_go_on_when_the_journal_forgets_and_begin_anew_with_a_reset(fleet: Live) -> None:
    fleet.call(chat("one"))
    fleet.control("DELETE", "journal")
    assert fleet.control("GET", "journal")["entries"] == []
    fleet.call(chat("two"))
    ok = {"provider": "openai", "dialect": "openai_chat", "operation": "generate", "status": "200", "ended": "end"}
    assert value(scrape(fleet), "requests_total", **ok) == 2
    assert value(scrape(fleet), "requests_total", **ok) == 2
    fleet.control("POST", "reset")
    assert ("requests_total", frozenset(ok.items())) not in scrape(fleet)


def test_what_is_under_way_is_in_flight_and_counted_once(fleet: Live) -> None:
    line = fleet.line()
    line.send(chat("[[case:fly]] [[fault: stall after_frames=1]]", stream=True))
    fleet.seen("fly")
    samples = scrape(fleet)
    assert value(samples, "in_flight", provider="openai") == 1
    assert not [name for name, _ in samples if name == "requests_total"]
    fleet.control("DELETE", "journal")
    line.close()
    stalled = {
        "provider": "openai",
        "dialect": "openai_chat",
        "operation": "generate",
        "status": "200",
        "ended": "stall",
    }
    for _ in range(1000):
        samples = scrape(fleet)
        if ("requests_total", frozenset(stalled.items())) in samples:
            break
    assert value(samples, "requests_total", **stalled) == 1
    assert ("in_flight", frozenset({("provider", "openai")})) not in samples


def test_refusals_and_the_clock(fleet: Live) -> None:
    fleet.control("PUT", "quotas", {"openai": [{"limit": 1}]})
    assert [fleet.call(chat("x")).status for _ in range(3)] == [200, 429, 429]
    fleet.control("POST", "clock", {"advance_ms": 1500})
    samples = scrape(fleet)
    assert value(samples, "refusals_total", provider="openai", of="requests") == 2
    assert value(samples, "clock_seconds") == fleet.control("GET", "clock")["now_ms"] / 1000
    assert value(samples, "clock_scale") == 1
    assert value(samples, "clock_seconds") > MANUAL_START_MS / 1000


def entry(outcome: Outcome, sent_ms: float | None) -> Entry:
    subject = Subject("p", "r", "d", "generate", "m", False, "POST", "/", "", None, "k")
    return Entry(subject, [], b"body", 1, 1, 1000.0, outcome, sent_ms)


def test_ready_made_replies_count_like_played_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.control.metrics.ALIKE", 2)
    ready, played = Totals(), Totals()
    for number in range(7):
        moment_ms = 1000.0 + number
        shared = Outcome(status=200, ended="end", tokens=3, frames_sent=2, bytes_sent=50)
        for _ in range(number):
            ready.add(entry(shared, moment_ms))
            own = Outcome(status=200, ended="end", tokens=3, frames_sent=2, bytes_sent=50)
            own.first_token_ms = own.ended_ms = moment_ms
            played.add(entry(own, None))
    ready.settle()
    assert ready.requests == played.requests
    assert (ready.tokens, ready.frames, ready.bytes_sent) == (played.tokens, played.frames, played.bytes_sent)
    for mine, other in ((ready.ttft, played.ttft), (ready.duration, played.duration)):
        assert mine[("p",)].counts == other[("p",)].counts
        assert mine[("p",)].sum_ms == pytest.approx(other[("p",)].sum_ms)


def test_the_journal_tells_of_every_entry_that_leaves() -> None:
    journal = Journal(entries=2)
    seen: list[int] = []
    journal.on_leave = lambda n, _: seen.append(n)
    for _ in range(5):
        journal.add(entry(Outcome(), None))
    assert seen == [1, 2, 3]
    journal.clear()
    assert seen == [1, 2, 3, 4, 5]
