"""What one Anthropic model takes: limits, thinking modes, sampling, and signatures that this fleet wrote.

Every rule is switched by a fact of the profile, so that an older or an Anthropic-like model is a row of data.

    max_output_tokens, context_tokens   limits, in tokens
    thinking                            list of "enabled" and "adaptive"; absent: every mode is taken
    thinking_display                    "summarized" (default) or "omitted": what a request that does not say gets
    efforts                             list of levels; absent: all
    prefill                             whether a conversation may end with an assistant turn (default true)
    one_sampling_parameter              temperature and top_p exclude each other
    loose_tool_ids                      tool_use and tool_result need not match
    signature_secret                    bytes or hex: verifies the signatures in the history; absent: any is taken
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from simulator.answers import signatures
from simulator.ask import Ask
from simulator.dialects.anthropic.content import blocks, pairing
from simulator.dialects.anthropic.problems import refuse
from simulator.dialects.anthropic.request import Body
from simulator.dialects.base import Profile
from simulator.problem import Problem, Refused

REDACTED: Final = "redacted"  # what the data of a redacted block is a signature of


def secret(profile: Profile) -> bytes | None:
    """The fleet's signing secret, when the profile has one."""
    value = profile.facts.get("signature_secret")
    return bytes.fromhex(value) if isinstance(value, str) else value


def sign(profile: Profile, text: str) -> str:
    """The signature of a thinking text by this model at this provider."""
    return signatures.sign(secret(profile) or b"", signatures.family(profile.snapshot), profile.provider, text)


def check(ask: Ask, profile: Profile) -> None:
    """Raise Refused for what the model does not take."""
    body = ask.body
    if not profile.has("loose_tool_ids"):
        pairing(body["messages"])
    _limits(ask, profile)
    _thinking(body, profile)
    _effort(body, profile)
    if profile.has("one_sampling_parameter") and body.get("temperature") is not None and body.get("top_p") is not None:
        raise refuse("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    if not profile.facts.get("prefill", True) and body["messages"][-1]["role"] == "assistant":
        raise refuse(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    _signatures(body, profile)


def _limits(ask: Ask, profile: Profile) -> None:
    if ask.operation == "count_tokens":
        return
    most = profile.facts.get("max_output_tokens")
    if most is not None and (ask.max_tokens or 0) > most:
        raise refuse(
            f"max_tokens: {ask.max_tokens} > {most}, which is the maximum allowed number of output tokens for "
            f"{profile.snapshot}"
        )
    context = profile.facts.get("context_tokens")
    if context is not None and ask.input_tokens > context:
        raise refuse(f"prompt is too long: {ask.input_tokens} tokens > {context} maximum")


def _thinking(body: Mapping[str, Any], profile: Profile) -> None:
    mode = (body.get("thinking") or {}).get("type", "disabled")
    modes = profile.facts.get("thinking")
    if modes is None or mode in ("disabled", *modes):
        return
    if not modes:
        raise refuse(f"'{profile.model}' does not support thinking.")
    if mode == "enabled":
        raise refuse(
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.'
        )
    raise refuse(f"{mode} thinking is not supported on this model")


def _effort(body: Mapping[str, Any], profile: Profile) -> None:
    effort = (body.get("output_config") or {}).get("effort")
    efforts = profile.facts.get("efforts")
    if effort is None or efforts is None or effort in efforts:
        return
    if not efforts:
        raise refuse("This model does not support the effort parameter.")
    raise refuse(
        f"This model does not support effort level '{effort}'. Supported levels: {', '.join(sorted(efforts))}."
    )


def _signatures(body: Mapping[str, Any], profile: Profile) -> None:
    key = secret(profile)
    if key is None or (isinstance(body, Body) and body.any_signature):
        return
    family = signatures.family(profile.snapshot)
    for where, block in _thinking_blocks(body["messages"]):
        redacted = block["type"] == "redacted_thinking"
        text, signature = (REDACTED, block["data"]) if redacted else (block["thinking"], block["signature"])
        if not signatures.verify(key, family, profile.provider, text, signature):
            if redacted:
                raise refuse(f"{where}: Invalid `data` in `redacted_thinking` block")
            raise Refused(Problem("stale_signature", param=where))


def _thinking_blocks(messages: list[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(path, block) of every thinking block in the history."""
    for at, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        for index, block in enumerate(message["content"] if isinstance(message["content"], list) else ()):
            if block["type"] in ("thinking", "redacted_thinking"):
                yield f"messages.{at}.content.{index}", block


def shows_thinking(body: Mapping[str, Any], profile: Profile) -> bool:
    """Whether thinking text is sent, or only its signature."""
    asked = (body.get("thinking") or {}).get("display")
    display: str = asked or profile.facts.get("thinking_display", "summarized")
    return display == "summarized"


def redacts_thinking(body: Mapping[str, Any]) -> bool:
    """Whether a user's text holds the documented string that makes thinking come back redacted."""
    texts = (b["text"] for m in body["messages"] if m["role"] == "user" for b in blocks(m, "text"))
    return any("ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_" in text for text in texts)
