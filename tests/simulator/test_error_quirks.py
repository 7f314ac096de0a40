"""The quirks of errors and retries, by their names in the catalogue, seen on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from simulator.faults import FAULTS
from tests.simulator.live import Live, Reply, request, running
from tests.simulator.quirks import PROMPT, chat, datas, events, message, met, new_case, own_text, said

CATALOGUE = [
    "error-first-frame-200",
    "error-frame-mid-stream",
    "error-frame-with-choices",
    "error-code-types",
    "error-event-nested-vs-flat",
    "error-200-body",
    "error-as-array",
    "error-json-in-string",
    "error-no-wrapper",
    "html-error-page",
    "html-200",
    "empty-body",
    "broken-json-frame",
    "truncated-last-json",
    "silent-end",
    "duplicate-message-start",
    "spliced-generation",
    "replay-after-retry",
    "missing-block-start",
    "quota-as-other-status",
    "auth-as-400",
    "overload-as-429",
    "retry-after-on-200",
    "retry-after-forms",
    "negative-remaining",
    "no-rate-headers",
]
HINTS = ("retry-after", "retry-after-ms", "x-should-retry")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    with running() as live:
        yield live


def error(reply: Reply) -> Any:
    return reply.json["error"]


def limits(reply: Reply) -> list[str]:
    return [name for name in reply.headers if "ratelimit" in name or name in HINTS]


def remaining(reply: Reply) -> list[int]:
    return [int(value) for name, value in reply.headers.items() if "ratelimit" in name and "remaining" in name]


# fault, request, status, what must be true of the JSON reply
BODIES: list[tuple[str, Callable[..., bytes], int, Callable[[Reply], bool]]] = [
    ("error-first-frame-200 error=overloaded", chat, 200, lambda r: "overloaded" in error(r)["message"]),
    ("error-200-body", chat, 200, lambda r: r.json["base_resp"]["status_code"] == 1002),
    ("error-200-body error=insufficient_quota", chat, 200, lambda r: r.json["base_resp"]["status_code"] == 1008),
    ("error-200-body form=native", message, 200, lambda r: error(r)["type"] == "rate_limit_error"),
    ("error-code-types", chat, 429, lambda r: error(r)["code"] == 429),
    ("error-code-types form=text", chat, 429, lambda r: error(r)["code"] == "rate_limit_exceeded"),
    ("error-code-types form=null", chat, 429, lambda r: "code" in error(r) and error(r)["code"] is None),
    ("error-code-types form=numeric_text", chat, 429, lambda r: error(r)["code"] == "1302"),
    ("error-code-types form=numeric_text code=1113", chat, 429, lambda r: error(r)["code"] == "1113"),
    ("error-code-types form=number code=7", chat, 429, lambda r: error(r)["code"] == 7),
    ("error-as-array", chat, 429, lambda r: r.json[0]["error"]["code"] == "rate_limit_exceeded"),
    ("error-as-array status=503", message, 503, lambda r: r.json[0]["error"]["type"] == "api_error"),
    ("error-json-in-string", message, 400, lambda r: error(r)["status"] == "INVALID_ARGUMENT"),
    ("error-json-in-string", message, 400, lambda r: json.loads(error(r)["message"])["type"] == "error"),
    ("error-json-in-string outer=native", chat, 400, lambda r: "error" in json.loads(error(r)["message"])),
    ("error-no-wrapper", chat, 400, lambda r: (r.json["object"], r.json["type"]) == ("error", "BadRequestError")),
    ("error-no-wrapper status=500", chat, 500, lambda r: r.json["code"] == 500 and "message" in r.json),
    ("html-error-page", chat, 502, lambda r: r.headers["content-type"] == "text/html; charset=UTF-8"),
    ("html-error-page status=524", message, 524, lambda r: b"524: A timeout occurred" in r.body),
    ("html-error-page server=nginx", chat, 502, lambda r: b"<center>nginx</center>" in r.body),
    ("html-200", chat, 200, lambda r: b"<title>Sign in</title>" in r.body),
    (
        "html-200 page=challenge",
        message,
        200,
        lambda r: b"Just a moment" in r.body and "html" in r.headers["content-type"],
    ),
    ("empty-body", chat, 200, lambda r: r.body == b""),
    ("quota-as-other-status", chat, 402, lambda r: error(r)["code"] == "insufficient_quota"),
    ("quota-as-other-status status=400", message, 400, lambda r: "credit balance" in error(r)["message"]),
    ("quota-as-other-status status=402", message, 402, lambda r: error(r)["type"] == "billing_error"),
    (
        "quota-as-other-status status=429 code=1113 message='Insufficient balance'",
        chat,
        429,
        lambda r: (error(r)["code"], error(r)["message"]) == ("1113", "Insufficient balance"),
    ),
    ("auth-as-400", chat, 400, lambda r: error(r)["code"] == "invalid_api_key"),
    ("auth-as-400", message, 400, lambda r: "x-api-key" in error(r)["message"]),
    ("overload-as-429", chat, 429, lambda r: error(r)["type"] == "engine_overloaded_error"),
    ("overload-as-429", message, 429, lambda r: error(r)["type"] == "overloaded_error"),
    ("retry-after-on-200", chat, 200, lambda r: r.headers["retry-after"] == "20"),
    ("retry-after-on-200 seconds=4", message, 200, lambda r: r.headers["retry-after"] == "4"),
    ("retry-after-forms form=seconds", chat, 429, lambda r: r.headers["retry-after"] == "39"),
    ("retry-after-forms form=fraction", chat, 429, lambda r: r.headers["retry-after"] == "0.01"),
    ("retry-after-forms form=ms", chat, 429, lambda r: r.headers["retry-after-ms"] == "1500"),
    ("retry-after-forms form=ms", chat, 429, lambda r: "retry-after" not in r.headers),
    ("retry-after-forms", message, 429, lambda r: _date_ahead(r) == 39),
    ("retry-after-forms after_s=5", chat, 429, lambda r: _date_ahead(r) == 5),
    ("retry-after-forms form=none", chat, 429, lambda r: not {"retry-after", "retry-after-ms"} & r.headers.keys()),
    ("retry-after-forms form=body", chat, 429, lambda r: error(r)["details"][0]["retryDelay"] == "39s"),
    ("negative-remaining", chat, 200, lambda r: set(remaining(r)) == {-27689}),
    ("negative-remaining by=1", message, 200, lambda r: set(remaining(r)) == {-1}),
    ("status=429; negative-remaining", chat, 429, lambda r: set(remaining(r)) == {-27689}),
    ("no-rate-headers", chat, 429, lambda r: limits(r) == []),
    ("no-rate-headers", message, 429, lambda r: limits(r) == []),
    ("no-rate-headers refuse=never", chat, 200, lambda r: limits(r) == []),
]


def _date_ahead(reply: Reply) -> float:
    """Seconds from the reply's date to its retry-after."""
    there, now = (parsedate_to_datetime(reply.headers[name]) for name in ("retry-after", "date"))
    return (there - now).total_seconds()


