"""Requests for pictures: a JSON object, read by the form of the mount to an `Ask`, or to the vendor's complaint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from typing import Any, Final, NamedTuple

from simulator.answers import tokens
from simulator.ask import Ask, Request, Turn
from simulator.dialects.openai import fields
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.request import parsed
from simulator.dialects.pictures import forms
from simulator.media.captions import caption
from simulator.problem import Refused

STEP: Final = 16  # of the sides that follow from a ratio
SIDE_MAX: Final = 4096
_PAIR: Final = re.compile(r"(\d{1,5})([x:])(\d{1,5})")


class Canvas(NamedTuple):
    """What each picture is made by."""

    width: int
    height: int
    form: str
    seed: int | None
    quality: int | None
    background: str | None
    words: str


def decode(request: Request) -> Ask:
    """The request as an `Ask`. Raises Refused."""
    form = forms.named(request.facts["pictures"])
    body = parsed(request.body)
    for name in form.facts["needed"]:
        if body.get(name) in (None, ""):
            missed = fields.missing(name)
            raise _shown(missed, body) if isinstance(missed, Refused) else missed
    for name, check in form.checks.items():
        if body.get(name) is not None:
            _held(check, name, body)
    prompt: str = body["prompt"]
    return Ask(
        "create_image",
        body[form.facts["model"]],
        (Turn("user", prompt),),
        choices=form.asked(body, "count") or 1,
        input_tokens=tokens.count(caption(prompt)),
        body=body | {"canvas": _canvas(form, body), "inline": _is_inline(form, body)},
        site=request.site + request.path,
    )


def _held(check: fields.Check, name: str, body: Mapping[str, Any]) -> None:
    """Raise Refused, with what was sent, unless a field is as it should be."""
    try:
        check(body[name], name)
    except Refused as refused:
        raise _shown(refused, body[name]) from None


def _shown(refused: Refused, given: Any) -> Refused:
    """The same complaint with what was sent, for vendors that show it again."""
    return Refused(replace(refused.problem, details=(("input", given),)))


def _is_inline(form: forms.Form, body: Mapping[str, Any]) -> bool:
    return not form.facts.get("links") or body.get("response_format") in form.facts["inline"]


def _canvas(form: forms.Form, body: Mapping[str, Any]) -> Canvas:
    facts = form.facts
    told = facts["form"]
    seed = form.asked(body, "seed")
    return Canvas(
        *_size(form, body),
        form=body.get(told.get("field")) or told["default"],
        seed=None if seed is None else seed % (1 << 32),
        quality=body.get("output_compression"),
        background=body.get("background"),
        words=caption(body["prompt"]),
    )


def _size(form: forms.Form, body: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height, by the way in which the form says them."""
    if "sides" in form.facts:
        width, height = (body.get(side) or default for side, default in form.facts["sides"].items())
        return int(width), int(height)
    size = form.asked(body, "size")
    if size not in (None, "auto"):
        width, height = _pair(size, "x", form.facts["size"])
        return width, height
    area = form.facts["area"]
    sides = {str(word): side for word, side in area["sides"].items()}
    side = sides[body.get(area["field"]) or next(iter(sides))]
    ratio = form.asked(body, "ratio")
    if ratio in (None, "auto"):
        return side, side
    across, down = _pair(ratio, ":", form.facts["ratio"])
    shape = max(1 / 8, min(8.0, across / down))
    width, height = (STEP * max(1, round(side * part / STEP)) for part in (sqrt(shape), 1 / sqrt(shape)))
    return min(width, SIDE_MAX), min(height, SIDE_MAX)


def _pair(text: str, sign: str, name: str) -> tuple[int, int]:
    found = _PAIR.fullmatch(text)
    if found is None or found[2] != sign or not (0 < int(found[1]) <= SIDE_MAX and 0 < int(found[3]) <= SIDE_MAX):
        raise refuse(f"Invalid value: '{text}'.", name, "invalid_value")
    return int(found[1]), int(found[3])
