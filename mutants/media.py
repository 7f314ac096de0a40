"""Pictures, clips and sound that are counted, priced, ordered or handed over wrongly."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

from gateway import admission
from gateway.body import json_type
from gateway.endpoints import audio, images, videos
from gateway.endpoints.audio import Audio
from gateway.endpoints.images import Images
from gateway.endpoints.videos import Videos
from gateway.errors import InvalidRequest
from gateway.media import call, fields, ticket, work
from gateway.media.order import Made
from gateway.media.steps import Failed
from gateway.media.ticket import Ticket
from mutants._patch import around, replace
from mutants.billing import edit_charges
from mutants.registry import mutant
from schemas import catalogue
from schemas.catalogue.media import Takes

SEVERAL_CALLS = ("nano_banana", "flux-2-pro")  # models whose providers make one picture at a time
GENEROUS_HOLD = 10  # times the price: so that a hold does not hide what is charged too much


def hold_more() -> None:
    """Every hold is larger than it need be."""
    old = ticket.Ticket.bound_uc
    bound = property(lambda self: GENEROUS_HOLD * old.fget(self))  # type: ignore[attr-defined]
    setattr(Ticket, "bound_uc", bound)  # noqa: B010 - mypy knows it as read-only


def open_tier(kind: str) -> None:
    """Models of a kind need no top-up."""

    @around(admission, "check_tier")
    async def check_tier(old: Any, services: Any, key: Any, model: Any) -> None:
        if model.kind != kind:
            await old(services, key, model)


def ask_only_first(kind: str) -> None:
    """Only the first provider of a chain is asked for what is of this kind."""

    @around(work, "targets_of")
    def targets_of(old: Any, services: Any, asked: Ticket) -> dict[str, Any]:
        targets: dict[str, Any] = old(services, asked)
        return dict(list(targets.items())[:1]) if asked.order.kind == kind else targets


def charge_failures(unit: str) -> None:
    """Calls that every provider failed are charged what was held, where they are billed by this unit."""

    def price(charge_uc: int, hold: Any, row: Any) -> int:
        held: int = hold.amount_uc
        return held if row.unit == unit and row.status == "upstream_failed" else charge_uc

    edit_charges(price)


@mutant()
def image_format_ignored() -> None:
    """Pictures always come as links."""

    @around(images, "entry")
    def entry(old: Any, item: Any, *, as_base64: bool) -> dict[str, Any]:
        told: dict[str, Any] = old(item, as_base64=as_base64)
        return {"url": "https://example.com/a.png"} if as_base64 else told


@mutant()
def image_link_dead() -> None:
    """The link that a picture is handed over by leads to nothing."""

    @around(images, "entry")
    def entry(old: Any, item: Any, *, as_base64: bool) -> dict[str, Any]:
        told: dict[str, Any] = old(item, as_base64=as_base64)
        return {**told, "url": f"{told['url']}0"} if told.get("url") else told


@mutant("GD-167")
def image_count_squared() -> None:
    """The number of pictures is applied twice to the price."""

    @around(Images, "read")
    def read(old: Any, self: Images, body: Any) -> Ticket:
        asked: Ticket = old(self, body)
        return changed(asked, unit_uc=asked.unit_uc * asked.units)


@mutant("GD-168")
def image_split_cost_overwritten() -> None:
    """Of an order that is split into several calls, the last one's cost is charged."""

    @around(Images, "delivered")
    def delivered(old: Any, self: Images, asked: Ticket, made: Made) -> int:
        units: int = old(self, asked, made)
        return min(1, units) if asked.model.id in SEVERAL_CALLS else units


@mutant()
def image_count_refused_above_ten() -> None:
    """A count above ten is refused."""

    @around(images, "count_of")
    def count_of(old: Any, body: Any) -> int:
        count: int = old(body)
        if isinstance(body.get("n"), int) and body["n"] > images.MOST:
            raise InvalidRequest(f"`n` is {body['n']}; at most {images.MOST} was due.")
        return count


