"""Every fault, seen on the wire by a bare socket; and the registry they are built by."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import providers
from simulator.answers import answer
from simulator.clock import Clock
from simulator.dialects import DIALECTS
from simulator.faults import FAMILIES, FAULTS
from simulator.faults.document import files
from simulator.fleet import Fleet
from simulator.head import whole
from simulator.rules import scenario
from simulator.script import Frame, Script
from tests.simulator import (
    test_chunk_quirks,
    test_connection_faults,
    test_content_faults,
    test_error_quirks,
    test_framing_quirks,
    test_gates,
    test_job_faults,
    test_long_job_modes,
    test_mode_mismatch,
    test_tool_quirks,
    test_usage_quirks,
    test_webhook_moments,
    test_webhooks,
)
from tests.simulator.live import END, RESET, Live, Reply, chat, message, running

QUIRKS = (  # see what they name in CATALOGUE
    *(test_framing_quirks, test_mode_mismatch, test_connection_faults, test_chunk_quirks),
    *(test_usage_quirks, test_tool_quirks, test_error_quirks, test_content_faults, test_gates),
    *(test_job_faults, test_long_job_modes, test_webhooks, test_webhook_moments),
)
SEEN: set[str] = set()  # kinds that a test of this file looks for


def sees(*kinds: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark a test as the one that sees these kinds."""
    SEEN.update(kinds)
    return lambda test: test


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def events(reply: Reply) -> list[str]:
    """The data of every event, by a reader that takes LF only."""
    return [line[6:] for line in reply.body.decode().split("\n") if line.startswith("data: ")]


def usage(reply: Reply) -> Any:
    """The last usage a stream told."""
    found = [json.loads(data).get("usage") for data in events(reply) if data != "[DONE]"]
    return next((each for each in reversed(found) if each), None)


def said(reply: Reply) -> str:
    """The text of a chat stream."""
    chunks = [json.loads(data) for data in events(reply) if data != "[DONE]"]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def kinds(fleet: Live, case: str) -> list[str]:
    """The faults that the one request of a case met."""
    (entry,) = fleet.journal(case)
    found: list[str] = entry["faults"]
    return found


@sees("status")
def test_status_is_native(fleet: Live) -> None:
    reply = fleet.call(
        chat("[[case:f-1]] [[fault: status=429 retry_after_s=7 message='slow down' headers='x-a: b | x-c: d']]")
    )
    assert reply.status == 429
    assert reply.headers["retry-after"] == "7"
    assert (reply.headers["x-a"], reply.headers["x-c"]) == ("b", "d")
    assert reply.json["error"]["message"] == "slow down"
    assert fleet.call(message("[[fault: status=529]]")).json["error"]["type"] == "overloaded_error"
    assert (
        fleet.call(chat("[[fault: status=429 code=insufficient_quota]]")).json["error"]["code"] == "insufficient_quota"
    )
    assert kinds(fleet, "f-1") == ["status"]


@sees("status")
@pytest.mark.parametrize("status", [200, 204, 304, 400, 404, 418, 500, 502, 504, 524, 599])
def test_any_status_keeps_http_sound(fleet: Live, status: int) -> None:
    for make in (chat, message):
        line = fleet.line()
        line.send(make(f"[[fault: status={status}]]"))
        reply = line.reply()
        assert (reply.status, reply.ended) == (status, "")
        line.send(make("hello"))
        assert line.reply().status == 200


@sees("canary")
def test_canary_plants_what_must_not_leak(fleet: Live) -> None:
    reply = fleet.call(message("[[fault: canary]]"))
    assert reply.status == 500
    assert "sk-canary-" in reply.json["error"]["message"]
    assert fleet.call(chat("[[fault: canary text=x7 status=400]]")).json["error"]["message"] == "x7"


@sees("refusal")
def test_refusal_is_said_in_the_wire_s_way(fleet: Live) -> None:
    reply = fleet.call(chat("[[fault: refusal text='No thanks.']]"))
    assert reply.json["choices"][0]["message"]["refusal"] == "No thanks."
    assert reply.json["usage"]["completion_tokens"] == 3
    assert fleet.call(message("[[fault: refusal]]")).json["stop_reason"] == "refusal"


