"""Who may make a call: model, tier, credit and limit, in this order (the key and the body's form were checked before).

Source: api-reference#errors-rate-limits; the order: docs/decisions.md.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gateway import body, budgets, pricing
from gateway.accounts import Key
from gateway.errors import Header, InvalidRequest, NoAccess, NoCredit, TooManyRequests, UnknownModel, shown
from gateway.ledger.book import HoldRecord
from gateway.ledger.spending import SpendingLimitReached
from gateway.ledger.transfers import InsufficientCredits
from gateway.limits import Window
from gateway.services import Services
from gateway.wires.wire import Wire
from schemas import catalogue
from schemas.catalogue import UC_PER_CREDIT, UC_PER_USD, Model
from schemas.catalogue.tiers import tier_of

HOLD_SPARE_MS = 60_000  # between the latest end of a call and the deadline of its hold
EXHAUSTED_MAX = 10_000  # remembered windows
PLACE = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "images": "/v1/images/generations",
    "videos": "/v1/video/generations",
    "audio": "/v1/audio/generations",
}


def available_models() -> list[str]:
    """The ids a caller may ask for, in the order of the reference."""
    return list(catalogue.MODELS)


class Place(Protocol):
    """An endpoint, as far as its models go."""

    @property
    def name(self) -> str:
        """Of the catalogue's endpoints."""

    @property
    def endpoint(self) -> str:
        """The documented path."""


def find_model(name: str, wire: Place) -> Model:
    """The model (or what the alias stands for), which must belong to this wire. Raises UnknownModel, InvalidRequest."""
    model = catalogue.find(name) if len(name) <= body.MODEL_LENGTH_MAX else None
    if model is None:
        message = f"There is no model {shown(name)!r}; `available_models` lists those there are."
        raise UnknownModel(message, available_models())
    if wire.name not in model.endpoints:
        places = [PLACE[endpoint] for endpoint in PLACE if endpoint in model.endpoints]
        sort = "an Anthropic" if "messages" in model.endpoints else f"{article(model.kind)} {model.kind}"
        hint = f"; use {places[0]} instead" if places else ""
        raise InvalidRequest(f"{model.id} is {sort} model and is not served on {wire.endpoint}{hint}.")
    return model


def check_served(services: Services, model: Model, wire: Wire) -> None:
    """Raises InvalidRequest where none of the model's upstreams can answer, not even by translation."""
    if services.chain_of(model.id) and not services.route_of(model.id, wire).dialects:
        places = [PLACE[endpoint] for endpoint in PLACE if endpoint in model.endpoints - {wire.name}]
        hint = f"; use {places[0]} instead" if places else ""
        raise InvalidRequest(f"None of {model.id}'s upstreams serves it on {wire.endpoint}{hint}.")


def article(kind: str) -> str:
    """a or an."""
    return "an" if kind[:1] in "aeio" or kind == "llm" else "a"


class Fare(NamedTuple):
    """What a call must be able to pay, and which hour it counts against."""

    model: Model
    limit_class: str  # of the limiter
    bound_uc: int  # the most that it may cost, in microcredits
    request_id: str
    hold_ms: int  # how long the hold stands before it expires by itself


async def admit(services: Services, key: Key, fare: Fare) -> tuple[HoldRecord, Window]:
    """Lets a call in: its hold, and what the limiter said.

    Raises NoAccess, NoCredit, SpendingLimit, TooManyRequests.
    """
    await check_tier(services, key, fare.model)
    window = await known_window(services, key, fare)
    hold = await take_hold(services, key, fare)
    if window is None:
        window = await counted(services, key, fare.limit_class)
    if not window.admitted:
        await services.money.release(hold, "rate limit")
        raise over_limit(window, fare.limit_class)
    return hold, window


async def check_tier(services: Services, key: Key, model: Model) -> None:
    """Raises NoAccess unless the user's cumulative top-up unlocks the model."""
    if not model.min_top_up_uc:
        return
    balance = await services.money.balance(key.payer_id)
    if balance.topped_up_uc < model.min_top_up_uc:
        due, got = model.min_top_up_uc / UC_PER_USD, balance.topped_up_uc / UC_PER_USD
        tier = tier_of(model.min_top_up_uc)
        raise NoAccess(
            f"{model.id} needs the {tier.label} tier, a cumulative top-up of ${due:.2f}; yours is ${got:.2f} "
            f"({tier_of(balance.topped_up_uc).label})."
        )


