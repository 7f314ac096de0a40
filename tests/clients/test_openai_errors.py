"""What the official OpenAI SDK makes of a fleet that fails: exception classes, their attributes, retries and waits.

Waits are judged by the fleet's journal and only from below: a slow machine makes them longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from tests.clients.conftest import Seen
from tests.simulator.live import Live

Told = Callable[..., str]
Made = Callable[..., openai.OpenAI]
EARLY_MS = 1  # a wait may seem shorter by what the two clocks round


@pytest.fixture
def make(fleet: Live) -> Iterator[Made]:
    """Clients of the fleet."""
    made: list[openai.OpenAI] = []
    host, port = fleet.address

    def client(**options: Any) -> openai.OpenAI:
        options = {"api_key": "sk-fleet-openai", "base_url": f"http://{host}:{port}/openai/v1", "timeout": 20} | options
        made.append(openai.OpenAI(**options))
        return made[-1]

    yield client
    for one in made:
        one.close()


@pytest.fixture(params=["chat", "responses"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """One call of either wire; a streamed one is read to its end, and gives its events."""

    def call(client: openai.OpenAI, prompt: str, *, stream: bool = False, **more: Any) -> Any:
        if request.param == "chat":
            more = {"model": "gpt-4o", **more}
            reply = client.chat.completions.create(
                messages=[{"role": "user", "content": prompt}], stream=stream, **more
            )
        else:
            reply = client.responses.create(input=prompt, stream=stream, **{"model": "gpt-4o", **more})
        return list(reply) if stream else reply

    return call


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_status_is_an_exception(
    make: Made, ask: Callable[..., Any], told: Told, status: int, error: type[openai.APIStatusError], streamed: bool
) -> None:
    with pytest.raises(error) as caught:
        ask(make(max_retries=0), told(f"fault: status={status} message='Not today.' code=some_code"), stream=streamed)
    raised = caught.value
    assert type(raised) is error
    assert raised.status_code == raised.response.status_code == status
    assert raised.code == "some_code"
    assert "Not today." in raised.message
    assert isinstance(raised.body, dict)
    assert raised.body["message"] == "Not today."
    assert raised.body["type"] == raised.type
    assert raised.request_id == raised.response.headers["x-request-id"]
    assert (raised.request_id or "").startswith("req_")


def test_what_is_wrong_with_a_request_is_told(make: Made) -> None:
    client = make(max_retries=0)
    hello: Any = [{"role": "user", "content": "Hi"}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=hello, temperature=3)
    assert (caught.value.param, caught.value.code) == ("temperature", "decimal_above_max_value")
    assert caught.value.type == "invalid_request_error"
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="no-such-model", messages=hello)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as there:
        client.responses.create(model="no-such-model", input="Hi")
    assert (there.value.code, there.value.param) == ("model_not_found", "model")


def test_keys(make: Made) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        make(api_key="sk-wrong-0123456789", max_retries=0).models.list()
    assert caught.value.code == "invalid_api_key"
    assert "sk-wrong-0123456789" not in str(caught.value)


def test_a_spent_quota_says_so(make: Made, ask: Callable[..., Any], told: Told) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        ask(make(max_retries=0), told("fault: status=429 code=insufficient_quota"))
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")


def test_a_page_of_the_network_in_front(make: Made, ask: Callable[..., Any], told: Told) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        ask(make(max_retries=0), told("fault: status=502"))
    assert caught.value.status_code == 502
    assert "cloudflare" in str(caught.value.body)
    assert caught.value.code is None


# --- retries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "wait_ms"),
    [("retry-after-ms: 40", 40), ("retry-after: 0.05", 50), ("retry-after-ms: 30|retry-after: 9", 30)],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_retries_wait_as_told(
    make: Made, ask: Callable[..., Any], told: Told, seen: Callable[[], Seen], header: str, wait_ms: int, streamed: bool
) -> None:
    """A 429 on attempts 1 and 2, then an answer."""
    assert ask(make(), told(f'fault: status=429 attempt=1-2 headers="{header}"'), stream=streamed)
    found = seen()
    assert found.statuses == [429, 429, 200]
    assert [entry["attempt"] for entry in found.entries] == [1, 2, 3]
    assert min(found.gaps_ms) >= wait_ms - EARLY_MS
    assert found.header("x-stainless-retry-count") == ["0", "1", "2"]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_retried_statuses_and_when_it_gives_up(
    make: Made, ask: Callable[..., Any], told: Told, seen: Callable[[], Seen], status: int
) -> None:
    with pytest.raises(openai.APIStatusError):
        ask(make(max_retries=1), told(f'fault: status={status} headers="retry-after-ms: 1"'))
    assert seen().statuses == [status, status]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_statuses_that_are_final(
    make: Made, ask: Callable[..., Any], told: Told, seen: Callable[[], Seen], status: int
) -> None:
    with pytest.raises(openai.APIStatusError):
        ask(make(), told(f'fault: status={status} headers="retry-after-ms: 1"'))
    assert seen().statuses == [status]


def test_x_should_retry_has_the_last_word(
    make: Made, ask: Callable[..., Any], told: Told, seen: Callable[[], Seen]
) -> None:
    with pytest.raises(openai.InternalServerError):
        ask(make(), told('fault: status=500 attempt=1 headers="x-should-retry: false|retry-after-ms: 1"'))
    assert ask(make(), told('fault: status=400 attempt=2 headers="x-should-retry: true|retry-after-ms: 1"'))
    assert seen().statuses == [500, 400, 200]


def test_a_wait_beyond_two_minutes_is_refused(
    make: Made, ask: Callable[..., Any], told: Told, seen: Callable[[], Seen]
) -> None:
    with pytest.raises(openai.RateLimitError):
        ask(make(), told("fault: status=429 retry_after_s=121"))
    assert seen().statuses == [429]


# --- the connection ---------------------------------------------------------------------------------------------------


def test_a_reset_connection_is_tried_again(
    make: Made, ask: Callable[..., Any], told: Told, seen: Callable[[], Seen]
) -> None:
    assert ask(make(max_retries=1), told("fault: reset attempt=1"))
    assert [entry["ended"] for entry in seen().entries] == ["reset", "end"]


def test_a_reset_connection_without_retries(make: Made, ask: Callable[..., Any], told: Told) -> None:
    with pytest.raises(openai.APIConnectionError) as caught:
        ask(make(max_retries=0), told("fault: reset"))
    assert not isinstance(caught.value, openai.APITimeoutError)


def test_silence_is_a_timeout(make: Made, ask: Callable[..., Any], told: Told, seen: Callable[[], Seen]) -> None:
    with pytest.raises(openai.APITimeoutError):
        ask(make(max_retries=0, timeout=0.2), told("fault: hang"))
    assert seen().statuses == [None]


# --- inside a stream --------------------------------------------------------------------------------------------------


def test_an_error_in_a_chat_stream_is_raised(make: Made, told: Told, seen: Callable[[], Seen]) -> None:
    messages: Any = [{"role": "user", "content": told("fault: error_event after_frames=3")}]
    stream = make().chat.completions.create(model="gpt-4o", messages=messages, stream=True)
    pieces: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert len([piece for piece in pieces if piece]) == 3
    assert not isinstance(caught.value, openai.APIStatusError)
    assert "server had an error" in caught.value.message
    assert caught.value.type == "server_error"
    assert seen().statuses == [200]  # no retry once a byte came


def test_an_error_in_a_response_stream_is_raised(make: Made, told: Told, seen: Callable[[], Seen]) -> None:
    stream = make().responses.create(model="gpt-4o", input=told("fault: error_event after_frames=3"), stream=True)
    kinds: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        kinds.extend(event.type for event in stream)
    assert kinds.count("response.output_text.delta") == 3
    assert caught.value.type == "server_error"
    assert seen().statuses == [200]


def test_an_error_in_the_specified_form_comes_as_events(make: Made, told: Told) -> None:
    """The public specification has the error's fields at the top, where the client does not look for them."""
    prompt = told("fault: error_event_flat after_frames=3")
    events = list(make().responses.create(model="gpt-4o", input=prompt, stream=True))
    kinds = [event.type for event in events]
    assert kinds.count("response.output_text.delta") == 3
    assert kinds[-2:] == ["error", "response.failed"]
    assert events[-1].type == "response.failed"
    assert events[-1].response.status == "failed"


def test_a_cut_stream_is_a_connection_error(
    make: Made, ask: Callable[..., Any], told: Told, seen: Callable[[], Seen]
) -> None:
    with pytest.raises(openai.APIConnectionError):
        ask(make(), told("fault: cut_stream after_frames=3"), stream=True)
    assert [entry["ended"] for entry in seen().entries] == ["cut"]


def test_a_stalled_stream_is_a_timeout(make: Made, ask: Callable[..., Any], told: Told) -> None:
    with pytest.raises(openai.APITimeoutError):
        ask(make(max_retries=0, timeout=0.3), told("fault: stall after_frames=3"), stream=True)


def test_a_clean_end_without_the_last_event_is_taken_for_whole(make: Made, told: Told) -> None:
    """The client cannot tell: only the journal and a missing finish reason do."""
    messages: Any = [{"role": "user", "content": told("fault: silent_end after_frames=3")}]
    chunks = list(make().chat.completions.create(model="gpt-4o", messages=messages, stream=True))
    assert not any(choice.finish_reason for chunk in chunks for choice in chunk.choices)
