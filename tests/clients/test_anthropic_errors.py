"""What the official Anthropic SDK makes of a fleet that fails: exception classes, attributes, retries and waits.

Waits are judged by the fleet's journal and only from below: a slow machine makes them longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from tests.clients.conftest import Seen
from tests.simulator.live import Live

Told = Callable[..., str]
Made = Callable[..., anthropic.Anthropic]
MODEL = "claude-sonnet-4-6"
EARLY_MS = 1  # a wait may seem shorter by what the two clocks round


@pytest.fixture
def make(fleet: Live) -> Iterator[Made]:
    """Clients of the fleet."""
    made: list[anthropic.Anthropic] = []
    host, port = fleet.address

    def client(**options: Any) -> anthropic.Anthropic:
        base = {"api_key": "sk-ant-fleet-anthropic", "base_url": f"http://{host}:{port}/anthropic", "timeout": 20}
        made.append(anthropic.Anthropic(**(base | options)))
        return made[-1]

    yield client
    for one in made:
        one.close()


def ask(client: anthropic.Anthropic, prompt: str, *, stream: bool = False, **more: Any) -> Any:
    """One message; a streamed one is read to its end, and gives its events."""
    options: Any = {"model": MODEL, "max_tokens": 256, "messages": [{"role": "user", "content": prompt}], **more}
    reply = client.messages.create(**options, stream=stream)
    return list(reply) if stream else reply


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (402, anthropic.PaymentRequiredError, "billing_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.RequestTooLargeError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (504, anthropic.DeadlineExceededError, "timeout_error"),
        (529, anthropic.OverloadedError, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_status_is_an_exception(
    make: Made, told: Told, status: int, error: type[anthropic.APIStatusError], kind: str, streamed: bool
) -> None:
    with pytest.raises(error) as caught:
        ask(make(max_retries=0), told(f"fault: status={status} message='Not today.'"), stream=streamed)
    raised = caught.value
    assert raised.status_code == raised.response.status_code == status
    assert raised.type == kind
    assert isinstance(raised.body, dict)
    assert raised.body["type"] == "error"
    assert raised.body["error"] == {"type": kind, "message": "Not today."} | raised.body["error"]
    assert raised.request_id == raised.response.headers["request-id"] == raised.body["request_id"]
    assert "Not today." in raised.message


def test_what_is_wrong_with_a_request_is_told(make: Made) -> None:
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs are not permitted"):
        ask(make(max_retries=0), "Hi", extra_body={"temperature": 0.5})  # this client's API version has no sampling
    with pytest.raises(anthropic.NotFoundError, match="no-such-model"):
        ask(make(max_retries=0), "Hi", model="no-such-model")
    with pytest.raises(anthropic.AuthenticationError) as caught:
        ask(make(api_key="sk-ant-wrong", max_retries=0), "Hi")
    assert caught.value.type == "authentication_error"


@pytest.mark.parametrize(
    ("header", "wait_ms"),
    [("retry-after-ms: 40", 40), ("retry-after: 0.05", 50), ("retry-after-ms: 30|retry-after: 9", 30)],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_retries_wait_as_told(
    make: Made, told: Told, seen: Callable[[], Seen], header: str, wait_ms: int, streamed: bool
) -> None:
    """A 429 on attempts 1 and 2, then an answer."""
    assert ask(make(), told(f'fault: status=429 attempt=1-2 headers="{header}"'), stream=streamed)
    found = seen()
    assert found.statuses == [429, 429, 200]
    assert min(found.gaps_ms) >= wait_ms - EARLY_MS
    assert found.header("x-stainless-retry-count") == ["0", "1", "2"]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 529])
def test_retried_statuses_and_when_it_gives_up(make: Made, told: Told, seen: Callable[[], Seen], status: int) -> None:
    """The native `x-should-retry` of the fleet's refusals agrees with the statuses that the client knows."""
    with pytest.raises(anthropic.APIStatusError):
        ask(make(max_retries=1), told(f'fault: status={status} headers="retry-after-ms: 1"'))
    assert seen().statuses == [status, status]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413])
def test_statuses_that_are_final(make: Made, told: Told, seen: Callable[[], Seen], status: int) -> None:
    with pytest.raises(anthropic.APIStatusError):
        ask(make(), told(f'fault: status={status} headers="retry-after-ms: 1"'))
    assert seen().statuses == [status]


def test_x_should_retry_has_the_last_word(make: Made, told: Told, seen: Callable[[], Seen]) -> None:
    with pytest.raises(anthropic.InternalServerError):
        ask(make(), told('fault: status=500 attempt=1 headers="x-should-retry: false|retry-after-ms: 1"'))
    assert ask(make(), told('fault: status=400 attempt=2 headers="x-should-retry: true|retry-after-ms: 1"'))
    assert seen().statuses == [500, 400, 200]


def test_a_reset_connection_is_tried_again(make: Made, told: Told, seen: Callable[[], Seen]) -> None:
    assert ask(make(max_retries=1), told("fault: reset attempt=1"))
    assert [entry["ended"] for entry in seen().entries] == ["reset", "end"]
    with pytest.raises(anthropic.APIConnectionError):
        ask(make(max_retries=0), told("fault: reset"))


def test_silence_is_a_timeout(make: Made, told: Told) -> None:
    with pytest.raises(anthropic.APITimeoutError):
        ask(make(max_retries=0, timeout=0.2), told("fault: hang"))


def test_an_error_in_a_stream_is_raised(make: Made, told: Told, seen: Callable[[], Seen]) -> None:
    prompt = told("fault: error_event after_frames=3 error=overloaded")
    options: Any = {"model": MODEL, "max_tokens": 256, "messages": [{"role": "user", "content": prompt}]}
    pieces: list[str] = []
    with make().messages.stream(**options) as stream, pytest.raises(anthropic.APIStatusError) as caught:
        pieces.extend(stream.text_stream)
    assert len(pieces) == 3
    assert caught.value.type == "overloaded_error"
    assert caught.value.response.status_code == 200
    assert seen().statuses == [200]  # no retry once a byte came


def test_a_cut_stream_is_a_transport_error(make: Made, told: Told, seen: Callable[[], Seen]) -> None:
    """This client wraps no error of the transport once a stream began."""
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(make(), told("fault: cut_stream after_frames=3"), stream=True)
    assert [entry["ended"] for entry in seen().entries] == ["cut"]


def test_a_stalled_stream_is_a_timeout(make: Made, told: Told) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        ask(make(max_retries=0, timeout=0.3), told("fault: stall after_frames=3"), stream=True)


def test_a_clean_end_without_the_last_event_is_taken_for_whole(make: Made, told: Told) -> None:
    """The client cannot tell: only the missing stop reason does."""
    events = ask(make(), told("fault: silent_end after_frames=3"), stream=True)
    assert "message_stop" not in {event.type for event in events}