async def take_hold(services: Services, key: Key, fare: Fare) -> HoldRecord:
    """Sets aside the most that the call may cost. Raises NoCredit, SpendingLimit."""
    caps = services.budgets.caps(key)
    try:
        hold = await services.money.hold(
            user_id=key.payer_id,
            amount_uc=fare.bound_uc,
            minimum_uc=pricing.MINIMUM_BALANCE_UC,
            request_id=fare.request_id,
            deadline_ms=services.clock.now_ms() + fare.hold_ms,
            key_id=key.id,
            caps=caps,
        )
    except InsufficientCredits as error:
        raise no_credit(error.available_uc, error.needed_uc) from None
    except SpendingLimitReached as error:
        raise budgets.refusal(error, services.clock.now_ms()) from None
    if caps:
        services.budgets.counted(caps)
    return hold


def hold_ms(longest_s: float) -> int:
    """How long a hold stands before it expires by itself, for a call of at most so many seconds."""
    return round(longest_s * 1000) + HOLD_SPARE_MS


def no_credit(available_uc: int, needed_uc: int) -> NoCredit:
    """The 402, with both sums."""
    have, need = available_uc / UC_PER_CREDIT, needed_uc / UC_PER_CREDIT
    return NoCredit(f"Not enough credits: {have:.2f} available, {need:.2f} needed for this request.")


def count(services: Services, key: Key, cls: str) -> Window:
    """Counts a request against its hour, if there is room."""
    window = services.limiter.admit(key.user_id, cls, key.limits[cls], services.clock.now_s())
    if not window.admitted:
        remember(services, (key.user_id, cls), window.reset_s)
    return window


async def counted(services: Services, key: Key, cls: str) -> Window:
    """As `count`, over all workers."""
    if services.shared is None:
        return count(services, key, cls)
    window = await services.shared.limiter.admit(key.user_id, cls, key.limits[cls], services.clock.now_s())
    if not window.admitted:
        remember(services, (key.user_id, cls), window.reset_s)
    return window


def remember(services: Services, whose: tuple[str, str], reset_s: int) -> None:
    """Notes that a window is full."""
    exhausted = services.exhausted
    if len(exhausted) >= EXHAUSTED_MAX:
        now_s = services.clock.now_s()
        services.exhausted = {who: until_s for who, until_s in exhausted.items() if until_s > now_s}
    services.exhausted[whose] = reset_s


async def known_window(services: Services, key: Key, fare: Fare) -> Window | None:
    """What the limiter says if the user's hour is known to be full; else None, to be asked later.

    So that a flood of refused requests writes nothing to the ledger. Raises NoCredit, TooManyRequests.
    """
    cls = fare.limit_class
    if services.exhausted.get((key.user_id, cls), 0) <= services.clock.now_s():
        return None
    window = await counted(services, key, cls)
    if window.admitted:  # the limit was raised meanwhile
        return window
    available_uc = (await services.money.balance(key.payer_id)).available_uc
    needed_uc = max(fare.bound_uc, pricing.MINIMUM_BALANCE_UC)
    if available_uc < needed_uc:
        raise no_credit(available_uc, needed_uc)
    raise over_limit(window, cls)


def over_limit(window: Window, cls: str) -> TooManyRequests:
    """The 429, with its headers."""
    retry_after = (b"retry-after", b"%d" % window.retry_after_s)
    message = f"Rate limit reached: {window.limit} {cls} requests an hour. Try again in {window.retry_after_s} s."
    return TooManyRequests(message, [*rate_headers(window), retry_after])


def rate_headers(window: Window) -> list[Header]:
    """The three headers of every response that went through the limiter."""
    return [
        (b"x-ratelimit-limit", b"%d" % window.limit),
        (b"x-ratelimit-remaining", b"%d" % window.remaining),
        (b"x-ratelimit-reset", b"%d" % window.reset_s),
    ]
