"""Webhook receivers: what is sent is kept and judged by standardwebhooks' own signatures, and answered as told."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from simulator.clock import MANUAL_START_MS, Clock
from simulator.neighbours.asked import Asked
from simulator.neighbours.faults import kinds
from simulator.neighbours.hooks import Hooks
from tests.simulator.live import END, RESET, request
from tests.simulator.neighbours import TIMEOUT_S, Neighbourly, neighbourly

SECRET = "whsec_" + b64encode(b"a secret of 24 bytes ...").decode()
NOW = datetime.fromtimestamp(MANUAL_START_MS / 1000, UTC)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Neighbourly]:
    with neighbourly(Clock("manual")) as found:
        yield found


@pytest.fixture(autouse=True)
def _as_new(request: pytest.FixtureRequest) -> None:
    if "fleet" in request.fixturenames:
        request.getfixturevalue("fleet").control("POST", "reset")


def received(fleet: Neighbourly, case: str, **params: object) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in params.items())
    found: list[dict[str, Any]] = fleet.control("GET", f"received?case={case}&{query}")["received"]
    return found


def post(fleet: Neighbourly, case: str, body: bytes | str = b"{}", **more: Any) -> requests.Response:
    url = f"{fleet.url}/__hooks/{case}/any/path"
    return requests.post(url, data=body, allow_redirects=False, timeout=TIMEOUT_S, **more)


def signed(body: str, secret: str = SECRET, age_s: float = 0) -> dict[str, str]:
    at = NOW - timedelta(seconds=age_s)
    made = Webhook(secret).sign("msg_1", at, body)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": made}


def test_whatever_comes_is_kept(fleet: Neighbourly) -> None:
    body = "räksmörgås".encode() + b"\xff"
    answer = requests.put(f"{fleet.url}/__hooks/c1/a%20b?q=1", data=body, headers={"x-more": "7"}, timeout=TIMEOUT_S)
    assert answer.status_code == 200
    (one,) = received(fleet, "c1")
    assert (one["method"], one["path"], one["query"]) == ("PUT", "/__hooks/c1/a b", "q=1")
    assert ["x-more", "7"] in one["headers"]
    assert (one["body"], one["body_bytes"]) == ("räksmörgås\ufffd", len(body))
    assert (one["status"], one["at_ms"], one["faults"]) == (200, fleet.control("GET", "clock")["now_ms"], [])
    assert received(fleet, "c2") == []
    assert requests.get(f"{fleet.url}/__hooks", timeout=TIMEOUT_S).status_code == 404


def test_calls_are_waited_for(fleet: Neighbourly) -> None:
    line = fleet.live.line()
    line.send(request("GET", "/__fleet/received?case=w&count=2&wait_ms=20000"))
    post(fleet, "w", b"1")
    post(fleet, "other")
    post(fleet, "w", b"2")
    assert [one["body"] for one in line.reply().json["received"]] == ["1", "2"]
    page = fleet.control("GET", "received?case=w&limit=1")
    assert [one["body"] for one in fleet.control("GET", f"received?case=w&since={page['next']}")["received"]] == ["2"]
    assert [one["body"] for one in received(fleet, "*")] == ["1", "{}", "2"]


def test_signatures_of_the_official_library_hold(fleet: Neighbourly) -> None:
    body = '{"type": "job.done"}'
    post(fleet, "s", body, headers=signed(body))
    (one,) = received(fleet, "s")
    assert one["signature"] == {"holds": None, "why": "the case has no secret"}
    fleet.control("PUT", "neighbours/hooks", {"secrets": {"s": SECRET}})
    (one,) = received(fleet, "s")
    assert one["signature"] == {"holds": True, "why": None}, "also when the secret is told later"


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        (signed("{}"), "{ }", "no v1 signature matches"),
        (signed("{}", "whsec_" + b64encode(b"another").decode()), "{}", "no v1 signature matches"),
        (signed("{}", age_s=301), "{}", "the timestamp is 301 s away"),
        ({}, "{}", "no webhook-id and no webhook-timestamp and no webhook-signature"),
        (signed("{}") | {"webhook-timestamp": "soon"}, "{}", "the timestamp is not a whole number of seconds"),
        (signed("{}") | {"webhook-signature": "v1a,xyz v2,=="}, "{}", "no v1 signature matches"),
    ],
)
def test_signatures_that_do_not_hold(headers: dict[str, str], body: str, why: str) -> None:
    hooks = Hooks()
    hooks.set("secrets", {"s": SECRET})
    hooks.answer(Asked("POST", "/__hooks/s", "", tuple(headers.items()), body.encode(), MANUAL_START_MS))
    ((n, one),) = hooks.records.find(_all())
    assert hooks.tell(n, one)["signature"] == {"holds": False, "why": why}


def _all() -> Any:
    from simulator.neighbours.records import Wanted

    return Wanted()


def test_several_signatures_may_stand_beside_the_right_one() -> None:
    headers = signed("{}")
    headers["webhook-signature"] = f"v1,bm90IGl0 {headers['webhook-signature']} v1a,abc"
    hooks = Hooks()
    hooks.set("secrets", {"s": SECRET})
    hooks.answer(Asked("POST", "/__hooks/s", "", tuple(headers.items()), b"{}", MANUAL_START_MS))
    ((n, one),) = hooks.records.find(_all())
    assert hooks.tell(n, one)["signature"]["holds"]


def test_challenges_are_given_back(fleet: Neighbourly) -> None:
    url = f"{fleet.url}/__hooks/ch"
    slack = requests.post(url, json={"type": "url_verification", "challenge": "abc"}, timeout=TIMEOUT_S)
    assert slack.json() == {"challenge": "abc"}
    meta = requests.get(url, {"hub.mode": "subscribe", "hub.challenge": "1158201444"}, timeout=TIMEOUT_S)
    assert (meta.text, meta.headers["content-type"]) == ("1158201444", "text/plain; charset=utf-8")
    graph = requests.post(f"{url}?validationToken=a%20b", timeout=TIMEOUT_S)
    assert graph.text == "a b"
    assert [one["challenge"] for one in received(fleet, "ch")] == [True, True, True]
    fleet.hurt("hooks", "wrong_challenge", times=1)
    assert requests.post(url, json={"challenge": "abc"}, timeout=TIMEOUT_S).json() != {"challenge": "abc"}
    fleet.control("PUT", "neighbours/hooks", {"challenges": False})
    assert "challenge" not in requests.post(url, json={"challenge": "abc"}, timeout=TIMEOUT_S).json()


def test_statuses_so_many_times(fleet: Neighbourly) -> None:
    fleet.hurt("hooks", "status", status=500, times=3, case="n")
    assert [post(fleet, case).status_code for case in ("n", "n", "m", "n", "n")] == [500, 500, 200, 500, 200]
    assert [one["faults"] for one in received(fleet, "n")] == [["status"], ["status"], ["status"], []]
    fleet.hurt("hooks", "too_many", seconds=9, times=1)
    answer = post(fleet, "n")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "9")
    fleet.control("PUT", "neighbours/hooks", {"status": 204})
    assert post(fleet, "n").status_code == 204


def test_redirects_lead_to_another_receiver(fleet: Neighbourly) -> None:
    fleet.hurt("hooks", "redirect", times=1)
    followed = requests.post(f"{fleet.url}/__hooks/r\r\n/x", data=b"body", timeout=TIMEOUT_S)
    assert followed.status_code == 200
    assert [one["path"] for one in received(fleet, "*")] == ["/__hooks/r\r\n/x", "/__hooks/r\r\n/redirected"]
    fleet.hurt("hooks", "redirect", times=1, location="http://169.254.169.254/latest/meta-data", status=302)
    answer = post(fleet, "r")
    assert (answer.status_code, answer.headers["location"]) == (302, "http://169.254.169.254/latest/meta-data")


@pytest.mark.parametrize(("kind", "ended"), [("cut", END), ("reset", RESET)])
def test_connections_that_break(fleet: Neighbourly, kind: str, ended: str) -> None:
    fleet.hurt("hooks", kind, case=kind)
    reply = fleet.live.call(request("POST", f"/__hooks/{kind}", b"x"))
    assert (reply.status, reply.ended) == (0, ended)
    (one,) = received(fleet, kind)
    assert (one["status"], one["faults"]) == (None, [kind])


def test_silence_and_slowness(fleet: Neighbourly) -> None:
    fleet.hurt("hooks", "slow", delay_ms=3000, case="late")
    fleet.hurt("hooks", "hang", case="never")
    late, never = fleet.live.line(), fleet.live.line()
    late.send(request("POST", "/__hooks/late"))
    never.send(request("POST", "/__hooks/never"))
    assert received(fleet, "late", wait_ms=5000)
    assert received(fleet, "never", wait_ms=5000)
    fleet.control("POST", "clock", {"advance_ms": 3000})
    assert late.reply().status == 200
    never.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        never.sock.recv(1)
    never.close()


def test_large_answers(fleet: Neighbourly) -> None:
    fleet.hurt("hooks", "large_answer", bytes=100_000)
    assert len(post(fleet, "big").content) == 100_000


def test_a_body_is_bounded(fleet: Neighbourly) -> None:
    assert post(fleet, "huge", b"x" * (5 << 20)).status_code == 413
    assert received(fleet, "huge") == []


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.text(max_size=20),
    st.text(max_size=40),
    st.binary(max_size=40)
    | st.sampled_from([b'{"challenge": 7}', b'["challenge"]', b'"challenge"', b'{"challenge": "x"']),
    st.lists(st.sampled_from(list(kinds()["hooks"])), max_size=3),
)
def test_whatever_is_sent_is_taken(method: str, path: str, query: str, body: bytes, names: list[str]) -> None:
    hooks = Hooks()
    hooks.faults.add([{"kind": name} for name in names])
    hooks.set("secrets", {"s": SECRET})
    answer = hooks.answer(Asked(method, f"/__hooks/s/{path}", query, (("webhook-id", path),), body, MANUAL_START_MS))
    assert answer.status is None or 200 <= answer.status < 600
    for n, one in hooks.records.find(_all()):
        assert hooks.tell(n, one)["body_bytes"] == len(body)
