"""Amounts, counts and moments as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from markupsafe import Markup

from schemas.catalogue import UC_PER_CREDIT, UC_PER_USD

MINUTE_MS: Final = 60_000
CENT_UC: Final = UC_PER_USD // 100
SPANS: Final = ((86_400_000, "day"), (3_600_000, "hour"), (MINUTE_MS, "minute"))


def credits(amount_uc: int) -> str:
    """Microcredits as credits, exactly: two decimals at least, six at most."""
    whole, part = divmod(abs(int(amount_uc)), UC_PER_CREDIT)
    return f"{'−' if amount_uc < 0 else ''}{whole:,}.{f'{part:06d}'.rstrip('0').ljust(2, '0')}"


def column(amount_uc: int) -> Markup:
    """Credits for a column of numbers: all six decimals, so that points stand below points, idle zeros in grey."""
    whole, part = divmod(abs(int(amount_uc)), UC_PER_CREDIT)
    decimals = f"{part:06d}"
    told = decimals.rstrip("0")
    made = Markup('{}{:,}.{}<span class="idle">{}</span>')
    return made.format("−" if amount_uc < 0 else "", whole, told, decimals[len(told) :])


def usd(amount_uc: int) -> str:
    """Microcredits in US dollars: cents from a dollar up, four decimals from a cent up, below that all there are."""
    size, sign = abs(int(amount_uc)), "−" if amount_uc < 0 else ""
    dollars = Decimal(size) / UC_PER_USD
    if size == 0 or size >= UC_PER_USD:
        return f"{sign}${dollars:,.2f}"
    if size >= CENT_UC:
        return f"{sign}${dollars:.4f}"
    return f"{sign}${f'{dollars:.8f}'.rstrip('0')}"


def number(value: int | None) -> str:
    """A count, with commas."""
    return "–" if value is None else f"{value:,}"


def duration(ms: int | None) -> str:
    """How long something took."""
    if ms is None:
        return "–"
    return f"{ms:,} ms" if ms < 10_000 else f"{ms / 1000:,.1f} s"


def ago(at_ms: int, now_ms: int) -> str:
    """How far away a moment is."""
    away = abs(now_ms - at_ms)
    for span_ms, name in SPANS:
        count = away // span_ms
        if count:
            words = f"{count} {name}{'s' if count > 1 else ''}"
            return f"{words} ago" if at_ms <= now_ms else f"in {words}"
    return "just now" if at_ms <= now_ms else "in a moment"


def when(at: int | str | None, now_ms: int) -> Markup:
    """A moment (Unix milliseconds or ISO 8601) in UTC; the tooltip has the second and how long ago it is."""
    if at is None:
        return Markup("–")
    moment = datetime.fromisoformat(at) if isinstance(at, str) else datetime.fromtimestamp(at / 1000, UTC)
    at_ms = round(moment.timestamp() * 1000)
    present = datetime.fromtimestamp(now_ms / 1000, UTC)
    shown = f"{moment.day} {moment:%b}" + ("" if moment.year == present.year else f" {moment:%Y}") + f", {moment:%H:%M}"
    return Markup('<time datetime="{}" title="{} UTC, {}">{}</time>').format(
        f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{moment:%Y-%m-%d %H:%M:%S}", ago(at_ms, now_ms), shown
    )
