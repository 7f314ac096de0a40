"""Pure parts: prices, what follows from a look, graphs, outputs, RunPod's wire. Any JSON is borne."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.gpu import graph, life, outputs
from gateway.gpu.job import Job, price_uc
from gateway.gpu.life import End, Missing, Note, Trouble, judge
from gateway.gpu.outputs import File
from gateway.upstreams import runpod
from gateway.upstreams.runpod import Told
from schemas.catalogue import gpu
from tests.gateway.gpu_lab import PNG
from tests.gateway.making import CREDIT

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=12,
)
moments = st.integers(0, 10**7)


def job(**fields: Any) -> Job:
    """A job that was submitted at the beginning of time."""
    known: dict[str, Any] = dict.fromkeys(Job._fields)
    known |= {"state": "queued", "unit": "second", "rate_uc": 2 * CREDIT, "max_ms": 600_000, "sent_at_ms": 0}
    known |= {"deadline_ms": 2_400_000, "id": "j", "hold_uc": 1200 * CREDIT}
    return Job(**(known | fields))


@pytest.mark.parametrize(
    ("credits", "ms", "due"),
    [(3, 18_420, 56), (2, 156_000, 312), (3, 0, 0), (3, 1, 1), (3, 333, 1), (3, 334, 2), (1, 1000, 1), (1, 1001, 2)],
)
def test_seconds_are_rounded_up_to_a_whole_credit(credits: int, ms: int, due: int) -> None:
    assert price_uc("second", credits * CREDIT, ms) == due * CREDIT
    assert price_uc("call", credits * CREDIT, ms) == credits * CREDIT


@given(st.integers(1, 10), moments, moments)
def test_more_time_never_costs_less(credits: int, one_ms: int, more_ms: int) -> None:
    rate_uc = credits * CREDIT
    both = price_uc("second", rate_uc, one_ms + more_ms)
    assert price_uc("second", rate_uc, one_ms) <= both
    exact_uc = (one_ms + more_ms) * rate_uc
    assert 0 <= both * 1000 - exact_uc < CREDIT * 1000


told_states = st.sampled_from(["queued", "running", "succeeded", "failed", "timed_out", "cancelled", "unknown"])
tolds = st.builds(
    Told, told_states, st.none() | moments, st.none() | moments, st.none() | st.just({"x": 1}), st.text(max_size=5)
)
seens = tolds | st.just(Missing()) | st.just(Trouble("x"))
jobs = st.builds(
    job,
    unit=st.sampled_from(["second", "call"]),
    waiting_seen_ms=st.none() | moments,
    running_seen_ms=st.none() | moments,
    missing_since_ms=st.none() | moments,
    cancel_at_ms=st.none() | moments,
)


@given(jobs, seens, moments, st.sampled_from([0.0, 0.01, 1.0]))
def test_whatever_is_seen_the_verdict_is_sound(one: Job, seen: Any, now_ms: int, factor: float) -> None:
    verdict = judge(one, seen, now_ms, factor)
    if isinstance(verdict, Note):
        assert verdict.state in ("queued", "running")
        assert verdict.state == "running" or one.running_seen_ms is None
        assert now_ms < one.deadline_ms + life.GRACE_MS, "nothing lives for ever"
        return
    assert verdict.bill.charge_uc >= 0
    if verdict.state == "failed":
        assert verdict.bill.charge_uc == 0
        assert verdict.problem is not None
    if verdict.state == "succeeded":
        assert isinstance(seen, Told)
        assert verdict.bill.charge_uc > 0
        ran_ms = cast(int, verdict.bill.ms)
        if factor == 1.0:
            assert ran_ms <= max(1, now_ms + life.SLACK_MS), "no longer than since it was submitted"
    if verdict.state == "cancelled":
        assert one.cancel_at_ms is not None


def test_what_ran_after_the_cancellation_is_not_charged() -> None:
    one = job(waiting_seen_ms=1_000, running_seen_ms=2_000, cancel_at_ms=11_000)
    verdict = judge(one, Told("succeeded", 90_000, None, {}), 100_000, 1.0)
    assert isinstance(verdict, End)
    assert verdict.bill == life.Bill(10_000, 20 * CREDIT, estimated=False)


# --- RunPod -----------------------------------------------------------------------------------------------------------


@given(json_values)
def test_any_status_object_is_read(value: Any) -> None:
    for body in (orjson.dumps(value), orjson.dumps({"status": "COMPLETED", "output": value, "error": value})):
        told = runpod.read_status(body)
        assert told is None or told.state in {*runpod.WORDS.values(), "unknown"}
        runpod.job_id_of(body)


@given(st.binary(max_size=50))
def test_any_bytes_are_read(body: bytes) -> None:
    runpod.read_status(body)
    runpod.job_id_of(body)


@pytest.mark.parametrize("ident", ["", "a/b", "../x", "a b", "é", "x" * 129, 5, None])
def test_ids_that_cannot_stand_in_a_path_are_none(ident: Any) -> None:
    assert runpod.job_id_of(orjson.dumps({"id": ident})) is None


@pytest.mark.parametrize(
    ("value", "ms"),
    [(5, 5), (5.6, 6), ("18420", 18420), (0, 0), (-1, None), (True, None), ("x", None), (None, None), (10**13, None)],
)
def test_durations(value: Any, ms: int | None) -> None:
    assert runpod.duration_ms(value) == ms


def test_progress_of_a_running_job_is_no_output() -> None:
    told = runpod.read_status(b'{"status": "IN_PROGRESS", "output": "3/12"}')
    assert told == Told("running")


# --- outputs ----------------------------------------------------------------------------------------------------------

B64 = b64encode(PNG).decode()


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ({"images": [{"filename": "a.png", "type": "base64", "data": B64}]}, [File(None, PNG, "image/png")]),
        (
            {"images": [{"type": "s3_url", "data": "https://x/a.jpg?s=1"}]},
            [File("https://x/a.jpg?s=1", None, "image/jpeg")],
        ),
        ({"message": B64, "status": "success"}, [File(None, PNG, "image/png")]),
        ({"message": "https://x/a.png", "status": "success"}, [File("https://x/a.png", None, "image/png")]),
        ({"status": "success_no_images", "images": []}, []),
        ({"images": [{"data": "!"}, 5, None]}, []),
        (None, []),
        ("x", []),
    ],
)
def test_pictures(output: Any, found: list[File]) -> None:
    assert outputs.pictures(output) == found


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("https://x/clip.mp4", [File("https://x/clip.mp4", None, "video/mp4")]),
        (["https://x/a.png", "words"], [File("https://x/a.png", None, "image/png")]),
        ({"video_url": "https://x/c"}, [File("https://x/c", None, "")]),
        ({"image": f"data:image/png;base64,{B64}"}, [File(None, PNG, "image/png")]),
        ({"result": {"image": B64}}, [File(None, PNG, "image/png")]),
        ({"text": "hi"}, [File(None, b'{"text":"hi"}', "application/json")]),
        ({"data": "QUJD"}, [File(None, b'{"data":"QUJD"}', "application/json")]),
        (None, []),
        ({}, []),
        ("", []),
        (0, [File(None, b"0", "application/json")]),
    ],
)
def test_files(output: Any, found: list[File]) -> None:
    assert outputs.files(output) == found


@given(json_values)
def test_any_output_is_read(value: Any) -> None:
    for each in (value, {"images": value}, {"images": [{"data": value}]}, {"output": value}):
        for file in [*outputs.files(each), *outputs.pictures(each)]:
            assert outputs.data_url(file)
        outputs.warnings(each)


def test_whole_pictures_end() -> None:
    assert outputs.is_whole(PNG, "image/png")
    assert not outputs.is_whole(PNG[:-1], "image/png")
    assert not outputs.is_whole(b"\xff\xd8\xff" + b"x" * 100, "")
    assert outputs.is_whole(b"anything", "text/plain")


# --- graphs -----------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from([*graph.PLACES, *graph.OWN, "images", "x"]), json_values, max_size=4))
def test_any_input_is_a_graph_or_refused(given_: dict[str, Any]) -> None:
    with suppress(InvalidRequest):
        made = graph.worker_input(given_, 5)
        assert isinstance(made["workflow"], dict)
        orjson.dumps(made)


def test_overrides_find_nodes_by_title_id_or_class() -> None:
    own = {
        "1": {"class_type": "KSampler", "_meta": {"title": "2"}, "inputs": {"steps": 1}},
        "2": {"class_type": "KSampler", "inputs": {"steps": 1}},
        "a.b": {"class_type": "SaveImage", "inputs": {"prefix": "x"}},
    }
    overrides = {"2.steps": 5, "a.b.prefix": "y", "saveimage.prefix": "z"}
    made = graph.worker_input({"workflow": own, "workflow_overrides": overrides}, 0)["workflow"]
    assert [node["inputs"] for node in made.values()] == [{"steps": 5}, {"steps": 1}, {"prefix": "z"}]
    assert own["1"]["inputs"] == {"steps": 1}, "what the caller sent is left as it was"
    with pytest.raises(InvalidRequest, match="2 nodes in the workflow"):
        graph.worker_input({"workflow": own, "workflow_overrides": {"KSampler.steps": 5}}, 0)
    with pytest.raises(InvalidRequest, match="has no place"):
        graph.worker_input({"workflow": {"1": {"class_type": "X"}}, "seed": 1}, 0)


def test_a_workflow_may_be_json_in_a_text() -> None:
    made = graph.worker_input({"workflow": '{"1": {"class_type": "X", "inputs": {}}}'}, 0)
    assert made == {"workflow": {"1": {"class_type": "X", "inputs": {}}}}


# --- the catalogue ----------------------------------------------------------------------------------------------------


def test_the_catalogue_is_sound() -> None:
    reserved = {"jobs", "run", "callbacks"}
    for slug, model in gpu.GPU_MODELS.items():
        assert slug not in reserved
        assert 5 <= model.max_seconds <= 3600
        assert model.worker == "comfyui" or not model.graph
        if model.worker == "comfyui":
            assert set(model.input) <= set(graph.PLACES)
            graph.worker_input({"prompt": "x"}, 1, model.graph)
        for member in model.input.values():
            assert member.type in gpu.TYPES
    assert gpu.GPUS["ADA_48_PRO"].rate_uc == 3 * CREDIT
    assert list(gpu.WEBHOOKS.gaps_s) == sorted(gpu.WEBHOOKS.gaps_s)


@pytest.mark.parametrize("credits", ["0", "-1", "0.0000001"])
def test_prices_are_whole(credits: str) -> None:
    with pytest.raises(gpu.CatalogueError):
        gpu.credits_uc(credits, "x")
