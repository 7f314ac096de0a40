"""Operations as the two surfaces tell them: a name while they run, then `done` with a response or an error.

Source: a recorded run of the Gemini API (names, the shape of a pending and of a finished operation), the public
reference of Vertex AI, and the official client's types.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

from simulator import draws
from simulator.dialects import inspection
from simulator.dialects.base import Kept
from simulator.dialects.veo import work
from simulator.jobs.job import OPEN, State, View

Json = dict[str, Any]

TYPES: Final = "type.googleapis.com/"
STUDIO_TYPE: Final = f"{TYPES}google.ai.generativelanguage.v1beta.PredictLongRunningResponse"
VERTEX_TYPE: Final = f"{TYPES}cloud.ai.large_models.vision.GenerateVideoResponse"
TIMED_OUT: Final = "Deadline expired before operation could complete."


def operation(name: str, kept: Kept, view: View, response: Callable[[Kept], Json]) -> Json:
    """How an operation stands. One that is under way is its name and nothing else."""
    job, facts = kept.serving.job, kept.profile.facts
    told: Json = {"name": name}
    if job is None or view.state in OPEN:
        return told
    told["done"] = True
    if view.state is State.SUCCEEDED:
        return told | {"response": response(kept)}
    code, message = facts["codes"]["failed"], job.plan.error
    if view.state is State.TIMED_OUT:
        code, message = facts["codes"]["timed_out"], TIMED_OUT
    elif message == facts["blocked"] or inspection.is_moderation(message):
        code = facts["codes"]["refused"]
    return told | {"error": {"code": code, "message": message, "details": []}}


def delivered(kept: Kept) -> int:
    """How many clips there are of those that were asked for: the safety filter may have held back some, or all."""
    job, asked = kept.serving.job, work.of(kept.ask, kept.profile, kept.serving).samples
    if job is None or job.plan.is_empty:
        return 0
    return max(1, asked - job.plan.lost_items)


def studio_name(kept: Kept) -> str:
    """The name of an operation of the Gemini API."""
    return f"models/{kept.ask.model}/operations/{kept.serving.nonce}"


def studio(kept: Kept) -> Json:
    """The response of the Gemini API: links to files, or why there are none."""
    names = [kept.serving.nonce + (str(sample) if sample else "") for sample in range(delivered(kept))]
    links = [f"{kept.ask.site}/files/{name}:download?alt=media" for name in names]
    told: Json = {"generatedSamples": [{"video": {"uri": link}} for link in links]} if links else {}
    return {"@type": STUDIO_TYPE, "generateVideoResponse": told | _filtered(kept)}


def vertex_name(kept: Kept) -> str:
    """The name of an operation of Vertex."""
    head = draws.digest("vertex_veo", kept.serving.seed).hex()
    found = f"{head[:8]}-{head[8:12]}-{kept.serving.nonce}"
    return f"{kept.ask.body['place']}/models/{kept.ask.model}/operations/{found}"


def vertex(kept: Kept) -> Json:
    """The response of Vertex: the clips themselves, or where in the caller's bucket they would be."""
    given = kept.ask.body["parameters"]
    bucket = given.get("storageUri") or given.get("gcsOutputDirectory")
    videos: list[Json] = []
    for sample in range(delivered(kept)):
        if bucket:
            folder = draws.integer("bucket", kept.serving.nonce) % 10**19
            place: Mapping[str, str] = {"gcsUri": f"{bucket.rstrip('/')}/{folder}/sample_{sample}.mp4"}
        else:
            place = {"bytesBase64Encoded": b64encode(work.clip(kept, sample)).decode()}
        videos.append({**place, "mimeType": "video/mp4"})
    told: Json = {"@type": VERTEX_TYPE, "raiMediaFilteredCount": 0, **_filtered(kept)}
    return told | {"videos": videos} if videos else told


def _filtered(kept: Kept) -> Json:
    """What is told of clips that the safety filter held back: how many and why, and no error."""
    count = work.of(kept.ask, kept.profile, kept.serving).samples - delivered(kept)
    return (
        {"raiMediaFilteredCount": count, "raiMediaFilteredReasons": [kept.profile.facts["filtered"]]} if count else {}
    )
