"""What one model of the Chat Completions wire takes. Every rule is switched by a fact of the profile."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from simulator.ask import NEVER_THINK, Ask
from simulator.dialects.base import Profile
from simulator.dialects.openai.fields import OPTIONAL, one_of
from simulator.dialects.openai.problems import refuse
from simulator.problem import Problem, Refused

DEFAULTS: Final[Mapping[str, Any]] = {  # saying the default is no request for what the model lacks
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "n": 1,
    "logprobs": False,
}
INSTEAD: Final[Mapping[str, str]] = {"max_tokens": " Use 'max_completion_tokens' instead."}
CODED: Final = frozenset({"max_tokens"})  # told with the code `unsupported_parameter`; the others with null
PARTS: Final = ("text", "image_url", "input_audio", "refusal", "audio", "file")
MAGIC: Final = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    body = ask.body
    if refused := profile.facts.get("refused"):
        raise Refused(Problem(refused, param="model" if refused == "not_a_chat_model" else ask.model))
    if body.get("tools") and not profile.has("tools"):
        raise Refused(Problem("no_tools"))
    _parameters(body, profile)
    _thinking(ask, profile)
    _messages(body, profile)
    context = profile.facts.get("context_tokens")
    if context is not None and ask.input_tokens > context:
        raise refuse(
            f"This model's maximum context length is {context} tokens. However, your messages resulted in "
            f"{ask.input_tokens} tokens. Please reduce the length of the messages.",
            "messages",
            "context_length_exceeded",
        )


def _parameters(body: Mapping[str, Any], profile: Profile) -> None:
    unsupported = profile.facts.get("unsupported", ())
    for name, value in body.items():
        if name not in OPTIONAL:
            if not profile.has("lenient"):
                raise refuse(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
        elif value is not None and name in unsupported and value != DEFAULTS.get(name, ...):
            message = f"Unsupported parameter: '{name}' is not supported with this model.{INSTEAD.get(name, '')}"
            raise refuse(message, name, "unsupported_parameter" if name in CODED else None)
    if body.get("web_search_options") is not None and not profile.has("web_search") and not profile.has("lenient"):
        raise refuse("Web search options not supported with this model.", "web_search_options")
    if "audio" in (body.get("modalities") or ()) and not profile.has("audio_output"):
        raise refuse("This model does not support audio output.", "modalities", "unsupported_value")


def _thinking(ask: Ask, profile: Profile) -> None:
    """When a model may be asked to think, and what it must be told of its earlier thoughts."""
    if profile.has("thinks_in_streams") and ask.thinking_tokens > 0 and not ask.stream:
        raise refuse("parameter.enable_thinking must be set to false for non-streaming calls", "enable_thinking")
    if profile.has("always_thinks") and ask.thinking_tokens == NEVER_THINK:
        raise refuse("invalid thinking: only type=enabled is allowed for this model", "thinking")
    if not profile.has("keeps_thoughts") or not profile.has("reasoning") or ask.thinking_tokens == NEVER_THINK:
        return
    for at, message in enumerate(ask.body["messages"]):
        if message.get("tool_calls") and message.get("reasoning_content") is None:
            raise refuse(
                f"thinking is enabled but reasoning_content is missing in assistant tool call message at index {at}",
                f"messages[{at}]",
            )


def _messages(body: Mapping[str, Any], profile: Profile) -> None:
    roles = profile.facts.get("unsupported_roles", ())
    parts = profile.facts.get("content_parts")
    for at, message in enumerate(body["messages"]):
        if message["role"] in roles:
            where = f"messages[{at}].role"
            said = f"Unsupported value: '{where}' does not support '{message['role']}' with this model."
            raise refuse(said, where, "unsupported_value")
        for index, part in enumerate(message["content"] if isinstance(message.get("content"), list) else ()):
            if not profile.has("lenient"):
                one_of(*PARTS)(part["type"], f"messages[{at}].content[{index}].type")
            if parts is not None and part["type"] not in parts:
                where = f"messages[{at}]"
                said = f"Invalid '{where}'. Content blocks are expected to be either text or image_url type."
                raise refuse(said, where, "invalid_value")
    for url in _images(body):
        _image(url, profile)


def _images(body: Mapping[str, Any]) -> Iterator[str]:
    for message in body["messages"]:
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            if part["type"] == "image_url":
                yield part["image_url"]["url"]


def _image(url: str, profile: Profile) -> None:
    """An image is inlined in a known format, or at a host that can be reached. Nothing is ever downloaded."""
    hosts = profile.facts.get("unreachable_hosts")
    if hosts is None:
        return
    if url.startswith("data:"):
        try:
            start = base64.b64decode(url.partition(",")[2][:16] or "!", validate=True)
        except (binascii.Error, ValueError):
            start = b""
        if not start.startswith(MAGIC):
            raise refuse(
                "You uploaded an unsupported image. Please make sure your image has of one the following formats: "
                "['png', 'jpeg', 'gif', 'webp'].",
                code="invalid_image_format",
            )
        return
    host = urlsplit(url).hostname or ""
    if not url.startswith(("http://", "https://")) or any(fnmatchcase(host, glob) for glob in hosts):
        raise refuse(f"Error while downloading {url}.", code="invalid_image_url")
