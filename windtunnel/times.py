"""Lengths of time on the command line."""

from __future__ import annotations

import re

import click

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = r"(\d+(?:\.\d+)?)(ms|s|m|h)"


class Duration(click.ParamType[float]):
    """A length of time: `90`, `90s`, `2m`, `1h30m`. As seconds, > 0."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        if re.fullmatch(r"\d+(\.\d+)?", text):
            seconds = float(text)
        elif re.fullmatch(f"({PART})+", text):
            seconds = sum(float(size) * SECONDS[unit] for size, unit in re.findall(PART, text))
        else:
            self.fail(f"{text!r} is no length of time; due something like 90, 90s, 2m or 1h30m", param, ctx)
        if seconds <= 0:
            self.fail(f"{text!r} must be more than nothing", param, ctx)
        return seconds
