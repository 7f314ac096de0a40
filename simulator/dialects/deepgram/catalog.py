"""Deepgram's list of models: GET /v1/models, and one of them by its id. Those of the fleet's own rows, as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from simulator.dialects.base import Profile, Serving
from simulator.dialects.deepgram.problems import uuid
from simulator.media.transcripts import LANGUAGES
from simulator.models import facts

REGIONS: Final = {"US": "United States", "GB": "United Kingdom", "419": "Latin America and the Caribbean"}


def told(snapshots: Mapping[str, str], serving: Serving) -> dict[str, Any]:
    """All models, once each, and the names of the languages that they know."""
    names = dict.fromkeys(snapshots.values())
    found = [facts.profile("", "deepgram", name, serving.facts) for name in names]
    rows = [profile for profile in found if profile is not None]
    stt = [_listens(profile) for profile in rows if "voice" not in profile.facts]
    tts = [_speaks(profile) for profile in rows if "voice" in profile.facts]
    known = {code for row in (*stt, *tts) for code in row["languages"]}
    return {"stt": stt, "tts": tts, "languages": {code: _language(code) for code in sorted(known)}}


def one(snapshots: Mapping[str, str], serving: Serving, asked: str) -> dict[str, Any] | None:
    """The model of an id; None: there is none."""
    listed = told(snapshots, serving)
    return next((row for row in (*listed["stt"], *listed["tts"]) if row["uuid"] == asked), None)


def _language(code: str) -> str:
    """`en-GB` as English (United Kingdom)."""
    name, _, region = code.partition("-")
    told = LANGUAGES[name].capitalize()
    return f"{told} ({REGIONS[region]})" if region else told


def _model(profile: Profile, name: str) -> dict[str, Any]:
    row = profile.facts
    return {
        "name": name,
        "canonical_name": profile.snapshot,
        "architecture": row["arch"],
        "languages": list(row["languages"]),
        "version": row["version"],
        "uuid": row.get("uuid") or uuid("model", profile.snapshot),
    }


def _listens(profile: Profile) -> dict[str, Any]:
    row = profile.facts
    more = {"batch": True, "streaming": row["streaming"], "formatted_output": True, "multilingual": row["multilingual"]}
    return _model(profile, profile.snapshot.rpartition("-")[2]) | more


def _speaks(profile: Profile) -> dict[str, Any]:
    row, name = profile.facts, profile.snapshot.split("-")[-2]
    metadata = {
        "accent": row["accent"],
        "age": "Adult",
        "color": f"#{uuid('color', name)[:6]}",
        "display_name": name.capitalize(),
        "image": f"https://static.invalid/{name}.png",
        "sample": f"https://static.invalid/{name}.wav",
        "tags": [row["voice"]],
        "use_cases": ["Customer Service"],
    }
    return _model(profile, name) | {"metadata": metadata}
