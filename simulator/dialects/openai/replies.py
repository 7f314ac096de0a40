"""How an answer is written as one JSON object on the Chat Completions wire, in the form of its vendor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from simulator.answers.answer import Answer, Choice, Text, Thinking
from simulator.answers.blocks import block_tokens
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai import forms
from simulator.dialects.openai import logprobs as openai_logprobs
from simulator.dialects.openai.forms import Form
from simulator.dialects.openai.templates import ABSENT
from simulator.dialects.openai.values import TAGS, calls, common, finish, joined, refusal
from simulator.script import Frame

_INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def whole(answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> Frame:
    """The answer as one object."""
    form = forms.of(profile)
    values = common(answer, ask, profile, serving, form)
    choices: list[Any] = []
    text_bytes = 0
    for index, choice in enumerate(answer.choices):
        said, told = _message_values(choice, ask, profile, form)
        values |= said
        text_bytes += told
        values["message"] = form.templates["message"](values)
        values["index"] = index
        values["finish"] = finish(choice, form)
        logprobs = openai_logprobs.whole(joined(choice, Text), ask)
        values["logprobs"] = ABSENT if logprobs is None else logprobs
        choices.append(form.templates["choice"](values))
    values["choices"] = choices
    data = orjson.dumps(form.templates["whole"](values), option=_INDENTED if form.indent else None)
    tokens_shown = sum(block_tokens(block) for choice in answer.choices for block in choice.blocks)
    return Frame(data, "body", tokens_shown, text_bytes)


def _message_values(choice: Choice, ask: Ask, profile: Profile, form: Form) -> tuple[Mapping[str, Any], int]:
    """The values of an assistant's message, and the UTF-8 bytes of what it says."""
    pieces, thought = joined(choice, Text), joined(choice, Thinking)
    declined, called = refusal(choice), calls(choice, ask, form)
    if declined is not None and "refusal" not in form.deltas:
        pieces, declined = (*pieces, declined), None
    if thought and form.stream.thoughts == "tags":
        pieces, thought = (TAGS[0], *thought, TAGS[1], *pieces), ()
    elif form.stream.thoughts == "hidden":
        thought = ()
    content, thinking = "".join(pieces), "".join(thought)
    silent = not pieces and (declined is not None or bool(called))
    no_refusal = None if profile.has("refusal_key") else ABSENT
    values = {
        "content": ABSENT if silent else content,
        "thought": thinking if thought else ABSENT,
        "thinks": bool(thought),
        "refusal": no_refusal if declined is None else declined,
        "called": bool(called),
        "calls": [form.templates["call"](call.values(call.text)) for call in called] if called else ABSENT,
    }
    texts = [content, thinking, declined or "", *(call.text for call in called)]
    return values, sum(len(text.encode()) for text in texts)
