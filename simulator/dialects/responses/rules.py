"""What one model of the Responses wire takes. Every rule is switched by a fact of the profile, as in `openai.rules`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from simulator.ask import Ask
from simulator.dialects.base import Profile
from simulator.dialects.openai.problems import refuse
from simulator.dialects.openai.rules import DEFAULTS, MAGIC
from simulator.dialects.responses import input, secrets
from simulator.dialects.responses.fields import OPTIONAL
from simulator.dialects.responses.problems import too_long
from simulator.dialects.responses.request import Body, conversation
from simulator.problem import Problem, Refused

PREFIXES: Final[Mapping[str, str]] = {"function_call": "fc", "custom_tool_call": "ctc", "reasoning": "rs"}
PARTS: Final[Mapping[str, str]] = {"input_image": "image_url", "input_file": "file", "input_audio": "input_audio"}
SHOWN: Final = {"message": "content", "function_call_output": "output", "custom_tool_call_output": "output"}
SEALED: Final = frozenset({"reasoning", "compaction"})
DERIVED: Final = frozenset({"reasoning_effort"})  # see `Body`


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    body = ask.body
    if refused := profile.facts.get("refused"):
        raise Refused(Problem(refused, param=ask.model))
    _parameters(body, profile)
    _reasoning(body, profile)
    if ask.tools and not profile.has("tools"):
        raise Refused(Problem("no_tools"))
    _items(ask, profile)
    context = profile.facts.get("context_tokens")
    if context is not None and ask.input_tokens > context and body.get("truncation") != "auto":
        raise too_long()


def _parameters(body: Mapping[str, Any], profile: Profile) -> None:
    unsupported = profile.facts.get("unsupported", ())
    for name, value in body.items():
        if name in DERIVED:
            continue
        if name not in OPTIONAL:
            if not profile.has("lenient"):
                raise refuse(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
        elif value is not None and name in unsupported and value != DEFAULTS.get(name, ...):
            raise refuse(f"Unsupported parameter: '{name}' is not supported with this model.", name)


def _reasoning(body: Mapping[str, Any], profile: Profile) -> None:
    """A model that does not reason takes nothing about it; one that does may not know every effort."""
    asked = body.get("reasoning") or {}
    if profile.has("lenient"):
        return
    for name, value in asked.items():
        if value is not None and not profile.has("reasoning"):
            where = f"reasoning.{name}"
            said = f"Unsupported parameter: '{where}' is not supported with this model."
            raise refuse(said, where, "unsupported_parameter")
    efforts, effort = profile.facts.get("efforts"), asked.get("effort")
    if effort is not None and efforts is not None and effort not in efforts:
        due = ", ".join(f"'{word}'" for word in efforts[:-1]) + f", and '{efforts[-1]}'"
        said = f"Unsupported value: '{effort}' is not supported with the '{profile.snapshot}' model."
        raise refuse(f"{said} Supported values are: {due}.", "reasoning.effort", "unsupported_value")


def _items(ask: Ask, profile: Profile) -> None:
    items = conversation(ask)
    roles, parts = profile.facts.get("unsupported_roles", ()), profile.facts.get("content_parts")
    for at, item in enumerate(items):
        if item.get("role") in roles:
            where = f"input[{at}].role"
            said = f"Unsupported value: '{where}' does not support '{item['role']}' with this model."
            raise refuse(said, where, "unsupported_value")
        if not profile.has("lenient"):
            _own_id(item, f"input[{at}]")
    for where, part in _parts(items):
        if parts is not None and PARTS.get(part["type"], "text") not in parts:
            said = f"Invalid content type '{part['type']}'. It is not supported by this model."
            raise refuse(f"Invalid '{where}'. {said}", where, "invalid_value")
        if part["type"] == "input_image" and isinstance(part.get("image_url"), str):
            _image(part["image_url"], where, profile)
    if not profile.has("lenient"):
        input.check_reasoning(items)
    if profile.has("adjacent_outputs"):
        input.check_adjacent(items)
    _seals(ask, profile)


def _own_id(item: Mapping[str, Any], where: str) -> None:
    prefix, given = PREFIXES.get(item["type"]), item.get("id")
    if prefix and given is not None and not str(given).startswith(prefix):
        said = f"Invalid '{where}.id': '{given}'. Expected an ID that begins with '{prefix}'."
        raise refuse(said, f"{where}.id", "invalid_value")


def _parts(items: tuple[Mapping[str, Any], ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(path, part) of everything that is shown to the model."""
    for at, item in enumerate(items):
        name = SHOWN.get(item["type"], "")
        content = item.get(name)
        if isinstance(content, list):
            yield from ((f"input[{at}].{name}[{n}]", part) for n, part in enumerate(content))


def _image(url: str, where: str, profile: Profile) -> None:
    """An image is inlined in a known format, or at a host that can be reached. Nothing is ever downloaded."""
    hosts = profile.facts.get("unreachable_hosts")
    if hosts is None:
        return
    if url.startswith("data:"):
        head, _, data = url.partition(",")
        try:
            start = base64.b64decode(data[:16] or "!", validate=True)
        except (binascii.Error, ValueError):
            start = b""
        if not head.startswith("data:image/") or not start.startswith(MAGIC):
            due = "Expected a base64-encoded data URL with an image MIME type (e.g. 'data:image/png;base64,iVBORw==')"
            raise refuse(f"Invalid '{where}.image_url'. {due}.", f"{where}.image_url", "invalid_value")
        return
    host = urlsplit(url).hostname or ""
    if not url.startswith(("http://", "https://")) or any(fnmatchcase(host, glob) for glob in hosts):
        raise refuse(f"Error while downloading {url}.", "url", "invalid_value")


def _seals(ask: Ask, profile: Profile) -> None:
    """Encrypted content must be this model's own, at this provider."""
    if profile.has("lenient") or (isinstance(ask.body, Body) and ask.body.any_seal):
        return
    for item in conversation(ask):
        token = item.get("encrypted_content") if item["type"] in SEALED else None
        if token is not None and not secrets.is_ours(profile, token):
            of = f"for item {item['id']}" if item.get("id") else secrets.shown(token)
            said = f"The encrypted content {of} could not be verified."
            raise refuse(
                f"{said} Reason: Encrypted content could not be decrypted or parsed.", code="invalid_encrypted_content"
            )