@sees("stale_signature")
def test_stale_signature_refuses_thinking_in_the_history(fleet: Live) -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
    first = fleet.call(message("[[answer: reasoning]]", **thinking)).json
    assert first["content"][0]["type"] == "thinking"
    turns = [
        {"role": "user", "content": "[[answer: reasoning]] [[fault: stale_signature]]"},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": "and then?"},
    ]
    reply = fleet.call(message("", **thinking, messages=turns))
    assert reply.status == 400
    assert "messages.1.content.0" in reply.json["error"]["message"]
    assert fleet.call(message("[[fault: stale_signature]]")).status == 200
    turns[0]["content"] = "[[answer: reasoning]]"
    assert fleet.call(message("", **thinking, messages=turns)).status == 200


@sees("latency")
@pytest.mark.parametrize("stream", [False, True])
def test_latency_delays_by_the_clock(fleet: Live, stream: bool) -> None:
    case = f"f-late-{stream}"
    fleet.call(chat(f"[[case:{case}]] [[answer: tokens=5]] [[fault: latency ttft_ms=60 gap_ms=10]]", stream=stream))
    (entry,) = fleet.journal(case)
    head_ms, ended_ms = entry["head_sent_ms"] - entry["arrived_ms"], entry["ended_ms"] - entry["arrived_ms"]
    assert head_ms >= 60
    assert ended_ms >= 100
    assert entry["lateness_ms_max"] == pytest.approx(ended_ms - 100, abs=50)


@sees("stall")
def test_stall_for_a_while_goes_on(fleet: Live) -> None:
    reply = fleet.call(chat("[[case:f-stall]] [[fault: stall after_frames=2 for_ms=80]]", stream=True))
    assert events(reply)[-1] == "[DONE]"
    (entry,) = fleet.journal("f-stall")
    assert entry["ended_ms"] - entry["arrived_ms"] >= 80
    assert fleet.call(chat("[[fault: stall after_frames=1 for_ms=5]]")).json["object"] == "chat.completion"


@sees("reset", "refuse", "hang")
def test_connections_break_without_a_byte(fleet: Live) -> None:
    for kind in ("reset", "refuse"):
        reply = fleet.call(message(f"[[fault: {kind}]]", stream=True))
        assert (reply.status, reply.ended) == (0, RESET)
    line = fleet.line()
    line.send(chat("[[case:f-hang]] [[fault: hang]]"))
    assert fleet.seen("f-hang")[0]["ended"] == "pending"
    line.close()
    assert fleet.journal("f-hang")[0]["status"] is None


@sees("reset")
def test_reset_within_a_body(fleet: Live) -> None:
    after_head = fleet.call(chat("[[fault: reset when=after_headers]]"))
    assert (after_head.status, after_head.body, after_head.ended) == (200, b"", RESET)
    within = fleet.call(chat("[[fault: reset after_bytes=64]]"))
    assert (within.status, len(within.body), within.ended) == (200, 64, RESET)


@sees("cut_stream")
@pytest.mark.parametrize("after_frames", [0, 1, 2, 5, 6, 7, 50])
def test_cut_stream_anywhere(fleet: Live, after_frames: int) -> None:
    reply = fleet.call(chat(f"[[answer: tokens=6]] [[fault: cut_stream after_frames={after_frames}]]", stream=True))
    assert reply.ended == END
    assert said(reply).count(" ") <= after_frames
    assert (b"[DONE]" in reply.body) is (after_frames > 6)


@sees("malformed_body")
def test_malformed_body_is_broken_json_in_sound_http(fleet: Live) -> None:
    reply = fleet.call(chat("[[fault: malformed_body]]"))
    assert (reply.status, reply.ended) == (200, "")
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.body)
    stream = fleet.call(message("[[fault: malformed_body after_frames=2]]", stream=True))
    broken = [data for data in events(stream) if not _is_json(data)]
    assert len(broken) == 1
    assert stream.body.endswith(b"\n\n")


def _is_json(data: str) -> bool:
    try:
        json.loads(data)
    except json.JSONDecodeError:
        return False
    return True


