"""The clip that a job of MiniMax makes, how long that takes, what it costs and how it fails, on either wire.

Source: MiniMax's documentation for sizes (its example of 768P is 1366 x 768), lengths and prices. On the first wire
the shorter side of a clip that begins with a picture is that of its resolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.inspection import is_moderation, refuses_output
from simulator.dialects.minimax import problems
from simulator.dialects.minimax.body import FILE_SCHEME, FOLDER
from simulator.jobs import plans
from simulator.jobs.job import Plan, State, View
from simulator.media import results
from simulator.media.results import Film, Given, fitted

DEFAULT_SECONDS: Final = 6
WIDE: Final = {"512P": (912, 512), "720P": (1280, 720), "768P": (1366, 768), "1080P": (1920, 1080)}
PIXELS: Final = {"480P": 832 * 480, "768P": 1344 * 768, "2K": 2560 * 1440}  # of the second wire
STEP: Final = 32


def plan(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """What becomes of a job when nothing goes wrong."""
    key = (profile.provider, ask.model, serving.seed, serving.attempt)
    made = plans.drawn(profile.facts["pace"], seconds(ask), *key)
    if refuses_output(str(ask.body.get("text", ""))):
        return replace(made, ends=State.FAILED, error=problems.SENSITIVE)
    return made


def seconds(ask: Ask) -> int:
    """How long the clip is."""
    return int(ask.body.get("duration") or DEFAULT_SECONDS)


def resolution(ask: Ask, facts: Mapping[str, Any]) -> str:
    """The word for its size."""
    return str(ask.body.get("resolution") or facts["resolution"])


def film(kept: Kept) -> Film:
    """The clip of a job."""
    ask, facts = kept.ask, kept.profile.facts
    given: Given | None = ask.body.get("frame")
    name = resolution(ask, facts)
    width, height = _second(name, ask, given) if "content" in ask.body else _first(name, given)
    seed = draws.integer("clip", kept.serving.seed) >> 96
    shown, sound = results.shown(ask.body["text"]), bool(facts.get("sound"))
    return Film(shown, seconds(ask), width, height, int(facts["fps"]), seed, sound, bool(source(kept)))


def _first(name: str, given: Given | None) -> tuple[int, int]:
    if given is None:
        return WIDE[name]
    short, ratio = WIDE[name][1], given.width / given.height
    long = 2 * round(short * max(ratio, 1 / ratio) / 2)
    return (long, short) if ratio >= 1 else (short, long)


def _second(name: str, ask: Ask, given: Given | None) -> tuple[int, int]:
    if given is not None:
        return fitted(PIXELS[name], given.width / given.height, STEP)
    across, _, down = str(ask.body["shape"]).partition(":")
    return fitted(PIXELS[name], int(across) / int(down), STEP)


def source(kept: Kept) -> str:
    """The picture that the clip begins with; "" for none, and for a file whose bytes are not known."""
    text = str(kept.ask.body.get("first", ""))
    return "" if text.startswith(FILE_SCHEME) else text


def data(kept: Kept, style: str) -> bytes:
    """The file itself."""
    secret, text = kept.profile.facts["signature_secret"], source(kept)
    first = results.frame(text, style, FOLDER, secret) if text else None
    return results.drawn(film(kept), first)


def succeeded(kept: Kept, view: View | None) -> bool:
    """Whether there is a clip to be had: one that was found sensitive is not."""
    job = kept.serving.job
    return view is not None and view.state is State.SUCCEEDED and job is not None and not job.plan.is_empty


def failure(kept: Kept, view: View) -> tuple[int, str]:
    """MiniMax's code and sentence for a job that gave nothing."""
    job = kept.serving.job
    error = "" if job is None else job.plan.error
    if view.state is State.TIMED_OUT:
        return problems.TIMEOUT, "task timeout"
    if view.state is State.SUCCEEDED:
        return problems.OUTPUT_SENSITIVE, problems.SENSITIVE
    return (problems.OUTPUT_SENSITIVE if is_moderation(error) else problems.UNKNOWN), error


def charge(kept: Kept, view: View | None) -> dict[str, float]:
    """What is charged: a clip that was made, even if it was then found sensitive; nothing else."""
    if view is None or view.state is not State.SUCCEEDED:
        return {}
    ask, facts = kept.ask, kept.profile.facts
    length, name = seconds(ask), resolution(kept.ask, facts)
    charged: dict[str, float] = {"output_seconds": length}
    if "usd_per_second" in facts:
        more = max(0, int(ask.body["images"]) - int(facts["free_images"])) * float(facts["usd_per_image"])
        billed_s = length + int(ask.body["input_seconds"])
        charged["usd"] = round(billed_s * float(facts["usd_per_second"][name]) + more, 6)
    elif length in facts.get("usd", {}).get(name, {}):
        charged["usd"] = float(facts["usd"][name][length])
    return charged
