"""Pictures dialect: POST of a prompt, pictures at once, in the form that the fact `pictures` of the mount names.

Where it is mounted is the whole path (`/v1/images/generations`, `/api/v1/images`). Keys and refusals are those of the
chat wire, in the mount's style. Facts of a model: `steps_ms` (of one step), and where its form tells a usage,
`image_tokens` (of a picture of 1024 x 1024), `text_tokens` (least and most that are written beside it) and `usd` (of a
million tokens of the prompt, of text and of pictures).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, cast

import orjson

from simulator import draws
from simulator.answers.answer import Usage
from simulator.ask import Ask, Request
from simulator.dialects.base import Kept, Profile, Serving
from simulator.dialects.openai.chat import OpenAIChat
from simulator.dialects.openai.ids import Letters
from simulator.dialects.openai.templates import ABSENT
from simulator.dialects.pictures import forms
from simulator.dialects.pictures.request import Canvas, decode
from simulator.media import links
from simulator.media.pictures import Form, picture
from simulator.problem import Problem
from simulator.script import Frame, Script

FOLDER: Final = "/files"
SQUARE: Final = 1024 * 1024
MILLION: Final = 1_000_000
STEPS: Final = 20  # of a sampler that nobody told how many


class Pictures(OpenAIChat):
    """The wire of pictures."""

    name: ClassVar[str] = "pictures"
    root: ClassVar[str] = "/v1/images/generations"
    nonces: ClassVar[str] = "hex16"
    operations: ClassVar[Mapping[tuple[str, str], str]] = {
        ("POST", ""): "create_image",
        ("GET", f"{FOLDER}/{{name}}"): "fetch_file",
    }

    def flaws(self, facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """(fact, what came, what was due) of facts of a mount that name something which is not there."""
        yield from super().flaws(facts)
        if facts.get("pictures") not in forms.names():
            yield "pictures", repr(facts.get("pictures")), f"one of {', '.join(forms.names())}"

    def authenticate(self, request: Request, keys: frozenset[str]) -> None:
        """As on the chat wire; a link bears its own signature instead of a key."""
        if request.method != "GET":
            super().authenticate(request, keys)

    def decode(self, request: Request, operation: str) -> Ask:
        """Read and validate a request."""
        if operation == "fetch_file":
            return Ask(operation, model="", fresh=True)
        return decode(request)

    def check(self, ask: Ask, profile: Profile) -> None:
        """Models take what their form has."""

    def perform(self, ask: Ask, profile: Profile | None, serving: Serving, kept: Kept | None) -> Script:  # noqa: ARG002
        """The pictures, or the one of a link."""
        if ask.operation == "fetch_file":
            return _fetched(serving)
        if profile is None:
            return self.error(Problem("missing_model"), serving)
        form = forms.named(profile.facts["pictures"])
        letters = Letters(serving, profile)
        values = _values(ask, profile, serving) | {"id": letters.spell(form.facts.get("id", ""))}
        values["images"] = [form.image(_of_one(ask, profile, serving, index)) for index in range(ask.choices)]
        values["usage"] = form.usage(values) if form.usage else ABSENT
        frame = Frame(orjson.dumps(form.reply(values)), "body", values["output"])
        headers = tuple((name, letters.spell(value)) for name, value in form.facts["headers"].items())
        usage = Usage(ask.input_tokens, values["output"]) if form.usage else None
        return Script(200, headers, (frame,), usage=usage, billed=(("images", float(ask.choices)),))


def _values(ask: Ask, profile: Profile, serving: Serving) -> dict[str, Any]:
    """The slots of the reply as a whole."""
    facts, canvas = profile.facts, ask.body["canvas"]
    took_ms = _took_ms(ask, profile, serving)
    image = round(facts.get("image_tokens", 0) * canvas.width * canvas.height / SQUARE) * ask.choices
    low, high = facts.get("text_tokens", (0, 0))
    text = draws.between(draws.dice("pictures", serving.seed), low, high)
    of_prompt, of_text, of_image = facts.get("usd", (0, 0, 0))
    prompt_usd = ask.input_tokens * of_prompt / MILLION
    completion_usd = (text * of_text + image * of_image) / MILLION
    return {
        "model": profile.model,
        "created": serving.now_s,
        "took_s": took_ms / 1000,
        "input": ask.input_tokens,
        "output": text + image,
        "total": ask.input_tokens + text + image,
        "image_tokens": image,
        "prompt_usd": float(f"{prompt_usd:.12g}"),
        "completion_usd": float(f"{completion_usd:.12g}"),
        "total_usd": float(f"{prompt_usd + completion_usd:.12g}"),
    }


def _took_ms(ask: Ask, profile: Profile, serving: Serving) -> int:
    steps: int = ask.body.get("steps") or STEPS
    each_ms: float = profile.facts.get("steps_ms", 100) * (1 + 0.2 * draws.fraction("took", serving.seed))
    return round(steps * each_ms)


def _of_one(ask: Ask, profile: Profile, serving: Serving, index: int) -> dict[str, Any]:
    """The slots of one picture."""
    canvas: Canvas = ask.body["canvas"]
    seed = draws.integer("pictures", serving.seed, index) >> 96 if canvas.seed is None else canvas.seed + index
    values: dict[str, Any] = {
        "index": index,
        "seed": seed,
        "media": f"image/{canvas.form}",
        "took_ms": _took_ms(ask, profile, serving),
    }
    of_one = canvas._replace(seed=seed)
    if ask.body["inline"]:
        return values | {"b64": b64encode(_drawn(of_one)).decode()}
    return values | {"url": _link(of_one, ask, profile, serving)}


def _drawn(canvas: Canvas) -> bytes:
    width, height, form, seed, quality, background, words = canvas
    return picture(words, width, height, cast(Form, form), seed or 0, quality, background)


# --- links ------------------------------------------------------------------------------------------------------------


def _link(canvas: Canvas, ask: Ask, profile: Profile, serving: Serving) -> str:
    facts = forms.named(profile.facts["pictures"]).facts
    path = f"{FOLDER}/{draws.word(32, 'pictures', *canvas).lower()}.{canvas.form}"
    secret, kind = profile.facts["signature_secret"], f"image/{canvas.form}"
    ttl_s = facts["link_ttl_s"]
    return links.signed(facts["bucket"], ask.site + path, path, [*canvas], secret, serving.now_s, ttl_s, 403, kind)


def _fetched(serving: Serving) -> Script:
    facts = forms.named(serving.facts["pictures"]).facts
    path = serving.path[serving.path.index(f"{FOLDER}/") :]
    style = facts.get("bucket", "cdn")
    found = links.opened(style, path, serving.query, serving.facts["signature_secret"], serving.now_s)
    if isinstance(found, Script):
        return found
    canvas = Canvas(*found.content)
    return links.served(style, _drawn(canvas), f"image/{canvas.form}", serving.now_s)