@sees("empty_body", "html_body", "wrong_content_type")
def test_bodies_that_are_not_what_was_promised(fleet: Live) -> None:
    for stream in (False, True):
        empty = fleet.call(chat("[[fault: empty_body]]", stream=stream))
        assert (empty.status, empty.body, empty.ended) == (200, b"", "")
        page = fleet.call(chat("[[fault: html_body status=503]]", stream=stream))
        assert (page.status, page.headers["content-type"]) == (503, "text/html")
        assert b"503 Service Unavailable" in page.body
        wrong = fleet.call(message("[[fault: wrong_content_type content_type=text/x]]", stream=stream))
        assert wrong.headers["content-type"] == "text/x"
        assert b"assistant" in wrong.body


@sees("error_in_200")
def test_error_in_200(fleet: Live) -> None:
    reply = fleet.call(chat("[[fault: error_in_200 kind=overloaded message=busy]]"))
    assert (reply.status, reply.json["error"]["message"]) == (200, "busy")
    stream = fleet.call(message("[[fault: error_in_200 kind=overloaded]]", stream=True))
    assert stream.status == 200
    assert stream.body.startswith(b"event: error\ndata: ")
    assert events(stream)[0].count("overloaded_error") == 1
    assert len(events(stream)) == 1


@sees("error_event")
def test_error_event_breaks_off_a_stream(fleet: Live) -> None:
    reply = fleet.call(message("[[fault: error_event after_frames=3]]", stream=True))
    assert reply.ended == ""
    assert reply.body.count(b"event: content_block_delta") == 3
    assert json.loads(events(reply)[-1])["error"]["type"] == "api_error"
    chat_reply = fleet.call(chat("[[fault: error_event after_frames=1]]", stream=True))
    assert "error" in json.loads(events(chat_reply)[-1])
    assert fleet.call(chat("[[fault: error_event]]")).json["object"] == "chat.completion"


@sees("missing_usage")
@pytest.mark.parametrize("stream", [False, True])
def test_missing_usage(fleet: Live, stream: bool) -> None:
    reply = fleet.call(chat(f"[[case:f-mu-{stream}]] [[fault: missing_usage]]", stream=stream))
    assert not re.search(rb'"usage":\s*\{', reply.body)
    (entry,) = fleet.journal(f"f-mu-{stream}")
    assert entry["usage_told"] is None
    assert entry["usage_true"]["output_tokens"] == entry["delivered"]["tokens"] > 0
    assert b'"usage"' not in fleet.call(message("[[fault: missing_usage]]", stream=stream)).body


@sees("wrong_usage")
def test_wrong_usage_lies_and_the_journal_knows(fleet: Live) -> None:
    reply = fleet.call(chat("[[case:f-wu]] [[answer: tokens=20]] [[fault: wrong_usage factor=10]]", stream=True))
    (entry,) = fleet.journal("f-wu")
    assert entry["usage_true"]["output_tokens"] == 20
    assert entry["usage_told"]["output_tokens"] == usage(reply)["completion_tokens"] == 200
    told = fleet.call(message("[[fault: wrong_usage input_tokens=5 output_tokens=0]]")).json["usage"]
    assert (told["input_tokens"], told["output_tokens"]) == (5, 0)


@sees("usage_every_chunk")
def test_usage_in_every_chunk_grows(fleet: Live) -> None:
    reply = fleet.call(chat("[[answer: tokens=6]] [[fault: usage_every_chunk]]", stream=True))
    found = [json.loads(data)["usage"] for data in events(reply) if data != "[DONE]"]
    assert [each["completion_tokens"] for each in found if each] == [1, 2, 3, 4, 5, 6, 6]
    assert all(each["total_tokens"] == each["prompt_tokens"] + each["completion_tokens"] for each in found if each)
    anthropic = fleet.call(message("[[fault: usage_every_chunk]]", stream=True))
    deltas = [json.loads(data) for data in events(anthropic) if "content_block_delta" in data]
    counted = [delta["usage"]["output_tokens"] for delta in deltas]
    assert counted == sorted(counted)
    assert counted[0] >= 1


@sees("usage_zero_cost")
@pytest.mark.parametrize("stream", [False, True])
def test_zero_cost(fleet: Live, stream: bool) -> None:
    reply = fleet.call(chat("[[fault: usage_zero_cost]]", stream=stream))
    told = usage(reply) if stream else reply.json["usage"]
    assert told["cost"] == 0
    assert told["completion_tokens"] > 0


