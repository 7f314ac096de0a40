"""Voices of a fleet of several processes: found, renamed and spoken in wherever they were made."""

from __future__ import annotations

from typing import cast

import pytest

from tests.simulator.fish_exchange import call, later, packed, sound, spoken, voice
from tests.simulator.live import Live
from tests.simulator.test_workers import REDIS, fleet, redis_answers

pytestmark = pytest.mark.skipif(not redis_answers(), reason=f"no Redis at {REDIS}")
CALLS = 8  # each on a connection of its own: some reach either worker


def test_a_voice_is_one_voice_for_all_workers() -> None:
    with fleet(2, "--clock", "manual") as running:
        two = cast(Live, running)  # it calls as one process does
        two.control("POST", "reset")
        made = voice(two, "first", sound(two))
        path = f"/model/{made['_id']}"
        for nth in range(CALLS):
            later(two, 1)
            assert packed(two, "PATCH", path, {"title": f"name {nth}"}).status == 200
            assert call(two, "GET", path).json["title"] == f"name {nth}"
            assert spoken(two, f"Number {nth}.", reference_id=made["_id"]).status == 200
        assert {call(two, "GET", "/model?self=true").json["total"] for _ in range(CALLS)} == {1}
        assert call(two, "DELETE", path).status == 200
        assert {call(two, "GET", path).status for _ in range(CALLS)} == {404}
        assert {packed(two, "PATCH", path, {"title": "gone"}).status for _ in range(CALLS)} == {404}
