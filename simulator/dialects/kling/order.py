"""What a task of Kling is to make, whatever the generation of the wire, and what comes of it.

What a model takes, makes and costs are facts of its row (`offers`, by operation; simulator/models/kling.yaml).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final, NamedTuple

from simulator import draws
from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.inspection import refuses_output
from simulator.dialects.kling.fields import FOLDER, STYLE
from simulator.dialects.kling.problems import bad
from simulator.jobs import plans
from simulator.jobs.job import Plan, State, View, look
from simulator.media import results
from simulator.media.results import Film, Given, Still

LINK_TTL_MS: Final = 30 * 86_400_000
PICTURE_STEP: Final = 16  # both sides of a picture are divisible by it
TIMED_OUT: Final = "Task execution timed out"
UNSAFE: Final = "Failure to pass the risk control system"
WATERMARK: Final = "Kling AI"


class Order(NamedTuple):
    """One task, as asked."""

    prompt: str = ""
    mode: str = ""  # "std" or "pro", or a resolution; "": the model's usual one
    seconds: int = 0  # 0: as long as what it is made from
    ratio: str = ""  # "16:9"; "": that of the first picture
    pictures: tuple[Given, ...] = ()
    shows: bool = False  # it begins with the first picture
    source: Film | None = None  # the clip it is made from
    source_id: str = ""
    source_url: str = ""
    adds: int = 0  # seconds, to the source
    sound: bool = False
    number: int = 1
    series: bool = False  # its pictures belong together
    callback: str = ""
    external: str = ""
    watermark: bool = False


def of(ask: Ask) -> Order:
    """The order that a request holds."""
    found: Order = ask.body["order"]
    return found


def offer(ask: Ask, profile: Profile) -> Mapping[str, Any]:
    """The facts of a model at one operation. Raises Refused where it has none there."""
    offers = profile.facts["offers"]
    if ask.operation not in offers:
        raise bad(f"model {ask.model} is not supported by this API")
    return {**profile.facts, **offers[ask.operation]}


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    facts, order = offer(ask, profile), of(ask)
    modes = facts["modes"]
    if order.mode and order.mode not in modes:
        raise bad(f"mode value '{order.mode[:64]}' is invalid, allowed values: {', '.join(modes)}")
    durations = facts.get("durations")
    if durations and order.seconds and order.seconds not in durations:
        raise bad(f"duration value '{order.seconds}' is invalid")
    ratios = facts["sizes"] if "units_each" not in facts else facts["ratios"]
    if order.ratio and order.ratio not in ratios:
        raise bad(f"aspect_ratio value '{order.ratio[:64]}' is invalid")
    sounding = facts.get("sounding", ())
    if order.sound and sounding and resolution(order, facts) not in sounding:
        raise bad(f"audio is only supported at {', '.join(sounding)}")


def resolution(order: Order, facts: Mapping[str, Any]) -> str:
    """ "720p", "1080p", "4k"; of pictures "1k", "2k"."""
    modes: Mapping[str, str] = facts["modes"]
    return modes.get(order.mode) or next(iter(modes.values()))


def _is_picture(facts: Mapping[str, Any]) -> bool:
    return "units_each" in facts


# --- made -------------------------------------------------------------------------------------------------------------


def film(ask: Ask, profile: Profile, seed: int) -> Film:
    """The clip of a task."""
    facts, order = offer(ask, profile), of(ask)
    sounds = order.sound and bool(facts.get("sounding"))
    drawn = draws.integer("kling", seed) >> 96
    tail_s, fps = facts["tail_ms"] / 1000, facts["fps"]
    if order.source is not None:
        source = order.source
        length = min(source.seconds + order.adds, facts.get("seconds_max", 180)) if order.adds else source.seconds
        prompt = results.shown(order.prompt) or source.prompt
        return Film(prompt, length, source.width, source.height, fps, drawn, sounds or source.sound, False)
    width, height = _size(order, facts)
    seconds = (order.seconds or 5) + tail_s
    framed = order.shows and bool(order.pictures)
    return Film(results.shown(order.prompt), seconds, width, height, fps, drawn, sounds, framed)


def _size(order: Order, facts: Mapping[str, Any]) -> tuple[int, int]:
    """Of a clip: by its ratio, or by the picture it begins with."""
    shorter = facts["shorter"][resolution(order, facts)]
    if order.pictures and (order.shows or not order.ratio):
        first = order.pictures[0]
        return results.fitted(shorter * shorter * 16 // 9, first.width / first.height)
    across, down = facts["sizes"][order.ratio or "16:9"]
    return across * shorter // 720, down * shorter // 720


def stills(ask: Ask, profile: Profile, seed: int) -> Iterator[Still]:
    """The pictures of a task."""
    facts, order = offer(ask, profile), of(ask)
    side = facts["sides"][resolution(order, facts)]
    if order.ratio:
        across, down = (int(part) for part in order.ratio.split(":"))
        ratio = across / down
    else:
        ratio = order.pictures[0].width / order.pictures[0].height if order.pictures else 1.0
    width, height = results.fitted(side * side, ratio, PICTURE_STEP)
    for index in range(order.number):
        yield Still(results.shown(order.prompt), width, height, "png", draws.integer("kling", seed, index) >> 96)


def links(kept: Kept) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The clips and the pictures of a task that succeeded: `id`, `url`, `watermark_url` and, of clips, `duration`."""
    job, order = kept.serving.job, of(kept.ask)
    if job is None or job.plan.is_empty:
        return [], []
    facts, seed = offer(kept.ask, kept.profile), kept.serving.seed
    if _is_picture(facts):
        left = max(1, order.number - job.plan.lost_items)
        made = enumerate(islice(stills(kept.ask, kept.profile, seed), left))
        return [], [_link(kept, still, f"image_{index}.png", order) for index, still in made]
    shot = film(kept.ask, kept.profile, seed)
    told = _link(kept, shot, "video_1.mp4", order)
    length_s = shot.seconds * job.plan.told_factor
    return [{"id": f"{kept.serving.nonce}1", **told, "duration": f"{length_s:g}"}], []