def plain(fleet: Live, make: Callable[..., bytes] = chat) -> Reply:
    """A stream without any fault."""
    return fleet.call(make("steady as she goes", stream=True))


@sees("crlf", "cr_only", "data_no_space", "comments", "bom", "multi_line_data")
@pytest.mark.parametrize("make", [chat, message])
def test_framing_that_sse_allows(fleet: Live, make: Callable[..., bytes]) -> None:
    def quirk(fault: str) -> bytes:
        return fleet.call(make(f"steady as she goes [[fault: {fault}]]", stream=True)).body

    assert b"\n" not in quirk("crlf").replace(b"\r\n", b"")
    assert b"\n" not in quirk("cr_only")
    assert quirk("cr_only").endswith(b"\r\r")
    tight = quirk("data_no_space")
    assert b"data: " not in tight
    assert b"data:{" in tight
    commented = quirk("comments text=hm every=2")
    assert commented.startswith(b": hm\n\n")
    assert commented.count(b": hm\n\n") == (commented.count(b"data: ") + 1) // 2
    assert quirk("bom").startswith(b"\xef\xbb\xbf")
    for block in quirk("multi_line_data").decode().strip().split("\n\n"):
        data = "\n".join(line[6:] for line in block.split("\n") if line.startswith("data: "))
        if data not in ("[DONE]", '{"type": "ping"}'):
            assert data.count("\n") == 2
        assert data == "[DONE]" or json.loads(data)


@sees("unterminated_last_frame", "missing_done", "double_done", "heartbeat_after_finish")
@pytest.mark.parametrize(("make", "done"), [(chat, b"data: [DONE]"), (message, b"event: message_stop")])
def test_ends_of_streams(fleet: Live, make: Callable[..., bytes], done: bytes) -> None:
    def quirk(fault: str) -> bytes:
        reply = fleet.call(make(f"steady as she goes [[fault: {fault}]]", stream=True))
        assert reply.ended == ""
        return reply.body

    assert plain(fleet, make).body.count(done) == 1
    assert not quirk("unterminated_last_frame").endswith(b"\n")
    assert quirk("missing_done").count(done) == 0
    assert quirk("double_done").count(done) == 2
    tail = quirk("heartbeat_after_finish").rpartition(b"stop_reason" if make is message else b'finish_reason":"stop"')[
        2
    ]
    assert b": keep-alive" in tail or b"event: ping" in tail


@sees("byte_dribble")
@pytest.mark.parametrize("stream", [False, True])
def test_byte_dribble(fleet: Live, stream: bool) -> None:
    reply = fleet.call(chat(f"[[case:f-bd-{stream}]] [[fault: byte_dribble size=16]]", stream=stream))
    (entry,) = fleet.journal(f"f-bd-{stream}")
    assert entry["frames_sent"] >= len(reply.body) // 16
    assert entry["delivered"]["tokens"] == entry["usage_true"]["output_tokens"]
    if stream:
        assert max(map(len, reply.chunks)) == 16
    else:
        assert reply.json["usage"]


@sees("utf8_split")
def test_utf8_split_cuts_characters(fleet: Live) -> None:
    reply = fleet.call(chat("[[case:f-u8]] [[fault: utf8_split]]", stream=True))
    halves = [chunk for chunk in reply.chunks if _is_half(chunk)]
    assert len(halves) >= 2
    assert "風" in said(reply)
    (entry,) = fleet.journal("f-u8")
    assert entry["usage_true"]["output_tokens"] == entry["delivered"]["tokens"]
    assert "風" in fleet.call(message("[[fault: utf8_split]]")).json["content"][0]["text"]


def _is_half(chunk: bytes) -> bool:
    try:
        chunk.decode()
    except UnicodeDecodeError:
        return True
    return False


@sees("coalesced")
def test_coalesced_is_one_chunk(fleet: Live) -> None:
    reply = fleet.call(chat("[[fault: coalesced]]", stream=True))
    assert len(reply.chunks) == 1
    assert events(reply)[-1] == "[DONE]"


@sees("noop")
def test_noop_shows_only_in_the_journal(fleet: Live) -> None:
    body = fleet.call(chat("[[case:f-noop]] [[fault: noop]]")).json
    assert body["object"] == "chat.completion"
    assert kinds(fleet, "f-noop") == ["noop"]


