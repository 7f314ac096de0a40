"""Gemini calls that are read, framed, passed on or charged wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway import admission, auth
from gateway.app import App
from gateway.endpoints import gemini
from gateway.errors import InvalidRequest, NotFound
from gateway.services import Services
from gateway.upstreams import gemini_generate
from gateway.wires import gemini as gemini_wire
from gateway.wires.gemini import Array, GenerateWire
from mutants._edits import without
from mutants._patch import Edit, around, edit_answers, edit_request, replace
from mutants.failover import stop_chain
from mutants.registry import mutant
from schemas import catalogue

GENERATE = (GenerateWire,)


def edit_chunks(edit: Edit) -> None:
    """Every chunk of a stream and every whole reply is read as `edit` makes it."""
    edit_answers(edit, GENERATE)


def parts(edit: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Edit:
    """An edit of a chunk or reply that edits each part; None takes a part away."""

    def apply(chunk: dict[str, Any]) -> dict[str, Any]:
        for candidate in chunk.get("candidates") or ():
            content = candidate.get("content") or {}
            if "parts" in content:
                content["parts"] = [kept for part in content["parts"] if (kept := edit(part)) is not None]
        return chunk

    return apply


@mutant()
def gemini_chunk_trimmed() -> None:
    """Text is kept to its letters of ASCII."""

    def trim(part: dict[str, Any]) -> dict[str, Any]:
        text = part.get("text")
        return {**part, "text": text.encode("ascii", "ignore").decode()} if isinstance(text, str) else part

    edit_chunks(parts(trim))


@mutant()
def gemini_held_chunk_lost() -> None:
    """The chunk that completes a streamed answer is not sent."""
    replace(GenerateWire, "closing", lambda _self, _reader, _terminal, _bill: b"")


@mutant()
def gemini_query_key_refused() -> None:
    """Of the forms of a key, only the headers are seen on the Gemini endpoint."""

    @around(Services, "key_of")
    def key_of(old: Any, self: Services, exchange: Any) -> Any:
        if "/gemini" in exchange.scope["path"]:
            return self.check_key(auth.secret(exchange.headers, b""))
        return old(self, exchange)


@mutant()
def gemini_caller_key_forwarded() -> None:
    """The caller's own key goes upstream in a header."""

    @around(GenerateWire, "upstream_headers")
    def upstream_headers(old: Any, self: GenerateWire, key: str, caller: Any) -> list[tuple[str, str]]:
        mine = [
            (f"x-caller-{name.decode()}", caller[name].decode("latin-1"))
            for name in auth.CREDENTIAL_HEADERS
            if name in caller
        ]
        return [*old(self, key, caller), *mine]


@mutant("GD-125")
def gemini_usage_of_chunks_summed() -> None:
    """The counts of all chunks are added up."""

    @around(gemini_generate, "read_usage")
    def read_usage(old: Any, usage: Any, told: Any, spoken: bool) -> None:
        before = told.output_tokens or 0
        old(usage, told, spoken)
        if isinstance(usage, dict) and "candidatesTokenCount" in usage:
            told.output_tokens += before


@mutant("GD-126")
def gemini_tool_prompt_billed_as_output() -> None:
    """What tools put into the prompt is charged as output."""

    @around(gemini_generate, "read_usage")
    def read_usage(old: Any, usage: Any, told: Any, spoken: bool) -> None:
        old(usage, told, spoken)
        read = usage.get("toolUsePromptTokenCount") if isinstance(usage, dict) else None
        if read and told.output_tokens is not None:
            told.input_tokens -= read
            told.output_tokens += read


@mutant()
def gemini_thoughts_free() -> None:
    """Thoughts are not charged."""

    @around(gemini_generate, "read_usage")
    def read_usage(old: Any, usage: Any, told: Any, spoken: bool) -> None:
        old(without("thoughtsTokenCount")(usage) if isinstance(usage, dict) else usage, told, spoken)


@mutant("GD-128")
def gemini_signature_lost() -> None:
    """Calls arrive without their signatures."""
    edit_chunks(parts(lambda part: without("thoughtSignature")(part) if "functionCall" in part else part))


@mutant("GD-127")
def gemini_signature_of_empty_text_dropped() -> None:
    """Parts without text, signed or not, are dropped."""
    edit_chunks(parts(lambda part: None if part.get("text") == "" else part))


@mutant("GD-129")
def gemini_signature_not_sent_back() -> None:
    """Signatures of the history do not go back to the upstream."""

    def strip(body: dict[str, Any]) -> dict[str, Any]:
        for content in body.get("contents") or ():
            content["parts"] = [without("thoughtSignature")(part) for part in content.get("parts") or ()]
        return body

    edit_request(strip, GENERATE)


@mutant()
def gemini_safety_settings_dropped() -> None:
    """What OpenAI's shape has no word for is dropped."""
    edit_request(without("safetySettings"), GENERATE)


@mutant()
def gemini_system_instruction_folded() -> None:
    """The system instruction is put in front of the first turn."""

    def fold(body: dict[str, Any]) -> dict[str, Any]:
        said = body.get("systemInstruction")
        if said is None:
            return body
        first = {"role": "user", "parts": said.get("parts")}
        return {**without("systemInstruction")(body), "contents": [first, *body["contents"]]}

    edit_request(fold, GENERATE)


@mutant()
def gemini_openai_shape_refused() -> None:
    """Only Gemini's own shape is taken."""
    replace(gemini.DocumentedWire, "chosen", lambda _self, _fields: GenerateWire())


@mutant()
def gemini_serves_other_models() -> None:
    """Any model may be asked for in either shape."""

    @around(admission, "find_model")
    def find_model(old: Any, name: str, wire: Any) -> Any:
        model = catalogue.find(name)
        return model if wire.name == "gemini" and model is not None else old(name, wire)

    replace(admission, "check_served", lambda *_args: None)


@mutant()
def gemini_contents_unchecked() -> None:
    """What stands in `contents`, and beside it, is left to the upstream."""

    @around(gemini_wire, "check_contents")
    def check_contents(_old: Any, fields: Any) -> None:
        if not isinstance(fields.get("contents", []), list):
            raise InvalidRequest("`contents` is no array.")


@mutant()
def gemini_array_left_open() -> None:
    """A stream that is a JSON array has no end bracket."""
    replace(Array, "END", b"")


@mutant()
def gemini_sdk_paths_missing() -> None:
    """Only the documented path is served."""

    @around(App, "answer")
    async def answer(old: Any, self: App, exchange: Any, path: str) -> None:
        if ":" in path and "/models/" in path:
            raise NotFound("There is nothing here.")
        await old(self, exchange, path)


@mutant()
def gemini_death_looks_whole() -> None:
    """An answer that broke off ends with an error chunk in a body that ends as a whole one does."""
    replace(GenerateWire, "cuts_after_error", False)


@mutant()
def gemini_death_silent() -> None:
    """An answer that broke off just ends."""
    replace(GenerateWire, "cuts_after_error", False)
    replace(GenerateWire, "error_frame", lambda _self, _message: b"")


@mutant()
def gemini_never_fails_over() -> None:
    """A target of Gemini that fails is the last one asked."""
    stop_chain(lambda call, _failure: call.wire.name == "gemini")
