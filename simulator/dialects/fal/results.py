"""What a model at fal gives: an object whose keys its row names (`result`), with files behind links or inlined.

result: [images, timings, seed, has_nsfw_concepts, prompt], file: [url, width, height, content_type]
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

from simulator import draws
from simulator.answers import prose
from simulator.dialects import inspection
from simulator.dialects.base import Kept, Serving
from simulator.dialects.predictions import files, inputs, words, works
from simulator.dialects.predictions.works import Work
from simulator.jobs.job import View, end_ms, told_run_ms
from simulator.script import Script

FOLDER: Final = "/files/"
ANIMALS: Final = ("elephant", "kangaroo", "koala", "lion", "monkey", "panda", "penguin", "rabbit", "tiger", "zebra")
BINARY: Final = "application/octet-stream"


def read(kept: Kept) -> inputs.Read:
    """The input as the model sees it."""
    return inputs.read(kept.profile.facts["inputs"], kept.ask.body["input"], lenient=True)


def work(kept: Kept) -> Work:
    """The work that was asked for; a blank one where a content checker was in play."""
    found = works.read(read(kept).values, kept.profile.facts, kept.serving.seed)
    return found._replace(is_blank=is_blocked(kept, found))


def is_blocked(kept: Kept, found: Work) -> bool:
    """Whether a content checker blanked the pictures."""
    job = kept.serving.job
    return bool(job and job.plan.is_empty) or inspection.refuses_output(found.prompt)


def pieces(kept: Kept) -> tuple[str, ...]:
    """What a text model says; nothing for any other model."""
    facts = kept.profile.facts
    if facts["makes"] != "text":
        return ()
    meant = works.told(read(kept).values, facts["inputs"])
    return words.said(str(meant.get("prompt", "")), meant, kept.profile, kept.serving.seed)


def whole(kept: Kept, view: View) -> dict[str, Any]:
    """The result of a run that succeeded."""
    job, made = kept.serving.job, work(kept)
    if job is None:
        raise TypeError("only a job has a result")
    return {name: _value(name, kept, made, told_run_ms(job, view) / 1000) for name in kept.profile.facts["result"]}


def _value(name: str, kept: Kept, made: Work, run_s: float) -> Any:
    match name:
        case "images":
            return [_file(kept, made, index) for index in range(made.number)]
        case "image" | "video" | "audio" | "audio_file":
            return _file(kept, made, 0)
        case "timings":
            return {"inference": run_s}
        case "seed":
            return made.seed
        case "has_nsfw_concepts":
            return [made.is_blank] * made.number
        case "prompt":
            return _expanded(kept, made) if kept.profile.has("expands") else _prompt(kept)
        case "output":
            return "".join(pieces(kept))
        case "partial":
            return False
        case "error":
            return None
        case "duration_ms":
            return round(1000 * made.seconds)
        case _:
            return _heard(name, kept)


def _prompt(kept: Kept) -> str:
    facts = kept.profile.facts
    return str(works.told(read(kept).values, facts["inputs"]).get("prompt", ""))


def _expanded(kept: Kept, made: Work) -> str:
    """The prompt as the model rewrote it."""
    return f"{made.prompt.rstrip('.')}. The scene shows {prose.title(draws.dice('expanded', kept.serving.seed), 12)}."


def _heard(name: str, kept: Kept) -> Any:
    """A part of a transcript."""
    facts = kept.profile.facts
    found = works.heard(works.told(read(kept).values, facts["inputs"]), kept.serving.seed)
    if name == "text":
        return f" {found.text}" if facts.get("leading_space") else found.text
    if name == "chunks":
        told = {"speaker": None} if facts.get("speakers") else {}
        return [{"timestamp": [span.start_s, span.end_s], "text": span.text, **told} for span in found.segments]
    return [found.language] if name in ("inferred_languages", "languages") else []


# --- files ------------------------------------------------------------------------------------------------------------


def _file(kept: Kept, made: Work, index: int) -> dict[str, Any]:
    """A file of the result, told by the keys that this model tells."""
    facts = kept.profile.facts
    keys = facts.get("file", ("url", "content_type", "file_name", "file_size"))
    name = _name(kept, made, index)
    values: dict[str, Any] = {
        "url": _inlined(made, index) if read(kept).values.get("sync_mode") else _link(kept, made, index, name),
        "width": made.width,
        "height": made.height,
        "content_type": BINARY if facts.get("binary") else made.mime,
        "file_name": name,
    }
    if "file_size" in keys:
        values["file_size"] = len(works.made(made, index))
    return {key: values[key] for key in keys}


def _name(kept: Kept, made: Work, index: int) -> str:
    return f"{draws.digest('file', kept.serving.seed, kept.serving.nonce, index).hex()}.{made.extension}"


def _inlined(made: Work, index: int) -> str:
    return f"data:{made.mime};base64,{b64encode(works.made(made, index)).decode()}"


def _link(kept: Kept, made: Work, index: int, name: str) -> str:
    """The address of a file on the CDN."""
    job = kept.serving.job
    if job is None:
        raise TypeError("only a job has files")
    word = draws.word(21, "cdn", kept.serving.seed, kept.serving.nonce, index)
    animal = ANIMALS[draws.integer("animal", kept.serving.seed) % len(ANIMALS)]
    site = kept.ask.site.removesuffix(str(kept.profile.facts.get("queue_at", "")))
    path, secret = f"{FOLDER}{animal}/{word}_{name}", kept.profile.facts["signature_secret"]
    return files.link(site, path, made, index, secret, end_ms(job), kept.ask.body["life_ms"], job.plan)


def fetched(serving: Serving) -> Script:
    """The file of a link, or why it is not given."""
    return files.fetched(serving, FOLDER)
