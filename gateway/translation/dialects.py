"""The dialects that can be translated into each other: how each is read and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from gateway.translation.chat import answer as chat_answers
from gateway.translation.chat import request as chat
from gateway.translation.delta import Head, Reading, Writing
from gateway.translation.gemini import answer as gemini_answers
from gateway.translation.gemini import request as gemini
from gateway.translation.messages import answer as messages_answers
from gateway.translation.messages import request as messages
from gateway.translation.prompt import Prompt
from gateway.translation.responses import answer as responses_answers
from gateway.translation.responses import request as responses
from schemas.catalogue import Model

Json = dict[str, Any]


class Dialect(NamedTuple):
    """One of them."""

    read: Callable[[Mapping[str, Any]], Prompt]  # a body that its wire has checked; raises Untranslatable
    write: Callable[[Prompt, Model], Json]  # the body for a model; raises Untranslatable
    reading: Callable[[], Reading]
    writing: Callable[[Head], Writing]


DIALECTS: Final[Mapping[str, Dialect]] = {
    "openai_chat": Dialect(chat.read, chat.write, chat_answers.Reading, chat_answers.Writing),
    "anthropic_messages": Dialect(messages.read, messages.write, messages_answers.Reading, messages_answers.Writing),
    "openai_responses": Dialect(responses.read, responses.write, responses_answers.Reading, responses_answers.Writing),
    "gemini_generate": Dialect(gemini.read, gemini.write, gemini_answers.Reading, gemini_answers.Writing),
}
