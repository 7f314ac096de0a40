"""What a task of DashScope makes, how long that takes, what it costs and how it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

from simulator import draws
from simulator.answers import prose
from simulator.ask import Ask
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.dashscope import geometry
from simulator.dialects.dashscope.geometry import Shape
from simulator.dialects.dashscope.problems import DOWNLOAD, OUTPUT, TIMEOUT
from simulator.dialects.dashscope.request import DAY_MS
from simulator.dialects.inspection import is_moderation, refuses_output
from simulator.jobs import plans
from simulator.jobs.job import Plan, State, View
from simulator.media import results
from simulator.media.results import Film, Still

CHECK_MS: Final = 2_000  # a task whose media cannot be had fails so soon
PICTURE: Final[Literal["png"]] = "png"


def plan(ask: Ask, profile: Profile, serving: Serving) -> Plan:
    """What becomes of a job when nothing goes wrong. It is forgotten a day after its end."""
    key = (profile.provider, ask.model, serving.seed, serving.attempt)
    units = seconds(ask, profile.facts) if is_clip(profile.facts) else ask.choices
    made = replace(plans.drawn(profile.facts["pace"], units, *key), keep_ms=DAY_MS)
    if ask.body["missing"]:
        return replace(made, run_ms=CHECK_MS, ends=State.FAILED, error=DOWNLOAD)
    if refuses_output(ask.body["text"]) and (is_clip(profile.facts) or ask.choices == 1):
        return replace(made, ends=State.FAILED, error=OUTPUT)
    return made


def is_clip(facts: Mapping[str, Any]) -> bool:
    """Whether a model makes clips, and not pictures."""
    return "tiers" in facts


def seconds(ask: Ask, facts: Mapping[str, Any]) -> int:
    """How long a clip is."""
    return int(ask.body["parameters"].get("duration") or facts["seconds"][0])


def shape(kept: Kept) -> Shape:
    """How large a clip is."""
    return geometry.clip(kept.ask.body["parameters"], kept.profile.facts, kept.ask.body["given"])


def has_sound(kept: Kept) -> bool:
    """Whether a clip has sound: always, never, or unless it was asked to have none."""
    facts = kept.profile.facts
    return facts["sound"] == "always" or (
        facts["sound"] == "asked" and kept.ask.body["parameters"].get("audio", True) is True
    )


def film(kept: Kept) -> Film:
    """The clip of a task."""
    width, height, *_ = shape(kept)
    length, fps = seconds(kept.ask, kept.profile.facts), int(kept.profile.facts["fps"])
    shown, seed = results.shown(kept.ask.body["text"]), _seed(kept.ask, kept.serving, 0)
    return Film(shown, length, width, height, fps, seed, has_sound(kept), bool(source(kept)))


def source(kept: Kept) -> str:
    """The picture that a clip begins with; "" for none."""
    return str(kept.ask.body["first"])


def still(ask: Ask, facts: Mapping[str, Any], serving: Serving, index: int) -> Still:
    """One of the pictures of a request."""
    width, height = geometry.picture(ask.body["parameters"].get("size"), facts)
    return Still(results.shown(ask.body["text"]), width, height, PICTURE, _seed(ask, serving, index))


def _seed(ask: Ask, serving: Serving, index: int) -> int:
    """The seed that was asked for decides what is made; else the request does."""
    return draws.integer("wan", ask.body["parameters"].get("seed", f"of {serving.seed}"), index) >> 96


def lost(kept: Kept) -> int:
    """How many of the pictures of a task failed, the last ones."""
    job = kept.serving.job
    if job is None or job.plan.is_empty:
        return kept.ask.choices
    sensitive = 1 if refuses_output(kept.ask.body["text"]) else 0
    return max(sensitive, min(job.plan.lost_items, kept.ask.choices - 1))


def succeeded(kept: Kept, view: View | None) -> bool:
    """Whether a task gave anything: one that gave nothing is told as failed."""
    job = kept.serving.job
    if view is None or view.state is not State.SUCCEEDED or job is None or job.plan.is_empty:
        return False
    return is_clip(kept.profile.facts) or lost(kept) < kept.ask.choices


def failure(kept: Kept, view: View) -> tuple[str, str]:
    """Code and message of a task that gave nothing."""
    job = kept.serving.job
    error = "" if job is None else job.plan.error
    if view.state is State.TIMED_OUT:
        return "InternalError.Timeout", TIMEOUT
    if view.state is State.SUCCEEDED:
        return "DataInspectionFailed", OUTPUT
    if error == DOWNLOAD:
        return "InvalidParameter.DataInspection", error
    return ("DataInspectionFailed" if is_moderation(error) else "InternalError"), error


def rewritten(ask: Ask, serving: Serving) -> str:
    """The prompt as the service rewrote it."""
    words = prose.title(draws.dice("rewritten", serving.seed), 12)
    return f"{results.shown(ask.body['text']).rstrip('.')}. {words.capitalize()}."


def extends(ask: Ask, facts: Mapping[str, Any]) -> bool:
    """Whether the prompt is rewritten, and that is told."""
    return bool(facts.get("rewrites")) and ask.body["parameters"].get("prompt_extend", True) is True


def charge(kept: Kept, view: View | None) -> dict[str, float]:
    """What is charged: what was made, even if it was then found inappropriate; nothing for a failure."""
    if view is None or view.state is not State.SUCCEEDED:
        return {}
    facts = kept.profile.facts
    if is_clip(facts):
        length, price = seconds(kept.ask, facts), facts.get("usd_per_second", {}).get(f"{shape(kept).lines}P")
        return {"output_seconds": length} | ({"usd": round(length * price, 6)} if price else {})
    job = kept.serving.job
    made = kept.ask.choices if job is None or job.plan.is_empty else kept.ask.choices - lost(kept)
    return {"images": made} | ({"usd": round(made * facts["usd"], 6)} if made and "usd" in facts else {})
