"""Every model of the catalogue on every endpoint it has: called, and charged its listed price.

Chat Completions and Messages are in test_catalogue.
"""

from __future__ import annotations

import io
import wave
from base64 import b64encode
from functools import cache
from typing import Any

from schemas.catalogue import MODELS, Model
from suites import media
from suites.case import Case, expect_status
from suites.models.test_catalogue import served_and_charged
from suites.requirement import MODES, over, requirement

INSTANT = "job_times queue_s=0 cold_s=0 run_s=0"
CLIP_S = 5  # of a clip where nothing else is asked for
VOICE_S = 12  # a voice that is copied must be ten seconds long


def served_on(endpoint: str) -> list[Model]:
    """The models of the catalogue that an endpoint serves."""
    return [model for model in MODELS.values() if endpoint in model.endpoints]


@requirement("MOD-011")
@over(model=served_on("responses"), stream=MODES)
async def test_responses_model(case: Case, model: Model, stream: bool) -> None:
    """Each model of the list, whoever's it is."""
    case.model("responses")
    await served_and_charged(case, "responses", model.id, stream)


@requirement("MOD-012")
@over(model=served_on("gemini"), stream=MODES)
async def test_gemini_model(case: Case, model: Model, stream: bool) -> None:
    """Each model of the list."""
    case.model("gemini")
    await served_and_charged(case, "gemini", model.id, stream)


async def made_and_charged(case: Case, model: Model, endpoint: str, units: int, **fields: Any) -> None:
    """One call of a media model: one thing made, and the price of so many units."""
    case.model(endpoint)
    reply = await case.ask(endpoint, "A teapot.", model=model.id, fault=INSTANT, **fields)
    expect_status(reply, 200)
    made = reply.json.get("text") is not None or len(media.items(reply.json)) == 1
    assert made, f"nothing came, or too much: {reply}"
    assert "text" in fields or await case.upstream(reply), "no upstream was asked"  # sound bears no token
    books = await case.books(rows=1)
    due = units * model.unit_uc
    assert books.charged_uc == due, f"{model.id} charged {books.charged_uc} uc; due {due}"
    told = (books.row["model"], books.row["unit"], books.row["units"], books.row["costUc"])
    assert told == (model.id, model.unit, units, due), f"the log says {told}"


@requirement("MOD-013")
@over(model=served_on("images"))
async def test_image_model(case: Case, model: Model) -> None:
    """Each model of the list: one picture."""
    await made_and_charged(case, model, "images", 1)


@requirement("MOD-014")
@over(model=served_on("videos"))
async def test_video_model(case: Case, model: Model) -> None:
    """Each model of the list: one clip."""
    await made_and_charged(case, model, "videos", CLIP_S if model.unit == "second" else 1)


@requirement("MOD-015")
@over(model=served_on("audio"))
async def test_audio_model(case: Case, model: Model) -> None:
    """Each model of the list: words spoken, words in a given voice, words heard."""
    fields: dict[str, dict[str, Any]] = {
        "audio-clone": {"audio": voice(), "reference_text": "Silence."},
        "audio-asr": {"audio": voice(), "text": None},
    }
    await made_and_charged(case, model, "audio", 1, **fields.get(model.id, {}))


@cache
def voice() -> str:
    """A quiet one, as the data URL of a WAV file."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", "not compressed"))
        file.writeframes(b"\x80" * 8000 * VOICE_S)
    return f"data:audio/wav;base64,{b64encode(sound.getvalue()).decode()}"
