"""Jobs and transcripts as Rev AI tells them: monologues of words and of what stands between them, as recorded."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept
from simulator.jobs.job import OPEN, State, View
from simulator.media.sound import digest
from simulator.media.speech import Sound, listened
from simulator.media.transcripts import Transcript, transcript

BYTES_PER_S: Final = 16_000  # of a file that is taken for a sound whatever it is
UNHEARD_S: Final = 10.0  # of a sound at an address
MISSING: Final = ("does-not-exist", ".invalid")
FAILURES: Final = {
    "download_failure": "Failed to download media file. Please check your url and file type",
    "invalid_media": "The media file could not be read",
    "internal_processing": "Internal processing error",
}
_PIECE: Final = re.compile(r"[\w'’-]+|\s+|[^\w\s]")


def sound(ask: Ask) -> Sound | str:
    """What is heard; or the word for why nothing is."""
    if "media" not in ask.body:
        url: str = ask.body["media_url"]
        is_missing = any(word in url for word in MISSING) or not url.startswith(("http://", "https://"))
        return "download_failure" if is_missing else Sound(UNHEARD_S, None)
    data: bytes = ask.body["media"]
    try:
        return listened(data)
    except ValueError:
        return Sound(max(1.0, len(data) / BYTES_PER_S), None) if ask.body["any_file"] else "invalid_media"


def word(view: View) -> str:
    """A state in Rev AI's word."""
    return "in_progress" if view.state in OPEN else "transcribed" if view.state is State.SUCCEEDED else "failed"


def job(kept: Kept, view: View) -> dict[str, Any]:
    """A job. What it does not have is not told."""
    body, own = kept.ask.body, kept.serving.job
    if own is None:
        raise TypeError("only a job is told")
    found = sound(kept.ask)
    rows: dict[str, Any] = {
        "id": kept.serving.nonce,
        "created_on": _iso(own.submitted_ms),
        "completed_on": None if view.ended_ms is None else _iso(view.ended_ms),
        "name": body["name"],
        "metadata": body["metadata"],
        "media_url": body["media_url"] or None,
        "callback_url": body["callback_url"] or None,
        "status": word(view),
        "duration_seconds": round(found.seconds, 2) if isinstance(found, Sound) and view.ended_ms else None,
        "type": "async",
        "language": body["language"] or "en",
        "transcriber": kept.ask.model,
    }
    if word(view) == "failed":
        why = found if isinstance(found, str) else "internal_processing"
        rows |= {"failure": why, "failure_detail": own.plan.error or FAILURES[why]}
    return {name: value for name, value in rows.items() if value is not None}


def _iso(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def heard(kept: Kept) -> Transcript | None:
    """What a job that succeeded heard; None: nothing."""
    body, found, own = kept.ask.body, sound(kept.ask), kept.serving.job
    if isinstance(found, str) or own is None or own.plan.is_empty:
        return None
    source: bytes = body["media"] if "media" in body else body["media_url"].encode("utf-8", "surrogatepass")
    return transcript(found, digest(source), (body["language"] or "").partition("-")[0].lower())


def monologues(kept: Kept) -> dict[str, Any]:
    """The transcript as JSON."""
    told = heard(kept)
    if told is None:
        return {"monologues": []}
    share, dice = told.seconds / max(1, len(told.text)), draws.dice("confidence", kept.serving.seed)
    rows: list[dict[str, Any]] = []
    for piece in _PIECE.finditer(told.text):
        if piece[0][0].isalnum():
            times = {"ts": round(piece.start() * share, 3), "end_ts": round(piece.end() * share, 3)}
            rows.append({"type": "text", "value": piece[0], **times, "confidence": round(1 - dice.random() / 5, 2)})
        elif piece[0].isspace() or not kept.ask.body["skip_punctuation"]:
            rows.append({"type": "punct", "value": piece[0]})
    return {"monologues": [{"speaker": 0, "elements": rows}]}


def plain(kept: Kept) -> str:
    """The transcript as text."""
    told = heard(kept)
    return "" if told is None else f"Speaker 0    00:00:00    {told.text}\n\n"
