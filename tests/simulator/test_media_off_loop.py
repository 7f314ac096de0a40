"""A fleet goes on serving while it draws, encodes or listens: a maker that waits holds up only who asked for it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from simulator.clock import Clock
from simulator.media import pictures, speech
from simulator.media.store import STORE
from tests.simulator.live import Live, Reply, chat, request, running
from tests.simulator.receiver import Receiver, calls, receiving
from tests.simulator.runpod_exchange import TIMES, call, graph, later, opened, status

BOUNDARY = "fleetfleet"


class Maker:
    """In the place of one that makes: it waits to be let go, and remembers how often and on which threads it was."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self.go = threading.Event()
        self.came = threading.Event()
        self.threads: list[str] = []

    def __call__(self, *arguments: Any) -> Any:
        self.threads.append(threading.current_thread().name)
        self.came.set()
        assert self.go.wait(20)
        return self._make(*arguments)


@pytest.fixture
def fleet() -> Iterator[Live]:
    STORE.clear()
    with running(Clock("manual")) as live:
        yield live


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Maker]:
    made = Maker(pictures._made)
    monkeypatch.setattr(pictures, "_made", made)
    yield made
    made.go.set()


def drawn(fleet: Live, prompt: str = "a lighthouse", size: str = "256x256") -> Reply:
    body = {"model": "dall-e-2", "prompt": prompt, "size": size, "response_format": "b64_json"}
    key = {"authorization": "Bearer sk-fleet-openai", "content-type": "application/json"}
    return fleet.call(request("POST", "/openai/v1/images/generations", body, key))


def heard(fleet: Live, sound: bytes) -> Reply:
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'.encode(),
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode(),
        sound,
        f"\r\n--{BOUNDARY}--\r\n".encode(),
    ]
    key = {"authorization": "Bearer sk-fleet-openai", "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return fleet.call(request("POST", "/openai/v1/audio/transcriptions", b"".join(parts), key))


def test_others_are_answered_meanwhile_and_who_asks_the_same_waits_along(fleet: Live, painter: Maker) -> None:
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(drawn, fleet) for _ in range(4)]
        assert painter.came.wait(20)
        assert fleet.call(chat("hello")).status == 200
        assert not any(one.done() for one in waiting)
        painter.go.set()
        replies = [one.result(20) for one in waiting]
    assert {reply.status for reply in replies} == {200}
    made = {reply.json["data"][0]["b64_json"] for reply in replies}
    assert len(made) == 1
    assert opened(made.pop()).size == (256, 256)
    assert len(painter.threads) == 1
    assert painter.threads[0].startswith("making")
    entries = fleet.control("GET", "journal")["entries"]
    attempts = [entry["attempt"] for entry in entries if entry["dialect"] == "openai_images"]
    assert sorted(attempts) == [1, 2, 3, 4]  # each was counted once


def test_a_job_is_taken_in_once_though_its_reply_was_written_again(fleet: Live, painter: Maker) -> None:
    """A call that is held tells its pictures, which are made when it comes."""
    body = {"input": {"workflow": graph(f"[[case:held]] {TIMES}", batch=3)}}
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(call, fleet, "POST", "comfyui/runsync", body)
        assert painter.came.wait(20)
        assert fleet.control("GET", "jobs")["jobs"] == []  # nothing is changed before the reply is written
        painter.go.set()
        assert fleet.seen("held")
        later(fleet, 10)
        assert len(waiting.result(20).json["output"]["images"]) == 3
    assert len(painter.threads) == 3
    assert [row["case"] for row in fleet.control("GET", "jobs")["jobs"]] == ["held"]


def test_a_request_that_must_be_listened_to_is_read_off_the_loop(fleet: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = speech.speech("The quick brown fox", "alloy", "wav")
    STORE.clear()
    ear = Maker(speech._listened)
    monkeypatch.setattr(speech, "_listened", ear)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(heard, fleet, sound)
        assert ear.came.wait(20)
        assert fleet.call(chat("hello")).status == 200
        ear.go.set()
        assert waiting.result(20).json["text"] == "The quick brown fox"
    assert len(ear.threads) == 1
    assert heard(fleet, b"no sound at all").status == heard(fleet, b"no sound at all").status == 400


def test_a_webhook_is_written_off_the_loop(fleet: Live, painter: Maker) -> None:
    with receiving() as receiver:
        body = {"input": {"workflow": graph(TIMES)}, "webhook": receiver.url}
        job = call(fleet, "POST", "comfyui/run", body).json["id"]
        later(fleet, 10)
        assert painter.came.wait(20)
        assert fleet.call(chat("hello")).status == 200
        painter.go.set()
        assert [one["told"] for one in calls(fleet)] == ["succeeded"]
        assert _picture(receiver) == base64.b64decode(status(fleet, job, "comfyui")["output"]["images"][0]["data"])
    assert len(painter.threads) == 1


def _picture(receiver: Receiver) -> bytes:
    (body,) = receiver.bodies
    return base64.b64decode(body["output"]["images"][0]["data"])
