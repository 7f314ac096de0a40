"""The wires of clips as pure functions: whatever a vendor says, an order ends in a clip or in a failure."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import config
from gateway.chain import Verdict
from gateway.config import Upstream
from gateway.media.order import Made, Order
from gateway.media.steps import Failed, Got
from gateway.upstreams.media import VENDORS, clips
from gateway.upstreams.media.jobs import ClipJobs, believed
from gateway.upstreams.media.refusals import VERDICTS, Class, class_of, failure
from gateway.upstreams.media.words import Standing, Words
from schemas import catalogue
from tests.gateway.video_wires import WIRES

JOBS = {
    dialect: vendor for (dialect, kind), vendor in VENDORS.items() if kind == "video" and isinstance(vendor, ClipJobs)
}
WORDS = Words(waits=("queued", "IN_PROGRESS"), made=("succeed",), failed=("Fail",))
TOLD = [told for wire in WIRES.values() for told in (wire.accepted, wire.waits, wire.made, wire.failed, wire.empty)]


def leaves(value: Any) -> list[str]:
    """Every name in a JSON value."""
    if isinstance(value, dict):
        return [*value, *(name for inner in value.values() for name in leaves(inner))]
    return [name for inner in value for name in leaves(inner)] if isinstance(value, list) else []


NAMES = sorted({name for told in TOLD for name in leaves(told)})
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "0", "failed", "https://x.test/a"])
)
VALUES = st.recursive(
    SCALARS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | st.sampled_from(TOLD).map(
    lambda told: json.dumps(told).encode()
)
REPLIES = st.tuples(
    st.sampled_from([200, 200, 200, 201, 202, 400, 401, 404, 429, 500]), BODIES | st.binary(max_size=20)
)


def order(**fields: Any) -> Order:
    return Order("video", "m", prompt="a teapot", seconds=5, **fields)


def upstream(dialect: str) -> Upstream:
    return Upstream("u", (dialect,), "https://vendor.test/u", "key")


@pytest.mark.parametrize("dialect", JOBS)
@given(replies=st.lists(REPLIES, max_size=8), images=st.sampled_from([(), ("data:image/png;base64,AA==",)]))
def test_whatever_a_vendor_says_an_order_ends_in_a_clip_or_a_failure(
    dialect: str, replies: list[tuple[int, bytes]], images: tuple[str, ...]
) -> None:
    steps = JOBS[dialect].make(order(images=images), upstream(dialect))
    submitted = asked = 0
    verdict = None
    try:
        send = next(steps)
        for status, body in replies:
            submitted += send.undo is not None or (
                not send.again and send.cancel is None and send.request.method == "POST"
            )
            asked += 1
            send = steps.send(Got(status, {}, body))
            assert send.again or dialect == "fal", "after the order nothing is sent that may not be repeated"
    except StopIteration as done:
        made = done.value
        assert isinstance(made, Made)
        assert len(made.items) == 1
        assert made.seconds is None or (isfinite(made.seconds) and made.seconds > 0)
    except Failed as error:
        verdict = error.failure.verdict
    finally:
        steps.close()
    assert submitted <= 1
    assert verdict is not Verdict.RETRY or asked == 1, "once an order was taken, this vendor gets no other"


@given(st.text())
def test_any_word_has_a_meaning(word: str) -> None:
    assert WORDS.standing(word) in Standing
    assert WORDS.standing(word, has_result=True) is not Standing.STRANGE


@pytest.mark.parametrize("word", ["queued", "QUEUED", "Queued", "in-progress", "in progress", "inProgress"])
def test_own_words_in_any_case(word: str) -> None:
    assert WORDS.standing(word, has_result=True) is Standing.WAITS


def test_words_of_no_type() -> None:
    for word in (None, 5, [], {}, True):
        assert WORDS.standing(word) is Standing.STRANGE


LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True).map(sorted)


@given(LENGTHS, st.integers(1, 60))
def test_lengths(lengths: list[int], wish: int) -> None:
    chosen = clips.Clip(lengths=lengths).seconds(Order("video", "m", seconds=wish))
    enough = [length for length in lengths if length >= wish]
    assert chosen == (min(enough) if enough else max(lengths))


@given(VALUES)
def test_lengths_as_told(value: Any) -> None:
    told = believed(value)
    assert told is None or 0 < told <= 3600


def test_every_row_of_clips_is_read() -> None:
    rows = clips._file()
    assert set(rows) == set(JOBS)
    for dialect, facts in rows.items():
        for row in facts:
            clip = clips.of(dialect, row["models"][0].replace("*", "x"))
            assert list(clip.lengths) == sorted(clip.lengths)
            assert not set(clip.passed) & {
                "n",
                "num_images",
                "sampleCount",
                "callback_url",
                "webhook",
                "external_task_id",
            }


def test_every_model_has_two_providers_that_make_it() -> None:
    settings = config.load()
    for model in catalogue.MODELS.values():
        if model.kind != "video":
            continue
        able = [row for row in settings.chain(model.id) if any((name, "video") in VENDORS for name in row.dialects)]
        assert len(able) >= 2, model.id
        assert len({row.base_url for row in able}) == len(able)


def test_what_follows_from_a_class() -> None:
    assert set(VERDICTS) == set(Class)
    for sort in Class:
        assert failure(sort, "m", accepted=True).verdict is not Verdict.RETRY
    assert class_of(429, "1102", {"1102": Class.FUNDS}) is Class.FUNDS
    assert class_of(400, "A.B.C", {"A": Class.MODERATED}) is Class.MODERATED
    assert class_of(418, "", {}) is Class.INVALID
    assert class_of(504, "", {}) is Class.FAULT