def _link(kept: Kept, made: Film | Still, name: str, order: Order) -> dict[str, str]:
    marked = made._replace(prompt=f"{WATERMARK} {made.prompt}")
    return {
        "url": results.offered(kept, STYLE, FOLDER, name, made, LINK_TTL_MS),
        "watermark_url": results.offered(kept, STYLE, FOLDER, f"wm_{name}", marked, LINK_TTL_MS)
        if order.watermark
        else "",
    }


def first_frame(kept: Kept) -> str:
    """The picture that the clip of a task begins with."""
    order = of(kept.ask)
    return order.pictures[0].source if order.shows and order.pictures else ""


# --- time and money ---------------------------------------------------------------------------------------------------


def plan(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """What becomes of a task when nothing goes wrong."""
    facts, order = offer(ask, profile), of(ask)
    units = order.number if _is_picture(facts) else round(film(ask, profile, serving.seed).seconds)
    made = plans.drawn(facts["pace"], units, profile.provider, ask.model, serving.seed, serving.attempt)
    return replace(made, ends=State.FAILED, error=UNSAFE) if refuses_output(order.prompt) else made


def units(kept: Kept) -> float:
    """What a task costs, in the units of resource packs. Source: the public prices, list prices at $0.14 a unit."""
    facts, order = offer(kept.ask, kept.profile), of(kept.ask)
    if _is_picture(facts):
        return float(facts["units_each"][resolution(order, facts)]) * order.number
    prices = facts["units"]
    if order.sound and facts.get("sounding"):
        prices = facts.get("sound_units", prices)
    return float(round(prices[resolution(order, facts)] * _paid_s(kept), 4))


def _paid_s(kept: Kept) -> int:
    """The seconds that are paid for: those that were asked for."""
    order = of(kept.ask)
    return order.adds or order.seconds or max(1, round(film(kept.ask, kept.profile, kept.serving.seed).seconds))


def charge(kept: Kept, now_ms: float) -> dict[str, float]:
    """What is charged for a task; nothing unless it succeeded."""
    job = kept.serving.job
    view = None if job is None else look(job, now_ms)
    if view is None or view.state is not State.SUCCEEDED:
        return {}
    facts, order = offer(kept.ask, kept.profile), of(kept.ask)
    cost = units(kept)
    usd = round(cost * facts["usd_per_unit"], 6)
    if _is_picture(facts):
        return {"images": order.number, "units": cost, "usd": usd}
    return {"output_seconds": _paid_s(kept), "units": cost, "usd": usd}


def updated_ms(kept: Kept, view: View) -> int:
    """When the state last changed."""
    submitted = kept.serving.job.submitted_ms if kept.serving.job else 0
    if view.ended_ms is not None:
        return view.ended_ms
    return submitted if view.state is State.QUEUED else submitted + view.queued_ms


def message(kept: Kept, view: View) -> str:
    """Why a task failed."""
    if view.state is State.TIMED_OUT:
        return TIMED_OUT
    job = kept.serving.job
    return job.plan.error if job is not None and view.state is State.FAILED else ""