@pytest.mark.parametrize(
    ("fault", "make", "status", "check"), BODIES, ids=[f"{row[0]}-{row[1].__name__}" for row in BODIES]
)
def test_quirk_of_a_json_reply(
    fleet: Live, fault: str, make: Callable[..., bytes], status: int, check: Callable[[Reply], bool]
) -> None:
    case = new_case()
    reply = fleet.call(make(fault, stream=False, case=case))
    assert (reply.status, reply.ended) == (status, "")
    assert check(reply), reply
    assert FAULTS.kind(fault.split(";")[-1].split()[0]) in met(fleet, case)["faults"]


def ids(reply: Reply) -> list[Any]:
    """The ids of the messages that a stream opens or belongs to, without repeats."""
    rows = [event["message"]["id"] if "message" in event else event.get("id") for event in events(reply)]
    return list(dict.fromkeys(found for found in rows if found))


def kinds(reply: Reply) -> list[str]:
    return [event["type"] for event in events(reply)]


def whole(reply: Reply) -> bool:
    """Whether each event is JSON, or `[DONE]`."""
    try:
        return bool(events(reply))
    except json.JSONDecodeError:
        return False


Check = Callable[[Reply, Reply], bool]
STREAMS: list[tuple[str, Callable[..., bytes], Check]] = [
    ("error-first-frame-200", chat, lambda r, _: "error" in events(r)[0] and len(datas(r)) == 1),
    (
        "error-first-frame-200 opening=kept",
        chat,
        lambda r, _: ["error" in event for event in events(r)] == [False, True],
    ),
    ("error-first-frame-200", message, lambda r, _: kinds(r) == ["error"]),
    (
        "error-first-frame-200 opening=kept",
        message,
        lambda r, _: kinds(r)[0] == "message_start" and kinds(r)[-1] == "error",
    ),
    ("error-frame-mid-stream after_frames=2", chat, lambda r, p: said(p).startswith(_heard(r)) and _heard(r) != ""),
    ("error-frame-mid-stream", message, lambda r, _: kinds(r)[-1] == "error" and "content_block_delta" in kinds(r)),
    ("error-frame-with-choices", chat, lambda r, _: events(r)[-1]["choices"][0]["finish_reason"] == "error"),
    ("error-frame-with-choices", chat, lambda r, _: "message" in events(r)[-1]["error"] and len(ids(r)) == 1),
    ("error-frame-with-choices choices=empty", chat, lambda r, _: events(r)[-1]["choices"] == []),
    ("error-200-body", chat, lambda r, _: r.json["base_resp"]["status_code"] == 1002),
    ("error-200-body", message, lambda r, _: r.headers["content-type"] == "application/json"),
    ("error-as-array", chat, lambda r, _: r.status == 429 and isinstance(r.json, list)),
    ("error-frame-mid-stream; error-as-array refuse=never", chat, lambda r, _: "error" in json.loads(datas(r)[-1])[0]),
    ("error-frame-mid-stream; error-code-types refuse=never", chat, lambda r, _: events(r)[-1]["error"]["code"] == 500),
    ("html-200", chat, lambda r, _: r.headers["content-type"] == "text/html; charset=utf-8"),
    ("empty-body", chat, lambda r, _: r.body == b""),
    ("broken-json-frame", chat, lambda r, p: not whole(r) and len(datas(r)) == len(datas(p))),
    (
        "truncated-last-json",
        chat,
        lambda r, _: not whole(r) and json.loads(datas(r)[-2]) and not r.body.endswith(b"\n"),
    ),
    ("truncated-last-json", message, lambda r, _: not whole(r)),
    ("silent-end", chat, lambda r, p: said(r) == said(p) and b'"stop"' not in r.body and b"[DONE]" not in r.body),
    ("silent-end after_frames=3", chat, lambda r, p: len(said(r)) < len(said(p)) and b"[DONE]" not in r.body),
    ("silent-end", message, lambda r, p: own_text(r) == own_text(p) and kinds(r)[-1] == "content_block_delta"),
    (
        "duplicate-message-start",
        message,
        lambda r, p: kinds(r)[:2] == ["message_start"] * 2 and own_text(r) == own_text(p),
    ),
    ("duplicate-message-start times=28", message, lambda r, _: kinds(r).count("message_start") == 29),
    ("duplicate-message-start", chat, lambda r, p: events(r)[0] == events(r)[1] and said(r) == said(p)),
    ("spliced-generation", message, lambda r, p: len(ids(r)) == 2 and own_text(r).endswith(own_text(p))),
    ("spliced-generation", message, lambda r, _: _starts(r) == [0, 0] and kinds(r).count("message_stop") == 1),
    (
        "spliced-generation after_frames=3",
        chat,
        lambda r, p: len(ids(r)) == 2 and said(r).endswith(said(p)) and said(r) != said(p),
    ),
    ("replay-after-retry", message, lambda r, p: len(ids(r)) == 1 and _replayed(own_text(r), own_text(p))),
    ("replay-after-retry after_frames=5", chat, lambda r, p: len(ids(r)) == 1 and _replayed(said(r), said(p))),
    ("missing-block-start", message, lambda r, p: "content_block_start" not in kinds(r) and own_text(r) == own_text(p)),
    ("retry-after-on-200", chat, lambda r, p: r.headers["retry-after"] == "20" and said(r) == said(p)),
]


