"""What Vidu's tasks make, how long that takes and what it costs. Facts are in simulator/models/vidu.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.inspection import is_moderation, refuses_output
from simulator.dialects.vidu.problems import WORDS, bad
from simulator.dialects.vidu.request import FOLDER, STYLE, Order
from simulator.jobs import plans
from simulator.jobs.job import Plan, State, View, look
from simulator.media import results
from simulator.media.results import Film, Still

LINK_TTL_MS: Final = 86_400_000
OFF_PEAK_MS: Final = 48 * 3_600_000  # within which an off-peak task is run, or given up
IMAGE: Final = "reference2image"
WATERMARK: Final = "Vidu"


def of(ask: Ask) -> Order:
    """The order that a request holds."""
    found: Order = ask.body["order"]
    return found


def offer(ask: Ask, profile: Profile) -> Mapping[str, Any]:
    """The facts of a model at one kind of generation. Raises Refused where it has none there."""
    offers = profile.facts["offers"]
    if ask.operation not in offers:
        raise bad("ModelUnavailable")
    return {**profile.facts, **offers[ask.operation]}


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    facts, order = offer(ask, profile), of(ask)
    if len(order.prompt) > facts.get("prompt_max", 5000):
        raise bad("FieldInvalid", "prompt")
    if order.resolution and order.resolution not in facts["credits"]:
        raise bad("FieldInvalid", "resolution")
    if ask.operation != IMAGE and order.seconds is not None and order.seconds not in facts["durations"]:
        raise bad("FieldInvalid", "duration")
    if order.ratio == "auto" and ask.operation != IMAGE:
        raise bad("FieldInvalid", "aspect_ratio")


def seconds(ask: Ask, profile: Profile) -> int:
    """How long a clip is."""
    told = of(ask).seconds
    return int(offer(ask, profile)["durations"][0]) if told is None else told


def resolution(ask: Ask, profile: Profile) -> str:
    """ "540p", "720p", "1080p"."""
    return of(ask).resolution or str(next(iter(offer(ask, profile)["credits"])))


def seed(ask: Ask, serving: Serving) -> int:
    """The seed that the reply tells."""
    told = of(ask).seed
    return draws.integer("vidu", serving.seed) >> 97 if told is None else told


def size(ask: Ask, profile: Profile) -> tuple[int, int]:
    """Width and height: by its ratio, or by the picture it begins with."""
    order, shorter = of(ask), int(offer(ask, profile)["shorter"][resolution(ask, profile)])
    if order.ratio in ("", "auto"):
        first = order.pictures[0] if order.pictures else None
        return results.fitted(shorter * shorter * 16 // 9, first.width / first.height if first else 16 / 9)
    across, down = (int(part) for part in order.ratio.split(":"))
    scale = shorter / min(across, down)
    return round(across * scale / 2) * 2, round(down * scale / 2) * 2


def film(ask: Ask, profile: Profile, serving: Serving) -> Film:
    """The clip of a task."""
    facts, order = offer(ask, profile), of(ask)
    speaks = bool(facts.get("speaks")) and order.sound is not False
    prompt = results.shown(order.prompt) or order.template
    framed = order.shows and bool(order.pictures)
    width, height = size(ask, profile)
    drawn = seed(ask, serving)
    return Film(prompt, seconds(ask, profile), width, height, facts["fps"], drawn, speaks or order.bgm, framed)


def creations(kept: Kept) -> list[dict[str, Any]]:
    """The results of a task that succeeded, with what a list of tasks tells besides."""
    job, order = kept.serving.job, of(kept.ask)
    if job is None or job.plan.is_empty:
        return []
    width, height = size(kept.ask, kept.profile)
    drawn, prompt = seed(kept.ask, kept.serving), results.shown(order.prompt) or order.template
    still = Still(prompt, width, height, "jpeg", drawn, order.shows and bool(order.pictures))
    told: dict[str, Any] = {"id": f"{kept.serving.nonce}1"}
    made: Film | Still = still._replace(form="png")
    name = "image.png"
    if kept.ask.operation != IMAGE:
        made, name = film(kept.ask, kept.profile, kept.serving), "video.mp4"
    marked = made._replace(prompt=f"{WATERMARK} {prompt}") if order.watermark else made
    told["url"] = _link(kept, name, made)
    told["cover_url"] = _link(kept, "cover.jpeg", still)
    told["watermarked_url"] = _link(kept, f"watermarked_{name}", marked)
    return [told]


def _link(kept: Kept, name: str, made: Film | Still) -> str:
    return results.offered(kept, STYLE, FOLDER, name, made, LINK_TTL_MS)


def first_frame(kept: Kept) -> str:
    """The picture that the clip of a task begins with."""
    order = of(kept.ask)
    return order.pictures[0].source if order.shows and order.pictures else ""


# --- time and money ---------------------------------------------------------------------------------------------------


def plan(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """What becomes of a task when nothing goes wrong."""
    facts, order = offer(ask, profile), of(ask)
    units = 1 if ask.operation == IMAGE else seconds(ask, profile)
    pace = facts["off_peak_pace"] if order.off_peak else facts["pace"]
    made = plans.drawn(pace, units, profile.provider, ask.model, serving.seed, serving.attempt)
    if order.off_peak:
        made = replace(made, deadline_ms=OFF_PEAK_MS)
    if refuses_output(order.prompt):
        made = replace(made, ends=State.FAILED, error="CreationPolicyViolation")
    return made


def credits(kept: Kept) -> int:
    """What a task costs: so much, and so much a second; half of it off-peak."""
    facts = offer(kept.ask, kept.profile)
    base, each = facts["credits"][resolution(kept.ask, kept.profile)]
    units = 0 if kept.ask.operation == IMAGE else seconds(kept.ask, kept.profile)
    cost = int(base) + int(each) * units
    return cost // 2 if of(kept.ask).off_peak else cost


def charge(kept: Kept, now_ms: float) -> dict[str, float]:
    """What is charged for a task; nothing unless it succeeded."""
    job = kept.serving.job
    view = None if job is None else look(job, now_ms)
    if view is None or view.state is not State.SUCCEEDED:
        return {}
    cost = credits(kept)
    made = {"images": 1} if kept.ask.operation == IMAGE else {"output_seconds": seconds(kept.ask, kept.profile)}
    return {**made, "credits": cost, "usd": round(cost * kept.profile.facts["usd_per_credit"], 6)}


def err_code(kept: Kept, view: View) -> str:
    """The word for why a task failed."""
    job = kept.serving.job
    if view.state is State.CANCELLED:
        return "UserCancelled"
    if view.state is State.TIMED_OUT:
        return "Canceled" if of(kept.ask).off_peak else "InternalServiceFailure"
    if job is None or view.state is not State.FAILED:
        return ""
    if job.plan.error in WORDS:
        return job.plan.error
    return "CreationPolicyViolation" if is_moderation(job.plan.error) else "InternalServiceFailure"
