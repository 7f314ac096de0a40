"""Models that are listed, found, priced or refused wrongly."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

from gateway import admission, llm, pricing
from gateway.app import App
from gateway.attempts import Call
from gateway.endpoints import models
from gateway.errors import NoAccess, NotFound, UnknownModel
from gateway.pricing import Usage
from gateway.wires.messages import MessagesWire
from mutants._patch import around, replace
from mutants.billing import edit_charges
from mutants.registry import mutant
from schemas import catalogue
from schemas.catalogue import UC_PER_CREDIT, Model


@mutant()
def listed_model_missing() -> None:
    """The last model of the catalogue is not listed."""
    replace(models, "available_models", lambda: list(catalogue.MODELS)[:-1])


@mutant("GD-210")
def listed_model_not_callable() -> None:
    """A model that is listed is answered with an error."""

    @around(admission, "find_model")
    def find_model(old: Any, name: str, wire: Any) -> Model:
        model: Model = old(name, wire)
        if model.id == "kimi-k2.5":
            raise UnknownModel("no such model", admission.available_models())
        return model


@mutant()
def available_models_missing() -> None:
    """The error for an unknown model does not list those there are."""
    replace(UnknownModel, "extra", lambda _self: {})


@mutant("GD-211")
def raw_model_string_crosses_groups() -> None:
    """An upstream's dated name of a model is taken, too."""

    @around(catalogue, "find")
    def find(old: Any, name: str) -> Model | None:
        found: Model | None = old(name)
        if found is None:
            found = next((m for m in catalogue.MODELS.values() if name.startswith(m.id + "-20")), None)
        return found


@mutant()
def model_case_folded() -> None:
    """Model ids are found without regard to case and blanks."""
    folded = {name.lower(): model for name, model in catalogue.MODELS.items()}

    @around(catalogue, "find")
    def find(old: Any, name: str) -> Model | None:
        return old(name) or folded.get(name.strip().lower())


@mutant("GD-024")
def slash_in_alias_unpriced() -> None:
    """A vendor prefix before a model id is cut off, and the call costs nothing."""

    @around(catalogue, "find")
    def find(old: Any, name: str) -> Model | None:
        found: Model | None = old(name.rpartition("/")[2])
        return changed(found, input_uc=0, output_uc=0) if found is not None and "/" in name else found


@mutant()
def aliases_unknown() -> None:
    """Older Anthropic ids are unknown."""
    replace(catalogue, "find", catalogue.MODELS.get)


@mutant("GD-020")
def price_by_alias_not_model() -> None:
    """A call by alias is charged at the price of the cheapest model of the vendor."""

    @around(admission, "find_model")
    def find_model(old: Any, name: str, wire: Any) -> Model:
        model: Model = old(name, wire)
        cheap = catalogue.MODELS["claude-haiku-4-5"]
        if name == model.id:
            return model
        return changed(model, input_uc=cheap.input_uc - 1, output_uc=cheap.output_uc - 1)


@mutant("GD-006")
def dated_upstream_model_unpriced() -> None:
    """A streamed call is priced by the upstream's dated model name, which has no price."""

    @around(llm, "settle")
    async def settle(old: Any, services: Any, key: Any, call: Call, hold: Any, ending: Any) -> Any:
        if call.wanted.stream and ending.status == "succeeded":
            call.model = changed(call.model, input_uc=0, output_uc=0)
        return await old(services, key, call, hold, ending)


@mutant()
def input_output_prices_swapped() -> None:
    """Input is charged at the output price, and the other way round."""

    def price_uc(model: Model, usage: Usage) -> int:
        return usage.input_tokens * model.output_uc + usage.output_tokens * model.input_uc

    replace(pricing, "price_uc", price_uc)


@mutant()
def anthropic_model_accepted_on_chat() -> None:
    """An Anthropic model on Chat Completions is answered by another vendor's model."""

    @around(admission, "find_model")
    def find_model(old: Any, name: str, wire: Any) -> Model:
        model = catalogue.find(name)
        if wire.name == "chat" and model is not None and model.vendor == "Anthropic":
            return catalogue.MODELS["gpt-5.5"]
        found: Model = old(name, wire)
        return found


@mutant()
def openai_model_accepted_on_messages() -> None:
    """A model of the other wire on Messages is answered by an Anthropic model."""

    @around(admission, "find_model")
    def find_model(old: Any, name: str, wire: Any) -> Model:
        model = catalogue.find(name)
        if isinstance(wire, MessagesWire) and model is not None and "chat" in model.endpoints:
            return catalogue.MODELS["claude-haiku-4-5"]
        found: Model = old(name, wire)
        return found


@mutant()
def media_model_accepted_on_chat() -> None:
    """An image, video or audio model is taken on an LLM endpoint."""

    @around(admission, "find_model")
    def find_model(old: Any, name: str, wire: Any) -> Model:
        model = catalogue.find(name)
        if model is not None and model.kind != "llm":
            return catalogue.MODELS["gpt-5.5" if wire.name == "chat" else "claude-haiku-4-5"]
        found: Model = old(name, wire)
        return found


@mutant()
def alias_paths_missing() -> None:
    """Only the documented paths are served, not those that SDKs make of the documented base URL."""

    @around(App, "answer")
    async def answer(old: Any, self: App, exchange: Any, path: str) -> None:
        if path.startswith(("/v1/", "/api/v1/v1/")):
            raise NotFound(f"There is nothing at {path}.")
        await old(self, exchange, path)


@mutant()
def tier_never_checked() -> None:
    """No model needs a tier."""

    async def check_tier(*_args: Any) -> None:
        return None

    replace(admission, "check_tier", check_tier)


@mutant()
def tier_checked_against_balance() -> None:
    """The tier is judged by the balance, not by what was ever bought."""

    async def check_tier(services: Any, key: Any, model: Model) -> None:
        balance = await services.money.balance(key.user_id)
        if balance.available_uc < model.min_top_up_uc:
            raise NoAccess(f"{model.id} needs a higher tier.")

    replace(admission, "check_tier", check_tier)


@mutant("GD-210")
def listed_media_model_not_callable() -> None:
    """A picture, a video and a sound model that are listed are answered with an error."""
    missing = ("flux-2-flex", "vidu-q3-pro", "audio-clone")

    @around(admission, "find_model")
    def find_model(old: Any, name: str, wire: Any) -> Model:
        model: Model = old(name, wire)
        if model.id in missing:
            raise UnknownModel("no such model", admission.available_models())
        return model


@mutant()
def media_charged_in_whole_credits() -> None:
    """What is billed by the picture or the second costs whole credits: the rest is cut off."""
    edit_charges(lambda charge_uc, _hold, row: charge_uc if row.unit is None else charge_uc - charge_uc % UC_PER_CREDIT)
