"""What stands around the content of an event: ids, time, model, the order of keys, keys that nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from simulator.draws import word
from simulator.faults import options, payloads
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.faults.payloads import Event, Json
from simulator.script import Script

META: Final = ("id", "object", "created", "model")
ROTATING: Final = frozenset({"id", "item_id"})
LETTERS: Final = 12
MODELS: Final = frozenset({"model", "modelVersion"})


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class IdEmptyCreatedZero(Fault):
    """Leave id, model, fingerprint and tier empty texts, and `created` 0."""

    kind: ClassVar[str] = "id_empty_created_zero"
    seen_at: ClassVar[str] = "Snowflake, Azure (its first chunk)"
    still: ClassVar[bool] = True

    def script(self, script: Script, _: Scene) -> Script:
        return payloads.edit(script, _emptied)


def _emptied(found: Json) -> bool:
    if "choices" not in found:
        return False
    blank = {"id": "", "created": 0, "model": "", "system_fingerprint": "", "service_tier": ""}
    found.update({name: empty for name, empty in blank.items() if name in found})
    return True


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class MissingMeta(Fault):
    """Leave `id`, `object`, `created` and `model` out."""

    kind: ClassVar[str] = "missing_meta"
    seen_at: ClassVar[str] = "Kimi (`object`), OpenAI-compatible servers (a changelog of the Vercel AI SDK)"
    still: ClassVar[bool] = True
    keys: str = options.text(" ".join(META), about="the keys left out, parted by spaces")
    where: str = options.one_of("every", ("every", "first"), about="in every chunk, or in the first alone")

    def script(self, script: Script, _: Scene) -> Script:
        told = payloads.events(script)
        chunks = [event for event in told if payloads.is_chunk(event.json)]
        for event in chunks if self.where == "every" else chunks[:1]:
            self._without(event)
        return payloads.written(script, told)

    def _without(self, event: Event) -> None:
        gone = [name for name in self.keys.split() if event.json and name in event.json]
        if gone and event.json is not None:
            for name in gone:
                del event.json[name]
            event.put()


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedDrift(Fault):
    """Let `created` grow by a second every few chunks of one stream."""

    kind: ClassVar[str] = "created_drift"
    seen_at: ClassVar[str] = "xAI"
    still: ClassVar[bool] = True
    every: int = options.whole(4, low=1, about="chunks of the same second")

    def script(self, script: Script, _: Scene) -> Script:
        if not script.stream:
            return script
        told = payloads.events(script)
        chunks = [event for event in told if event.json and isinstance(event.json.get("created"), int)]
        for at, event in enumerate(chunks[self.every :], self.every):
            if event.json is not None:
                event.json["created"] += at // self.every
                event.put()
        return payloads.written(script, told)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class IdRotation(Fault):
    """Give the response and its items other ids in every event of a stream; prefixes and ids of calls stay."""

    kind: ClassVar[str] = "id_rotation"
    seen_at: ClassVar[str] = "GitHub Copilot (Responses)"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        if not script.stream:
            return script
        told = payloads.events(script)
        for at, event in enumerate(told):
            rows = _identified(event.json or {})
            for number, row in enumerate(rows):
                for key in ROTATING & row.keys():
                    row[key] = _rotated(str(row[key] or ""), scene.serving.nonce, at, number)
            if rows:
                event.put()
        return payloads.written(script, told)


def _identified(found: Json) -> list[Json]:
    """The event, its response or message, and the items below, as far as they have an id."""
    below = [found[key] for key in ("response", "item", "message") if isinstance(found.get(key), dict)]
    output = [item for row in below if isinstance(row.get("output"), list) for item in row["output"]]
    return [row for row in (found, *below, *output) if ROTATING & row.keys()]


def _rotated(old: str, nonce: str, at: int, number: int) -> str:
    """An id for this place: the prefix, what no other event has, and the request's own part."""
    prefix = old[: old.find("-" if old.startswith("chatcmpl") else "_") + 1]
    return f"{prefix}{word(LETTERS, 'rotation', at, number)}{nonce}"


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOrderShuffle(Fault):
    """Write the keys of chunk, choice and delta in another order in every event."""

    kind: ClassVar[str] = "key_order_shuffle"
    seen_at: ClassVar[str] = "Qwen"
    still: ClassVar[bool] = True

    def script(self, script: Script, scene: Scene) -> Script:
        if not script.stream:
            return script
        told = payloads.events(script)
        for at, event in enumerate(told):
            if event.json is not None and payloads.is_chunk(event.json):
                for row in (event.json, *payloads.choices(event.json)):
                    _turn(row, scene.serving.seed + at)
                event.put()
        return payloads.written(script, told)