@mutant("GD-166")
def image_count_hidden_in_extra_field() -> None:
    """A count under a vendor's own name is obeyed, and `n` is charged."""

    @around(Images, "read")
    def read(old: Any, self: Images, body: Any) -> Ticket:
        asked: Ticket = old(self, body)
        hidden = body.get("num_images")
        return changed(asked, order=changed(asked.order, count=hidden)) if isinstance(hidden, int) else asked

    @around(Images, "reply")
    def reply(_old: Any, _self: Images, asked: Ticket, made: Made, now_s: int) -> dict[str, Any]:
        shown = [images.entry(item, as_base64=asked.order.as_base64) for item in made.items]
        return {"created": now_s, "data": shown}


@mutant()
def image_partial_charged_whole() -> None:
    """As many pictures are charged as were asked for."""
    replace(Images, "delivered", lambda _self, asked, _made: asked.units)


@mutant()
def image_partial_thrown_away() -> None:
    """When one of several pictures is refused, the others are thrown away."""

    @around(work, "joined")
    def joined(old: Any, outcomes: Any) -> Made:
        for outcome in outcomes:
            if not isinstance(outcome, Made):
                raise Failed(outcome)
        made: Made = old(outcomes)
        return made


@mutant()
def image_size_price_ignored() -> None:
    """Every size costs what the smallest does."""
    replace(images, "unit_uc", lambda model, _order: model.unit_uc)


@mutant("GD-169")
def image_billed_two_units() -> None:
    """What a provider tells in tokens is charged beside the price of the picture."""
    tokens_uc = 4_160 * 100

    @around(images, "unit_uc")
    def unit_uc(old: Any, model: Any, order: Any) -> int:
        price_uc: int = old(model, order)
        return price_uc + (tokens_uc if model.id.startswith("gpt-image") else 0)


@mutant()
def image_tier_ignored() -> None:
    """Pictures are for everybody who has credit."""
    open_tier("image")


@mutant()
def image_estimate_of_one() -> None:
    """What is held is the price of one picture, however many were asked for."""
    setattr(Ticket, "bound_uc", property(lambda self: self.unit_uc))  # noqa: B010 - mypy knows it as read-only


@mutant()
def image_no_fallback() -> None:
    """Only the first provider of a chain is asked for pictures."""
    ask_only_first("image")


@mutant()
def image_failed_attempts_charged() -> None:
    """Every attempt at a picture is charged as much as the one that gave it."""
    hold_more()
    edit_charges(lambda charge_uc, _hold, row: charge_uc * row.attempts if row.unit == "image" else charge_uc)


@mutant()
def image_failure_charged() -> None:
    """Pictures that nobody made are charged as if they had come."""
    charge_failures("image")


@mutant()
def image_limits_unchecked() -> None:
    """Sizes, ratios, resolutions and references are left to the provider."""
    names = ("image", "images", "image_url", "image_urls", "reference_images")
    replace(images, "takes", lambda _kind, _id: Takes(reference_fields=names, references_max=99, data_urls=True))


@mutant()
def image_references_dropped() -> None:
    """Reference images are checked, and go no further."""

    @around(fields, "references")
    def references(old: Any, body: Any, rules: Any) -> tuple[str, ...]:
        old(body, rules)
        return ()


@mutant()
def intent_picks_dearest() -> None:
    """An intent is the dearest model that qualifies."""

    def dearest(intent: str) -> Any:
        ids = catalogue.read_intents().get(intent)
        return None if ids is None else max((catalogue.MODELS[ident] for ident in ids), key=lambda one: one.unit_uc)

    replace(catalogue, "cheapest", dearest)


@mutant()
def intent_beats_model() -> None:
    """An intent wins over the model beside it."""

    @around(Images, "model_of")
    def model_of(old: Any, self: Images, body: Any) -> Any:
        if not isinstance(body.get("intent", ""), str):
            raise InvalidRequest(f"`intent` is {json_type(body['intent'])}; a string was due.")
        named = body if "intent" not in body else {name: body[name] for name in body if name != "model"}
        return old(self, named)


@mutant()
def image_idempotency_key_ignored() -> None:
    """Media calls do not look at Idempotency-Key."""

    async def once(_services: Any, _exchange: Any, _key: Any, _raw: bytes, answer: Any) -> None:
        await answer()

    replace(call, "once", once)


