"""Quotas over the wire: what vendors tell in headers and sentences, with true values, and the control API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import providers
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.dialects.openai.headers import duration
from simulator.faults import Flawed
from simulator.models import facts as models
from simulator.problem import Exceeded
from simulator.quotas import headers as quota_headers
from simulator.quotas import sentences as quota_sentences
from simulator.quotas.headers import STYLES
from simulator.quotas.limiter import Limit, Standing
from tests.simulator.live import Live, Reply, chat, message, request, running

NOW_MS = 1_767_225_600_250


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running(Clock("manual")) as live:
        yield live


@pytest.fixture(autouse=True)
def _as_new(fleet: Live) -> None:
    fleet.control("POST", "reset")


def put(fleet: Live, *rows: dict[str, Any], provider: str = "openai") -> None:
    fleet.control("PUT", "quotas", {provider: list(rows)})


def advance(fleet: Live, ms: float) -> None:
    fleet.control("POST", "clock", {"advance_ms": ms})


def told(reply: Reply, *names: str) -> list[str | None]:
    return [reply.headers.get(name) for name in names]


def refuse(call: Reply) -> Reply:
    assert call.status == 429
    return call


OPENAI = [f"x-ratelimit-{part}-{of}" for of in ("requests", "tokens") for part in ("limit", "remaining", "reset")]


def test_openai_tells_what_is_left_and_admits_whoever_waits(fleet: Live) -> None:
    put(fleet, {"limit": 3}, {"limit": 300, "of": "tokens", "kind": "token_bucket"})
    first = fleet.call(chat("[[answer: output_tokens=1]] one", max_tokens=30))
    usage = first.json["usage"]
    left = 300 - usage["prompt_tokens"] - 30
    spent_ms = 60_000 * (300 - left) // 300
    assert told(first, *OPENAI) == ["3", "2", "1m0s", "300", str(left), duration(spent_ms)]
    advance(fleet, 20_000)
    second = fleet.call(chat("two", max_tokens=30, stream=True))
    third = fleet.call(chat("three", max_tokens=30))
    assert (second.status, second.headers["x-ratelimit-remaining-requests"], third.status) == (200, "1", 200)
    advance(fleet, 10_500)
    refused = refuse(fleet.call(chat("four", max_tokens=30)))
    assert told(refused, *OPENAI[:3], "retry-after", "retry-after-ms") == ["3", "0", "49.5s", "30", "29500"]
    assert refused.json["error"] == {
        "message": "Rate limit reached for gpt-4o in organization org-fleet on requests per min (RPM): Limit 3, "
        "Used 3, Requested 1. Please try again in 29.5s. "
        "Visit https://platform.openai.com/account/rate-limits to learn more.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    advance(fleet, 29_499)
    assert refuse(fleet.call(chat("five"))).headers["retry-after-ms"] == "1"
    advance(fleet, 1)
    assert fleet.call(chat("five", max_tokens=10)).status == 200


def test_a_request_larger_than_the_quota_is_told_so_and_not_to_wait(fleet: Live) -> None:
    put(fleet, {"limit": 100, "of": "tokens"})
    reply = refuse(fleet.call(chat("word", max_tokens=500)))
    assert told(reply, "retry-after", "retry-after-ms", "x-ratelimit-remaining-tokens") == [None, None, "100"]
    error = reply.json["error"]
    assert error["type"] == "tokens"
    assert error["message"].startswith("Request too large for gpt-4o in organization org-fleet on tokens per min (TPM)")
    assert "Limit 100, Requested 50" in error["message"]


ANTHROPIC = ["requests", "input-tokens", "output-tokens", "tokens"]


def test_anthropic_tells_moments(fleet: Live) -> None:
    rows = [
        {"limit": 2, "kind": "fixed"},
        {"limit": 9000, "of": "input_tokens"},
        {"limit": 40_000, "of": "output_tokens"},
    ]
    put(fleet, *rows, provider="anthropic")
    advance(fleet, 15_300)
    reply = fleet.call(message("hello", max_tokens=100))
    left = [reply.headers.get(f"anthropic-ratelimit-{of}-remaining") for of in ANTHROPIC]
    assert left == ["1", str(9000 - reply.json["usage"]["input_tokens"]), "39000", None]
    now_s = fleet.control("GET", "clock")["now_ms"] / 1000
    minute = reply.headers["anthropic-ratelimit-requests-reset"]
    assert minute.endswith(":00Z")
    fleet.call(message("again"))
    refused = refuse(fleet.call(message("and again")))
    assert refused.headers["retry-after"] == str(60 - int(now_s % 60))
    assert refused.headers["x-should-retry"] == "true"
    assert "retry-after-ms" not in refused.headers
    error = refused.json["error"]
    assert error["type"] == "rate_limit_error"
    assert "rate limit of 2 requests per minute (org: " in error["message"]
    advance(fleet, 1000 * int(refused.headers["retry-after"]))
    assert fleet.call(message("now")).status == 200


def test_without_quotas_nothing_is_limited_and_replies_are_ready_made(fleet: Live) -> None:
    put(fleet, {"limit": 1})
    fleet.call(chat("x"))
    assert fleet.call(chat("x")).status == 429
    assert fleet.call(chat("x", provider="openai-eu")).status == 200
    fleet.control("DELETE", "quotas?provider=openai")
    assert [fleet.call(chat("x")).status for _ in range(3)] == [200] * 3
    assert fleet.control("GET", "quotas") == {"quotas": {}}
    assert not fleet.runtime.fleet.doors


def test_what_is_refused_before_uses_nothing(fleet: Live) -> None:
    put(fleet, {"limit": 1, "by": []})
    key = {"authorization": "Bearer sk-fleet-openai"}
    assert fleet.call(request("GET", "/openai/v1/models", None, key)).status == 200
    assert fleet.call(chat("x", model="gpt-99")).status == 404
    assert fleet.call(chat("x", temperature=9)).status == 400
    assert fleet.call(request("POST", "/openai/v1/chat/completions", {})).status == 401
    assert fleet.control("GET", "quotas")["quotas"]["openai"][0]["usage"] == []
    assert fleet.call(chat("x")).status == 200


def test_the_journal_tells_who_was_turned_away_and_faults_still_bite(fleet: Live) -> None:
    put(fleet, {"limit": 0})
    fleet.call(chat("[[case:q-1]]"))
    fleet.call(chat("[[case:q-1]] [[fault: status=503]]"))
    first, second = fleet.journal("q-1")
    assert (first["status"], first["faults"], first["usage_true"]) == (429, ["quota"], None)
    assert (second["status"], second["faults"]) == (503, ["status"])


def test_usage_follows_what_was_delivered(fleet: Live) -> None:
    put(fleet, {"limit": 1000, "of": "tokens"})

    def used() -> int:
        (row,) = fleet.control("GET", "quotas")["quotas"]["openai"][0]["usage"]
        return int(row["used"])

    usage = fleet.call(chat("[[case:u-1]] hello", max_tokens=200)).json["usage"]
    total = usage["prompt_tokens"] + usage["completion_tokens"]
    assert used() == total
    fleet.call(chat("[[case:u-2]] hello [[fault: cut_stream after_frames=4]]", stream=True, max_tokens=200))
    (entry,) = fleet.journal("u-2")
    assert entry["ended"] == "cut"
    total += entry["usage_true"]["input_tokens"] + entry["delivered"]["tokens"]
    assert entry["delivered"]["tokens"] < entry["usage_true"]["output_tokens"]
    assert used() == total
    assert fleet.call(chat("hello [[fault: status=500]]", max_tokens=200)).status == 500
    assert used() == total


def test_requests_in_flight_are_given_back_when_the_peer_hangs_up(fleet: Live) -> None:
    put(fleet, {"limit": 1, "of": "concurrency"})
    line = fleet.line()
    line.send(chat("[[case:c-1]] [[fault: stall after_frames=2]]", stream=True))
    assert fleet.seen("c-1")[0]["ended"] == "pending"
    refused = refuse(fleet.call(chat("hello")))
    assert told(refused, "retry-after", *OPENAI) == [None] * 7
    assert "on concurrent requests: Limit 1, Used 1, Requested 1. Please try again later." in refused.body.decode()
    line.close()
    assert fleet.journal("c-1")[0]["ended"] == "stall"
    assert fleet.call(chat("hello")).status == 200


def test_organisations_own_keys() -> None:
    row: dict[str, Any] = {"name": "o", "dialect": "openai_chat", "region": "r", "facts": {"vendors": ["openai"]}}
    row |= {"orgs": {"blue": ["k-1", "k-2"], "red": ["k-3"]}, "quotas": [{"limit": 2, "by": ["org"]}]}
    with running(Clock("manual"), rows={"providers": [row]}) as live:

        def call(key: str) -> Reply:
            body = {"model": "gpt-4o", "messages": [{"role": "user", "content": key}]}
            return live.call(request("POST", "/o/v1/chat/completions", body, {"authorization": f"Bearer {key}"}))

        assert [call(key).status for key in ("k-1", "k-2", "k-3")] == [200, 200, 200]
        assert "in organization blue on requests" in refuse(call("k-1")).json["error"]["message"]
        assert call("k-3").status == 200
        usage = live.control("GET", "quotas")["quotas"]["o"][0]["usage"]
        assert [(row["org"], row["used"]) for row in usage] == [("blue", 2), ("red", 2)]
        live.control("POST", "reset")
        assert live.control("GET", "quotas")["quotas"]["o"][0]["usage"] == []
        assert call("k-1").status == 200


def test_quotas_that_are_not_sound(fleet: Live) -> None:
    put(fleet, {"limit": 1})
    bad = {"openai": [{"limit": -1, "of": "frogs"}], "nobody": []}
    reply = fleet.call(request("PUT", "/__fleet/quotas", bad))
    assert reply.status == 400
    assert {row["where"] for row in reply.json["error"]["problems"]} == {
        "openai[0].limit",
        "openai[0].of",
        "nobody",
    } - ({"nobody"} if len(reply.json["error"]["problems"]) == 2 else set())
    assert fleet.call(request("PUT", "/__fleet/quotas", {"openai": [{"limit": 1, "burst": 2}]})).status == 400
    assert fleet.call(request("DELETE", "/__fleet/quotas?provider=nobody")).status == 404
    assert fleet.call(request("GET", "/__fleet/quotas?who=x")).status == 400
    assert fleet.control("GET", "quotas")["quotas"]["openai"][0]["limit"] == 1


# ---------------------------------------------------------------- styles

STANDINGS = [
    Standing(Limit(60), 59, 1250),
    Standing(Limit(1000, per_ms=86_400_000), 998, 3_600_000),
    Standing(Limit(6000, of="tokens"), -20, 64_001),
]


@pytest.mark.parametrize(
    ("style", "due"),
    [
        ("openai", ["60", "59", "1.25s", "6000", "0", "1m4.001s"]),
        ("azure", ["60", "59", "2", "6000", "-20", "65"]),
        ("groq", ["1000", "998", "1h0m0s", "6000", "0", "1m4.001s"]),
        ("openrouter", ["60", "59", str(NOW_MS + 1250)]),
        ("anthropic", ["6000", "0", "2026-01-01T00:01:05Z", "60", "59", "2026-01-01T00:00:02Z"]),
        ("gemini", []),
        ("none", []),
        ("retry_after", []),
    ],
)
def test_styles_tell_true_values(style: str, due: list[str]) -> None:
    headers = quota_headers.limits(STYLES[style], STANDINGS, NOW_MS)
    assert [value for _, value in headers] == due
    assert len(dict(headers)) == len(headers)


def exceeded(wait_ms: int | None, of: str = "requests", **more: Any) -> Exceeded:
    values = {"limit": 60, "used": 60, "requested": 1, "per_ms": 60_000, "fits": True, "model": "m", "org": "o"}
    return Exceeded(of=of, wait_ms=wait_ms, **values | more)  # type: ignore[arg-type]


@given(st.integers(1, 10**9), st.sampled_from(sorted(STYLES)))
def test_a_whole_second_is_never_too_short(wait_ms: int, style: str) -> None:
    headers = dict(quota_headers.retry(STYLES[style], exceeded(wait_ms)))
    if "retry-after" in headers:
        assert 0 <= int(headers["retry-after"]) * 1000 - wait_ms < 1000
    assert headers.get("retry-after-ms", str(wait_ms)) == str(wait_ms)
    assert quota_headers.retry(STYLES[style], exceeded(None)) == ()


def test_the_dialect_or_a_fact_picks_the_style() -> None:
    names = [quota_headers.name({}, dialect) for dialect in ("anthropic_messages", "gemini_generate", "kling")]
    assert names == ["anthropic", "gemini", "openai"]
    assert quota_headers.name({"lenient": True}, "openai_chat") == "none"
    assert quota_headers.name({"lenient": True, "rate_headers": "groq"}, "openai_chat") == "groq"


@pytest.mark.parametrize("style", sorted(quota_sentences.SENTENCES))
@pytest.mark.parametrize("of", ["requests", "tokens", "input_tokens", "output_tokens"])
def test_sentences_have_the_real_numbers(style: str, of: str) -> None:
    said = quota_sentences.sentence(style, exceeded(1200, of, limit=6_001))
    assert said is not None
    assert ("6,001" if style == "anthropic" else "6001" if style != "azure" else "2 seconds") in said
    if style in ("openai", "groq"):
        assert "in 1.2s." in said


def test_a_lean_server_keeps_its_own_words(fleet: Live) -> None:
    put(fleet, {"limit": 1}, provider="aggregator")
    fleet.call(chat("x", provider="aggregator", model="deepseek-v3.2"))
    reply = refuse(fleet.call(chat("x", provider="aggregator", model="deepseek-v3.2")))
    assert not [name for name in reply.headers if "ratelimit" in name or "retry" in name]


def test_facts_name_styles_that_exist() -> None:
    told = {row.facts.get("rate_headers", "none") for row in models.rows()}
    rows = providers.load(providers.FILE, DIALECTS, 1).values()
    told |= {mount.facts.get("rate_headers", "none") for row in rows for mount in row.mounts}
    assert told <= set(STYLES)
    row = {"name": "o", "dialect": "openai_chat", "region": "r", "facts": {"rate_headers": "morse"}}
    with pytest.raises(Flawed) as caught:
        providers.read({"providers": [row]}, DIALECTS, 1)
    assert caught.value.flaws[0].where == "providers[0].facts.rate_headers"


def test_gemini_tells_the_wait_in_the_body(fleet: Live) -> None:
    put(fleet, {"limit": 1}, provider="gemini")
    body = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    raw = request(
        "POST", "/gemini/v1beta/models/gemini-2.5-flash:generateContent", body, {"x-goog-api-key": gemini_key(fleet)}
    )
    assert fleet.call(raw).status == 200
    advance(fleet, 12_500)
    refused = refuse(fleet.call(raw))
    assert not [name for name in refused.headers if "ratelimit" in name or "retry" in name]
    (wait,) = [row for row in refused.json["error"]["details"] if row["@type"].endswith("RetryInfo")]
    assert wait["retryDelay"] == "47.5s"
    advance(fleet, 47_500)
    assert fleet.call(raw).status == 200


def gemini_key(fleet: Live) -> str:
    return str(fleet.control("GET", "providers")["providers"]["gemini"]["key"])
