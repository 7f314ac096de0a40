"""What the official Google Gen AI SDK makes of a fleet that fails: exception classes, attributes and retries.

It retries only when told to, and by a schedule of its own: it reads no Retry-After.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from tests.clients.conftest import Seen
from tests.simulator.live import Live

Told = Callable[..., str]
Made = Callable[..., genai.Client]
MODEL = "gemini-2.5-flash"
EARLY_MS = 1  # a wait may seem shorter by what the two clocks round


@pytest.fixture
def make(fleet: Live) -> Iterator[Made]:
    """Clients of the fleet."""
    made: list[genai.Client] = []
    host, port = fleet.address

    def client(api_key: str = "sk-fleet-gemini", timeout_ms: int = 20_000, **retries: Any) -> genai.Client:
        options = types.HttpOptions(base_url=f"http://{host}:{port}/gemini", timeout=timeout_ms)
        if retries:
            options.retry_options = types.HttpRetryOptions(**retries)
        made.append(genai.Client(api_key=api_key, http_options=options))
        return made[-1]

    yield client
    for one in made:
        one.close()


def ask(client: genai.Client, prompt: str, *, stream: bool = False, model: str = MODEL) -> Any:
    """One call; a streamed one is read to its end, and gives its chunks."""
    if stream:
        return list(client.models.generate_content_stream(model=model, contents=prompt))
    return client.models.generate_content(model=model, contents=prompt)


@pytest.mark.parametrize(
    ("status", "error", "word"),
    [
        (400, errors.ClientError, "INVALID_ARGUMENT"),
        (401, errors.ClientError, "UNAUTHENTICATED"),
        (403, errors.ClientError, "PERMISSION_DENIED"),
        (404, errors.ClientError, "NOT_FOUND"),
        (429, errors.ClientError, "RESOURCE_EXHAUSTED"),
        (500, errors.ServerError, "INTERNAL"),
        (503, errors.ServerError, "UNAVAILABLE"),
        (504, errors.ServerError, "DEADLINE_EXCEEDED"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_status_is_an_exception(
    make: Made,
    told: Told,
    seen: Callable[[], Seen],
    status: int,
    error: type[errors.APIError],
    word: str,
    streamed: bool,
) -> None:
    with pytest.raises(error) as caught:
        ask(make(), told(f"fault: status={status} message='Not today.'"), stream=streamed)
    raised = caught.value
    assert (raised.code, raised.status, raised.message) == (status, word, "Not today.")
    assert raised.details["error"]["code"] == status
    assert seen().statuses == [status]  # no retry unless asked for


def test_what_is_wrong_with_a_request_is_told(make: Made) -> None:
    with pytest.raises(errors.ClientError, match="no-such-model") as missing:
        ask(make(), "Hi", model="no-such-model")
    assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")
    with pytest.raises(errors.ClientError, match="API key not valid") as caught:
        ask(make(api_key="wrong"), "Hi")
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    reasons = [row.get("reason") for row in caught.value.details["error"]["details"]]
    assert "API_KEY_INVALID" in reasons


def test_a_refused_quota_says_when_to_come_back(make: Made, told: Told) -> None:
    """The wait is in the body, for callers to read."""
    with pytest.raises(errors.ClientError) as caught:
        ask(make(), told("fault: status=429"))
    kinds = {row["@type"].rpartition(".")[2] for row in caught.value.details["error"]["details"]}
    assert {"QuotaFailure", "RetryInfo"} <= kinds


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("streamed", [False, True])
def test_retries_when_asked_for(make: Made, told: Told, seen: Callable[[], Seen], status: int, streamed: bool) -> None:
    """A refusal on attempts 1 and 2, then an answer; a Retry-After of a minute is not waited for."""
    client = make(attempts=3, initial_delay=0.02, exp_base=2, jitter=0)
    assert ask(client, told(f"fault: status={status} attempt=1-2 retry_after_s=60"), stream=streamed)
    found = seen()
    assert found.statuses == [status, status, 200]
    assert found.gaps_ms[0] >= 20 - EARLY_MS
    assert found.gaps_ms[1] >= 40 - EARLY_MS


@pytest.mark.parametrize("status", [400, 403, 404, 409, 529])
def test_statuses_that_are_final(make: Made, told: Told, seen: Callable[[], Seen], status: int) -> None:
    with pytest.raises(errors.APIError):
        ask(make(attempts=3, initial_delay=0.001, jitter=0), told(f"fault: status={status}"))
    assert seen().statuses == [status]


def test_it_gives_up_in_the_end(make: Made, told: Told, seen: Callable[[], Seen]) -> None:
    with pytest.raises(errors.ServerError):
        ask(make(attempts=3, initial_delay=0.001, jitter=0), told("fault: status=503"))
    assert seen().statuses == [503] * 3


def test_the_connection(make: Made, told: Told) -> None:
    """Errors of the transport come as they are."""
    with pytest.raises(httpx2.TransportError):
        ask(make(), told("fault: reset"))
    with pytest.raises(httpx2.TimeoutException):
        ask(make(timeout_ms=200), told("fault: hang"))


def test_an_error_in_a_stream_is_raised(make: Made, told: Told, seen: Callable[[], Seen]) -> None:
    stream = make().models.generate_content_stream(model=MODEL, contents=told("fault: error_event after_frames=2"))
    texts: list[str | None] = []
    with pytest.raises(errors.ServerError) as caught:
        texts.extend(chunk.text for chunk in stream)
    assert len(texts) == 2
    assert caught.value.status == "INTERNAL"
    assert seen().statuses == [200]


def test_a_cut_stream_is_a_transport_error(make: Made, told: Told) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(make(), told("fault: cut_stream after_frames=2"), stream=True)


def test_a_clean_end_without_the_finish_is_taken_for_whole(make: Made, told: Told) -> None:
    """The client cannot tell: only the missing finish reason does."""
    chunks = ask(make(), told("answer: tokens=90]] [[fault: silent_end after_frames=2"), stream=True)
    assert len(chunks) == 2
    assert not any(candidate.finish_reason for chunk in chunks for candidate in chunk.candidates or [])


def test_blank_lines_do_no_harm(make: Made, told: Told) -> None:
    assert any(chunk.text for chunk in ask(make(), told("fault: blank_lines_before_json"), stream=True))


def test_a_comment_breaks_the_client(make: Made, told: Told) -> None:
    """What is safe on other wires is not on this one."""
    with pytest.raises(errors.UnknownApiResponseError):
        ask(make(), told("fault: comments"), stream=True)