def _heard(reply: Reply) -> str:
    """The text before an error."""
    chunks = [event for event in events(reply) if "choices" in event]
    return "".join(row["delta"].get("content") or "" for event in chunks for row in event["choices"])


def _starts(reply: Reply) -> list[int]:
    return [event["index"] for event in events(reply) if event["type"] == "content_block_start"]


def _replayed(text: str, plain: str) -> bool:
    """Whether a text is another one of which the beginning is said twice."""
    again = len(text) - len(plain)
    return again > 0 and text == plain[:again] + plain


@pytest.mark.parametrize(("fault", "make", "check"), STREAMS, ids=[f"{row[0]}-{row[1].__name__}" for row in STREAMS])
def test_quirk_of_a_stream(fleet: Live, fault: str, make: Callable[..., bytes], check: Check) -> None:
    case = new_case()
    reply = fleet.call(make(fault, case=case))
    assert reply.ended == ""
    assert check(reply, fleet.call(make())), reply
    entry = met(fleet, case)
    assert FAULTS.kind(fault.split(";")[-1].split()[0]) in entry["faults"]
    assert entry["delivered"]["tokens"] <= (entry["usage_true"] or {"output_tokens": 0})["output_tokens"]


def test_refusals_that_come_anyway_are_reshaped(fleet: Live) -> None:
    """With `refuse=never` a fault changes what is refused without it, and nothing else."""

    def refused(fault: str, key: str = "wrong") -> Reply:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": PROMPT}]}
        headers = {"authorization": f"Bearer {key}", "x-windtunnel-fault": f"{fault} refuse=never"}
        return fleet.call(request("POST", "/openai/v1/chat/completions", body, headers))

    assert refused("auth-as-400").status == 400
    assert refused("error-as-array").json[0]["error"]["code"] == "invalid_api_key"
    assert refused("error-code-types form=numeric_text").json["error"]["code"] == "1002"
    for name in ("auth-as-400", "error-as-array", "error-code-types", "retry-after-forms"):
        assert refused(name, "sk-fleet-openai").json["object"] == "chat.completion", name


def test_an_error_keeps_the_hand_of_its_wire(fleet: Live) -> None:
    front = fleet.call(chat("error-code-types", stream=False)).body
    assert front == json.dumps(json.loads(front), indent=4).encode() + b"\n"
    own = fleet.call(message("error-json-in-string", stream=False)).body
    assert own == json.dumps(json.loads(own), separators=(",", ":")).encode()


def test_the_catalogue_is_known() -> None:
    for name in CATALOGUE:
        assert name in FAULTS, name
        assert FAULTS[name].seen_at, name
