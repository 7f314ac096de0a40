"""Output items of a Responses answer, as they stand in the end, with the pieces that a stream sends them in.

Facts of the profile: `reasoning_as` ("summary", or "content" for the raw text), `item_status` (reasoning items have
one), `phase` (messages say whether they are the final answer).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from simulator.answers import tokens
from simulator.answers.answer import Answer, Block, Choice, Native, Refusal, Stop, Text, Thinking, ToolCall
from simulator.answers.blocks import arguments_json, block_tokens
from simulator.ask import Ask
from simulator.dialects.base import Profile, Serving
from simulator.dialects.openai import logprobs as openai_logprobs
from simulator.dialects.responses import secrets
from simulator.dialects.responses.ids import item_id
from simulator.dialects.responses.native import placed
from simulator.dialects.responses.request import Body

CUT: Final = frozenset({Stop.LENGTH, Stop.FILTER})
SUMMARY_PART_TOKENS: Final = 32  # a longer summary has two parts
PREFIXES: Final = {
    "web_search_call": "ws",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "tool_search_call": "tsc",
    "tool_search_output": "tso",
    "local_shell_call": "lsh",
    "apply_patch_call": "apc",
    "compaction": "cmp",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the output.

    `pieces` are its text as it is streamed, in as many rows as it has parts; the first `free` of them cost nothing.
    """

    whole: dict[str, Any]
    pieces: tuple[tuple[str, ...], ...] = ()
    free: int = 0
    tokens: int = 0  # delivered besides the pieces
    cites: tuple[tuple[int, dict[str, Any]], ...] = ()  # (after how many pieces, the annotation)
    logprobs: list[dict[str, Any]] = field(default_factory=list)  # one for each piece, when asked for

    @property
    def text_bytes(self) -> int:
        """UTF-8 bytes of its text."""
        return sum(len(piece.encode()) for row in self.pieces for piece in row)