@mutant("GD-172")
def clip_default_length_mismatch() -> None:
    """Without a duration four seconds are charged and five made."""

    @around(Videos, "read")
    def read(old: Any, self: Videos, body: Any) -> Ticket:
        asked: Ticket = old(self, body)
        by_second = asked.model.unit == videos.SECOND and body.get("duration") is None
        return changed(asked, units=4) if by_second else asked


@mutant("GD-174")
def clip_charged_as_asked_when_shorter() -> None:
    """All seconds that were asked for are charged, though fewer were made."""
    replace(Videos, "delivered", lambda _self, asked, made: asked.units if made.items else 0)


@mutant()
def clip_charged_as_made_when_longer() -> None:
    """All seconds that were made are charged, though fewer were asked for."""
    hold_more()

    @around(Videos, "delivered")
    def delivered(old: Any, self: Videos, asked: Ticket, made: Made) -> int:
        units: int = old(self, asked, made)
        by_second = asked.model.unit == videos.SECOND and made.items and made.seconds
        return round(made.seconds) if by_second and made.seconds else units


@mutant("GD-173")
def clip_price_times_seconds() -> None:
    """The price of a clip is multiplied by its seconds."""

    @around(Videos, "read")
    def read(old: Any, self: Videos, body: Any) -> Ticket:
        asked: Ticket = old(self, body)
        return (
            changed(asked, unit_uc=asked.unit_uc * (asked.order.seconds or 5)) if asked.model.unit == "clip" else asked
        )


@mutant()
def clip_ordered_again_after_lost_reply() -> None:
    """A provider that failed an order for a clip is given it again."""

    @around(work.Work, "attempt")
    async def attempt(old: Any, self: work.Work, step: Any) -> Made:
        try:
            made: Made = await old(self, step)
        except Failed:
            if self.order.kind != "video":
                raise
            made = await old(self, step)
        return made


@mutant()
def clip_moderated_taken_for_success() -> None:
    """A job that succeeded without a clip, or was moderated, is a success."""

    @around(work.Work, "attempt")
    async def attempt(old: Any, self: work.Work, step: Any) -> Made:
        try:
            made: Made = await old(self, step)
        except Failed:
            if self.order.kind != "video":
                raise
            made = Made()
        return made

    replace(call, "delivered", lambda _work, made: made)


@mutant()
def clip_failure_charged() -> None:
    """Clips that nobody made are charged as if they had come."""
    charge_failures("second")


@mutant()
def clip_length_unchecked() -> None:
    """A duration that makes no sense is taken for five seconds."""

    @around(videos, "seconds_of")
    def seconds_of(old: Any, body: Any, rules: Any) -> Any:
        try:
            return old(body, rules)
        except InvalidRequest:
            return 5


@mutant()
def clip_tier_ignored() -> None:
    """Clips are for everybody who has credit."""
    open_tier("video")


@mutant()
def sound_charged_by_length() -> None:
    """Speech is charged by every begun hundred characters."""

    @around(Audio, "read")
    def read(old: Any, self: Audio, body: Any) -> Ticket:
        asked: Ticket = old(self, body)
        return changed(asked, units=1 + len(asked.order.prompt) // 100)

    replace(Audio, "delivered", lambda _self, asked, _made: asked.units)


@mutant()
def sound_no_fallback() -> None:
    """Only the first provider of a chain is asked for speech."""
    ask_only_first("speech")


@mutant()
def sound_failure_charged() -> None:
    """Sound that nobody made is charged as if it had come."""
    charge_failures("request")


@mutant()
def sound_text_unchecked() -> None:
    """Speech without a text is left to the provider."""

    @around(fields, "text")
    def text(old: Any, body: Any, name: str, **options: Any) -> Any:
        return old(body, name, **{**options, "required": options.get("required", False) and name != "text"})

    replace(audio, "audio_of", lambda body, **_options: body.get("audio"))


@mutant()
def sound_tier_ignored() -> None:
    """Sound is for everybody who has credit."""
    open_tier("audio")
