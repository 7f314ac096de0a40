"""The events of one output item in a stream, from `output_item.added` to `output_item.done`.

| item                  | between the two                                                            |
| --------------------- | -------------------------------------------------------------------------- |
| reasoning             | for each part of the summary: part, deltas, text; or the raw text likewise  |
| message               | part, deltas (and citations in their places), text or refusal, part         |
| function call         | deltas of the arguments, the arguments                                     |
| custom tool call      | deltas of the input, the input                                             |
| web and file search   | in_progress, searching, completed                                          |
| code interpreter      | in_progress, deltas of the code, the code, interpreting, completed         |
| image generation      | in_progress, generating, partial images, completed                         |
| MCP                   | in_progress, completed; of a call also deltas of the arguments             |
| anything else         | nothing                                                                    |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.responses import secrets
from simulator.dialects.responses.items import Item


class Step(NamedTuple):
    """One event without its number and `output_index`."""

    name: str
    members: Mapping[str, Any]
    tokens: int = 0
    text_bytes: int = 0
    kind: str = "start"


class Run(NamedTuple):
    """The deltas of a text, one event a piece; the first `free` pieces cost nothing."""

    name: str
    members: Mapping[str, Any]
    pieces: Sequence[str]
    free: int = 0
    logprobs: Sequence[Mapping[str, Any]] = ()


Steps = Iterator[Step | Run]


def steps(item: Item, index: int, ask: Ask, profile: Profile, serving: Serving) -> Steps:
    """Everything about one item. Encrypted content is another in each event that tells it."""
    begun = _begun(item.whole)
    if "encrypted_content" in item.whole:
        seals = [
            secrets.seal(profile, serving.now_s, size, serving.seed, index, when)
            for when, size in (("added", 0), ("done", len(item.whole["encrypted_content"]) // 2))
        ]
        begun = begun | {"encrypted_content": seals[0]}
        done: dict[str, Any] = item.whole | {"encrypted_content": seals[1]}
    else:
        done = item.whole
    yield Step("response.output_item.added", {"item": begun}, item.tokens)
    middle = _MIDDLE.get(item.whole["type"])
    if middle is not None:
        yield from middle(item, ask, profile)
    yield Step("response.output_item.done", {"item": done})


def _begun(whole: Mapping[str, Any]) -> dict[str, Any]:
    """An item as it is added: in progress and empty."""
    empty = _EMPTY.get(whole["type"], {})
    out = {name: value for name, value in whole.items() if name not in _LATE}
    out |= {name: value for name, value in empty.items() if name in out}
    if "status" in out:
        out["status"] = "in_progress"
    return out


_EMPTY: Final[Mapping[str, Mapping[str, Any]]] = {
    "reasoning": {"content": [], "summary": []},
    "message": {"content": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
    "web_search_call": {"action": {"type": "search"}},
    "file_search_call": {"queries": [], "results": None},
    "code_interpreter_call": {"code": "", "outputs": None},
    "mcp_call": {"arguments": "", "output": None},
    "mcp_list_tools": {"tools": []},
    "mcp_approval_request": {},
    "tool_search_call": {"arguments": {}},
}
_LATE: Final = frozenset({"background", "output_format", "quality", "result", "revised_prompt", "size"})


def _of(item: Item) -> dict[str, Any]:
    return {"item_id": item.whole["id"]}


def _reasoning(item: Item, ask: Ask, profile: Profile) -> Steps:  # noqa: ARG001
    raw = profile.facts.get("reasoning_as") == "content"
    for at, row in enumerate(item.pieces):
        if not row:
            continue
        kind, place = ("reasoning_text", "content_index") if raw else ("summary_text", "summary_index")
        where = _of(item) | {place: at}
        text = "".join(row)
        part = profile.facts.get("reasoning_part", "content_part") if raw else "reasoning_summary_part"
        spoken = "response.reasoning_text" if raw else "response.reasoning_summary_text"
        yield Step(f"response.{part}.added", where | {"part": {"type": kind, "text": ""}})
        yield Run(f"{spoken}.delta", where, row)
        yield Step(f"{spoken}.done", where | {"text": text})
        yield Step(f"response.{part}.done", where | {"part": {"type": kind, "text": text}})


def _message(item: Item, ask: Ask, profile: Profile) -> Steps:  # noqa: ARG001
    where = _of(item) | {"content_index": 0}
    part = item.whole["content"][0]
    if part["type"] == "refusal":
        yield Step("response.content_part.added", where | {"part": {"type": "refusal", "refusal": ""}})
        yield Run("response.refusal.delta", where, item.pieces[0])
        yield Step("response.refusal.done", where | {"refusal": part["refusal"]})
    else:
        empty = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
        yield Step("response.content_part.added", where | {"part": empty})
        yield from _text(item, where)
        yield Step("response.output_text.done", where | {"logprobs": part["logprobs"], "text": part["text"]})
    yield Step("response.content_part.done", where | {"part": part})


def _text(item: Item, where: Mapping[str, Any]) -> Steps:
    """The deltas of a text; a citation comes after the text that it cites."""
    pieces, begin = item.pieces[0], 0
    members = {**where, "logprobs": []}
    for number, (end, annotation) in enumerate(item.cites):
        yield _run(item, members, begin, end)
        cited = {"annotation": annotation, "annotation_index": number}
        yield Step("response.output_text.annotation.added", {**where, **cited})
        begin = end
    yield _run(item, members, begin, len(pieces))


def _run(item: Item, members: Mapping[str, Any], begin: int, end: int) -> Run:
    pieces, logprobs = item.pieces[0][begin:end], item.logprobs[begin:end]
    return Run("response.output_text.delta", members, pieces, max(item.free - begin, 0), logprobs)


def _told(name: str, member: str) -> Callable[[Item, Ask, Profile], Steps]:
    """The events of a text member: its deltas, then the whole. A server may send no deltas."""

    def told(item: Item, ask: Ask, profile: Profile) -> Steps:  # noqa: ARG001
        if profile.has("arguments_whole"):
            size = len(item.whole[member].encode())
            yield Step(f"{name}.done", _of(item) | {member: item.whole[member]}, len(item.pieces[0]), size)
            return
        yield Run(f"{name}.delta", _of(item), item.pieces[0], item.free)
        yield Step(f"{name}.done", _of(item) | {member: item.whole[member]})

    return told


def _states(name: str, *words: str) -> Callable[[Item, Ask, Profile], Steps]:
    """The events of a run that only say how far it is."""

    def told(item: Item, ask: Ask, profile: Profile) -> Steps:  # noqa: ARG001
        for word in words:
            yield Step(f"response.{name}.{word}", _of(item))

    return told


def _code(item: Item, ask: Ask, profile: Profile) -> Steps:
    name = "code_interpreter_call"
    yield from _states(name, "in_progress")(item, ask, profile)
    yield from _told(f"response.{name}_code", "code")(item, ask, profile)
    yield from _states(name, "interpreting", "completed")(item, ask, profile)


def _image(item: Item, ask: Ask, profile: Profile) -> Steps:
    name, whole = "image_generation_call", item.whole
    yield from _states(name, "in_progress", "generating")(item, ask, profile)
    tools: list[Mapping[str, Any]] = ask.body.get("tools") or []
    tool = next((tool for tool in tools if tool["type"] == "image_generation"), {})
    for at in range(tool.get("partial_images") or 0):
        looks = {key: whole[key] for key in ("background", "output_format", "quality", "size")}
        partial = {"partial_image_b64": whole["result"], "partial_image_index": at}
        yield Step(f"response.{name}.partial_image", _of(item) | partial | looks)
    yield from _states(name, "completed")(item, ask, profile)


def _mcp_call(item: Item, ask: Ask, profile: Profile) -> Steps:
    yield from _states("mcp_call", "in_progress")(item, ask, profile)
    yield from _told("response.mcp_call_arguments", "arguments")(item, ask, profile)
    yield from _states("mcp_call", "completed")(item, ask, profile)


_MIDDLE: Final[Mapping[str, Callable[[Item, Ask, Profile], Steps]]] = {
    "reasoning": _reasoning,
    "message": _message,
    "function_call": _told("response.function_call_arguments", "arguments"),
    "custom_tool_call": _told("response.custom_tool_call_input", "input"),
    "web_search_call": _states("web_search_call", "in_progress", "searching", "completed"),
    "file_search_call": _states("file_search_call", "in_progress", "searching", "completed"),
    "code_interpreter_call": _code,
    "image_generation_call": _image,
    "mcp_list_tools": _states("mcp_list_tools", "in_progress", "completed"),
    "mcp_call": _mcp_call,
}