class Writer:
    """Writes the items of one answer."""

    def __init__(self, answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> None:
        self.choice: Choice = answer.choices[0]
        self.reasoning_tokens = answer.usage.reasoning_tokens
        self.ask = ask
        self.profile = profile
        self.serving = serving
        self.includes = ask.body.includes if isinstance(ask.body, Body) else lambda _: False
        self._index = 0

    def items(self) -> list[Item]:
        """All of them, in order."""
        out = list(self._reasoning())
        said: list[Text | Native] = []
        for block in self.choice.blocks:
            if isinstance(block, Text) or (isinstance(block, Native) and block.content["type"] == "output_text"):
                said.append(block)
                continue
            if said and isinstance(block, ToolCall):
                out += self._message(said, "commentary")
                said = []
            if not isinstance(block, Thinking):
                out.append(self._item(block))
        return out + list(self._message(said, "final_answer"))

    def _id(self, prefix: str) -> str:
        self._index += 1
        return item_id(prefix, self._index, self.serving)

    def seal(self, of: str, size: int) -> str:
        """Encrypted content; each time the wire tells one, it is another."""
        return secrets.seal(self.profile, self.serving.now_s, size, self.serving.seed, self._index, of)

    def _reasoning(self) -> Iterator[Item]:
        """The reasoning item, where the model reasoned."""
        shown = next((block for block in self.choice.blocks if isinstance(block, Thinking)), None)
        if shown is None and not self.reasoning_tokens:
            return
        raw = self.profile.facts.get("reasoning_as") == "content"
        rows = () if shown is None else (shown.pieces,) if raw else _parts(shown.pieces)
        texts = ["".join(row) for row in rows]
        whole: dict[str, Any] = {"id": self._id("rs"), "type": "reasoning"}
        if self.profile.has("item_status"):
            whole["status"] = "completed"
        sealed = self.includes("reasoning.encrypted_content")
        if raw or sealed:
            whole["content"] = [{"type": "reasoning_text", "text": text} for text in texts] if raw else []
        if sealed:
            whole["encrypted_content"] = self.seal("final", 24 * self.reasoning_tokens)
        whole["summary"] = [] if raw else [{"type": "summary_text", "text": text} for text in texts]
        yield Item(whole, rows)

    def _message(self, said: Sequence[Text | Native], phase: str) -> Iterator[Item]:
        """The message, with citations at their places; none when nothing could be said any more."""
        cut = self.choice.stop in CUT and phase == "final_answer"
        free, own = self._free(said), [piece for block in said if isinstance(block, Text) for piece in block.pieces]
        if not said or (cut and not own and not free):
            return
        pieces = tuple(piece for text, _ in free for piece in tokens.split(text)) + tuple(own)
        cites, at, length = [], 0, 0
        for text, found in free:
            at += tokens.count(text)
            cites += [(at, placed(one, length, length + len(text.rstrip()))) for one in found]
            length += len(text)
        part: dict[str, Any] = {"type": "output_text", "annotations": [cite for _, cite in cites]}
        part |= {"logprobs": self._logprobs(pieces), "text": "".join(pieces)}
        whole = self._spoken(part, "incomplete" if cut else "completed", phase)
        yield Item(whole, (pieces,), sum(tokens.count(text) for text, _ in free), 0, tuple(cites), part["logprobs"])

    @staticmethod
    def _free(said: Sequence[Text | Native]) -> list[tuple[str, list[dict[str, Any]]]]:
        """(text, annotations) of what tools brought along."""
        found = [block.content for block in said if isinstance(block, Native)]
        return [(content["text"], content["annotations"]) for content in found]

    def _spoken(self, part: dict[str, Any], status: str, phase: str) -> dict[str, Any]:
        whole = {"id": self._id("msg"), "type": "message", "status": status, "content": [part]}
        if self.profile.has("phase"):
            whole["phase"] = phase
        return whole | {"role": "assistant"}

    def _logprobs(self, pieces: Sequence[str]) -> list[dict[str, Any]]:
        if not self.includes("message.output_text.logprobs"):
            return []
        alternatives = self.ask.body.get("top_logprobs") or 0
        asked = self.ask._replace(body={"logprobs": True, "top_logprobs": alternatives})
        told = openai_logprobs.whole(pieces, asked)
        return list(told["content"]) if told else []

    def _item(self, block: Block) -> Item:
        match block:
            case ToolCall():
                return self._call(block)
            case Refusal(text):
                part = {"type": "refusal", "refusal": text}
                return Item(self._spoken(part, "completed", "final_answer"), (tuple(tokens.split(text)),))
            case Native(content):
                return self._native(dict(content))
            case _:
                raise TypeError(f"a {type(block).__name__} is no item of its own")

    def _call(self, block: ToolCall) -> Item:
        """A call of one of the caller's tools."""
        free = any(tool.kind == "custom" and tool.name == block.name for tool in self.ask.tools)
        text = str(block.arguments.get("input", "")) if free else arguments_json(block.arguments)
        kind, prefix = ("custom_tool_call", "ctc") if free else ("function_call", "fc")
        whole: dict[str, Any] = {"id": self._id(prefix), "type": kind, "status": "completed"}
        called = {"call_id": f"call_{block.call}", "name": block.name}
        if free:
            whole |= {"call_id": called["call_id"], "input": text, "name": block.name}
        else:
            whole |= {"arguments": text} | called
        pieces = tuple(tokens.split(text))
        return Item(whole, (pieces,), tokens=block_tokens(block) - len(pieces))

    def _native(self, content: dict[str, Any]) -> Item:
        """An item of the provider's own tools."""
        kind = content["type"]
        whole = {"id": self._id(PREFIXES[kind])} | content
        if kind == "compaction":
            whole["encrypted_content"] = self.seal("final", 0)
        text = content.get("code") if kind == "code_interpreter_call" else content.get("arguments")
        pieces = tuple(tokens.split(text)) if isinstance(text, str) and kind != "mcp_approval_request" else ()
        return Item(whole, (pieces,), len(pieces))


def _parts(pieces: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """A summary in one part or two."""
    half = len(pieces) // 2
    return (pieces[:half], pieces[half:]) if len(pieces) > SUMMARY_PART_TOKENS else (pieces,)


def written(answer: Answer, ask: Ask, profile: Profile, serving: Serving) -> list[Item]:
    """The output of an answer."""
    return Writer(answer, ask, profile, serving).items()


def as_input(items: Sequence[Item]) -> list[dict[str, Any]]:
    """The same items as the conversation's next request has them."""
    return [item.whole for item in items]