def test_faults_add_up_in_order(fleet: Live) -> None:
    prompt = "[[case:f-many]] [[fault: status=503]] [[fault: latency ttft_ms=20]] [[fault: crlf]] [[fault: cut_stream]]"
    reply = fleet.call(chat(prompt))
    assert (reply.status, reply.body, reply.ended) == (503, b"", END)
    (entry,) = fleet.journal("f-many")
    assert entry["faults"] == ["status", "latency", "cut_stream"]
    assert entry["head_sent_ms"] - entry["arrived_ms"] >= 20


def test_a_fault_that_does_not_exist_is_told(fleet: Live) -> None:
    reply = fleet.call(chat("[[fault: stal after_frames=1]]"))
    assert reply.status == 400
    assert "came 'stal'; due perhaps stall" in reply.json["error"]["message"]
    reply = fleet.call(message("[[fault: stall after_frame=1]]"))
    assert "after_frame: came an unknown key" in reply.json["error"]["message"].replace("option", "key")
    assert fleet.call(chat("[[fault: stall")).status == 400


ROWS = providers.load(providers.FILE, DIALECTS, 7)
DEFAULTS: dict[str, dict[str, object]] = {
    "status": {"status": 429},
    "wrong_usage": {"factor": 2},
    "latency": {"ttft_ms": 20, "gap_ms": "gamma mean=5 shape=2"},
    "stall": {"after_frames": 2, "for_ms": 30},
    "byte_dribble": {"size": 40, "gap_ms": 0.5},
}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=4),
    st.sampled_from([(chat, "openai"), (message, "anthropic")]),
    st.booleans(),
)
def test_any_faults_in_any_order_make_a_reply_that_can_be_played(
    kinds: list[str], wire: tuple[Callable[..., bytes], str], stream: bool
) -> None:
    make, provider = wire
    fleet = Fleet(ROWS, Clock("manual", read=lambda: 0.0, alarm=lambda *_: lambda: None), 7)
    rows = [{"fault": [{"kind": kind, **DEFAULTS.get(kind, {})} for kind in kinds]}]
    fleet.plan.add(scenario.read_rules(rows), rows, None)
    head, _, body = make("hello", stream=stream).partition(b"\r\n\r\n")
    headers = [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")[1:]]
    path = "/v1/chat/completions" if provider == "openai" else "/v1/messages"
    known = fleet.recognise(ROWS[provider], "POST", path, b"", headers, body)  # type: ignore[arg-type]
    script, outcome = fleet.script(known, 0.0, 1, 1)
    assert set(outcome.faults) <= set(kinds)
    dues = [frame.due_ms for frame in script.frames]
    assert dues == sorted(dues)
    assert all(due >= (script.head_due_ms or 0.0) for due in dues)
    assert whole(script, 0).startswith(b"HTTP/1.1 ")


def test_every_kind_is_seen_and_told() -> None:
    named = {FAULTS.kind(name) for module in QUIRKS for name in module.CATALOGUE}
    assert set(FAULTS) == SEEN | named
    documented = {kind for modules in FAMILIES.values() for module in modules for kind in _kinds_of(module.__name__)}
    assert documented == set(FAULTS)
    for kind in FAULTS:
        assert FAULTS[kind].__doc__, kind


def _kinds_of(module: str) -> list[str]:
    return [kind for kind in FAULTS if FAULTS[kind].__module__ == module]


def test_derived_files_are_current() -> None:
    for path, content in files().items():
        assert path.read_text("utf-8") == content, f"{path.name} is stale: run python -m simulator.faults"


def test_faults_leave_alone_what_they_do_not_concern() -> None:
    script = Script(200, (), (Frame(b"{}", "body"),))
    for kind in (
        "crlf",
        "cr_only",
        "data_no_space",
        "comments",
        "bom",
        "multi_line_data",
        "missing_done",
        "error_event",
    ):
        assert FAULTS.build(kind, {}).script(script, None) is script  # type: ignore[arg-type]
    silent = answer.Answer("m", "n", 0, (), answer.Usage(1, 1), None)
    assert FAULTS.build("wrong_usage", {"factor": 2}).answer(silent, None) is silent  # type: ignore[arg-type]
