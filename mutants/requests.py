"""Requests that do not reach the upstream as the caller wrote them."""

from __future__ import annotations

from typing import Any

from gateway import llm
from gateway.errors import InvalidRequest
from gateway.upstreams import anthropic_messages
from gateway.wires.messages import MessagesWire
from mutants._edits import CHAT, MESSAGES, blocks_of, messages_of, without
from mutants._patch import around, edit_request, replace
from mutants.registry import mutant


@mutant("GD-106")
def max_tokens_field_dropped() -> None:
    """The caller's output limit does not reach the upstream."""
    edit_request(without("max_tokens", "max_completion_tokens"), CHAT)


@mutant("GD-107")
def output_cap_silently_applied() -> None:
    """Output limits over 4096 are lowered to it."""

    def cap(body: dict[str, Any]) -> dict[str, Any]:
        return {k: min(v, 4096) if k.startswith("max_") and isinstance(v, int) else v for k, v in body.items()}

    edit_request(cap)


@mutant()
def unknown_fields_dropped() -> None:
    """Only parameters that the gateway knows are forwarded."""
    known = {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "n",
             "top_p", "stop", "tools", "tool_choice", "response_format", "system", "thinking", "stop_sequences",
             "output_config", "reasoning_effort", "seed", "parallel_tool_calls", "metadata"}  # fmt: skip
    edit_request(lambda body: {k: v for k, v in body.items() if k in known})


@mutant()
def temperature_defaulted() -> None:
    """A temperature of 1 is added where the caller gave none."""
    edit_request(lambda body: {"temperature": 1, **body}, CHAT)


@mutant()
def content_parts_flattened() -> None:
    """A list of text parts becomes one string."""

    def flatten(message: dict[str, Any]) -> dict[str, Any]:
        content = message.get("content")
        if not isinstance(content, list) or any(part.get("type") != "text" for part in content):
            return message
        return {**message, "content": "\n".join(part["text"] for part in content)}

    edit_request(messages_of(flatten))


@mutant()
def tool_results_dropped() -> None:
    """Results of tool calls do not reach the upstream."""
    edit_request(lambda body: {**body, "messages": [m for m in body["messages"] if m.get("role") != "tool"]}, CHAT)
    edit_request(blocks_of(lambda block: block.get("type") != "tool_result"), MESSAGES)


@mutant()
def response_format_dropped() -> None:
    """The JSON Schema asked for does not reach the upstream."""
    edit_request(without("response_format", "output_config"))


@mutant()
def image_parts_dropped() -> None:
    """Images do not reach the upstream."""
    edit_request(blocks_of(lambda block: block.get("type") not in ("image_url", "image")))


@mutant()
def cheaper_model_substituted() -> None:
    """The upstream is asked for a cheaper model than the caller named."""
    from gateway.config import Upstream

    @around(Upstream, "model")
    def model(old: Any, self: Upstream, name: str) -> str:
        asked: str = old(self, name)
        return {"gpt-5.5": "gpt-5.4-nano", "claude-opus-4-6": "claude-haiku-4-5"}.get(asked, asked)


@mutant()
def max_tokens_defaulted() -> None:
    """A Messages request without max_tokens is given 1024."""

    @around(MessagesWire, "check")
    def check(old: Any, self: MessagesWire, fields: dict[str, Any]) -> Any:
        return old(self, {"max_tokens": 1024, **fields})

    edit_request(lambda body: {"max_tokens": 1024, **body}, MESSAGES)


@mutant("GD-122")
def thinking_param_and_blocks_dropped() -> None:
    """The thinking parameter and thinking blocks of the history do not reach the upstream."""
    edit_request(without("thinking"), MESSAGES)
    edit_request(blocks_of(lambda block: block.get("type") not in anthropic_messages.THINKING), MESSAGES)


@mutant("GD-121")
def thinking_bytes_reserialised() -> None:
    """Blanks at the end of a thinking block of the history are trimmed on the way."""

    def trim(message: dict[str, Any]) -> dict[str, Any]:
        content = message.get("content")
        if not isinstance(content, list):
            return message
        return {**message, "content": [{**b, "thinking": b["thinking"].strip()} if "thinking" in b else b
                                       for b in content]}  # fmt: skip

    edit_request(messages_of(trim), MESSAGES)


@mutant("GD-115")
def redacted_thinking_dropped() -> None:
    """Redacted thinking of the history does not reach the upstream."""
    edit_request(blocks_of(lambda block: block.get("type") != "redacted_thinking"), MESSAGES)


@mutant("GD-113")
def foreign_thinking_signature_replayed() -> None:
    """A thinking block that an upstream refuses for its signature is not taken out."""

    @around(MessagesWire, "mended")
    def mended(old: Any, self: MessagesWire, body: bytes, flaw: str) -> bytes:
        return body if flaw == "signature" else bytes(old(self, body, flaw))


@mutant("GD-119")
def signature_strip_not_applied_to_body() -> None:
    """The request is sent again as if it had been mended, with the refused blocks still in it."""

    @around(MessagesWire, "mended")
    def mended(_old: Any, _self: MessagesWire, body: bytes, _flaw: str) -> bytes:
        return body + b" "


@mutant("GD-123")
def tool_id_charset_rejected() -> None:
    """Tool ids that an upstream refuses are not rewritten."""

    @around(MessagesWire, "mended")
    def mended(old: Any, self: MessagesWire, body: bytes, flaw: str) -> bytes:
        return body if flaw == "tool_id" else bytes(old(self, body, flaw))


@mutant()
def strip_removes_tool_blocks() -> None:
    """With the refused thinking, tool_use blocks are taken out of the history."""
    replace(anthropic_messages, "THINKING", frozenset({"thinking", "redacted_thinking", "tool_use"}))


@mutant()
def tool_ids_rewritten() -> None:
    """Tool ids in the history are rewritten on the way."""

    @around(MessagesWire, "upstream_body")
    def upstream_body(old: Any, *args: Any) -> bytes:
        body: bytes = old(*args)
        return body.replace(b'"toolu_', b'"tool_x_')


@mutant("GD-111")
def cache_control_removed() -> None:
    """`cache_control` does not reach the upstream."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k != "cache_control"}
        return [strip(v) for v in value] if isinstance(value, list) else value

    edit_request(strip, MESSAGES)


@mutant("GD-110")
def beta_header_not_forwarded() -> None:
    """`anthropic-beta` does not reach the upstream."""
    replace(anthropic_messages, "beta_names", lambda _value: [])


@mutant()
def anthropic_version_allow_list() -> None:
    """Only anthropic-version 2023-06-01 is taken."""

    @around(llm, "understand")
    async def understand(old: Any, services: Any, exchange: Any, wire: Any) -> Any:
        if exchange.headers.get(b"anthropic-version", b"2023-06-01") != b"2023-06-01":
            raise InvalidRequest("anthropic-version must be 2023-06-01")
        return await old(services, exchange, wire)


@mutant()
def system_dropped() -> None:
    """The system prompt does not reach the upstream."""
    edit_request(without("system"), MESSAGES)


@mutant()
def messages_ascii_escaped_twice() -> None:
    """Characters beyond ASCII reach the upstream as the text of their escapes."""
    edit_request(
        messages_of(
            lambda m: (
                {**m, "content": m["content"].encode("ascii", "backslashreplace").decode()}
                if isinstance(m.get("content"), str)
                else m
            )
        )
    )


@mutant()
def passthrough_field_dropped() -> None:
    """The caller's `metadata` does not reach the upstream."""
    edit_request(without("metadata"))
