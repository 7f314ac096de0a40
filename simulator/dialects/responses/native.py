"""Items that only the Responses wire has: what the provider's own tools leave in an answer.

Each function gives the items of one tool's run, for `[[answer: native=NAME]]`, without ids. Text that a run adds to
the message, with its citations, is an item `output_text`; it is free of charge, as the rest of what tools bring along.
Source: recorded replies, May 2025 to August 2026.
"""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from random import Random
from types import MappingProxyType
from typing import Any, Final

from simulator.answers.answer import Block, Native
from simulator.ask import Ask
from simulator.draws import ALPHABET

_PAGES: Final = (
    ("Teapots of the river towns", "https://example.com/teapots/river-towns"),
    ("A short history of the kettle", "https://example.com/kettles/history"),
    ("How water remembers its boiling point", "https://example.org/notes/boiling"),
    ("Field notes on porcelain", "https://example.net/porcelain/field-notes"),
)
_PIXELS: Final = 16
_QUESTION: Final = {
    "type": "object",
    "properties": {"question": {"type": "string"}},
    "required": ["question"],
    "additionalProperties": False,
}


def web_search(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A search, and a sentence that cites a page."""
    title, url = dice.choice(_PAGES)
    query = _query(ask)
    action: dict[str, Any] = {"type": "search", "queries": [query], "query": query}
    if _includes(ask, "web_search_call.action.sources"):
        action["sources"] = [{"type": "url", "url": page} for _, page in _PAGES]
    call = Native({"type": "web_search_call", "status": "completed", "action": action})
    cited = {"type": "url_citation", "title": title, "url": f"{url}?utm_source=openai"}
    return call, _cited(f"It is said on the page {title.lower()}. ", cited)


def file_search(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A search in the caller's files, and a sentence that cites one."""
    file, name = f"file-{_word(dice, 22)}", "teapots.txt"
    results = None
    if _includes(ask, "file_search_call.results"):
        found = {"attributes": {}, "file_id": file, "filename": name, "score": 0.83, "text": "The water is warm."}
        results = [found | {"vector_store_id": _store(ask)}]
    content = {"type": "file_search_call", "status": "completed", "queries": [_query(ask)], "results": results}
    cited = {"type": "file_citation", "file_id": file, "filename": name}
    return Native(content), _cited("It is said in the file. ", cited)


def code_interpreter(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A sum, run in a container."""
    container = f"cntr_{dice.randbytes(25).hex()}"
    total = dice.randint(10, 99)
    logs = [{"type": "logs", "logs": f"{total}"}]
    content = {
        "type": "code_interpreter_call",
        "status": "completed",
        "code": f"total = {total - 7} + 7\r\nprint(total)",
        "container_id": container,
        "outputs": logs if _includes(ask, "code_interpreter_call.outputs") else None,
    }
    file = f"cfile_{dice.randbytes(16).hex()}"
    cited = {"type": "container_file_citation", "container_id": container, "file_id": file, "filename": f"{file}.png"}
    return Native(content), _cited("The code ran. ", cited)


def image_generation(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A picture of one colour."""
    picture = b64encode(_png(dice.randbytes(3))).decode()
    tool = _declared(ask, "image_generation")
    content = {
        "type": "image_generation_call",
        "status": "completed",
        "background": "opaque",
        "output_format": tool.get("output_format") or "png",
        "quality": _unless_auto(tool.get("quality"), "medium"),
        "result": picture,
        "revised_prompt": f"A picture of {_query(ask)}",
        "size": _unless_auto(tool.get("size"), "1024x1024"),
    }
    return (Native(content),)


def mcp(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """The tools of every server that the request names, and a call of the last one, or the wish to be allowed it."""
    out: list[Block] = []
    label, approval = "server", "never"
    for tool in (tool for tool in ask.body.get("tools") or () if tool["type"] == "mcp"):
        label, approval = tool["server_label"], tool.get("require_approval") or "always"
        names = tool.get("allowed_tools") if isinstance(tool.get("allowed_tools"), list) else ["ask_question"]
        tools = [
            {"annotations": {"read_only": False}, "description": "Asks.", "input_schema": _QUESTION, "name": str(name)}
            for name in names
        ]
        out.append(Native({"type": "mcp_list_tools", "server_label": label, "tools": tools}))
    arguments = json.dumps({"question": _query(ask)})
    called: dict[str, Any] = {"arguments": arguments, "name": "ask_question", "server_label": label}
    if approval == "always":
        return (*out, Native({"type": "mcp_approval_request"} | called))
    done = {"approval_request_id": None, "arguments": arguments, "error": None, "name": "ask_question"}
    result = {"output": f"The answer is {dice.randint(2, 99)}.", "server_label": label}
    return (*out, Native({"type": "mcp_call", "status": "completed"} | done | result))


def mcp_list_tools(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """Only what tools the servers have."""
    return tuple(b for b in mcp(ask, dice) if isinstance(b, Native) and b.content["type"] == "mcp_list_tools")


def tool_search(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A search for tools: the client does it, or what it finds comes along."""
    execution = _declared(ask, "tool_search").get("execution") or "server"
    call = f"call_{_word(dice, 24)}" if execution == "client" else None
    asked = {"arguments": {"queries": [_query(ask)]}, "call_id": call, "execution": execution}
    out: list[Block] = [Native({"type": "tool_search_call", "status": "completed"} | asked)]
    if execution == "server":
        tools = [tool for tool in ask.body.get("tools") or () if tool.get("defer_loading")]
        found = {"call_id": None, "execution": execution, "tools": tools}
        out.append(Native({"type": "tool_search_output", "status": "completed"} | found))
    return tuple(out)


def local_shell(ask: Ask, dice: Random) -> tuple[Block, ...]:  # noqa: ARG001
    """A command that the client is to run."""
    action = {"type": "exec", "command": ["bash", "-lc", "ls -la"], "env": {}}
    content = {"type": "local_shell_call", "status": "completed", "action": action}
    return (Native(content | {"call_id": f"call_{_word(dice, 24)}"}),)


def apply_patch(ask: Ask, dice: Random) -> tuple[Block, ...]:  # noqa: ARG001
    """A file that the client is to create."""
    operation = {"type": "create_file", "diff": "+The water is warm.\n", "path": "teapots.md"}
    call = {"call_id": f"call_{_word(dice, 24)}", "operation": operation}
    return (Native({"type": "apply_patch_call", "status": "completed"} | call),)


def compaction(ask: Ask, dice: Random) -> tuple[Block, ...]:  # noqa: ARG001
    """What stands for a conversation that grew too long."""
    return (Native({"type": "compaction"}),)


_BY_TOOL: Final[Mapping[str, Callable[[Ask, Random], tuple[Block, ...]]]] = MappingProxyType(
    {
        "mcp": mcp,
        "tool_search": tool_search,
        "web_search": web_search,
        "file_search": file_search,
        "code_interpreter": code_interpreter,
        "image_generation": image_generation,
        "local_shell": local_shell,
        "apply_patch": apply_patch,
    }
)


def offered(ask: Ask, dice: Random) -> tuple[Block, ...]:
    """A run of every provider's tool that the request offers."""
    kinds = [tool.kind for tool in ask.tools]
    wanted = (run for name, run in _BY_TOOL.items() if any(kind.startswith(name) for kind in kinds))
    return tuple(block for run in wanted for block in run(ask, dice))


NATIVES: Final[Mapping[str, Callable[[Ask, Random], tuple[Block, ...]]]] = MappingProxyType(
    {**_BY_TOOL, "mcp_list_tools": mcp_list_tools, "compaction": compaction, "offered": offered}
)


def _cited(text: str, citation: Mapping[str, Any]) -> Native:
    """Text of the message with its citation, whose place is told once the whole text is known."""
    return Native({"type": "output_text", "text": text, "annotations": [dict(citation)]})


def placed(citation: Mapping[str, Any], start: int, end: int) -> dict[str, Any]:
    """A citation of the characters from `start` to `end` of a message: its type, then its members by name."""
    place = {"index": end} if citation["type"] == "file_citation" else {"end_index": end, "start_index": start}
    whole = {**citation, **place}
    return {"type": whole["type"]} | {name: whole[name] for name in sorted(whole) if name != "type"}


def _includes(ask: Ask, what: str) -> bool:
    return what in (ask.body.get("include") or ())


def _declared(ask: Ask, kind: str) -> Mapping[str, Any]:
    return next((tool for tool in ask.body.get("tools") or () if tool["type"] == kind), {})


def _store(ask: Ask) -> str:
    return str((_declared(ask, "file_search").get("vector_store_ids") or ["vs_fleet"])[0])


def _unless_auto(asked: Any, chosen: str) -> str:
    return chosen if asked in (None, "auto") else str(asked)


def _query(ask: Ask) -> str:
    """The first words of what the user last said."""
    said = next((turn.text for turn in reversed(ask.turns) if turn.role == "user" and turn.text), "teapots")
    return " ".join(said.split()[:12])


def _word(dice: Random, length: int) -> str:
    return "".join(dice.choices(ALPHABET, k=length))


@cache
def _png(colour: bytes) -> bytes:
    """A small picture of one colour."""
    rows = (b"\x00" + colour * _PIXELS) * _PIXELS
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunks(rows))


def _chunks(rows: bytes) -> Iterator[bytes]:
    head = struct.pack(">IIBBBBB", _PIXELS, _PIXELS, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")):
        yield struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