def _turn(row: Json, by: int) -> None:
    """The keys of an object from another one on, backwards half of the time."""
    keys = list(row)
    at = by % (len(keys) or 1)
    turned = keys[at:] + keys[:at]
    if by % 2:
        turned.reverse()
    values = dict(row)
    row.clear()
    row.update({key: values[key] for key in turned})


EXTRA: Final[Mapping[str, Mapping[str, Json]]] = {  # vendor -> where -> keys
    "openrouter": {"chunk": {"provider": "Fleet"}, "choice": {"native_finish_reason": None}},
    "vllm": {"chunk": {"prompt_token_ids": None, "kv_transfer_params": None}, "choice": {"token_ids": None}},
    "novita": {"chunk": {"sla_metrics": {"ts_us": 0, "ttft_ms": 120}}, "delta": {"reasoning_content": None}},
    "together": {"choice": {"text": "", "seed": 7, "token_id": 42}, "delta": {"token_id": 42}},
}


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownExtraKeys(Fault):
    """Add a vendor's own keys to chunk, choice and delta; `all` adds those of every vendor known here."""

    kind: ClassVar[str] = "unknown_extra_keys"
    seen_at: ClassVar[str] = "vLLM, Novita, Together, OpenRouter"
    still: ClassVar[bool] = True
    vendor: str = options.one_of("all", ("all", *EXTRA), about="whose keys")

    def script(self, script: Script, _: Scene) -> Script:
        vendors = list(EXTRA.values()) if self.vendor == "all" else [EXTRA[self.vendor]]
        rows: dict[str, Json] = {"chunk": {}, "choice": {}, "delta": {}}
        for vendor in vendors:
            for where, keys in vendor.items():
                rows[where] |= keys
        return payloads.edit(script, lambda found: _extended(found, rows))


def _extended(found: Json, rows: Mapping[str, Json]) -> bool:
    if "choices" not in found:
        return False
    _add(found, rows["chunk"])
    for choice in payloads.choices(found):
        _add(choice, rows["choice"])
        said = payloads.said(choice)
        if said:
            _add(said, rows["delta"])
    return True


def _add(row: Json, keys: Json) -> None:
    """Keys that an object has not; before its padding, which stays last."""
    padding = {"obfuscation": row.pop("obfuscation")} if "obfuscation" in row else {}
    row.update({name: value for name, value in keys.items() if name not in row} | padding)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEchoDiffers(Fault):
    """Name another model in the reply than the one that was asked."""

    kind: ClassVar[str] = "model_echo_differs"
    seen_at: ClassVar[str] = "OpenAI (dated snapshots), aggregators"
    still: ClassVar[bool] = True
    model: str | None = options.text(None, about="the name told; without it the asked one with `fleet/` before it")

    def script(self, script: Script, scene: Scene) -> Script:
        if scene.ask is None or not scene.ask.model or script.status >= 400:
            return script
        name = self.model or f"fleet/{scene.ask.model}"
        return payloads.edit(script, lambda found: _renamed(found, name))


def _renamed(found: Json, name: str) -> bool:
    """Every model named at the top, or in the message or response below."""
    below = [found[key] for key in ("message", "response") if isinstance(found.get(key), dict)]
    rows = [row for row in (found, *below) if MODELS & row.keys() and found.get("object") not in ("model", "list")]
    for row in rows:
        row.update(dict.fromkeys(MODELS & row.keys(), name))
    return bool(rows)
